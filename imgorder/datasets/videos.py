"""Sets from any folder of videos."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from imgorder.datasets.flow import find_moving_windows
from imgorder.datasets.manifest import DataSet, Progress, SetEntry, Skipped, make_even_set
from imgorder.datasets.scan import scan_videos
from imgorder.datasets.split import draw_held_out_groups
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError
from imgorder.media.video import SUFFIXES
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES

TABLE = "clips.csv"


def build_videos(
    root: Path,
    progress_file: Path,
    seq_lens: Sequence[int] = SIZES,
    spacings: Sequence[int] = (2, 4, 8),
    min_flow: float = 1.0,
    validation_fraction: float = 0.15,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> DataSet:
    """Make evenly spaced sets of the windows in which enough moves, split by group.

    A ``clips.csv`` in the folder (columns ``file`` and ``group``) says which videos are meant and what
    group each belongs to. Without it all videos are taken, and the group is the video's folder; at the
    top level it is the video itself.

    Args:
        root: folder with videos at any depth.
        progress_file: see `imgorder.datasets.scan`.
        seq_lens: numbers of images.
        spacings: distances between neighbours in frames.
        min_flow: least mean flow between neighbours, in px at a shorter side of 240.
        validation_fraction: share of the videos for validation.
        seed: of the split.
        workers: processes that read videos.
        progress: called after every video.

    Raises:
        ImgorderError: if there is no such folder, no video in it, or ``clips.csv`` is broken.
    """
    groups, skipped = group_videos(root)
    scan = scan_videos(root, list(groups), spacings, progress_file, workers, progress)
    held_out = draw_held_out_groups(Counter(groups.values()), validation_fraction, seed)

    def make_sets(n: int) -> Iterator[SetEntry]:
        for name, flow in scan.flows.items():
            side = "validation" if groups[name] in held_out else "train"
            for spacing in spacings:
                for start in find_moving_windows(flow, n, spacing, min_flow):
                    mean = flow.mean(start, n, spacing)
                    yield make_even_set(name, start, n, spacing, side, groups[name], mean)

    left_out = sorted((*skipped, *scan.skipped), key=lambda each: natural_key(each.name))
    return DataSet.make("videos", root, seq_lens, make_sets, len(scan.flows), left_out, seed)


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
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImgorderError(f"{show(path)}: cannot be read as a table ({error})") from error
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        name, group = row.get("file"), row.get("group")
        if not name or not group:
            raise ImgorderError(f"{show(path)}: row {number} has no file or no group; needed are columns file, group")
        name = PurePosixPath(name).as_posix()
        if groups.setdefault(name, group) != group:
            raise ImgorderError(f"{show(path)}: row {number} puts {show(name)} into a second group")
    return {name: groups[name] for name in sorted(groups, key=natural_key)}
