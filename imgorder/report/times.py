"""Compare capture times with an order: whether they fit it, and which way time runs.

Times of several cameras are compared with each other only where it is known how far their clocks are apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from imgorder.evidence.offsets import join_clocks
from imgorder.evidence.weigh import Evidence

Verdict = Literal["none", "zones", "equal", "few", "differ", "partly", "agree"]


@dataclass(frozen=True)
class Times:
    """Capture times compared with an order; an order and its reverse count as one.

    Attributes:
        taken: the time of each photo in that order, with its zone if that is known; None if it has none.
        unread: the text of each photo's time that is not understood; empty for the others.
        verdict: ``"none"``: there are no times; ``"equal"``: all are the same; ``"zones"``: only some have a zone,
            so they cannot be compared; ``"few"``: any order would fit them; ``"differ"``: they contradict the
            order; ``"partly"``: they fit, but some are missing or equal, or of several clocks; ``"agree"``: every photo
            has a time of its own, and they fit.
        forward: whether time runs as the order is shown; None if the times do not say.
        elsewhere: whether some of the times come from XMP or another place beside EXIF.
        clocks: photos by their places in the order, from 0, whose times can be compared; those without a time as well.
        shifts: what a person says has to be added to the time of each photo; empty if that is nothing for all.
    """

    taken: tuple[datetime | None, ...]
    unread: tuple[str, ...]
    verdict: Verdict
    forward: bool | None
    elsewhere: bool = False
    clocks: tuple[tuple[int, ...], ...] = ()
    shifts: tuple[timedelta, ...] = ()

    @property
    def missing(self) -> int:
        """How many photos have no time, or none that is understood."""
        return self.taken.count(None)

    @property
    def shared(self) -> bool:
        """Whether photos have the same time."""
        return any(len(places) > 1 for clock in self.places() for places in clock)

    @property
    def apart(self) -> bool:
        """Whether there are times of several clocks, of which nobody says how far they are apart."""
        return len(self.places()) > 1

    def places(self) -> list[list[list[int]]]:
        """For each clock, the places in the order, from 0, of its photos, the earliest first; equal times together."""
        found = []
        for clock in self.clocks:
            times = {place: time for place in clock if (time := self.compared(place)) is not None}
            found += [[[place for place in times if times[place] == each] for each in sorted({*times.values()})]]
        return [each for each in found if each]

    def turns(self) -> list[tuple[int, int]]:
        """Places, from 0, of two photos of a clock, one after the other, between which time runs against most of the
        order."""
        steps = []
        for clock in self.places():
            rank = {place: number for number, equal in enumerate(clock) for place in equal}
            steps += [(one, other, rank[other] - rank[one]) for one, other in pairwise(sorted(rank))]
        rises = sum((step > 0) - (step < 0) for *_, step in steps) >= 0
        return sorted((one, other) for one, other, step in steps if (step < 0 if rises else step > 0))

    def compared(self, place: int) -> datetime | None:
        """The time of a photo that is compared; None if it has none."""
        time = self.taken[place]
        return time + self.shifts[place] if time is not None and self.shifts else time


def judge(
    taken: Sequence[datetime | None],
    unread: Sequence[str] = (),
    *,
    elsewhere: bool = False,
    clocks: Sequence[Sequence[int]] = (),
    shifts: Sequence[timedelta] = (),
) -> Times:
    """Compare times with an order.

    Args:
        taken: capture times of the photos in that order. If all of a clock have a zone they are compared as moments;
            if none has one, as the clocks of the cameras showed them.
        unread: texts of times that are not understood, one for each photo, or none at all.
        elsewhere: whether some of the times come from another place than EXIF.
        clocks, shifts: as in `Times`; by default all times are of one clock.
    """
    unread = tuple(unread) or ("",) * len(taken)
    groups = tuple(map(tuple, clocks)) or (tuple(range(len(taken))),)
    times = Times(tuple(taken), unread, "zones", None, elsewhere, groups, tuple(shifts) if any(shifts) else ())
    if any(len({time.tzinfo is None for place in clock if (time := taken[place])}) > 1 for clock in groups):
        return times
    ways = [[place for equal in clock for place in equal] for clock in times.places()]
    known = [[time for place in sorted(way) if (time := times.compared(place))] for way in ways]
    rises = all(each == sorted(each) for each in known)
    falls = all(each == sorted(each, reverse=True) for each in known)
    forward = rises if rises != falls else None  # both: all of a clock are equal
    return replace(times, verdict=_verdict(times, rises or falls), forward=forward)


def _verdict(times: Times, fits: bool) -> Verdict:
    clocks = times.places()
    if not clocks:
        return "none"
    if len(clocks) == 1 == len(clocks[0]) < len(clocks[0][0]):
        return "equal"
    # Two photos follow each other in every order.
    if sum(len(equal) for clock in clocks if len(clock) > 1 for equal in clock) < 3:
        return "few"
    if not fits:
        return "differ"
    return "agree" if len(clocks) == 1 and len(clocks[0]) == len(times.taken) else "partly"


def align(evidence: Evidence | None, order: Sequence[int]) -> tuple[list[list[int]], list[timedelta]]:
    """The clocks and shifts of a set, as `judge` takes them.

    Args:
        evidence: what is known beside the pictures; without it all times count as those of one clock.
        order: the photos.
    """
    if evidence is None:
        return [], []
    joined, _ = join_clocks(evidence.cameras, evidence.times, evidence.shifts)
    camera = {photo: index for index, each in enumerate(evidence.cameras) for photo in each.photos}
    clocks: dict[int, list[int]] = {}
    for place, photo in enumerate(order):
        clocks.setdefault(-1 if camera[photo] in joined else camera[photo], []).append(place)
    return [*clocks.values()], [evidence.shifts.get(camera[photo], timedelta(0)) for photo in order]
