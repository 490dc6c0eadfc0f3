"""Read an order that ``imgorder sort --json`` wrote, and find its photos."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from imgorder.errors import ImgorderError, UsageError
from imgorder.fields import Check, Probability, read_record
from imgorder.files import same_file
from imgorder.known import Known
from imgorder.media.photos import PhotoSet, find_sets
from imgorder.names import is_inside, quote_path, show
from imgorder.sorting import SortedSet

_Names = Annotated[
    tuple[str, ...],
    Check(lambda names: 0 < len(names) == len(set(names)) and all(map(is_inside, names)), "a list of file names"),
]


@dataclass(frozen=True)
class _WrittenSet:
    folder: Path
    order: _Names
    confidence: Probability
    direction: str
    model: str
    backend: str

    def as_sorted(self) -> SortedSet:
        photos = PhotoSet(self.folder, tuple(self.folder / name for name in self.order))
        order = tuple(range(len(self.order)))
        return SortedSet(photos, order, self.confidence, self.direction, self.model, self.backend)


@dataclass(frozen=True)
class _Written:
    version: Annotated[int, Check(lambda version: version == 1, "1")]
    sets: Annotated[tuple[_WrittenSet, ...], Check(bool, "a list of sets")]


@dataclass(frozen=True)
class OrderFile:
    """The content of a file that ``imgorder sort --json`` wrote.

    Attributes:
        path: the file.
        sets: its sets; their photos may be gone.
        written: its time of change in ns; None for a pipe.
    """

    path: Path
    sets: tuple[SortedSet, ...]
    written: int | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The photos that it names."""
        return tuple(path for each in self.sets for path in each.files)


def read_file(file: Path) -> OrderFile:
    """Read such a file, only once: it may be a pipe. Raises ImgorderError."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImgorderError(f"{show(file)}: cannot be read ({reason}); check the path") from error
    try:
        read = read_record(_Written, json.loads(content))
    except (ValueError, RecursionError) as error:
        raise ImgorderError(
            f"{show(file)}: not an order; write one with: imgorder sort --json PHOTOS > {quote_path(file)}"
        ) from error
    sets = tuple(each.as_sorted() for each in read.sets)
    return OrderFile(file, sets, status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None)


def read_order(order: OrderFile, paths: Sequence[Path], known: Known) -> list[SortedSet]:
    """Find the photos of a file, in its order.

    Args:
        order: its folders are as they were given to `sort`, so relative ones count from the current folder.
        paths: if given, the photos are here; they may have moved, but have to be those of the file.
        known: its first photos have to be the first or last ones of the file's orders.

    Raises:
        ImgorderError: if the file's photos are not those that are there.
        UsageError: if a photo that is given as the first is not at an end of its set, or both ends are given.
    """
    file, sets = order.path, list(order.sets)
    if paths:
        sets = _match_sets(file, sets, find_sets(paths))
    else:
        for photos in sets:
            find_sets(photos.files)  # raises if one is gone
    ends = [(each.files[0], each.files[-1]) for each in sets]
    starts = known.starts(ends, f"neither first nor last in {show(file)}; sort again with --first")
    lasts = known.ends(ends, f"neither first nor last in {show(file)}; sort again with --last")
    return [_direct(each, start, last, known) for each, start, last in zip(sets, starts, lasts, strict=True)]


def _direct(each: SortedSet, start: int | None, last: int | None, known: Known) -> SortedSet:
    """A set in the direction that is known.

    Args:
        start: 0 if the file's first photo is known to be first, 1 if its last one is, None if neither.
        last: the same of the photo that is known to be last.

    Raises:
        UsageError: if one photo is known to be both.
    """
    if known.direction(start, last) == "unknown":
        return each
    if start is not None and start == last:
        raise UsageError(f"{show(each.files[-start])}: cannot be both first and last")
    turned = known.reverse or start == 1 or last == 0
    return replace(each, order=each.order[::-1] if turned else each.order, direction="given")


def _match_sets(file: Path, sets: Sequence[SortedSet], found: Sequence[PhotoSet]) -> list[SortedSet]:
    """The sets of a file with the photos that were given; each has to be there."""
    if len(sets) != len(found):
        raise ImgorderError(f"{show(file)}: {len(sets)} sets, but {len(found)} were given; give the same ones")
    left = list(found)
    partners: dict[int, PhotoSet] = {}
    for choose in (_find_in_folder, _find_moved):
        for index, each in enumerate(sets):
            if index not in partners and (photos := choose(file, each, left)) is not None:
                partners[index] = photos
                left.remove(photos)
    return [_take_photos(file, each, partners[index]) for index, each in enumerate(sets)]


def _find_in_folder(file: Path, each: SortedSet, found: Sequence[PhotoSet]) -> PhotoSet | None:
    """The given set in the folder that the file names; of several there, the one with the same names."""
    there = [photos for photos in found if same_file(photos.folder, each.photos.folder)]
    return max(there, key=lambda photos: _list_names(photos) == _list_names(each.photos), default=None)


def _find_moved(file: Path, each: SortedSet, found: Sequence[PhotoSet]) -> PhotoSet:
    """The given set that has the file's photos, which have moved since, or were sorted from another current folder.

    Raises:
        ImgorderError: if photos are where the file says, so that the given ones are others; or if names do not tell
            which set is meant.
    """
    if any(os.path.lexists(path) for path in each.files):
        raise ImgorderError(
            f"{show(found[0].folder)}: not the photos of {show(file)}, which are in {show(each.photos.folder)}; "
            "give those, or sort again"
        )
    alike = [photos for photos in found if len(found) == 1 or _list_names(photos) == _list_names(each.photos)]
    if len(alike) != 1:
        raise ImgorderError(
            f"{show(each.photos.folder)}: of {show(file)}, is not there, and names do not tell which of the given sets "
            "it is; sort again"
        )
    return alike[0]


def _take_photos(file: Path, each: SortedSet, photos: PhotoSet) -> SortedSet:
    by_name = {photos.name(path): index for index, path in enumerate(photos.files)}
    names = each.names(each.order)
    for name in sorted({*names} ^ {*by_name}):
        where = "not in the order of" if name in by_name else "not there any more, but in the order of"
        raise ImgorderError(f"{show(photos.folder / name)}: {where} {show(file)}; sort again")
    return replace(each, photos=photos, order=tuple(by_name[name] for name in names))


def _list_names(photos: PhotoSet) -> set[str]:
    return {photos.name(path) for path in photos.files}
