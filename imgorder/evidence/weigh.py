"""What the facts of a set say of its order: pairs of which the first was taken before the second, and why.

Content decides all that is not said here. So a pair that is wrong does more harm than one that is missing: what is not
sure is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise

from imgorder.evidence.cameras import APART, TURN, Camera, find_cameras, find_runs
from imgorder.evidence.facts import ZERO, PhotoFacts, Taken
from imgorder.evidence.offsets import join_clocks, match_offsets
from imgorder.evidence.relation import Clocks, Relation, second_of
from imgorder.names import show

_DAY = timedelta(days=1)
# A clock that lost its power begins here; on the first day it is not trusted.
_RESETS = (datetime(1970, 1, 1), datetime(1980, 1, 1), datetime(2000, 1, 1))
_ZONES_APART, _QUARTER = timedelta(hours=15), timedelta(minutes=15)  # two clocks of which one shows UTC
_SLOW = timedelta(minutes=1)  # a shot at night and what the phone makes of it
_MOST = 30  # photos that a camera takes in a second; of more, a program has made the time
_FIRST_PHOTO = 1826

COUNTER, FRAME = "counter", "number in the burst"
"""Reasons that are not a time."""


@dataclass(frozen=True)
class Evidence:
    """What is known of the order of a set. A photo is meant by its number in the set, from 0.

    Attributes:
        before: all pairs (a, b) of which a was taken before b; transitively closed, so free of circles.
        links: the pairs from which the others follow, with what says so.
        cameras: each photo is in exactly one. Between two cameras nothing is known, but for those with an offset.
        times: the time of each photo that is trusted; None where there is none.
        reasons: for each photo what fixes its place, such as ``"SubSecTime .12"`` or ``"counter"``; empty if nothing
            does.
        doubts: for each photo why a time that it has is not trusted; empty if it is, or if there is no time.
        conflicts: what contradicts each other, one sentence each; both sides are named, and which of them counts.
        counted: photos whose names have counters of one family, in the order of these. No more than a hint: a name is
            easily changed, and a messenger counts as it receives.
        earliest: photos of the earliest second, and before which none is known to be; none where times with a time zone
            and times without one cannot be compared.
        shifts: offsets of clocks that a person has given, by the camera's index.
        named: as what the person wrote them.
    """

    before: frozenset[tuple[int, int]]
    links: Mapping[tuple[int, int], str]
    cameras: tuple[Camera, ...]
    times: tuple[Taken | None, ...]
    reasons: tuple[str, ...]
    doubts: tuple[str, ...]
    conflicts: tuple[str, ...]
    counted: tuple[tuple[int, ...], ...]
    earliest: tuple[int, ...] = ()
    shifts: Mapping[int, timedelta] = field(default_factory=dict)
    named: frozenset[str] = frozenset()

    @property
    def directed(self) -> bool:
        """Whether the direction of the order is known: one pair is enough."""
        return bool(self.before)


def weigh_facts(
    facts: Sequence[PhotoFacts],
    *,
    trust_mtime: bool = False,
    offsets: Mapping[str, timedelta] | None = None,
    now: datetime | None = None,
) -> Evidence:
    """What the facts of a set say of its order.

    Args:
        facts: of each photo.
        trust_mtime: whether a file's time of change counts as the photo's where it has no other.
        offsets: what has to be added to the times of cameras, by their names, so that all have one clock.
        now: times after it are not trusted, with a zone; the clock of this machine if None.

    Raises:
        UsageError: if the name of a camera in ``offsets`` means several.
    """
    judged = [_judge_times(each, trust_mtime, _latest(now)) for each in facts]
    times = [trusted[0] if trusted else None for trusted, _ in judged]
    conflicts = [text for each, (trusted, _) in zip(facts, judged, strict=True) for text in _disagree(each, trusted)]
    cameras = find_cameras(facts, times)
    clocks = [Clocks(camera.photos, times) for camera in cameras]
    meant = match_offsets(offsets or {}, cameras, facts)
    shifts = {index: shift for index, (_, shift) in meant.items()}
    joined, shifted = join_clocks(cameras, times, shifts)
    common = Clocks([photo for index in joined for photo in cameras[index].photos], shifted)
    common.padded = all(clocks[index].padded for index in joined)
    order = Relation(len(facts), [common, *(clock for index, clock in enumerate(clocks) if index not in joined)])
    for burst in _find_bursts(facts):
        against = order.add_chain(burst, FRAME)
        conflicts += _contradict(facts, times, against, "the numbers in the burst", "this burst")
    for camera, clock in zip(cameras, clocks, strict=True):
        if camera.known:  # else it may be a person who has numbered them
            against = [pair for run in _find_series(facts, clock) for pair in order.add_chain(run, COUNTER)]
            against += _find_falls(facts, clock, order)
            conflicts += _contradict(facts, times, against, "the counters in their names", camera.name)
    links = order.links()
    reasons = _find_reasons(times, links)
    doubts = [doubt for _, doubt in judged]
    for camera in cameras:
        timed = [photo for photo in camera.photos if times[photo]]
        alone = "no other photo of its camera has a time" if len(timed) == 1 else "its time is that of others, too"
        for photo in timed:
            if not reasons[photo]:
                doubts[photo] = alone
    return Evidence(
        before=frozenset(order.pairs()),
        links=links,
        cameras=cameras,
        times=tuple(times),
        reasons=tuple(reasons),
        doubts=tuple(doubts),
        conflicts=tuple(conflicts),
        counted=tuple(_count(facts)),
        earliest=tuple(_find_earliest(shifted, order)),
        shifts=shifts,
        named=frozenset(text for text, _ in meant.values()),
    )


def trusted_times(
    facts: Sequence[PhotoFacts], *, trust_mtime: bool = False, now: datetime | None = None
) -> list[Taken | None]:
    """The time of each photo that is trusted, as `weigh_facts` finds it, for photos that are not one set."""
    latest = _latest(now)
    return [next(iter(_judge_times(each, trust_mtime, latest)[0]), None) for each in facts]


def _latest(now: datetime | None) -> datetime:
    """Times after this are not trusted; in UTC, without a zone."""
    return (now or datetime.now(timezone.utc)).astimezone(timezone.utc).replace(tzinfo=None) + _DAY


def _find_earliest(times: Sequence[Taken | None], order: Relation) -> Iterator[int]:
    clocks = Clocks(range(len(times)), times)
    if all(clocks.axes):
        return  # some times are known by their zone and some are not, so that nobody knows which is the earliest
    starts = clocks.starts
    first = min(map(second_of, starts.values()), default=0)
    for photo, start in starts.items():
        if second_of(start) == first and not any(order.knows(other, photo) for other in starts):
            yield photo


def _judge_times(facts: PhotoFacts, trust_mtime: bool, latest: datetime) -> tuple[list[Taken], str]:
    """The times that can be trusted, the best first; and if there are none, why the first one was not."""
    times = [*facts.times]
    if facts.named.time:
        times.append(facts.named.time)
    if trust_mtime and facts.modified and not times:
        times.append(facts.modified)
    judged = [(time, _doubt(time, latest)) for time in times]
    trusted = [time for time, doubt in judged if not doubt]
    doubt = facts.not_understood and f"its time is not understood ({show(facts.unread)!r})"
    return trusted, "" if trusted else next((doubt for _, doubt in judged), doubt)


def _doubt(time: Taken, latest: datetime) -> str:
    said = f"{time.words}, {time.clock.replace(microsecond=0)},"
    utc = time.clock - ZERO - (time.zone.utcoffset(None) if time.zone else timedelta(0))
    # West of Greenwich a clock that was never set shows the day before.
    if any(reset - _DAY * (reset.year == 1970) <= time.clock < reset + _DAY for reset in _RESETS):
        return f"{said} is the time of a clock that was never set"
    if time.clock.year < _FIRST_PHOTO:
        return f"{said} is older than photography"
    return f"{said} lies in the future" if utc > latest - ZERO else ""


def _disagree(facts: PhotoFacts, times: Sequence[Taken]) -> Iterator[str]:
    """Times of one photo that cannot be the same moment. Different zones explain a difference of quarters of hours."""
    for other in times[1:]:
        first = times[0]
        apart = abs(first.clock - other.clock)
        if first.zone and other.zone:
            apart = abs(first.zoned - other.zoned)
        elif apart <= _ZONES_APART:
            rest = apart % _QUARTER
            apart = min(rest, _QUARTER - rest)
        if apart > _SLOW:
            yield (
                f"{show(facts.name)}: {first.words} says {_show_time(first)}, but {other.words} {_show_time(other)}; "
                "the former counts"
            )


def _find_bursts(facts: Sequence[PhotoFacts]) -> list[list[list[int]]]:
    """The bursts, frame by frame; photos of one frame are the same shot."""
    bursts: dict[tuple[str, ...], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for photo, each in enumerate(facts):
        if each.named.burst:
            camera = (each.folder, each.make or "", each.model or "", each.serial or "")
            bursts[(each.named.burst, *camera)][each.named.frame].append(photo)
    return [[frames[number] for number in sorted(frames)] for frames in bursts.values()]


def _find_series(facts: Sequence[PhotoFacts], clocks: Clocks) -> Iterator[list[list[int]]]:
    """What one camera has taken within a second, by its counter."""
    for second in clocks.seconds():
        if 1 < len(second) <= _MOST:
            for run in find_runs(facts, second):
                first, last = (facts[run[place][0]].named for place in (0, -1))
                if not first.wraps or ((last.counter or 0) - (first.counter or 0)) % TURN <= APART:
                    yield run


def _find_falls(facts: Sequence[PhotoFacts], clocks: Clocks, order: Relation) -> list[tuple[int, int]]:
    """Neighbours by time whose counters say the contrary."""
    falls = []
    for axis in clocks.axes:
        families: dict[str, list[int]] = defaultdict(list)
        for photo in axis:
            if facts[photo].named.counter is not None:
                families[facts[photo].named.family].append(photo)
        for photos in families.values():
            for earlier, later in pairwise(photos):
                one, other = facts[earlier].named, facts[later].named
                rise = (other.counter or 0) - (one.counter or 0)
                if one.wraps:
                    rise = (rise + TURN // 2) % TURN - TURN // 2
                same_second = second_of(clocks.starts[earlier]) == second_of(clocks.starts[later])
                if rise < 0 and order.knows(earlier, later) and not same_second:
                    falls.append((earlier, later))
    return falls


def _contradict(
    facts: Sequence[PhotoFacts], times: Sequence[Taken | None], pairs: Sequence[tuple[int, int]], other: str, of: str
) -> Iterator[str]:
    """One sentence about pairs that are known in this order, but not by something else."""
    if pairs:
        one, two = (facts[photo].name for photo in pairs[0])
        first, second = (times[photo] for photo in pairs[0])
        shown = f" ({_show_time(first)}, {_show_time(second)})" if first and second else ""
        more = f"; the same with {len(pairs) - 1} more pairs of {of}" if len(pairs) > 1 else ""
        yield (
            f"{show(one)} comes before {show(two)} by their times{shown}, but after it by {other}; "
            f"the times count{more}"
        )


def _show_time(time: Taken) -> str:
    return f"{time.clock.replace(microsecond=0)}{'.' * bool(time.digits)}{time.digits}"


def _find_reasons(times: Sequence[Taken | None], links: Mapping[tuple[int, int], str]) -> list[str]:
    """What fixes the place of each photo: a number where it is known from a neighbour by it, else its time."""
    said: list[set[str]] = [set() for _ in times]
    for pair, reason in links.items():
        for photo in pair:
            said[photo].add(reason)
    reasons = []
    for time, own in zip(times, said, strict=True):
        by_number = next((each for each in (FRAME, COUNTER) if each in own), "")
        reasons.append(by_number or (time.words if own and time else ""))
    return reasons


def _count(facts: Sequence[PhotoFacts]) -> Iterator[tuple[int, ...]]:
    folders: dict[str, list[int]] = defaultdict(list)
    for photo, each in enumerate(facts):
        folders[each.folder].append(photo)
    for photos in folders.values():
        for run in find_runs(facts, photos):
            if len(run) > 1:
                yield tuple(photo for group in run for photo in group)
