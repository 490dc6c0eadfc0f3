"""Evenly spaced windows of frame sequences in DAVIS's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from imgorder.errors import PhotoError
from imgorder.names import show
from imgorder.preprocess import DEFAULT, Preprocessing, Tensor, preprocess

FRAMES = Path("JPEGImages", "480p")


def davis_sequences(root: Path, spec: Preprocessing = DEFAULT) -> dict[str, Tensor]:
    """All frames of each sequence, preprocessed: name -> float32 ``(frames, 3, crop, crop)``.

    Raises:
        PhotoError: if the folder is not laid out as ``JPEGImages/480p/<sequence>/00000.jpg``.
    """
    folder = root / FRAMES
    if not folder.is_dir():
        raise PhotoError(f"{show(root)}: no folder {FRAMES} in it; give the root of DAVIS")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = {name: sorted((folder / name).glob("*.jpg")) for name in names}
    return {name: np.stack([preprocess(file, spec) for file in frames]) for name, frames in files.items() if frames}


def all_windows(sequences: Mapping[str, Tensor], n: int, spacing: int) -> Iterator[Tensor]:
    """The windows of every sequence, one sequence after the other."""
    for frames in sequences.values():
        yield from windows(frames, n, spacing)


def windows(frames: Tensor, n: int, spacing: int) -> Iterator[Tensor]:
    """All sets of n frames that lie ``spacing`` apart, in temporal order, one for each start."""
    for start in range(len(frames) - (n - 1) * spacing):
        yield frames[start : start + (n - 1) * spacing + 1 : spacing]
