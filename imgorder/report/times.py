"""Compare capture times with an order: whether they fit it, and which way time runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

Verdict = Literal["none", "zones", "equal", "few", "differ", "partly", "agree"]


@dataclass(frozen=True)
class Times:
    """Capture times compared with an order; an order and its reverse count as one.

    Attributes:
        taken: the time of each photo in that order, with its zone if that is known; None if it has none.
        unread: the text of each photo's time that is not understood; empty for the others.
        verdict: ``"none"``: there are no times; ``"equal"``: all are the same; ``"zones"``: only some have a zone,
            so they cannot be compared; ``"few"``: any order would fit them; ``"differ"``: they contradict the
            order; ``"partly"``: they fit, but some are missing or equal; ``"agree"``: every photo has a time of
            its own, and they fit.
        forward: whether time runs as the order is shown; None if the times do not say.
        elsewhere: whether some of the times come from XMP or another place beside EXIF.
    """

    taken: tuple[datetime | None, ...]
    unread: tuple[str, ...]
    verdict: Verdict
    forward: bool | None
    elsewhere: bool = False

    @property
    def missing(self) -> int:
        """How many photos have no time, or none that is understood."""
        return self.taken.count(None)

    @property
    def shared(self) -> bool:
        """Whether photos have the same time."""
        known = [time for time in self.taken if time is not None]
        return len(set(known)) < len(known)

    def places(self) -> list[list[int]]:
        """Places in the order, from 0, of the photos that have a time, the earliest first; equal times together."""
        times = sorted({time for time in self.taken if time is not None})
        return [[place for place, time in enumerate(self.taken) if time == each] for each in times]

    def turns(self) -> list[tuple[int, int]]:
        """Places, from 0, of two photos one after the other between which time runs against most of the order."""
        known = [(place, time) for place, time in enumerate(self.taken) if time is not None]
        steps = [
            (before[0], after[0], (after[1] > before[1]) - (after[1] < before[1])) for before, after in pairwise(known)
        ]
        most = 1 if sum(way for _, _, way in steps) >= 0 else -1
        return [(first, then) for first, then, way in steps if way == -most]


def judge(taken: Sequence[datetime | None], unread: Sequence[str] = (), *, elsewhere: bool = False) -> Times:
    """Compare times with an order.

    Args:
        taken: capture times of the photos in that order. If all have a zone they are compared as moments; if none
            has one, as the clocks of the cameras showed them.
        unread: texts of times that are not understood, one for each photo, or none at all.
        elsewhere: whether some of the times come from another place than EXIF.
    """
    unread = tuple(unread) or ("",) * len(taken)
    known = [time for time in taken if time is not None]
    if len({time.tzinfo is None for time in known}) > 1:
        return Times(tuple(taken), unread, "zones", None, elsewhere)
    rises = known == sorted(known)
    falls = known == sorted(known, reverse=True)
    forward = rises if rises != falls else None  # both: all are equal
    return Times(tuple(taken), unread, _verdict(len(taken), known, rises or falls), forward, elsewhere)


def _verdict(photos: int, known: list[datetime], fits: bool) -> Verdict:
    distinct = len(set(known))
    if not known:
        return "none"
    if len(known) > 1 and distinct == 1:
        return "equal"
    if len(known) < 3:  # two photos follow each other in every order
        return "few"
    if not fits:
        return "differ"
    return "agree" if distinct == photos else "partly"
