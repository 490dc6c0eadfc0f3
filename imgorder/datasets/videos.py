"""Sets from any folder of videos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from imgorder.datasets.manifest import DataSet, SeqLen, Skipped
from imgorder.datasets.scan import Scan, build_moving
from imgorder.datasets.split import draw_held_out_groups
from imgorder.datasets.table import read_table
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError
from imgorder.media.video import SUFFIXES
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES

TABLE = "clips.csv"


def build_videos(
    root: Path, scan: Scan, seq_lens: Sequence[SeqLen] = SIZES, validation_fraction: float = 0.15, seed: int = 0
) -> DataSet:
    """Make evenly spaced sets of the windows in which enough moves, split by group.

    A ``clips.csv`` in the folder (columns ``file`` and ``group``) says which videos are meant and what
    group each belongs to. Without it all videos are taken, and the group is the video's folder; at the
    top level it is the video itself.

    Args:
        root: folder with videos at any depth.
        scan: how they are read.
        seq_lens: numbers of images; None for all frames that lie ``spacing`` apart, of each video that moves enough
            in the mean.
        validation_fraction: share of the videos for validation.
        seed: of the split.

    Raises:
        ImgorderError: if there is no such folder, no video in it, or ``clips.csv`` is broken.
    """
    groups, skipped = group_videos(root)
    held_out = draw_held_out_groups(Counter(groups.values()), validation_fraction, seed)
    windows: dict[SeqLen, tuple[int, int]] = {n: (n or 0, 0) for n in seq_lens}
    return build_moving("videos", root, groups, skipped, scan, windows, ("validation", held_out), seed)


def group_videos(root: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Video -> group for the videos of a folder, and those that its ``clips.csv`` does not list.

    Raises:
        ImgorderError: if there is no such folder, no video in it, or ``clips.csv`` is broken.
    """
    found = find_files(root, SUFFIXES)
    table = root / TABLE
    if os.path.isfile(table):
        groups = _read_table(table)
        skipped = [Skipped(name, f"not listed in {TABLE}") for name in found if name not in groups]
    else:
        groups, skipped = {name: _folder_group(name) for name in found}, []
    if not groups:
        raise ImgorderError(f"{show(root)}: no videos in it; known are {', '.join(SUFFIXES)}")
    return groups, skipped


def _folder_group(name: str) -> str:
    parent = PurePosixPath(name).parent
    return name if parent == PurePosixPath() else parent.as_posix()


def _read_table(path: Path) -> dict[str, str]:
    """Video -> group, naturally sorted by video."""
    groups: dict[str, str] = {}
    for number, (_, row) in enumerate(read_table(path), start=2):
        name, group = row.get("file"), row.get("group")
        if not name or not group:
            raise ImgorderError(f"{show(path)}: row {number} has no file or no group; needed are columns file, group")
        name = PurePosixPath(name).as_posix()
        if groups.setdefault(name, group) != group:
            raise ImgorderError(f"{show(path)}: row {number} puts {show(name)} into a second group")
    return {name: groups[name] for name in sorted(groups, key=natural_key)}
