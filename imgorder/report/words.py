"""The sentences of a report, in plain words; nothing here is HTML."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from imgorder import __version__
from imgorder.evidence.weigh import COUNTER, FRAME
from imgorder.media.preprocess import Preprocessing
from imgorder.media.strays import word_strays
from imgorder.names import short_names, show
from imgorder.permutations import MAX_EXACT
from imgorder.report.facts import Report
from imgorder.report.times import Times

WEAKEST = 10
"""How many places of a large set are listed."""

_SHOWN_TURNS = 5
_EQUAL = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"


def show_percent(probability: float) -> str:
    """With one decimal; what is neither certain nor impossible is not rounded to 100% or 0%."""
    if 0 < probability < 0.0005:
        return "under 0.1%"
    if 0.9995 <= probability < 1:
        return "over 99.9%"
    return f"{probability:.1%}"


def join_items(items: Iterable[object]) -> str:
    """``3, 1, 2``."""
    return ", ".join(map(str, items))


_KINDS = {
    COUNTER: "counters in file names",
    FRAME: "numbers in bursts",
    "time in the name": "times in file names",
    "time of change": "times of change",
}


def describe_source(report: Report) -> str:
    """Where the order comes from."""
    said = [f"{report.photos[0].name} was given as the first photo."] * (report.given in ("first", "ends"))
    said += [f"{report.photos[-1].name} was given as the last photo."] * (report.given in ("last", "ends"))
    kept = len(report.result.given)
    said += [f"{kept} photos keep the order that was given."] * bool(kept)
    whole = "The rest of the order comes" if said else "The order comes"
    others = {reason for reason in report.result.reasons if reason not in ("content", "given")}
    kinds = dict.fromkeys(
        next((kind for start, kind in _KINDS.items() if reason.startswith(start)), "capture times")
        for reason in sorted(others)
    )
    if kinds:
        where = ", not from the pictures" if report.known else " where they tell it, and else from the pictures"
        said.append(f"{whole} from {' and '.join(kinds)}{where}.")
    elif not report.known:
        alone = "" if said else " alone"
        said.append(f"{whole} from the pictures{alone}, not from file names or capture times.")
    if report.lookalikes and not report.known:
        more = ", where nothing else tells" * bool(kinds)
        said.append(f"Photos that look the same are in the order of their names{more}.")
    return " ".join(said)


def describe_direction(report: Report) -> str:
    """Which way time runs, if the order itself says so."""
    if report.given == "nothing":
        return "The pictures do not show whether this runs forward or backward: an order and its reverse count as one."
    if report.given == "times":
        return "Which end is the first is known from the photos' capture times or counters, not from the pictures."
    return "The direction was given, not found in the pictures."


def name_figures(report: Report) -> str:
    """What the figures of the orders are. Those of the shortest path were never fitted to anything."""
    if report.large:
        return "Least sure place"
    return "Share" if report.baseline is None else "Probability"


def describe_words(report: Report) -> str | None:
    """How sure the order is; None where only shares are known."""
    return None if report.baseline is None else f"The order is {report.words}."


def describe_scene(report: Report) -> str | None:
    """Which photos were left out, or that these are not of one scene; None if there is nothing to say."""
    if report.result.apart:
        return f"{word_strays(short_names(report.result.apart))}: left out."
    if report.result.doubt:
        return "The photos do not look like one scene, so any order is no more than a guess."
    return None


def describe_choices(report: Report) -> str:
    """The heading of the list of orders, or of the places of a large set."""
    if report.large:
        figures = "shares" if report.baseline is None else "probabilities that nothing is missing or swapped there"
        listed = min(len(report.places), WEAKEST)
        return f"The least sure places between two photos, {listed} of {len(report.places)}, with {figures}:"
    what = "The orders with the largest shares" if report.baseline is None else "The most probable orders"
    which = " that begin with photo 1" if report.given in ("first", "ends") else ""
    return f"{what}, {len(report.candidates)} of {report.classes}{which}:"


def describe_lookalikes(report: Report) -> str | None:
    """Which photos could change places; None if there are none."""
    if not report.lookalikes:
        return None
    groups = ", and photos ".join(f"{join_items(group[:-1])} and {group[-1]}" for group in report.lookalikes)
    counts = "" if report.large else " and does not count for the figures"
    return f"Photos {groups} look the same, so their order among themselves is arbitrary{counts}."


def describe_second_choice(report: Report) -> str | None:
    """The runner-up; None if only one order is possible, or too many are to know it."""
    if len(report.candidates) < 2:
        return None
    runner_up = report.candidates[1]
    return f"{join_items(runner_up.numbers)} with {show_percent(runner_up.probability)}."


def describe_baseline(report: Report) -> str:
    """What the shortest path says of the order."""
    if report.baseline is None:
        return "This order is the shortest path itself. No network was used, and the shares only rank the orders."
    path = "The shortest path through small thumbnails, which needs no network,"
    agrees, numbers = report.baseline_agrees, join_items(report.baseline)
    if report.baseline_tied:
        which = "this one among them" if agrees else f"but not this one; one is {numbers}"
        return f"{path} finds several orders equally short, {which}."
    if agrees:
        return f"{path} gives the same order."
    if report.large:
        alike = sum(abs(a - b) == 1 for a, b in pairwise(report.baseline))
        return f"{path} gives another order, in which {alike} of {len(report.places)} neighbours are the same."
    return f"{path} gives another order: {numbers}."


def judge_baseline(report: Report) -> str:
    """The same in two words."""
    if not report.baseline_agrees:
        return "another order"
    return "a tie" if report.baseline_tied else "agrees"


def describe_times(judged: Times) -> str:
    """Whether the capture times fit the order."""
    known = len(judged.taken) - judged.missing
    unread = sum(map(bool, judged.unread))
    none = judged.missing - unread
    lacks = [f"{none} photos have no capture time" if none > 1 else "one photo has no capture time"] * bool(none)
    if unread:
        which = f"{unread} photos have" if unread > 1 else "one photo has"
        lacks.append(f"{which} a capture time that is not understood")
    missing = " and ".join(lacks)
    understood = " that is understood" * bool(unread)
    an_exif, exif = ("a ", "") if judged.elsewhere else ("an EXIF ", "EXIF ")
    if judged.verdict == "none":
        return f"No photo has {an_exif}capture time{understood}, so there is nothing to compare the order with."
    if judged.verdict == "zones":
        return f"Only some of the {exif}capture times name their time zone, so they cannot be compared."
    if judged.verdict == "equal":
        which = f"The {known} photos with {an_exif}capture time{understood}" if judged.missing else "All photos"
        return f"{which} have the same one, which says nothing about the order."
    clocks = "how far the clocks of the cameras are apart is not known"
    if judged.verdict == "few" and judged.apart:
        return f"There are too few {exif}capture times of one camera to compare the order with, and {clocks}."
    if judged.verdict == "few":
        only = "Only one photo has" if known == 1 else "Only two photos have"
        return f"{only} {an_exif}capture time{understood}: too few to compare the order with."
    if judged.verdict == "differ":
        orders = [
            join_items(_EQUAL.join(str(place + 1) for place in equal) for equal in clock) for clock in judged.places()
        ]
        if len(judged.taken) > MAX_EXACT:
            back = judged.turns()
            shown = ", and ".join(f"{first + 1} and {then + 1}" for first, then in back[:_SHOWN_TURNS])
            more = f", and in {len(back) - _SHOWN_TURNS} more places" if len(back) > _SHOWN_TURNS else ""
            order = f"time runs the other way between photos {shown}{more}"
        else:
            order = f"by them it is {', and of another camera '.join(orders)}"
        rest = f"; {missing}" if judged.missing else ""
        rest += f"; only those of one camera were compared, since {clocks}" * judged.apart
        return f"The {exif}capture times contradict this order: {order}{rest}."
    if judged.verdict == "partly":
        gaps = [missing] * bool(judged.missing) + ["some share one"] * judged.shared
        gaps += [f"only those of one camera were compared, since {clocks}"] * judged.apart
        return f"The {exif}capture times do not contradict this order, but cannot confirm it: {' and '.join(gaps)}."
    return f"The {exif}capture times agree with this order: every photo has its own, and they run one way."


def describe_clocks(report: Report) -> str | None:
    """How far the clocks of several cameras are apart; None for one camera."""
    return " ".join(clock.words for clock in report.result.clocks) or None


def judge_times(judged: Times) -> str:
    """The same in two or three words."""
    return {
        "none": "none understood" if any(judged.unread) else "there are none",
        "zones": "not comparable",
        "equal": "all the same",
        "few": "too few to tell",
        "differ": "contradict",
        "partly": "no contradiction",
        "agree": "agree",
    }[judged.verdict]


def describe_times_direction(report: Report) -> str | None:
    """Which way time runs by the capture times; None if they do not say."""
    forward = report.times.forward
    if forward is None:
        return None
    if report.times.verdict != "agree":
        # The first photo may have no time, and these times do not confirm the order.
        which = "two times" if report.times.verdict == "few" else "times"
        way = "forward as shown here" if forward else "the other way"
        return f"If the order is right, the {which} say that it runs {way}."
    if forward:
        return "By the times it runs forward as shown here, from photo 1 on."
    return f"By the times it runs the other way: photo {len(report.photos)} is the first."


def show_time(taken: datetime) -> str:
    """``2024-05-01 12:00:00.5``, and the zone if it is known: ``2024-05-01 12:00:00 +02:00``."""
    text = taken.replace(tzinfo=None).isoformat(sep=" ")
    text = text.rstrip("0") if taken.microsecond else text
    return text if taken.tzinfo is None else f"{text} {taken.isoformat()[-6:]}"


def describe_preprocessing(spec: Preprocessing) -> str:
    """How a photo was prepared for the model."""
    edge, crop = spec.shorter_edge, spec.crop
    middle = f"; only the {crop}×{crop} px in its middle were looked at"
    if spec.squeeze > 1:
        cut = f", of a longer edge at most {spec.squeeze:g} times the shorter one"
        return f"Each photo was turned upright and squeezed into {edge}×{edge} px{cut}{middle if crop < edge else ''}."
    return f"Each photo was turned upright and scaled so that its shorter edge has {edge} px{middle}."


def describe_model(report: Report) -> str:
    """Name, runtime and file of the model."""
    result = report.result
    file = f", SHA-256 {report.sha256[:12]}…" if report.sha256 else ""
    votes = f" It saw the photos in {result.votes} listings; the answer is the mean." if result.votes > 1 else ""
    return f"Model {show(result.model)} ({result.backend}{file}), imgorder {__version__}.{votes}"
