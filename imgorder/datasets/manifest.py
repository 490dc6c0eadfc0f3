"""One manifest format for every data set: which frames make a set, in their temporal order.

A manifest is a JSON Lines file. Its first line describes the data set, every other line one set:

    {"version": 1, "dataset": "ucf101", "root": "/data/UCF-101", "seq_len": 4, "seed": 0}
    {"video": "Archery/v_Archery_g01_c01.avi", "frames": [8, 12, 16, 20], "split": "train", …}
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imgorder import fields
from imgorder.errors import ImgorderError
from imgorder.files import atomic_write
from imgorder.names import show

VERSION = 1


@dataclass(frozen=True)
class SetEntry:
    """One set.

    Attributes:
        video: a video file, or a folder of frames or photos, relative to the manifest's root with
            forward slashes.
        frames: indices in temporal order: frames of the video, or places in the naturally sorted
            listing of the folder.
        split: "train", "validation" or "test".
        group: what must not be on both sides of a split (the source of a clip).
        spacing: mean distance between neighbours, in frames; in seconds for photos.
        flow: mean optical-flow magnitude between neighbours in px, where it was measured.
    """

    video: str
    frames: tuple[int, ...]
    split: str
    group: str
    spacing: float
    flow: float | None = None


@dataclass(frozen=True)
class Manifest:
    """A data set: where its files lie, and its sets."""

    dataset: str
    root: Path
    seq_len: int
    seed: int
    sets: tuple[SetEntry, ...]

    def split(self, name: str) -> tuple[SetEntry, ...]:
        """The sets of one split."""
        return tuple(entry for entry in self.sets if entry.split == name)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest; a reader sees the old file or the new one, never a part of it."""
    header = {
        "version": VERSION,
        "dataset": manifest.dataset,
        "root": os.path.abspath(manifest.root),
        "seq_len": manifest.seq_len,
        "seed": manifest.seed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8") as out:
        out.write(json.dumps(header) + "\n")
        for entry in manifest.sets:
            out.write(json.dumps(asdict(entry)) + "\n")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ImgorderError: if the file is missing or is no manifest; names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ImgorderError(f"{show(path)}: not a manifest; make one with: imgorder dataset") from error
    number = 1
    try:
        header = _record(lines[0])
        if header["version"] != VERSION:
            raise ValueError(f"version {header['version']}")
        root, seq_len = Path(fields.path_text(header, "root")), fields.integer(header, "seq_len")
        dataset, seed = fields.text(header, "dataset"), fields.integer(header, "seed")
        sets = []
        for number, line in enumerate(lines[1:], start=2):  # noqa: B007 - the error names the line
            sets.append(_entry(_record(line), seq_len))
        return Manifest(dataset, root, seq_len, seed, tuple(sets))
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        raise ImgorderError(
            f"{show(path)}: line {number} is not of a manifest (version {VERSION}); make it with: imgorder dataset"
        ) from error


def _record(line: str) -> dict[str, Any]:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("no table of fields")
    return record


def _entry(record: dict[str, Any], seq_len: int) -> SetEntry:
    frames = fields.integers(record, "frames")
    if len(frames) != seq_len or min(frames, default=0) < 0:
        raise ValueError(f"not {seq_len} frames of a video")
    return SetEntry(
        fields.path_text(record, "video"),
        frames,
        fields.text(record, "split"),
        fields.text(record, "group"),
        fields.number(record, "spacing"),
        None if record.get("flow") is None else fields.number(record, "flow"),
    )
