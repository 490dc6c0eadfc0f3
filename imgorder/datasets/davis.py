"""Sets from DAVIS: every window of every sequence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgorder.datasets.manifest import DataSet, SeqLen, SetEntry, Skipped, make_even_set
from imgorder.errors import PhotoError
from imgorder.media.photos import find_sets
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES

FRAMES = "JPEGImages/480p"


def is_davis_root(path: Path) -> bool:
    """Whether a folder is laid out as ``JPEGImages/480p/<sequence>/00000.jpg``."""
    return os.path.isdir(path / FRAMES)


def find_davis_sequences(root: Path) -> dict[str, tuple[Path, ...]]:
    """Name -> frames in order of each sequence.

    Raises:
        PhotoError: if the folder is not laid out so, cannot be read, or has no frames at all.
    """
    return {name: files for name, files in _folders(root).items() if files}


def _folders(root: Path) -> dict[str, tuple[Path, ...]]:
    """As `find_davis_sequences`, with those folders as well that hold no photos."""
    folder = root / FRAMES
    if not is_davis_root(root):
        raise PhotoError(f"{show(root)}: no folder {FRAMES} in it; give the root of DAVIS")
    try:
        names = sorted((name for name in os.listdir(folder) if os.path.isdir(folder / name)), key=natural_key)
    except OSError as error:
        raise PhotoError(f"{show(folder)}: cannot be read ({error.strerror}); check its permissions") from error
    sequences = {name: _frames(folder / name) for name in names}
    if not any(sequences.values()):
        raise PhotoError(f"{show(folder)}: no sequences of frames in it; unpack DAVIS again")
    return sequences


def _frames(folder: Path) -> tuple[Path, ...]:
    try:
        return find_sets([folder])[0].files
    except PhotoError:
        return ()


def build_davis(root: Path, seq_lens: Sequence[SeqLen] = SIZES, spacings: Sequence[int] = range(1, 9)) -> DataSet:
    """All evenly spaced sets from each start, for tests; the group is the sequence.

    Args:
        root: folder with ``JPEGImages/480p/<sequence>/00000.jpg``.
        seq_lens: numbers of images; None for all frames of a sequence that lie ``spacing`` apart.
        spacings: distances between neighbours in frames.

    Raises:
        PhotoError: as `find_davis_sequences`.
    """
    folders = _folders(root)
    lengths = {name: len(files) for name, files in folders.items() if files}
    skipped = [
        Skipped(f"{FRAMES}/{name}", "no frames in it that can be read") for name in folders if name not in lengths
    ]

    def make_sets(n: SeqLen) -> Iterator[SetEntry]:
        for name, frames in lengths.items():
            for spacing in spacings:
                for start, length in find_windows(frames, n, spacing):
                    yield make_even_set(f"{FRAMES}/{name}", start, length, spacing, "test", name)

    return DataSet.make("davis", root, seq_lens, make_sets, len(lengths), skipped)


def find_windows(frames: int, n: SeqLen, spacing: int, stride: int = 1) -> list[tuple[int, int]]:
    """First frame and length of each evenly spaced set of a sequence, one for each ``stride``-th start.

    The whole sequence (``n`` None) is one set, from its first frame; below the least size of a set it is none.
    """
    if n is None:
        length = (frames - 1) // spacing + 1
        return [(0, length)] if length >= SIZES[0] else []
    return [(start, n) for start in range(0, frames - (n - 1) * spacing, stride)]
