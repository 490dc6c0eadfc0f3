"""Small videos of something that moves, for the tests of training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from imgorder.datasets.manifest import Manifest, SetEntry, write_manifest


def write_video(path: Path, frames: int, seed: int, size: tuple[int, int] = (184, 136)) -> None:
    """A textured square that slides over a textured background."""
    import cv2

    rng = np.random.default_rng(seed)
    width, height = size
    ground = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    patch = cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (40, 40), interpolation=cv2.INTER_NEAREST)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for t in range(frames):
        frame = ground.copy()
        x = 5 + int((width - 50) * t / frames)
        frame[height // 2 - 20 : height // 2 + 20, x : x + 40] = patch
        video.write(frame)
    video.release()


def write_clips(folder: Path, count: int = 8) -> Path:
    """Videos c0.avi … of 30 frames in four groups, of two shapes, with a clips.csv that also names a missing one."""
    rows = []
    for index in range(count):
        write_video(folder / f"c{index}.avi", 30, index, (184, 136) if index % 2 else (272, 360))
        rows.append({"file": f"c{index}.avi", "group": f"g{index % 4}"})
    rows.append({"file": "missing.avi", "group": "g0"})
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "group"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def write_sets(path: Path, clips: Path, n: int, starts: int = 2, spacing: int = 4, test_group: str = "g3") -> Path:
    """A manifest of evenly spaced sets of n frames of c0.avi …; one group is of the test split."""
    videos = sorted(file.name for file in clips.glob("c*.avi"))
    entries = [
        SetEntry(
            video,
            tuple(3 * start + spacing * place for place in range(n)),
            "test" if f"g{index % 4}" == test_group else "train",
            f"g{index % 4}",
            float(spacing),
        )
        for index, video in enumerate(videos)
        for start in range(starts)
    ]
    write_manifest(Manifest("clips", clips, n, 0, tuple(entries)), path)
    return path


def figures(run: Path) -> list[dict[str, float]]:
    """A run's metrics.csv."""
    rows = list(csv.DictReader((run / "metrics.csv").open(newline="")))
    return [{name: json.loads(value) for name, value in row.items()} for row in rows]
