"""Sets from folders of photos whose order is known: by their EXIF times, by their names, or by a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path, PurePosixPath

from imgorder.datasets.manifest import DataSet, SeqLen, SetEntry, Skipped
from imgorder.datasets.table import Row, read_table
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError, PhotoError, UsageError
from imgorder.media.capture import capture_time
from imgorder.media.photos import SUFFIXES, find_sets, open_photo
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES

TRUTH = "truth.csv"  # in each folder
SETS = "sets.csv"  # in the folder of the folders

# Photos in temporal order: the place of each in the listing, and its seconds after the first where they are known.
Timed = list[tuple[int, float | None]]
Left = list[tuple[Path, str]]  # photos whose place is not known, and why


def build_photos(root: Path, seq_lens: Sequence[SeqLen] = SIZES, truth: str = "times") -> DataSet:
    """Each folder is a scene: all windows of photos that follow one another in time, for tests.

    What tells the order is the same for all folders:

    - ``"times"``: EXIF. Photos without a time, and photos that share a time with another of their folder, are left
      out: their place is not known. Where every time of a folder has its zone, times are compared as moments, else as
      the cameras' clocks showed them.
    - ``"names"``: the natural order of the file names.
    - ``"csv"``: a `TRUTH` in each folder, whose rows are in temporal order, with columns ``file`` and, if wanted,
      ``seconds``. A `SETS` in the root may say what kind each set is of.

    The spacing of a set is the mean distance of its photos in seconds; 0 where it is not known.

    Args:
        root: folder with photos, or with folders of photos, at any depth.
        seq_lens: numbers of images; None for all photos of a folder.
        truth: what tells the order.

    Raises:
        ImgorderError: if there is no such folder, no photo in it, or a table is broken.
        UsageError: if ``truth`` is none of the three.
    """
    if truth not in TRUTHS:
        raise UsageError(f"--truth is one of {', '.join(TRUTHS)}; not {truth!r}")
    scenes = sorted({PurePosixPath(name).parent.as_posix() for name in find_files(root, SUFFIXES)}, key=natural_key)
    if not scenes:
        raise ImgorderError(f"{show(root)}: no photos in it; known are {', '.join(SUFFIXES)}")
    facts = read_sets(root) if truth == "csv" else {}
    skipped = [Skipped(name, f"named in {SETS}, but no folder of photos") for name in facts if name not in scenes]
    known: dict[str, Timed] = {}
    for scene in scenes:
        if truth == "csv" and not os.path.lexists(root / scene / TRUTH):
            skipped.append(Skipped(scene, f"no {TRUTH} in it"))
            continue
        try:
            files = find_sets([root / scene])[0].files
        except PhotoError as error:
            skipped.append(Skipped(scene, str(error)))
            continue
        damaged = _damaged(files)
        known[scene], without = TRUTHS[truth](files, {file for file, _ in damaged})
        left = [(PurePosixPath(scene) / file.name, reason) for file, reason in damaged + without]
        skipped += [Skipped(name.as_posix(), reason) for name, reason in left]

    def make_sets(n: SeqLen) -> Iterator[SetEntry]:
        for scene, photos in known.items():
            length = len(photos) if n is None else n
            kind = facts[scene]["kind"] if scene in facts else None
            for start in range(len(photos) - length + 1 if length >= SIZES[0] else 0):
                window = photos[start : start + length]
                yield SetEntry(scene, tuple(place for place, _ in window), "test", scene, _spacing(window), kind=kind)

    return DataSet.make("photos", root, seq_lens, make_sets, len(known), skipped)


def read_sets(root: Path) -> dict[str, Row]:
    """What a `SETS` says of each set, by the name of its folder; empty if there is none.

    Raises:
        ImgorderError: if it is no table with the columns ``set`` and ``kind``, or names a set twice.
    """
    table = root / SETS
    if not os.path.lexists(table):
        return {}
    facts: dict[str, Row] = {}
    for line, row in read_table(table, ("set", "kind")):
        name = PurePosixPath(row["set"]).as_posix()
        if not row["set"] or not row["kind"]:
            raise ImgorderError(f"{show(table)}: line {line} has no set or no kind; fill it in, or remove the line")
        if name in facts:
            raise ImgorderError(f"{show(table)}: line {line} names {show(name)} a second time; remove one of the lines")
        facts[name] = row
    return facts


def _spacing(window: Timed) -> float:
    (_, first), *_, (_, last) = window
    return 0.0 if first is None or last is None else round((last - first) / (len(window) - 1), 6)


def _damaged(files: Sequence[Path]) -> Left:
    damaged: Left = []
    for file in files:
        try:
            open_photo(file, draft_edge=64)
        except PhotoError as error:
            damaged.append((file, str(error).removeprefix(f"{show(file)}: ")))
    return damaged


def _by_names(files: Sequence[Path], damaged: set[Path]) -> tuple[Timed, Left]:
    return [(place, None) for place, file in enumerate(files) if file not in damaged], []


def _by_table(files: Sequence[Path], damaged: set[Path]) -> tuple[Timed, Left]:
    table = files[0].parent / TRUTH
    places = {file.name: place for place, file in enumerate(files)}
    found: dict[str, float | None] = {}
    latest = float("-inf")
    for line, row in read_table(table, ("file",)):
        name, text = row["file"], row.get("seconds", "").strip()
        where = f"{show(table)}: line {line}"
        if name not in places:
            raise ImgorderError(f"{where}: no photo {show(name)!r} in the folder; correct the name or remove the line")
        if name in found:
            raise ImgorderError(f"{where} names {show(name)} a second time; remove one of the lines")
        try:
            found[name] = seconds = float(text) if text else None
        except ValueError:
            seconds = float("nan")
        if seconds is None:
            continue
        if not isfinite(seconds):
            raise ImgorderError(f"{where}: {show(text)!r} is no number of seconds; correct it or leave it empty")
        if seconds < latest:
            raise ImgorderError(
                f"{where}: {text} s comes after {latest:g} s; put the lines in the order in which the photos were taken"
            )
        latest = seconds
    without = [(file, f"not listed in {TRUTH}") for file in files if file.name not in found and file not in damaged]
    return [(places[name], at) for name, at in found.items() if files[places[name]] not in damaged], without


def _by_times(files: Sequence[Path], damaged: set[Path]) -> tuple[Timed, Left]:
    times: dict[int, datetime] = {}
    without: Left = []
    for place, file in enumerate(files):
        if file in damaged:
            continue
        try:
            written = capture_time(file)
        except PhotoError as error:
            without.append((file, str(error).removeprefix(f"{show(file)}: ")))
            continue
        if written.zoned is not None:
            times[place] = written.zoned
        elif written.unread:
            without.append((file, f"an EXIF time that is not understood ({show(written.unread)!r})"))
        else:
            without.append((file, "no EXIF time (DateTimeOriginal)"))
    if any(taken.tzinfo is None for taken in times.values()):
        # A moment cannot be compared with a time of no known zone; what the clocks showed can.
        times = {place: taken.replace(tzinfo=None) for place, taken in times.items()}
    shared = Counter(times.values())
    without += [
        (files[place], f"taken at the same time as another ({taken})")
        for place, taken in times.items()
        if shared[taken] > 1
    ]
    alone = sorted((taken, place) for place, taken in times.items() if shared[taken] == 1)
    return [(place, (taken - alone[0][0]).total_seconds()) for taken, place in alone], without


# What tells the order: from the photos of a folder in their listing, and those of them that are damaged.
TRUTHS: dict[str, Callable[[Sequence[Path], set[Path]], tuple[Timed, Left]]] = {
    "times": _by_times,
    "names": _by_names,
    "csv": _by_table,
}
