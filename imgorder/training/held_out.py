"""Exact match on the groups that a run keeps out of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from imgorder.evaluation.measure import Measured, measure_all
from imgorder.evaluation.sets import TimedSet
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import DEFAULT, Preprocessing, preprocess_set
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
    store: FrameStore, clips: Sequence[int], n: int, spacing: int, spec: Preprocessing = DEFAULT
) -> Iterator[TimedSet]:
    """Evenly spaced sets, two of a clip, as tensors; the same sets for every preprocessing.

    The frames of a store are small: one that wants a longer shorter edge gets them scaled up.
    """
    for index in clips:
        clip = store.clips[index]
        for frames in find_even_windows(store, [index], n, spacing):
            images = [store.frame(number) for number in frames.tolist()]
            yield TimedSet(clip.name, clip.group, preprocess_set(images, spec))


def measure_held_out(
    models: Sequence[OrderingModel],
    store: FrameStore,
    clips: Sequence[int],
    seq_lens: Sequence[int],
    spacings: Sequence[int],
) -> list[Measured]:
    """Every model that takes the size, on every size and spacing."""
    results: list[Measured] = []
    for model in models:
        for n in (n for n in seq_lens if n in model.sizes):
            for spacing in spacings:
                sets = make_held_out_sets(store, clips, n, spacing, model.preprocessing)
                results += measure_all([model], DATASET, sets, n, spacing)
    return results
