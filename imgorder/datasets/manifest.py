"""One manifest format for every data set: which frames make a set, in their temporal order.

A manifest is a JSON Lines file. Its first line describes the data set, every other line one set:

    {"version": 1, "dataset": "ucf101", "root": "/data/UCF-101", "seq_len": 4, "seed": 0}
    {"video": "Archery/v_Archery_g01_c01.avi", "frames": [8, 12, 16, 20], "split": "train", …}

A ``seq_len`` of null says that the sets are whole albums or sequences, each of its own length.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from imgorder.errors import ImgorderError
from imgorder.fields import PathText, as_record, read_record
from imgorder.files import atomic_write, read_lines
from imgorder.names import show

VERSION = 1

SeqLen = int | None
"""Images in each set; None for all that an album or a sequence has."""

# Called with how many videos are done, and how many there are.
Progress = Callable[[int, int], None]


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
        spacing: mean distance between neighbours, in frames; in seconds for photos, 0 where it is not known.
        flow: mean optical-flow magnitude between neighbours in px, where it was measured.
        kind: what kind of photos they are, where that is known.
    """

    video: PathText
    frames: tuple[int, ...]
    split: str
    group: str
    spacing: float
    flow: float | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Manifest:
    """Sets of one size, or whole ones: where their files lie, and which frames they are made of."""

    dataset: str
    root: Path
    seq_len: SeqLen
    seed: int
    sets: tuple[SetEntry, ...] = ()

    def split(self, name: str) -> tuple[SetEntry, ...]:
        """The sets of one split."""
        return tuple(entry for entry in self.sets if entry.split == name)


@dataclass(frozen=True)
class Skipped:
    """A file or folder that is not in the data set, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """A data set ready to be written.

    Attributes:
        manifests: one for each number of images in a set, and one for whole albums where they were asked for.
        sources: how many videos, frame folders or photo folders were read.
        skipped: what was left out.
    """

    manifests: tuple[Manifest, ...]
    sources: int
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def make(
        cls,
        name: str,
        root: Path,
        seq_lens: Iterable[SeqLen],
        make_sets: Callable[[SeqLen], Iterable[SetEntry]],
        sources: int,
        skipped: Iterable[Skipped],
        seed: int = 0,
    ) -> DataSet:
        """A data set with one manifest for each set size, from a function that makes the sets of a size."""
        manifests = tuple(Manifest(name, root, n, seed, tuple(make_sets(n))) for n in seq_lens)
        return cls(manifests, sources, tuple(skipped))


def name_size(n: SeqLen) -> str:
    """A number of images as it is asked for and shown: ``12``, or ``all``."""
    return "all" if n is None else str(n)


def make_even_set(
    video: str, start: int, n: int, spacing: int, split: str, group: str, flow: float | None = None
) -> SetEntry:
    """A set of n frames that lie ``spacing`` apart."""
    frames = tuple(start + spacing * place for place in range(n))
    return SetEntry(video, frames, split, group, float(spacing), flow)


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest; a reader sees the old file or the new one, never a part of it."""
    header = as_record(replace(manifest, root=Path(os.path.abspath(manifest.root)), sets=()))
    del header["sets"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8") as out:
        for record in ({"version": VERSION, **header}, *map(as_record, manifest.sets)):
            out.write(json.dumps(record) + "\n")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ImgorderError: if the file is missing or is no manifest; names the line.
    """
    lines = read_lines(path, "check the path", "not a manifest; make one with: imgorder dataset")
    number = 1
    try:
        header = json.loads(lines[0])
        manifest = read_record(Manifest, {**header, "sets": []})
        if header["version"] != VERSION:
            raise ValueError(f"version {header['version']}")
        sets = []
        for number, line in enumerate(lines[1:], start=2):  # noqa: B007 - the error names the line
            entry = read_record(SetEntry, json.loads(line))
            length, n = len(entry.frames), manifest.seq_len
            if (length < 2 if n is None else length != n) or min(entry.frames, default=0) < 0:
                raise ValueError(f"not {name_size(n)} frames of a video")
            sets.append(entry)
        return replace(manifest, sets=tuple(sets))
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ImgorderError(
            f"{show(path)}: line {number} is not of a manifest (version {VERSION}); make it with: imgorder dataset"
        ) from error
