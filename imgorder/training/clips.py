"""Video clips decoded once into a single file of uint8 frames, and read from there.

A `ClipStore` is a folder with ``frames.bin`` (the frames of all clips, one after the other, HWC
RGB) and ``clips.json`` (where each clip lies, its size, and the group that it must not leave).
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

SHORT_SIDE = 136


@dataclass(frozen=True)
class Clip:
    """One decoded clip: ``frames`` images of ``height × width`` at byte ``offset`` of the store."""

    name: str
    group: str
    frames: int
    height: int
    width: int
    offset: int


class ClipStore:
    """Decoded clips, memory-mapped; ``store.frames(clip)`` is uint8 ``(frames, H, W, 3)``."""

    def __init__(self, folder: Path) -> None:
        self.clips = [Clip(**row) for row in json.loads((folder / "clips.json").read_text("utf-8"))]
        self._bytes = np.memmap(folder / "frames.bin", dtype=np.uint8, mode="r")

    def frames(self, clip: Clip) -> npt.NDArray[np.uint8]:
        """All frames of a clip, uint8 ``(frames, H, W, 3)``, without a copy."""
        shape = (clip.frames, clip.height, clip.width, 3)
        return self._bytes[clip.offset : clip.offset + int(np.prod(shape))].reshape(shape)


def pack_clips(sources: Iterable[Path], folder: Path) -> ClipStore:
    """Decode every clip listed in the ``clips.csv`` of each source folder into a store.

    Frames whose shorter side is not 136 px are scaled to it. Videos that do not decode are skipped
    with a message on standard error.
    """
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    clips: list[Clip] = []
    offset = 0
    partial = folder / "frames.bin.partial"
    with partial.open("wb") as out:
        for source in sources:
            with (source / "clips.csv").open(encoding="utf-8", newline="") as table:
                rows = list(csv.DictReader(table))
            for row in rows:
                video = cv2.VideoCapture(str(source / row["file"]))
                count = 0
                shape = (0, 0)
                while True:
                    ok, frame = video.read()
                    if not ok:
                        break
                    frame = _scale_to_short_side(np.asarray(frame, dtype=np.uint8))
                    shape = frame.shape[:2]
                    out.write(np.ascontiguousarray(frame[:, :, ::-1]).tobytes())
                    count += 1
                if count == 0:
                    print(f"skipped {source / row['file']}: no frame could be decoded", file=sys.stderr)
                    continue
                clips.append(Clip(row["file"], row["group"], count, shape[0], shape[1], offset))
                offset += count * shape[0] * shape[1] * 3
    partial.replace(folder / "frames.bin")
    (folder / "clips.json").write_text(json.dumps([asdict(clip) for clip in clips]), "utf-8")
    return ClipStore(folder)


def _scale_to_short_side(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    import cv2

    height, width = frame.shape[:2]
    if min(height, width) == SHORT_SIDE:
        return frame
    scale = SHORT_SIDE / min(height, width)
    size = (max(SHORT_SIDE, round(width * scale)), max(SHORT_SIDE, round(height * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def split_by_group(clips: Sequence[Clip], fraction: float = 0.15, seed: int = 0) -> tuple[list[Clip], list[Clip]]:
    """Training and validation clips; no group is on both sides.

    Groups are drawn in a seeded order and go to validation while they fit into ``fraction`` of the
    clips, so that a very large group never becomes the whole validation set.
    """
    sizes: dict[str, int] = {}
    for clip in clips:
        sizes[clip.group] = sizes.get(clip.group, 0) + 1
    room = fraction * len(clips)
    held_out: set[str] = set()
    groups = sorted(sizes)
    for index in np.random.default_rng(seed).permutation(len(groups)):
        group = groups[index]
        if sizes[group] <= min(room, fraction * len(clips) / 2):
            held_out.add(group)
            room -= sizes[group]
    train = [clip for clip in clips if clip.group not in held_out]
    return train, [clip for clip in clips if clip.group in held_out]
