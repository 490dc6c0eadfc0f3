"""How far apart the clocks of cameras are: as a person says, or as it fits the pictures best."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

import numpy as np
import numpy.typing as npt

from imgorder.errors import UsageError
from imgorder.evidence.cameras import Camera
from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.evidence.relation import Clocks
from imgorder.names import show

_NEARLY = 1.0  # pairs by which an offset may agree less with the pictures than the best one, and still be possible
_MOST_AGAINST = 0.25  # part of the pairs of two cameras that the pictures may contradict; else they say nothing
_PLAINLY = 0.25  # part of the pairs that have to fit better with another offset than with none, to say it is another
_NOTHING = timedelta(0)

Chances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Offset:
    """What has to be added to the times of one camera to get those of another one's clock.

    Attributes:
        camera, reference: their names.
        photos: how many photos of the camera have a time.
        shift: what is added; None if that is not known.
        low, high: between which it lies, by the pictures; None where they set no limit.
        given: whether a person says so.
    """

    camera: str
    reference: str
    photos: int
    shift: timedelta | None = None
    low: timedelta | None = None
    high: timedelta | None = None
    given: bool = False

    def as_record(self) -> dict[str, object]:
        """The same in JSON, with seconds."""
        seconds = {
            name: None if each is None else each.total_seconds()
            for name, each in (("offset", self.shift), ("from", self.low), ("to", self.high))
        }
        return {
            "camera": self.camera,
            "reference": self.reference,
            "photos": self.photos,
            **seconds,
            "given": self.given,
        }

    @property
    def words(self) -> str:
        """One sentence for people."""
        clocks = f"the clocks of {self.camera} and {self.reference}"
        option = f"--offset {shlex.quote(f'{self.camera}={spell_shift(self.shift or _NOTHING)}')}"
        if self.shift is None:
            return f"How far {clocks} are apart is not known; {option} tells."
        if self.given:
            return f"{spell_shift(self.shift)} is added to the times of {self.camera}, as given."
        low, high = (spell_shift(each) if each is not None else "" for each in (self.low, self.high))
        between = f"between {low} and {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        if not (low or high):
            between = "anything"
        way = f"with {spell_shift(self.shift)} for {self.camera}" if self.shift else "as they are"
        return f"By the pictures {clocks} fit {way} ({between}); {option} makes that known."


def spell_shift(shift: timedelta) -> str:
    """``+00:03:12``, as ``--offset`` takes it."""
    size = abs(shift)
    minutes, seconds = divmod(size.seconds, 60)
    hours = size.days * 24 + minutes // 60
    part = f".{size.microseconds:06}".rstrip("0") if size.microseconds else ""
    return f"{'-' if shift < _NOTHING else '+'}{hours:02}:{minutes % 60:02}:{seconds:02}{part}"


def match_offsets(
    shifts: Mapping[str, timedelta], cameras: Sequence[Camera], facts: Sequence[PhotoFacts]
) -> dict[int, tuple[str, timedelta]]:
    """The cameras, by their index, that a person means, with what was written and the offset.

    A camera is meant by its name, by its model or its serial number alone, or by the folder of its photos.

    Raises:
        UsageError: if several cameras are meant by one name, or one camera by two.
    """
    found: dict[int, tuple[str, timedelta]] = {}
    for text, shift in shifts.items():
        for names in _ways_to_name(cameras, facts):
            hits = [index for index, own in enumerate(names) if text.casefold() in own]
            if hits:
                break
        else:
            continue
        if len(hits) > 1:
            meant = " or ".join(repr(cameras[index].name) for index in hits)
            raise UsageError(f"--offset {show(text)}: several cameras are called so; give {meant}")
        if hits[0] in found:
            raise UsageError(f"--offset: {cameras[hits[0]].name} has two; give one of them")
        found[hits[0]] = (text, shift)
    return found


def _ways_to_name(cameras: Sequence[Camera], facts: Sequence[PhotoFacts]) -> list[list[set[str]]]:
    """For each way, the surest first, the names of each camera."""
    whole = [{camera.name.casefold()} for camera in cameras]
    parts: list[set[str]] = []
    folders: list[set[str]] = []
    for camera in cameras:
        own = [facts[photo] for photo in camera.photos]
        said = {show(text).casefold() for each in own for text in (each.model, each.serial) if text}
        parts.append(said if camera.known else set())
        places = {each.folder for each in own}
        folders.append({place.casefold() for place in _names_of_folder(places.pop())} if len(places) == 1 else set())
    return [whole, parts, folders]


def _names_of_folder(folder: str) -> tuple[str, str]:
    return folder, folder.replace("\\", "/").rstrip("/").rpartition("/")[2]


def join_clocks(
    cameras: Sequence[Camera], times: Sequence[Taken | None], shifts: Mapping[int, timedelta]
) -> tuple[list[int], list[Taken | None]]:
    """The cameras whose clocks are known to each other, and all times by the clock of the first of them.

    Where one camera at least has an offset, that is these, and the one of the others that has the most times.
    """
    if not shifts:
        return [], list(times)
    joined = [*_find_reference(cameras, times, shifts), *shifts]
    shifted = list(times)
    for index, shift in shifts.items():
        for photo in cameras[index].photos:
            time = times[photo]
            if time is not None:
                shifted[photo] = Taken(time.clock + shift, time.source, time.digits, time.zone)
    return joined, shifted


def _find_reference(
    cameras: Sequence[Camera], times: Sequence[Taken | None], shifts: Mapping[int, timedelta]
) -> list[int]:
    counts = {
        index: sum(times[photo] is not None for photo in camera.photos)
        for index, camera in enumerate(cameras)
        if index not in shifts
    }
    timed = [index for index, count in counts.items() if count]
    return [min(timed, key=lambda index: (-counts[index], _first_clock(cameras[index], times)))] if timed else []


def _first_clock(camera: Camera, times: Sequence[Taken | None]) -> object:
    return min(time.clock for photo in camera.photos if (time := times[photo]) is not None)


@dataclass(frozen=True)
class Guidance:
    """What the clocks of several cameras say together with the pictures.

    Attributes:
        offsets: of each camera but the reference.
        pairs: (a, b) of photos of two cameras of which a comes before b with each possible offset.
    """

    offsets: tuple[Offset, ...] = ()
    pairs: frozenset[tuple[int, int]] = frozenset()


def estimate_offsets(
    cameras: Sequence[Camera],
    times: Sequence[Taken | None],
    chances: Chances,
    given: Mapping[int, timedelta] | None = None,
) -> Guidance:
    """Find the offsets with which the times contradict the pictures least.

    With an offset each photo of a camera comes before or after each one of the reference; what the pictures think of
    that, summed over all pairs, is how much they contradict. It changes only where two photos come to the same time.

    Args:
        cameras: of the set.
        times: of each photo; None where it has none that is trusted.
        chances: ``(n, n)``: how probable it is by the pictures that photo a was taken before photo b, with what is
            known of each camera.
        given: offsets that a person has fixed, by the camera's index.
    """
    given = given or {}
    joined, shifted = join_clocks(cameras, times, given)
    joined = joined or _find_reference(cameras, times, {})
    if not joined:
        return Guidance()
    reference = next((index for index in joined if index not in given), joined[0])
    name = cameras[reference].name
    offsets = [
        Offset(cameras[index].name, name, _count(cameras[index], times), given[index], given=True)
        for index in joined
        if index in given and index != reference
    ]
    timed = [photo for camera in cameras for photo in camera.photos if shifted[photo] is not None]
    starts = {photo: start.total_seconds() for photo, start in Clocks(timed, shifted).starts.items()}
    known = [photo for index in joined for photo in cameras[index].photos if photo in starts]
    rest = [index for index in range(len(cameras)) if index not in joined and _count(cameras[index], times)]
    pairs: set[tuple[int, int]] = set()
    for index in sorted(rest, key=lambda index: (-_count(cameras[index], times), _first_clock(cameras[index], times))):
        own = [photo for photo in cameras[index].photos if photo in starts]
        coarse = max(
            time.resolution.total_seconds() for photo in (*known, *own) if (time := shifted[photo]) is not None
        )
        limits = _find_limits(known, own, starts, chances)
        count = len(own)
        if limits is None:
            offsets.append(Offset(cameras[index].name, name, count))
            continue
        low, high = limits[0] - coarse, limits[1] + coarse
        shift = _choose(low, high, *limits)
        offsets.append(Offset(cameras[index].name, name, count, _delta(shift), _delta(low), _delta(high)))
        for one in known:
            for other in own:
                apart = starts[one] - starts[other]
                if apart <= low:
                    pairs.add((one, other))
                elif apart >= high:
                    pairs.add((other, one))
        for photo in own:
            starts[photo] += shift
        known += own
    return Guidance(tuple(offsets), frozenset(pairs))


def find_odd_clock(
    cameras: Sequence[Camera],
    times: Sequence[Taken | None],
    chances: Chances,
    given: Mapping[int, timedelta],
) -> Camera | None:
    """Of cameras that may be one, the first whose clock is not that of the others, as the pictures say plainly.

    With another clock many pairs of photos have to fit better, and the photos of both cameras then have to mix: one
    camera that was set otherwise in between takes one part after the other, and of two parts a model easily says the
    wrong one is the first.

    Args:
        cameras: those that may be one.
        times: as for `estimate_offsets`, and so is ``chances``.
        given: offsets that a person has fixed, by the index in ``cameras``; such a clock is none to doubt.
    """
    _, shifted = join_clocks(cameras, times, given)
    timed = [[photo for photo in camera.photos if shifted[photo] is not None] for camera in cameras]
    starts = {photo: start.total_seconds() for photo, start in Clocks(list(chain(*timed)), shifted).starts.items()}
    groups = [[photo for photo in own if photo in starts] for own in timed]
    first = max(range(len(cameras)), key=lambda index: (index in given, len(groups[index])))
    for index, own in enumerate(groups):
        if index == first or index in given or not own:
            continue
        turns, against = _contradict(groups[first], own, starts, chances)
        pairs = len(groups[first]) * len(own)
        best = int(against.argmin())
        as_it_is = against[np.searchsorted(turns, 0, "left") : np.searchsorted(turns, 0, "right") + 1].min()
        plain = as_it_is - against[best] > _PLAINLY * pairs and against[best] <= _MOST_AGAINST * pairs
        if plain and 0 < best < len(turns):
            return cameras[index]
    return None


def _count(camera: Camera, times: Sequence[Taken | None]) -> int:
    return sum(times[photo] is not None for photo in camera.photos)


def _find_limits(
    known: Sequence[int], own: Sequence[int], starts: Mapping[int, float], chances: Chances
) -> tuple[float, float] | None:
    """From which to which offset the pictures are contradicted least, or nearly so; None if they say nothing."""
    if len(known) < 2 and len(own) < 2:
        return None  # there is no direction
    places, against = _contradict(known, own, starts, chances)
    if against.min() > _MOST_AGAINST * len(known) * len(own):
        return None
    possible = np.flatnonzero(against <= against.min() + _NEARLY)
    ends = np.concatenate([[-np.inf], places, [np.inf]])
    return float(ends[possible[0]]), float(ends[possible[-1] + 1])


def _contradict(
    known: Sequence[int], own: Sequence[int], starts: Mapping[int, float], chances: Chances
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The offsets at which two photos come to the same time, ascending, and below, between and above them the number of
    pairs that the pictures contradict.
    """
    turns = np.array([starts[one] - starts[other] for one in known for other in own])
    before = chances[np.ix_(known, own)].ravel()
    places, which = np.unique(np.round(turns, 6), return_inverse=True)
    # Below a turn the own photo comes first, above it the known one.
    below = np.bincount(which, weights=before)
    above = np.bincount(which, weights=1 - before)
    return places, np.concatenate([[0], np.cumsum(above)]) + np.concatenate([[0], np.cumsum(below[::-1])])[::-1]


def _choose(low: float, high: float, inner_low: float, inner_high: float) -> float:
    """One offset of those that are possible: none at all, else the middle, else the nearest limit."""
    if low <= 0 <= high:
        return 0.0
    if np.isinf(inner_low) or np.isinf(inner_high):
        return inner_low if np.isinf(inner_high) else inner_high
    return float(round((inner_low + inner_high) / 2))


def _delta(seconds: float) -> timedelta | None:
    return None if np.isinf(seconds) else timedelta(seconds=round(seconds, 6))
