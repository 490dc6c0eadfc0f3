"""What times say of an order, and the relation "was taken before"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from imgorder.evidence.facts import ZERO, Taken

ACROSS = timedelta(seconds=3)
"""Two sources may differ by so much: they write other moments of one shot, its start or its end."""


class Clocks:
    """Those photos of one camera whose times can be compared: on a common axis, or on two of which nothing is known."""

    def __init__(self, photos: Sequence[int], times: Sequence[Taken | None]) -> None:
        self.times = {photo: time for photo in photos if (time := times[photo]) is not None}
        # A photo without a zone, such as an edited one, has that of the others if they all have the same.
        zones = {time.zone for time in self.times.values() if time.source in ("EXIF", "XMP", "XMP file") and time.zone}
        common = zones.pop() if len(zones) == 1 else None
        zoned = {photo: time.zone or common for photo, time in self.times.items()}
        self.starts: dict[int, timedelta] = {}
        axes: dict[bool, list[int]] = {True: [], False: []}
        for photo, time in self.times.items():
            zone = zoned[photo]
            self.starts[photo] = time.clock - ZERO - (zone.utcoffset(None) if zone else timedelta(0))
            axes[zone is not None].append(photo)
        self.axes = [sorted(axis, key=lambda photo: (self.starts[photo], photo)) for axis in axes.values()]
        self.padded = self._find_padding()

    def _find_padding(self) -> bool:
        """Whether the digits are decimals beyond doubt. Some phones leave out the zeros in front: .045 is .45 there."""
        digits = {time.digits for time in self.times.values() if time.digits}
        return len(set(map(len, digits))) < 2 or any(len(each) > 1 and each[0] == "0" for each in digits)

    def precedes(self, one: int, other: int) -> bool:
        """Whether one photo of an axis was taken before another of the same axis, by their times."""
        first, second = self.times[one], self.times[other]
        end = self.starts[one] + first.resolution + (ACROSS if first.source != second.source else timedelta(0))
        if end > self.starts[other]:
            return False
        if (
            self.padded
            or not (first.digits and second.digits)
            or second_of(self.starts[one]) != second_of(self.starts[other])
        ):
            return True
        return int(first.digits) < int(second.digits)

    def seconds(self) -> Iterator[list[int]]:
        """The photos that share a second, of one kind of source each."""
        for axis in self.axes:
            groups: dict[tuple[int, str], list[int]] = defaultdict(list)
            for photo in axis:
                groups[second_of(self.starts[photo]), self.times[photo].source].append(photo)
            yield from groups.values()


def second_of(start: timedelta) -> int:
    """The whole second in which a time lies."""
    return start // timedelta(seconds=1)


class Relation:
    """A relation "was taken before" that is always closed and never runs in a circle."""

    def __init__(self, photos: int, clocks: Sequence[Clocks]) -> None:
        self._after = [0] * photos  # bit b of entry a: a was taken before b
        self._said: dict[tuple[int, int], str] = {}  # what says so, where it is not the times
        self._clocks = clocks
        for clock, axis in ((each, axis) for each in clocks for axis in each.axes):
            # From the last to the first: what follows a photo is complete by then.
            for place in range(len(axis) - 1, -1, -1):
                photo, after = axis[place], 0
                for later in axis[place + 1 :]:
                    if not after >> later & 1 and clock.precedes(photo, later):
                        after |= 1 << later | self._after[later]
                self._after[photo] = after

    def add_chain(self, groups: Sequence[Sequence[int]], reason: str) -> list[tuple[int, int]]:
        """Add that each group was taken before the next; gives the pairs that are known to be the other way round."""
        against = []
        for group, following in pairwise(groups):
            for earlier in group:
                for later in following:
                    if self.knows(later, earlier):
                        against.append((later, earlier))
                    elif not self.knows(earlier, later):
                        self._add(earlier, later)
                        self._said[earlier, later] = reason
        return against

    def _add(self, earlier: int, later: int) -> None:
        new, bit = 1 << later | self._after[later], 1 << earlier
        self._after[earlier] |= new
        self._after = [after | new if after & bit else after for after in self._after]

    def knows(self, earlier: int, later: int) -> bool:
        """Whether the first was taken before the second."""
        return bool(self._after[earlier] >> later & 1)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """All pairs."""
        for photo, after in enumerate(self._after):
            yield from ((photo, later) for later in _bits(after))

    def links(self) -> dict[tuple[int, int], str]:
        """The pairs with no third photo between them, and what says so."""
        links = {}
        for photo, after in enumerate(self._after):
            farther, left = 0, after
            while left:
                beyond = self._after[left.bit_length() - 1]
                farther |= beyond
                left &= ~(beyond | 1 << left.bit_length() - 1)
            for later in _bits(after & ~farther):
                links[photo, later] = self._said.get((photo, later)) or self._by_times(photo, later)
        return links

    def _by_times(self, earlier: int, later: int) -> str:
        clock = next(each for each in self._clocks if earlier in each.times and later in each.times)
        first, second = clock.times[earlier], clock.times[later]
        if second_of(clock.starts[earlier]) == second_of(clock.starts[later]):
            return f"{first.words} before .{second.digits}"
        return " and ".join(dict.fromkeys(replace(each, digits="").words for each in (first, second)))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
