"""Sets from DAVIS: every window of every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgorder.datasets.built import Built, Skipped, even_set
from imgorder.datasets.manifest import Manifest
from imgorder.errors import ImgorderError, PhotoError
from imgorder.names import natural_key, show
from imgorder.photos import find_sets

FRAMES = "JPEGImages/480p"


def build_davis(root: Path, seq_lens: Sequence[int] = (3, 4, 5, 6), spacings: Sequence[int] = range(1, 9)) -> Built:
    """All evenly spaced sets from each start, for tests; the group is the sequence.

    Args:
        root: folder with ``JPEGImages/480p/<sequence>/00000.jpg``.
        seq_lens: numbers of images.
        spacings: distances between neighbours in frames.

    Raises:
        ImgorderError: if the folder is not laid out so, or holds no sequence.
    """
    folder = root / FRAMES
    if not folder.is_dir():
        raise ImgorderError(f"{show(root)}: no folder {FRAMES} in it; give the root of DAVIS")
    lengths: dict[str, int] = {}
    skipped = []
    for name in sorted((entry.name for entry in folder.iterdir() if entry.is_dir()), key=natural_key):
        try:
            lengths[name] = len(find_sets([folder / name])[0].files)
        except PhotoError:
            skipped.append(Skipped(f"{FRAMES}/{name}", "no frames in it that can be read"))
    if not lengths:
        raise ImgorderError(f"{show(folder)}: no sequences in it; give the root of DAVIS")
    manifests = []
    for n in seq_lens:
        sets = [
            even_set(f"{FRAMES}/{name}", start, n, spacing, "test", name)
            for name, frames in lengths.items()
            for spacing in spacings
            for start in range(frames - (n - 1) * spacing)
        ]
        manifests.append(Manifest("davis", root, n, 0, tuple(sets)))
    return Built(tuple(manifests), len(lengths), tuple(skipped))
