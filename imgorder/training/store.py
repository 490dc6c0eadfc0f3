"""Decoded frames in one file, as training reads them.

A `FrameStore` is a folder with ``frames.bin`` (all frames one after the other, uint8 HWC RGB, shorter
edge 136), ``cells.bin`` (the mean of every 8×8 px of each frame, for a quick look at what moves) and
``clips.json`` (where each clip lies, its size, and the group that it must not leave).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.errors import ImgorderError
from imgorder.files import atomic_write
from imgorder.names import show

Frames = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

CELL = 8
VERSION = 2


@dataclass(frozen=True)
class Clip:
    """Frames of one video, or of one folder of photos, all of one size.

    Attributes:
        name: of the source.
        group: what must not be on both sides of a split.
        frames: how many.
        height, width: of each, in px.
        numbers: which frames of the source these are; all, from 0, if None.
    """

    name: str
    group: str
    frames: int
    height: int
    width: int
    numbers: tuple[int, ...] | None = None


class FrameStore:
    """Decoded clips, memory-mapped. Frames are numbered through all clips, from 0.

    Attributes:
        clips: in the order of the file.
        first: number of each clip's first frame.
        offset, height, width: of every frame; offset is its first byte in ``frames.bin``.
        source: what the clips were decoded from, to know a stale store by.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index: dict[str, Any] = json.loads((folder / "clips.json").read_text("utf-8"))
            if index["version"] != VERSION:
                raise ValueError(f"version {index['version']}")
            rows = index["clips"]
            self.source: str = index["source"]
            self.clips = [Clip(**{**row, "numbers": row["numbers"] and tuple(row["numbers"])}) for row in rows]
            self.bytes = np.memmap(folder / "frames.bin", dtype=np.uint8, mode="r")
            self._cells = np.memmap(folder / "cells.bin", dtype=np.uint8, mode="r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImgorderError(f"{show(folder)}: no decoded frames of this version; remove it") from error
        counts = np.array([clip.frames for clip in self.clips], dtype=np.int64)
        heights = np.array([clip.height for clip in self.clips], dtype=np.int64)
        widths = np.array([clip.width for clip in self.clips], dtype=np.int64)
        self.first: Indices = np.cumsum(counts) - counts
        self.height: Indices = np.repeat(heights, counts)
        self.width: Indices = np.repeat(widths, counts)
        sizes, cells = 3 * self.height * self.width, 3 * (self.height // CELL) * (self.width // CELL)
        self.offset: Indices = np.cumsum(sizes) - sizes
        self._cell_offset = np.cumsum(cells) - cells
        if (self.bytes.size, self._cells.size) != (sizes.sum(), cells.sum()):
            raise ImgorderError(f"{show(folder)}: some of the decoded frames are missing; remove it")

    def frame(self, number: int) -> Frames:
        """One frame, uint8 ``(H, W, 3)``, without a copy."""
        return _cut(self.bytes, self.offset[number], self.height[number], self.width[number])

    def cells(self, number: int) -> Frames:
        """Means of a frame's 8×8 px cells, uint8 ``(H // 8, W // 8, 3)``, without a copy."""
        height, width = self.height[number] // CELL, self.width[number] // CELL
        return _cut(self._cells, self._cell_offset[number], height, width)


def _cut(values: Frames, start: np.int64, height: np.int64, width: np.int64) -> Frames:
    return values[start : start + 3 * height * width].reshape(height, width, 3)


class StoreWriter:
    """Writes a store clip by clip; a reader sees it when it is complete.

    Two processes may write the same one at once: each has files of its own until it is done.
    """

    def __init__(self, folder: Path, source: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._source = source
        self._clips: list[Clip] = []
        self._partial = {name: folder / f".{name}.{os.getpid()}.partial" for name in ("frames.bin", "cells.bin")}
        self._frames, self._cells = (path.open("wb") for path in self._partial.values())

    def add(self, name: str, group: str, frames: Frames, numbers: tuple[int, ...] | None = None) -> None:
        """Append a clip, uint8 ``(frames, H, W, 3)``."""
        count, height, width, _ = frames.shape
        self._frames.write(np.ascontiguousarray(frames).tobytes())
        self._cells.write(average_cells(frames).tobytes())
        self._clips.append(Clip(name, group, count, height, width, numbers))

    def close(self) -> FrameStore:
        """Finish the store and open it."""
        self._frames.close()
        self._cells.close()
        for name, partial in self._partial.items():
            partial.replace(self._folder / name)
        index = {"version": VERSION, "source": self._source, "clips": [asdict(clip) for clip in self._clips]}
        # The index comes last, and whole or not at all: without it there is no store.
        with atomic_write(self._folder / "clips.json") as partial:
            partial.write_text(json.dumps(index), "utf-8")
        return FrameStore(self._folder)

    def abandon(self) -> None:
        """Leave nothing behind of a store that is not complete."""
        self._frames.close()
        self._cells.close()
        for partial in self._partial.values():
            partial.unlink(missing_ok=True)


def average_cells(frames: Frames) -> Frames:
    """Means of 8×8 px cells, uint8 ``(F, H, W, 3) -> (F, H // 8, W // 8, 3)``."""
    rows, columns = frames.shape[1] // CELL, frames.shape[2] // CELL
    whole = frames[:, : rows * CELL, : columns * CELL]
    cells = whole.reshape(len(frames), rows, CELL, columns, CELL, 3).mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(np.rint(cells), dtype=np.uint8)
