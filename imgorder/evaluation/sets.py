"""Sets whose order is known, as tensors in temporal order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgorder.datasets.davis import find_davis_sequences, find_windows
from imgorder.datasets.manifest import SeqLen
from imgorder.media.preprocess import DEFAULT, Preprocessing, Tensor, preprocess_set


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


def davis_tensors(root: Path, spec: Preprocessing = DEFAULT) -> dict[str, Tensor]:
    """All frames of each sequence, preprocessed: name -> float32 ``(frames, 3, crop, crop)``.

    Raises:
        PhotoError: as `find_davis_sequences`, and if a frame cannot be read.
    """
    return {name: preprocess_set(files, spec) for name, files in find_davis_sequences(root).items()}


class DavisWindows:
    """Sets of a DAVIS root for any preprocessing. Frames of one at a time are in memory.

    Attributes:
        frames: how many each sequence has.
    """

    def __init__(self, root: Path) -> None:
        """Look at the folders; frames are read when sets are asked for.

        Raises:
            PhotoError: as `find_davis_sequences`.
        """
        self.frames = [len(files) for files in find_davis_sequences(root).values()]
        self._root = root
        self._spec: Preprocessing | None = None
        self._tensors: dict[str, Tensor] = {}

    @property
    def sequences(self) -> int:
        """How many there are."""
        return len(self.frames)

    def lengths(self, n: SeqLen, spacing: int) -> list[int]:
        """How many images the sets have, each number once."""
        return sorted({length for frames in self.frames for _, length in find_windows(frames, n, spacing)})

    def sets(self, n: SeqLen, spacing: int, spec: Preprocessing, stride: int = 1) -> Iterator[TimedSet]:
        """See `windows`; cheap as long as the preprocessing is that of the last call."""
        if spec != self._spec:
            self._tensors = {}  # before there are others
            self._tensors, self._spec = davis_tensors(self._root, spec), spec
        return windows(self._tensors, n, spacing, stride)


def windows(sequences: Mapping[str, Tensor], n: SeqLen, spacing: int, stride: int = 1) -> Iterator[TimedSet]:
    """All sets of n frames that lie ``spacing`` apart, see `find_windows`; whole sequences for None."""
    for name, frames in sequences.items():
        for start, length in find_windows(len(frames), n, spacing, stride):
            yield TimedSet(name, name, frames[start : start + (length - 1) * spacing + 1 : spacing])


def draw_listings(n: int, count: int | None, seed: Sequence[int]) -> list[tuple[int, ...]]:
    """Listings in which a set is shown: ``count`` drawn ones, or all n! for None.

    In listing L, the image at place i is L[i]-th in time.
    """
    if count is None:
        from itertools import permutations

        return list(permutations(range(n)))
    rng = np.random.default_rng(seed)
    return [tuple(rng.permutation(n).tolist()) for _ in range(count)]
