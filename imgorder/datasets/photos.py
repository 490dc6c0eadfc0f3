"""Sets from folders of photos whose EXIF time of exposure is the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from imgorder.datasets.manifest import DataSet, SetEntry, Skipped
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError, PhotoError
from imgorder.media.capture import capture_time
from imgorder.media.photos import SUFFIXES, find_sets, open_photo
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES


def build_photos(root: Path, seq_lens: Sequence[int] = SIZES) -> DataSet:
    """Each folder is a scene: all windows of photos that follow one another in time, for tests.

    Photos without a time, and photos that share a time with another of their folder, are left out: their
    place is not known. Where every time of a folder has its zone, times are compared as moments, else as the
    cameras' clocks showed them. The spacing of a set is the mean distance of its photos in seconds.

    Args:
        root: folder with photos, or with folders of photos, at any depth.
        seq_lens: numbers of images.

    Raises:
        ImgorderError: if there is no such folder, or no photo in it.
    """
    scenes = sorted({PurePosixPath(name).parent.as_posix() for name in find_files(root, SUFFIXES)}, key=natural_key)
    if not scenes:
        raise ImgorderError(f"{show(root)}: no photos in it; known are {', '.join(SUFFIXES)}")
    skipped: list[Skipped] = []
    timed = {}
    for scene in scenes:
        try:
            files = find_sets([root / scene])[0].files
        except PhotoError as error:
            skipped.append(Skipped(scene, str(error)))
            continue
        timed[scene], without = _in_time(files)
        skipped += [Skipped((PurePosixPath(scene) / file.name).as_posix(), reason) for file, reason in without]

    def make_sets(n: int) -> Iterator[SetEntry]:
        for scene, photos in timed.items():
            for start in range(len(photos) - n + 1):
                window = photos[start : start + n]
                seconds = (window[-1][0] - window[0][0]).total_seconds() / (n - 1)
                yield SetEntry(scene, tuple(place for _, place in window), "test", scene, round(seconds, 6))

    return DataSet.make("photos", root, seq_lens, make_sets, len(timed), skipped)


def _in_time(files: Sequence[Path]) -> tuple[list[tuple[datetime, int]], list[tuple[Path, str]]]:
    """Times and places in the listing, in temporal order; and the photos whose place is not known."""
    times: dict[int, datetime] = {}
    without: list[tuple[Path, str]] = []
    for place, file in enumerate(files):
        try:
            open_photo(file, draft_edge=64)  # one that is damaged is left out
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
    return sorted((taken, place) for place, taken in times.items() if shared[taken] == 1), without
