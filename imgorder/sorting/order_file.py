"""Read an order that ``imgorder sort --json`` or a person wrote, and find its photos."""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from imgorder.errors import ImgorderError, UsageError
from imgorder.fields import Check, Probability, read_record
from imgorder.files import same_file
from imgorder.known import Kept, Known
from imgorder.media.photos import Exclusion, PhotoSet, check_there, find_sets, list_photos, refuse, sort_out
from imgorder.names import is_inside, quote_path, show, word_count
from imgorder.sorting.sort import Apart, Warn
from imgorder.sorting.sorted_set import SortedSet

GIVEN = "given"  # the model and the backend of an order that a person wrote

_NAMED = 3  # names that an error lists

# How JSON begins that somebody may have damaged; a file's name may begin with a bracket, too.
_JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*["\[\]{])')

_Names = Annotated[
    tuple[str, ...],
    Check(lambda names: 0 < len(names) == len(set(names)) and all(map(is_inside, names)), "a list of file names"),
]
_Strays = Annotated[tuple[str, ...], Check(lambda names: all(map(is_inside, names)), "a list of file names")]


@dataclass(frozen=True)
class _WrittenSet:
    folder: Path
    order: _Names
    confidence: Probability
    direction: str
    model: str
    backend: str
    apart: _Strays = ()

    def as_sorted(self) -> SortedSet:
        photos = PhotoSet(self.folder, tuple(self.folder / name for name in self.order))
        order = tuple(range(len(self.order)))
        apart = tuple(self.folder / name for name in self.apart)
        return SortedSet(photos, order, self.confidence, self.direction, self.model, self.backend, apart=apart)


@dataclass(frozen=True)
class _Written:
    version: Annotated[int, Check(lambda version: version == 1, "1")]
    sets: Annotated[tuple[_WrittenSet, ...], Check(bool, "a list of sets")]


@dataclass(frozen=True)
class OrderFile:
    """The content of a file that ``imgorder sort --json`` wrote, or of a list of names.

    Attributes:
        path: the file; for people.
        sets: its sets; their photos may be gone.
        written: its time of change in ns; None for a pipe.
        names: of a list, the number of each line and its name; for JSON there are none.
        folder: where a list lies; None for a pipe.
    """

    path: Path
    sets: tuple[SortedSet, ...]
    written: int | None = None
    names: tuple[tuple[int, str], ...] = ()
    folder: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The photos that it names; those of a list are searched for in the current folder, then beside the list."""
        if self.names:
            return tuple(self.candidates(name)[0] for _, name in self.names)
        return tuple(path for each in self.sets for path in each.files)

    def candidates(self, name: str) -> list[Path]:
        """Where a name of a list may lead to: what is there, else the first."""
        paths = [Path(name), *([self.folder / name] if self.folder else [])]
        return [path for path in paths if os.path.lexists(path)] or paths[:1]


def read_file(file: Path) -> OrderFile:
    """Read such a file, only once: it may be a pipe. ``-`` is stdin. Raises ImgorderError."""
    piped = os.fspath(file) == "-"
    shown = Path("stdin") if piped else file
    try:
        content, written = _read_stdin() if piped else _read_bytes(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImgorderError(f"{show(shown)}: cannot be read ({reason}); check the path") from error
    where = None if piped or written is None else file.parent
    try:
        try:
            record = json.loads(content)
        except ValueError:
            if _JSON.match(content):
                raise
            return OrderFile(shown, (), written, _read_names(shown, content), where)
        read = read_record(_Written, record)
    except (ValueError, RecursionError) as error:
        target = "" if piped else f" > {quote_path(file)}"
        raise ImgorderError(
            f"{show(shown)}: not an order; write one with: imgorder sort --json PHOTOS{target}; "
            "or write the names of the photos, one a line"
        ) from error
    return OrderFile(shown, tuple(each.as_sorted() for each in read.sets), written)


def _read_bytes(file: Path) -> tuple[bytes, int | None]:
    """Content and time of change."""
    with file.open("rb") as stream:
        status = os.fstat(stream.fileno())
        return stream.read(), status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None


def _read_stdin() -> tuple[bytes, int | None]:
    if sys.stdin is None:
        raise ValueError("it is closed")
    written = None
    with suppress(OSError, ValueError):  # it may be no file of the system
        status = os.fstat(sys.stdin.fileno())
        written = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None
    return sys.stdin.buffer.read(), written


def _read_names(file: Path, content: bytes) -> tuple[tuple[int, str], ...]:
    """The lines of a list with their numbers, without empty ones and those that begin with #. Raises ImgorderError."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes
        content = content.decode("utf-16", "replace").encode("utf-8", "replace")
    lines = [line.rstrip(b"\r") for line in content.removeprefix(codecs.BOM_UTF8).split(b"\n")]
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith(b"#")]
    if not kept:
        raise ImgorderError(f"{show(file)}: not an order, since it names no photo; write the names, one a line")
    names: dict[str, int] = {}
    for number, line in kept:
        try:
            name = os.path.normpath(os.fsdecode(line))
        except ValueError:
            name = "\0"
        if "\0" in name:
            raise ImgorderError(f"{show(file)}: line {number} is not the name of a file; write one name a line")
        if name in names:
            raise ImgorderError(
                f"{show(file)}: line {number}: {_shorten(name)} stands in line {names[name]} already; "
                "remove one of them"
            )
        names[name] = number
    return tuple((number, name) for name, number in names.items())


def read_order(
    order: OrderFile,
    paths: Sequence[Path],
    known: Known,
    exclude: Sequence[str] = (),
    warn: Warn = lambda message: None,
    apart: Apart = refuse,
) -> list[SortedSet]:
    """Find the photos of a file, in its order.

    Args:
        order: its folders are as they were given to `sort`, so relative ones count from the current folder.
        paths: if given, the photos are here; they may have moved, but have to be those of the file.
        known: its first photos have to be the first or last ones of the file's orders.
        exclude: names and patterns of photos to leave out of the file's orders, as `find_sets` takes them.
        warn: called with each warning.
        apart: called with the error of each path that cannot be read.

    Raises:
        ImgorderError: if the file's photos are not those that are there.
        UsageError: if a photo that is given as the first is not at an end of its set, or both ends are given.
    """
    file, excluded = order.path, Exclusion(exclude)
    found = find_sets(paths, exclude, warn, apart) if paths else []
    if order.names:
        sets = _follow_list(order, found, excluded, warn) if paths else _find_listed(order, excluded, warn)
    else:
        sets = [left for each in order.sets if (left := _leave_out(each, excluded)).order]
        if paths:
            sets = _match_sets(file, sets, found)
        else:
            excluded.check_used(warn)
            for each in sets:
                for path in each.files:
                    check_there(path)
    ends = [(each.files[0], each.files[-1]) for each in sets]
    starts = known.starts(ends, f"neither first nor last in {show(file)}; sort again with --first")
    lasts = known.ends(ends, f"neither first nor last in {show(file)}; sort again with --last")
    return [_direct(each, start, last, known) for each, start, last in zip(sets, starts, lasts, strict=True)]


def find_kept(order: OrderFile, sets: Sequence[PhotoSet], warn: Warn) -> tuple[Kept, ...]:
    """The photos of a file that are in these sets, in its order; to be kept while others are placed among them.

    Args:
        order: one photo counts once, where it stands first.
        sets: as they were found now.
        warn: called with one line about photos that are not there any more.

    Raises:
        ImgorderError: if none is there.
    """
    listed: list[tuple[list[str], Path | None, bool]] = []
    if order.names:
        listed.append(([name for _, name in order.names], None, True))
    listed += [(each.names(each.order), each.photos.folder, each.direction != "unknown") for each in order.sets]
    kept: list[Kept] = []
    missing: list[str] = []
    taken: set[Path] = set()
    places = _Places(sets)
    for names, folder, directed in listed:
        paths = [order.candidates(name) if folder is None else [folder / name] for name in names]
        # Where the photos are not there any more, they have moved, and their names tell which they are.
        gone = folder is None or not any(os.path.lexists(path) for (path,) in paths)
        chains: dict[int, list[Path]] = {}
        for name, candidates in zip(names, paths, strict=True):
            hits = places.find(name if gone else None, candidates)
            if not hits:
                missing.append(name)
            for number, index in hits:
                file = sets[number].files[index]
                if file not in taken:
                    taken.add(file)
                    chains.setdefault(number, []).append(file)
        kept += [Kept(tuple(files), directed) for files in chains.values()]
    if not kept:
        raise ImgorderError(f"{show(order.path)}: none of its photos is among these; leave out --keep")
    if missing:
        warn(f"{show(order.path)}: {_list(missing)} {'is' if len(missing) == 1 else 'are'} not among these photos")
    return tuple(kept)


class _Places:
    """Where the photos of some sets are: by their names within a set, and by their paths."""

    def __init__(self, sets: Sequence[PhotoSet]) -> None:
        self._by_name: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self._by_path: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, photos in enumerate(sets):
            for index, path in enumerate(photos.files):
                self._by_name[photos.name(path)].append((number, index))
                self._by_path[os.path.abspath(path)].append((number, index))

    def find(self, name: str | None, paths: Sequence[Path]) -> list[tuple[int, int]]:
        """The sets and places of a photo; a path that is exactly one of theirs counts more than a name."""
        for path in paths:
            if hits := self._by_path.get(os.path.abspath(path)):
                return hits
        return self._by_name.get(name, []) if name is not None else []


def _find_listed(order: OrderFile, excluded: Exclusion, warn: Warn) -> list[SortedSet]:
    """The photos of a list alone; they make one set, of which no photo of their folders may be left out."""
    listed = dict(zip(order.names, order.files, strict=True))
    _refuse_missing(order, [line for line, path in listed.items() if not os.path.lexists(path)])
    photos, _ = sort_out([path for path in listed.values() if not excluded.covers(path)])
    if not photos:
        raise ImgorderError(f"{show(order.path)}: names no photo; write the names of photos, one a line")
    beside = [path for folder in dict.fromkeys(path.parent for path in photos) for path in list_photos(folder)]
    sets = _follow_list(order, find_sets(photos), excluded, warn, beside)
    excluded.check_used(warn)
    return sets


def _follow_list(
    order: OrderFile,
    found: Sequence[PhotoSet],
    excluded: Exclusion,
    warn: Warn,
    beside: Sequence[Path] = (),
) -> list[SortedSet]:
    """The given sets in the order of a list, which has to name each photo once; and those beside them, too."""
    places = _Places(found)
    orders: list[list[int]] = [[] for _ in found]
    lines: dict[tuple[int, int], int] = {}
    missing: list[tuple[int, str]] = []
    leftovers: list[tuple[int, str]] = []
    for line, name in order.names:
        hits = places.find(name, order.candidates(name))
        if len(hits) > 1:
            raise ImgorderError(
                f"{show(order.path)}: line {line}: several photos are called {_shorten(name)}; write the path"
            )
        if not hits:
            there = [*(each.folder / name for each in found), *order.candidates(name)]
            there = [path for path in there if os.path.isfile(path)]
            if not any(map(excluded.covers, there)):
                no_photo = [path for path in there if not sort_out([path])[0]]
                (leftovers if no_photo else missing).append((line, name))
            continue
        if hits[0] in lines:
            raise ImgorderError(
                f"{show(order.path)}: line {line}: {_shorten(name)} stands in line {lines[hits[0]]} already; "
                "remove one of them"
            )
        lines[hits[0]] = line
        orders[hits[0][0]].append(hits[0][1])
    _refuse_missing(order, missing)
    ours = {os.path.abspath(path) for photos in found for path in photos.files}
    left = [path for number, photos in enumerate(found) for index, path in enumerate(photos.files)
            if (number, index) not in lines]  # fmt: skip
    left += [path for path in beside if os.path.abspath(path) not in ours and not excluded.covers(path)]
    if left:
        more = _nor(left)
        raise ImgorderError(
            f"{show(left[0])}: not in {show(order.path)}{more}; write it there, or leave it out with --exclude"
        )
    if leftovers:
        names = [name for _, name in leftovers]
        warn(f"{show(order.path)}: {_list(names)} {'is no photo' if len(names) == 1 else 'are no photos'}; left out")
    return [
        SortedSet(photos, tuple(indices), 1.0, GIVEN, GIVEN, GIVEN, given=tuple(indices))
        for photos, indices in zip(found, orders, strict=True)
    ]


def _refuse_missing(order: OrderFile, missing: Sequence[tuple[int, str]]) -> None:
    if missing:
        line, name = missing[0]
        more = _nor(missing)
        raise ImgorderError(
            f"{show(order.path)}: line {line}: {_shorten(name)} is not there{more}; "
            "correct the name, or remove the line"
        )


def _nor(names: Sequence[object]) -> str:
    """What follows the first of names that are not there."""
    others = len(names) - 1
    return f", nor {'is' if others == 1 else 'are'} {word_count(others, 'other')}" if others else ""


def _shorten(name: str) -> str:
    shown = show(name)
    return shown if len(shown) <= 200 else f"{shown[:100]} … {shown[-60:]}"


def _list(names: Sequence[str]) -> str:
    """Names for people; of many, the first ones and how many more."""
    shown = ", ".join(map(_shorten, names[:_NAMED]))
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _leave_out(each: SortedSet, excluded: Exclusion) -> SortedSet:
    """A set without the photos that are excluded."""
    files = tuple(path for path in each.files if not excluded.covers(path))
    return replace(each, photos=replace(each.photos, files=files), order=tuple(range(len(files))))


def _direct(each: SortedSet, start: int | None, last: int | None, known: Known) -> SortedSet:
    """A set in the direction that is known.

    Args:
        start: 0 if the file's first photo is known to be first, 1 if its last one is, None if neither.
        last: the same of the photo that is known to be last.

    Raises:
        UsageError: if one photo is known to be both, or capture times have said otherwise.
    """
    if known.direction(start, last) == "unknown":
        return each
    if start is not None and start == last:
        raise UsageError(f"{show(each.files[-start])}: cannot be both first and last")
    turned = known.reverse or start == 1 or last == 0
    if turned and each.direction == "known":
        option = "--reverse" if known.reverse else "--last" if start is None else "--first"
        raise UsageError(
            f"{option}: {each.title}: the capture times said otherwise as this order was made; leave it out, or sort "
            "again with --metadata ignore"
        )
    return replace(each, order=each.order[::-1] if turned else each.order, direction="given")


def _match_sets(file: Path, sets: Sequence[SortedSet], found: Sequence[PhotoSet]) -> list[SortedSet]:
    """The sets of a file with the photos that were given; each has to be there."""
    if len(sets) != len(found):
        raise ImgorderError(
            f"{show(file)}: {word_count(len(sets), 'set')}, but {word_count(len(found), 'was', 'were')} given; "
            "give the same ones"
        )
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
    return max(there, key=lambda photos: _has_names_of(photos, each), default=None)


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
    alike = [photos for photos in found if len(found) == 1 or _has_names_of(photos, each)]
    if len(alike) != 1:
        raise ImgorderError(
            f"{show(each.photos.folder)}: of {show(file)}, is not there, and names do not tell which of the given sets "
            "it is; sort again"
        )
    return alike[0]


def _take_photos(file: Path, each: SortedSet, photos: PhotoSet) -> SortedSet:
    apart = _names_apart(each)
    photos = replace(photos, files=tuple(path for path in photos.files if photos.name(path) not in apart))
    by_name = {photos.name(path): index for index, path in enumerate(photos.files)}
    names = each.names(each.order)
    for name in sorted({*names} ^ {*by_name}):
        where = "not in the order of" if name in by_name else "not there any more, but in the order of"
        raise ImgorderError(f"{show(photos.folder / name)}: {where} {show(file)}; sort again")
    return replace(each, photos=photos, order=tuple(by_name[name] for name in names))


def _has_names_of(photos: PhotoSet, each: SortedSet) -> bool:
    """Whether a set has the photos of a file's set; those that were set apart may be there or not."""
    names = {photos.name(path) for path in photos.files}
    return names - _names_apart(each) == {each.photos.name(path) for path in each.photos.files}


def _names_apart(each: SortedSet) -> set[str]:
    return {each.photos.name(path) for path in each.apart}
