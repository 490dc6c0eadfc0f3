"""Times for photos of which some have one: between those of their neighbours, or apart within their second."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path

from imgorder.errors import ProblemsError, UsageError
from imgorder.evidence.cameras import Camera
from imgorder.evidence.facts import ZERO, PhotoFacts, Taken
from imgorder.evidence.relation import ACROSS, Clocks, second_of
from imgorder.evidence.weigh import Evidence, weigh_facts
from imgorder.media.facts import read_all_facts
from imgorder.names import show

_DIGITS, _MOST_DIGITS = 3, 6  # of a second's fraction; more than the former only where they are needed
_SECOND, _THOUSANDTH = timedelta(seconds=1), timedelta(milliseconds=1)


@dataclass(frozen=True)
class NewTime:
    """The time that a photo is to get.

    Attributes:
        taken: with as many digits as are written.
        stays: whether it is the one that it has, so that nothing is written.
    """

    taken: Taken
    stays: bool


def find_new_times(
    files: Sequence[Path], step: timedelta, *, keep_seconds: bool, fill: bool, overwrite: bool = False
) -> list[NewTime]:
    """New times, after which programs that sort by DateTimeOriginal and SubSecTimeOriginal show the order.

    Args:
        files: in their order.
        step: between photos without a time that lie before the first one that has one, or behind the last.
        keep_seconds: whether photos of one second get fractions of it, in their order.
        fill: whether photos without a time get one. That is the one known from beside the EXIF block if it fits
            between those of their neighbours, else one evenly between these.
        overwrite: whether a fraction that contradicts the order, or a time that cannot be right, is replaced.

    Raises:
        PhotoError: if a photo cannot be read.
        ProblemsError: with all reasons why this cannot be done, one line for each photo.
        UsageError: if the step leads beyond the years 1 to 9999.
    """
    facts = read_all_facts(files)
    evidence = weigh_facts(facts)
    had, problems = _find_times(files, facts, evidence, fill, overwrite)
    times, contradicted = dict(had), _find_contradictions(had)
    if fill:
        solid = {place: time for place, time in had.items() if place not in contradicted}
        others = _find_others(evidence, [place for place in range(len(files)) if place not in had])
        against = _find_misfits(others, solid)
        fitting = {place: time for place, time in others.items() if place not in against}
        times |= others
        contradicted |= against | _find_contradictions(solid | fitting)
    for place, other in contradicted.items():
        if times[place].source != "EXIF" and abs(times[place].clock - times[other].clock) < ACROSS:
            del times[place]  # another moment of the same shot
        else:
            problems.append(_describe(files, times, evidence.cameras, place, other))
    if fill and not keep_seconds:
        falls = (pair for second in _group(times) for pair in _find_falls(times, second))
        problems += (_describe(files, times, evidence.cameras, *pair) for pair in falls)
    if problems:
        raise ProblemsError(problems)
    if fill:
        times = _fill(files, times, step, keep_seconds)
    if keep_seconds:
        times = _part(files, times, had, evidence.cameras, overwrite)
    return [NewTime(times[place], times[place] == had.get(place)) for place in range(len(files))]


def _find_times(
    files: Sequence[Path], facts: Sequence[PhotoFacts], evidence: Evidence, fill: bool, overwrite: bool
) -> tuple[dict[int, Taken], list[str]]:
    """The times in EXIF by which the others are found, and what is wrong with the rest."""
    times, problems = {}, []
    for place, (file, each, trusted) in enumerate(zip(files, facts, evidence.times, strict=True)):
        right = trusted is not None and trusted.source == "EXIF"
        time = trusted if right else next((time for time in each.times if time.source == "EXIF"), None)
        if time is not None and (right or not fill):
            times[place] = time
        elif time is not None and not overwrite:
            problems.append(
                f"{show(file)}: its capture time, {_spell(time)}, cannot be right; --overwrite-times replaces it, "
                "or leave it out"
            )
        elif not fill:
            problems.append(f"{show(file)}: has no capture time of which the second could be kept; --fill gives it one")
    return times, problems


def _find_others(evidence: Evidence, places: Sequence[int]) -> dict[int, Taken]:
    """Times from beside the EXIF block, as the clock of the photos that have one would show them, if that is known."""
    trusted = [time for time in evidence.times if time is not None]
    zones = {time.zone for time in trusted if time.source == "EXIF" and time.zone}
    zone = zones.pop() if len(zones) == 1 else None
    others = {}
    for place in places:
        time = evidence.times[place]
        if time is not None and time.zone is None:
            others[place] = time
        elif time is not None and zone is not None:
            others[place] = replace(time, clock=time.zoned.astimezone(zone).replace(tzinfo=None), zone=zone)
    return others


def _find_misfits(others: Mapping[int, Taken], solid: Mapping[int, Taken]) -> dict[int, int]:
    """Photos whose seconds do not fit between those of photos that are surer, each with one that shows it."""
    misfits, places = {}, sorted(solid)
    for place, time in others.items():
        number = bisect_left(places, place)
        for other in places[max(number - 1, 0) : number + 1]:
            first, last = (time, solid[other]) if place < other else (solid[other], time)
            if second_of(first.clock - ZERO) > second_of(last.clock - ZERO):
                misfits[place] = other
    return misfits


def _find_contradictions(times: Mapping[int, Taken]) -> dict[int, int]:
    """As few photos as possible whose seconds contradict the order, each with one that shows it."""
    seconds = {place: second_of(times[place].clock - ZERO) for place in sorted(times)}
    ends: list[tuple[int, int]] = []  # the least second in which a rising row of each length can end, and its photo
    before: dict[int, int | None] = {}
    for place, second in seconds.items():
        length = bisect_left(ends, (second, place))
        before[place] = ends[length - 1][1] if length else None
        ends[length : length + 1] = [(second, place)]
    rising = set()
    last = ends[-1][1] if ends else None
    while last is not None:
        rising.add(last)
        last = before[last]
    return {
        place: max(rising, key=lambda other: (seconds[other] - seconds[place]) * (1 if other < place else -1))
        for place in seconds.keys() - rising
    }


def _group(times: Mapping[int, Taken]) -> Iterator[list[int]]:
    """The photos of each second, where the seconds rise."""
    for _, places in groupby(sorted(times), lambda place: second_of(times[place].clock - ZERO)):
        yield list(places)


def _find_falls(times: Mapping[int, Taken], second: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Photos of one second whose fractions contradict the order, each with one that shows it."""
    for number, place in enumerate(second):
        latest = max(second[:number], key=lambda other: times[other].clock, default=place)
        if times[place].digits and times[latest].clock >= times[place].clock + times[place].resolution:
            yield place, latest


def _fill(files: Sequence[Path], times: Mapping[int, Taken], step: timedelta, keep_seconds: bool) -> dict[int, Taken]:
    """Times for all photos. Whole seconds where there is room for them; where they are parted later, anyway."""
    known, problems = sorted(times), []
    if not known:
        options = "--keep-seconds and --fill" if keep_seconds else "--fill"
        raise ProblemsError(
            [
                f"{show(files[0].parent)}: no photo has a time that can be trusted; stamp this scene alone, "
                f"with --start instead of {options}"
            ]
        )
    filled = dict(times)
    for place in range(len(files)):
        if place in times:
            continue
        number = bisect_left(known, place)
        one, other = known[max(number - 1, 0)], known[min(number, len(known) - 1)]
        first, last = times[one].clock, times[other].clock
        unit, free = None, False
        try:
            if one == other:
                clock = first + (place - one) * step
            else:
                apart = (last - first) / (other - one)
                clock = first + (last - first) * (place - one) / (other - one)
                free = keep_seconds and apart < _SECOND
                unit = _SECOND if free or apart >= _SECOND else _THOUSANDTH
                if not free and apart < _THOUSANDTH:
                    problems.append(
                        f"{show(files[place])}: no time is free between {show(files[one].name)} and "
                        f"{show(files[other].name)}, {_spell(times[one])}; --keep-seconds makes room"
                    )
        except OverflowError:
            raise UsageError("--step leads beyond the years 1 to 9999") from None
        if unit:
            clock -= (clock - ZERO) % unit
        filled[place] = Taken(clock, "EXIF", "" if free else _digits(clock))
    if problems:
        raise ProblemsError(problems)
    if not keep_seconds:
        for place, time in filled.items():
            if time.source != "EXIF":
                filled[place] = replace(time, source="EXIF", digits=time.digits.ljust(_DIGITS, "0"))
    return filled


def _part(
    files: Sequence[Path],
    times: Mapping[int, Taken],
    had: Mapping[int, Taken],
    cameras: Sequence[Camera],
    overwrite: bool,
) -> dict[int, Taken]:
    """Times with fractions that rise within each second. A fraction that is there stays, but may get more digits."""
    unclear = _find_unclear(cameras, [had.get(place) for place in range(len(files))])
    parted = dict(times)
    problems: list[str] = []
    seconds: list[tuple[list[int], list[str]]] = []
    for second in _group(times):
        texts = [times[place].digits for place in second]
        clocks = [times[place].clock for place in second]
        if len(second) == 1 or (all(texts) and all(one < other for one, other in pairwise(clocks))):
            seconds += (([place], [times[place].digits.ljust(_DIGITS, "0")]) for place in second if place not in had)
            continue
        wrong = {
            place: f"contradicts the order: {show(files[other].name)} comes before it, with .{times[other].digits}"
            for place, other in _find_falls(times, second)
        }
        wrong = {place: "may lack zeros in front" for place in second if place in unclear} | wrong
        if not wrong and _spread(texts, _MOST_DIGITS) is None:
            wrong = {place: "leaves no room for the others" for place in second if times[place].digits}
        if wrong and not overwrite:
            problems += (
                f"{show(files[place])}: its fraction of the second, .{times[place].digits}, {why}; "
                "--overwrite-times gives the photos of this second new ones"
                for place, why in wrong.items()
            )
        seconds.append((second, [""] * len(second) if wrong else texts))
    if problems:
        raise ProblemsError(problems)
    # The same number of digits everywhere, since some programs take them for a whole number.
    digits = max((len(text) for _, texts in seconds for text in texts), default=0)
    digits = max(digits, _DIGITS)
    while digits < _MOST_DIGITS and any(_spread(texts, digits) is None for _, texts in seconds):
        digits += 1
    for second, texts in seconds:
        for place, fraction in zip(second, _spread(texts, digits) or (), strict=True):
            time, text = times[place], f"{fraction:0{digits}}"
            clock = time.clock.replace(microsecond=int(text.ljust(_MOST_DIGITS, "0")))
            parted[place] = replace(time, clock=clock, source="EXIF", digits=text)
    return parted


def _find_unclear(cameras: Sequence[Camera], times: Sequence[Taken | None]) -> set[int]:
    """Photos whose digits may lack zeros in front: they have fewer than others of their camera."""
    unclear = set()
    for clocks in (Clocks(camera.photos, times) for camera in cameras):
        if not clocks.padded:
            most = max(len(time.digits) for time in clocks.times.values())
            unclear |= {place for place, time in clocks.times.items() if 0 < len(time.digits) < most}
    return unclear


def _spread(texts: Sequence[str], digits: int) -> list[int] | None:
    """Rising fractions of a second, spread evenly where they are free.

    Args:
        texts: for each photo the digits with which its fraction has to begin.
        digits: of each fraction, at least as many.

    Returns:
        The fractions in units of the last digit; None if there is no room.
    """
    ranges = [(int(text.ljust(digits, "0")), 10 ** (digits - len(text))) for text in texts]
    ends = [start + length for start, length in ranges]
    for place in range(len(ends) - 2, -1, -1):
        ends[place] = min(ends[place], ends[place + 1] - 1)
    given: list[int] = []
    for (start, _), group in groupby(ranges):
        photos = len(list(group))
        before = given[-1] if given else -1
        first, end = max(start, before + 1), ends[len(given) + photos - 1]
        if len(given) + photos < len(texts):  # the next one begins where its digits say, if there is room before it
            following = ranges[len(given) + photos][0]
            end = following if first + photos <= following < end else end
        if first + photos > end:
            return None
        if start > before:
            given += (start + number * (end - start) // photos for number in range(photos))
        else:
            given += (before + number * (end - before) // (photos + 1) for number in range(1, photos + 1))
    return given


def _describe(
    files: Sequence[Path], times: Mapping[int, Taken], cameras: Sequence[Camera], place: int, other: int
) -> str:
    """One line about a photo whose time contradicts the order."""
    ends = "before" if other < place else "after"
    turned = {-each: time for each, time in times.items()}
    fits = not _find_contradictions(turned) and not any([*_find_falls(turned, each)] for each in _group(turned))
    if fits:
        cure = "turn the order round with --reverse (or without it, or exchange --first and --last)"
    elif any(place in camera.photos and other in camera.photos for camera in cameras):
        cure = "put the order right, or leave it out"
    else:
        cure = (
            "put the order right, or leave it out; if the two cameras' clocks differ, stamp this scene alone with new "
            "times: --start TIME --overwrite-times"
        )
    return (
        f"{show(files[place])}: its time, {_spell(times[place])}, contradicts the order: {show(files[other].name)} "
        f"comes {ends} it, with {_spell(times[other])}; {cure}"
    )


def _digits(clock: datetime) -> str:
    return f"{clock.microsecond:06}".rstrip("0").ljust(_DIGITS, "0")


def _spell(time: Taken) -> str:
    return f"{time.clock.replace(microsecond=0)}{'.' * bool(time.digits)}{time.digits}"
