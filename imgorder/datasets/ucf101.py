"""Sets from UCF101 as in the paper: frames chosen by flow magnitude, split by group.

A set of 4 frames is a window in which enough moves. The sets of other lengths come from the same
windows: 3 frames are the first three of it, 5 have one frame more on its left, 6 one more on each
side, all at the same spacing. A set that the clip does not reach is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgorder.datasets.flow import find_moving_windows
from imgorder.datasets.manifest import DataSet, Progress, SetEntry, Skipped, make_even_set
from imgorder.datasets.scan import scan_videos
from imgorder.datasets.split import draw_held_out_groups
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError
from imgorder.media.video import SUFFIXES
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES

NAME = re.compile(r"v_(?P<action>.+)_(?P<group>g\d+)_c\d+\.\w+")
TEST_SHARE = 0.3

# Number of images -> place of the first one, in spacings from the start of the window of 4.
_FIRST = {3: 0, 4: 0, 5: -1, 6: -1}


def build_ucf101(
    root: Path,
    progress_file: Path,
    seq_lens: Sequence[int] = SIZES,
    spacings: Sequence[int] = (4,),
    min_flow: float = 1.0,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
) -> DataSet:
    """Make the data set.

    The same group number of every class is on the same side of the split, 18 of UCF101's 25 numbers in
    train and 7 in test, as in the splits that come with UCF101: a group's clips share their source, and
    similar classes may share sources under one number.

    Args:
        root: folder with videos named ``v_<Class>_g<NN>_c<NN>.avi``, at any depth.
        progress_file: see `imgorder.datasets.scan`.
        seq_lens: numbers of images.
        spacings: distances between neighbours in frames.
        min_flow: least mean flow between neighbours, in px at a shorter side of 240.
        seed: of the split.
        workers: processes that read videos.
        progress: called after every video.

    Raises:
        ImgorderError: if there is no such folder, or no video named so.
    """
    names, skipped, groups = [], [], {}
    for name in find_files(root, SUFFIXES):
        match = NAME.fullmatch(name.rsplit("/", 1)[-1])
        if match:
            names.append(name)
            groups[name] = match["group"]
        else:
            skipped.append(Skipped(name, "not named v_<Class>_g<NN>_c<NN>"))
    if not names:
        raise ImgorderError(f"{show(root)}: no videos named v_<Class>_g<NN>_c<NN>.avi; give UCF101's folder of videos")
    scan = scan_videos(root, names, spacings, progress_file, workers, progress)
    test = draw_held_out_groups(dict.fromkeys(groups.values(), 1), TEST_SHARE, seed)

    def make_sets(n: int) -> Iterator[SetEntry]:
        for name, flow in scan.flows.items():
            side = "test" if groups[name] in test else "train"
            for spacing in spacings:
                for window in find_moving_windows(flow, 4, spacing, min_flow):
                    start = window + _FIRST[n] * spacing
                    if start >= 0 and start + (n - 1) * spacing < flow.frames:
                        mean = flow.mean(start, n, spacing)
                        yield make_even_set(name, start, n, spacing, side, groups[name], mean)

    left_out = sorted((*skipped, *scan.skipped), key=lambda each: natural_key(each.name))
    return DataSet.make("ucf101", root, seq_lens, make_sets, len(scan.flows), left_out, seed)
