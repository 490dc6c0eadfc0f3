"""What a report says, in plain sentences; nothing here is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from imgorder.report.facts import Maker, Report
from imgorder.report.times import Times

_EQUAL = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"


def percent(probability: float) -> str:
    """With one decimal; what is neither certain nor impossible is not rounded to 100% or 0%."""
    if 0 < probability < 0.0005:
        return "under 0.1%"
    if 0.9995 <= probability < 1:
        return "over 99.9%"
    return f"{probability:.1%}"


def listed(items: Sequence[object]) -> str:
    """``3, 1, 2``."""
    return ", ".join(str(item) for item in items)


def source(report: Report) -> str:
    """What the order comes from."""
    end = "neither file names nor capture times were used for it."
    if report.twins:
        end = f"{end} Only where photos look the same, the order of their names decides."
    if report.told == "first":
        return f"{report.photos[0].name} was given as the first photo; all else comes from the pictures: {end}"
    return f"The order comes from the pictures alone: {end}"


def direction(report: Report) -> str:
    """Which way time runs, as far as the order itself tells."""
    if report.told == "nothing":
        return "Whether this runs forward or backward is not known from the pictures; an order and its reverse are one."
    return "The direction was given, not found in the pictures."


def probability(report: Report) -> str:
    """What the figures of the orders are: those of the shortest path were never fitted to anything."""
    return "Share" if report.baseline is None else "Probability"


def choices(report: Report) -> str:
    """What the list of orders is."""
    what = "The orders with the largest shares" if report.baseline is None else "The most probable orders"
    whose = " that begin with photo 1" if report.told == "first" else ""
    return f"{what}, {len(report.candidates)} of {report.classes}{whose}:"


def twins(report: Report) -> str | None:
    """Which photos could as well stand in each other's place; None where there are none."""
    if not report.twins:
        return None
    groups = ", and photos ".join(_and(group) for group in report.twins)
    return f"Photos {groups} look the same: nothing in the pictures tells their order among themselves."


def second_choice(report: Report) -> str | None:
    """The runner-up; None where nothing else is possible."""
    if len(report.candidates) < 2:
        return None
    runner_up = report.candidates[1]
    return f"{listed(runner_up.numbers)} with {percent(runner_up.probability)}"


def baseline(report: Report) -> str:
    """What the shortest path says of the order."""
    if report.baseline is None:
        return "This order is the shortest path itself: no network was asked, and the shares only rank."
    how = "The shortest path through small thumbnails, which needs no network,"
    if report.baseline_tied:
        which = (
            "this one among them" if report.baseline_agrees else f"but not this one; one is {listed(report.baseline)}"
        )
        return f"{how} finds several orders equally short, {which}."
    if report.baseline_agrees:
        return f"{how} gives the same order."
    return f"{how} gives another order: {listed(report.baseline)}."


def baseline_in_short(report: Report) -> str:
    """The same in two words."""
    if not report.baseline_agrees:
        return "another order"
    return "a tie" if report.baseline_tied else "agrees"


def times(judged: Times) -> str:
    """Whether the capture times fit the order."""
    known = len(judged.taken) - judged.missing
    some = f"{_photos(judged.missing)} no capture time" if judged.missing else ""
    if judged.verdict == "none":
        return "No photo has an EXIF capture time, so there is nothing to compare the order with."
    if judged.verdict == "zones":
        return "Only some of the EXIF capture times name their time zone, so they cannot be compared."
    if judged.verdict == "equal":
        which = "All photos have" if not judged.missing else f"The {known} photos with an EXIF capture time have"
        return f"{which} the same one, which says nothing about the order."
    if judged.verdict == "few":
        only = "Only one photo has" if known == 1 else "Only two photos have"
        return f"{only} an EXIF capture time: too few to compare the order with."
    if judged.verdict == "differ":
        order = listed([_EQUAL.join(str(place + 1) for place in equal) for equal in judged.places()])
        rest = f"; {some}" if some else ""
        return f"The EXIF capture times contradict this order: by them it is {order}{rest}."
    if judged.verdict == "partly":
        gaps = [text for text in (some, "some share one" if judged.shared else "") if text]
        return f"The EXIF capture times do not contradict this order, but cannot confirm it: {' and '.join(gaps)}."
    return "The EXIF capture times agree with this order: every photo has its own, and they run one way."


def times_in_short(judged: Times) -> str:
    """The same in two or three words."""
    return {
        "none": "there are none",
        "zones": "not comparable",
        "equal": "all the same",
        "few": "too few to tell",
        "differ": "contradict",
        "partly": "no contradiction",
        "agree": "agree",
    }[judged.verdict]


def times_direction(report: Report) -> str | None:
    """Which way time runs by the capture times; None where they do not tell."""
    forward = report.times.forward
    if forward is None:
        return None
    if report.times.verdict != "agree":
        # Those that are there may not be of the first photo, and do not vouch for the order.
        which = "two times" if report.times.verdict == "few" else "times"
        way = "forward as shown here" if forward else "the other way"
        return f"If the order is right, the {which} say that it runs {way}."
    if forward:
        return "By the times it runs forward as shown here, from photo 1 on."
    return f"By the times it runs the other way: photo {len(report.photos)} is the first."


def moment(taken: datetime) -> str:
    """``2024-05-01 12:00:00.5``, and the zone if it is known: ``2024-05-01 12:00:00 +02:00``."""
    text = taken.replace(tzinfo=None).isoformat(sep=" ")
    text = text.rstrip("0") if taken.microsecond else text
    return text if taken.tzinfo is None else f"{text} {taken.isoformat()[-6:]}"


def preprocessing(maker: Maker) -> str:
    """What became of a photo before it was looked at."""
    spec = maker.preprocessing
    edge, crop = spec.shorter_edge, spec.crop
    middle = f"; only the {crop}×{crop} px in its middle were looked at"
    if spec.squeeze > 1:
        cut = f", of a longer edge at most {spec.squeeze:g} times the shorter one"
        return f"Each photo was turned upright and squeezed into {edge}×{edge} px{cut}{middle if crop < edge else ''}."
    return f"Each photo was turned upright and scaled so that its shorter edge has {edge} px{middle}."


def model(maker: Maker) -> str:
    """Name, runtime and file of the model."""
    file = f", SHA-256 {maker.sha256[:12]}…" if maker.sha256 else ""
    votes = f" Shown the photos in {maker.votes} listings, it answers with the mean." if maker.votes > 1 else ""
    return f"Model {maker.model} ({maker.backend}{file}), imgorder {maker.version}.{votes}"


def _and(numbers: Sequence[int]) -> str:
    return f"{listed(numbers[:-1])} and {numbers[-1]}"


def _photos(count: int) -> str:
    return "one photo has" if count == 1 else f"{count} photos have"
