"""Sets from UCF101 as in the paper: frames chosen by flow magnitude, split by group.

A set of 4 frames is a window in which enough moves. The sets of other lengths come from the same
windows: 3 frames are the first three of it, 5 have one frame more on its left, 6 one more on each
side, all at the same spacing. A set that the clip does not reach is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from imgorder.datasets.manifest import DataSet, SeqLen, Skipped
from imgorder.datasets.scan import Scan, build_moving
from imgorder.datasets.split import draw_held_out_groups
from imgorder.datasets.tree import find_files
from imgorder.errors import ImgorderError
from imgorder.files import read_lines
from imgorder.media.video import SUFFIXES
from imgorder.names import show
from imgorder.permutations import SIZES

NAME = re.compile(r"v_(?P<action>.+)_(?P<group>g\d+)_c\d+\.\w+")
TEST_SHARE = 0.3

# Number of images -> frames of a window, and the place of the first image in it, in spacings.
_WINDOWS = {3: (4, 0), 4: (4, 0), 5: (4, -1), 6: (4, -1)}


def build_ucf101(
    root: Path, scan: Scan, seq_lens: Sequence[int] = SIZES, seed: int = 0, listed: Path | None = None
) -> DataSet:
    """Make the data set.

    The same group number of every class is on the same side of the split, 18 of UCF101's 25 numbers in
    train and 7 in test, as in the splits that come with UCF101: a group's clips share their source, and
    similar classes may share sources under one number.

    Args:
        root: folder with videos named ``v_<Class>_g<NN>_c<NN>.avi``, at any depth.
        scan: how they are read.
        seq_lens: numbers of images.
        seed: of the split.
        listed: file of the videos that are taken, such as UCF101's ``trainlist01.txt``, from which the paper's sets
            come; all if not given.

    Raises:
        ImgorderError: if there is no such folder, no video named so, or the list cannot be read or names none of them.
    """
    skipped, groups = [], {}
    for name in find_files(root, SUFFIXES):
        match = NAME.fullmatch(PurePosixPath(name).name)
        if match:
            groups[name] = match["group"]
        else:
            skipped.append(Skipped(name, "not named v_<Class>_g<NN>_c<NN>"))
    if not groups:
        raise ImgorderError(f"{show(root)}: no videos named v_<Class>_g<NN>_c<NN>.avi; give UCF101's folder of videos")
    if listed:
        wanted = read_list(listed)
        groups = {name: group for name, group in groups.items() if PurePosixPath(name).name in wanted}
        there = {PurePosixPath(name).name for name in groups}
        skipped = [Skipped(wanted[name], "listed, but not there") for name in wanted if name not in there]
        if not groups:
            raise ImgorderError(f"{show(listed)}: names no video of {show(root)}; give UCF101's trainlist01.txt")
    test = draw_held_out_groups(dict.fromkeys(groups.values(), 1), TEST_SHARE, seed)
    windows: dict[SeqLen, tuple[int, int]] = {n: _WINDOWS[n] for n in seq_lens}
    return build_moving("ucf101", root, groups, skipped, scan, windows, ("test", test), seed)


def read_list(path: Path) -> dict[str, str]:
    """File name -> path as listed; a line of UCF101's lists is ``Class/v_Class_gNN_cNN.avi``, with a label or without.

    Raises:
        ImgorderError: if the file cannot be read.
    """
    lines = read_lines(path, "check --list", "not a list of videos; give UCF101's trainlist01.txt")
    names = (line.split()[0] for line in lines if line.strip())
    return {PurePosixPath(name).name: name for name in names}
