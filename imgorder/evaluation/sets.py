"""Sets whose order is known, as tensors in temporal order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgorder.datasets.davis import FRAMES
from imgorder.errors import PhotoError
from imgorder.names import natural_key, show
from imgorder.preprocess import DEFAULT, Preprocessing, Tensor, preprocess_set


@dataclass(frozen=True)
class TimedSet:
    """One set.

    Attributes:
        video: its name, for the breakdown.
        group: its source; videos of one group share people and places.
        tensors: float32 ``(n, 3, crop, crop)`` in temporal order.
    """

    video: str
    group: str
    tensors: Tensor


def is_davis_root(path: Path) -> bool:
    """Whether a folder is laid out as ``JPEGImages/480p/<sequence>/00000.jpg``."""
    return (path / FRAMES).is_dir()


def davis_sequences(root: Path, spec: Preprocessing = DEFAULT) -> dict[str, Tensor]:
    """All frames of each sequence, preprocessed: name -> float32 ``(frames, 3, crop, crop)``.

    Raises:
        PhotoError: if the folder is not a DAVIS root, or has no frames.
    """
    if not is_davis_root(root):
        raise PhotoError(f"{show(root)}: no folder {FRAMES} in it; give the root of DAVIS")
    sequences = {}
    for folder in sorted((root / FRAMES).iterdir()):
        files = sorted(folder.glob("*.jpg"), key=lambda file: natural_key(file.name))
        if files:
            sequences[folder.name] = preprocess_set(files, spec)
    if not sequences:
        raise PhotoError(f"{show(root / FRAMES)}: no sequences of JPEGs in it; unpack DAVIS again")
    return sequences


def windows(sequences: Mapping[str, Tensor], n: int, spacing: int) -> Iterator[TimedSet]:
    """All sets of n frames that lie ``spacing`` apart, one for each start of each sequence."""
    for name, frames in sequences.items():
        for start in range(len(frames) - (n - 1) * spacing):
            yield TimedSet(name, name, frames[start : start + (n - 1) * spacing + 1 : spacing])


def shuffled(n: int, count: int | None, seed: Sequence[int]) -> list[tuple[int, ...]]:
    """Listings in which a set is shown: ``count`` drawn ones, or all n! for None.

    In listing L, the image at place i is L[i]-th in time.
    """
    if count is None:
        from itertools import permutations

        return list(permutations(range(n)))
    rng = np.random.default_rng(seed)
    return [tuple(rng.permutation(n).tolist()) for _ in range(count)]
