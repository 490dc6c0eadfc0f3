"""Exact match on the groups that a run keeps out of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from imgorder.datasets.manifest import SeqLen
from imgorder.evaluation.measure import Measured, measure_all, takes
from imgorder.evaluation.sets import TimedSet
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import DEFAULT, Preprocessing, preprocess_set
from imgorder.permutations import SIZES
from imgorder.training.checkpoint import read_config
from imgorder.training.sources import find_even_windows
from imgorder.training.store import FrameStore
from imgorder.training.trainer import STATE

DATASET = "held-out clips"


def find_held_out_clips(store: FrameStore, *runs: Path) -> list[int]:
    """Places in the store of the clips whose group the run kept out; of several runs, all of them."""
    return find_clips(store, set.intersection(*(set(read_config(run / STATE).held_out_groups) for run in runs)))


def find_clips(store: FrameStore, groups: Set[str]) -> list[int]:
    """Places in the store of the clips of these groups."""
    return [index for index, clip in enumerate(store.clips) if clip.group in groups]


def make_held_out_sets(
    store: FrameStore, clips: Sequence[int], n: SeqLen, spacing: int, spec: Preprocessing = DEFAULT
) -> Iterator[TimedSet]:
    """Evenly spaced sets as tensors, two of a clip, or each clip as one set; the same sets for every preprocessing.

    The frames of a store are small: one that wants a longer shorter edge gets them scaled up.
    """
    for index in clips:
        clip = store.clips[index]
        length = n or (clip.frames - 1) // spacing + 1
        if length < SIZES[0]:
            continue
        windows = find_even_windows(store, [index], length, spacing, per_clip=2 if n else 1)
        for frames in windows:
            images = [store.frame(number) for number in frames.tolist()]
            yield TimedSet(clip.name, clip.group, preprocess_set(images, spec))


def measure_held_out(
    models: Sequence[OrderingModel],
    store: FrameStore,
    clips: Sequence[int],
    seq_lens: Sequence[SeqLen],
    spacings: Sequence[int],
) -> list[Measured]:
    """Every model that takes the size, on every size and spacing; None is for whole clips, which are of any size."""
    results: list[Measured] = []
    for model in models:
        for n in (n for n in seq_lens if takes(model, n or SIZES[0])):
            for spacing in spacings:
                sets = make_held_out_sets(store, clips, n, spacing, model.preprocessing)
                results += measure_all([model], DATASET, sets, n, spacing)
    return results
