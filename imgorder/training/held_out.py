"""Exact match on the groups that a run keeps out of training."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from imgorder.evaluation.measure import Measured, measure
from imgorder.evaluation.sets import TimedSet
from imgorder.evaluation.tables import results_json, results_markdown
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.preprocess import DEFAULT, Preprocessing, preprocess_set
from imgorder.training.checkpoint import read_config
from imgorder.training.sources import even_windows
from imgorder.training.store import FrameStore
from imgorder.training.tool import one_line_errors
from imgorder.training.trainer import STATE

DATASET = "held-out clips"


def held_out_clips(store: FrameStore, *runs: Path) -> list[int]:
    """Places in the store of the clips whose group the run kept out; of several runs, all of them."""
    return clips_of(store, set.intersection(*(set(read_config(run / STATE).held_out_groups) for run in runs)))


def clips_of(store: FrameStore, groups: Set[str]) -> list[int]:
    """Places in the store of the clips of these groups."""
    return [index for index, clip in enumerate(store.clips) if clip.group in groups]


def held_out_sets(
    store: FrameStore, clips: Sequence[int], n: int, spacing: int, spec: Preprocessing = DEFAULT
) -> Iterator[TimedSet]:
    """Evenly spaced sets, two of a clip, as tensors; the same sets for every preprocessing.

    The frames of a store are small: one that wants a longer shorter edge gets them scaled up.
    """
    for index in clips:
        clip = store.clips[index]
        for frames in even_windows(store, [index], n, spacing):
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
    results = []
    for model in models:
        for n in (n for n in seq_lens if n in model.sizes):
            for spacing in spacings:
                sets = held_out_sets(store, clips, n, spacing, model.preprocessing)
                measured = measure(model, DATASET, sets, n, spacing)
                results += [measured] if measured is not None else []
    return results


def main(argv: list[str] | None = None) -> None:
    """``python -m imgorder.training.held_out RUN… --frames DIR --results FILE``."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.held_out", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="the runs that kept the groups out; several: all of them")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of the run")
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--spacing", nargs="+", type=int, default=list(range(1, 9)))
    parser.add_argument("--results", type=Path, required=True, help="results file, JSON")
    arguments = parser.parse_args(argv)
    if not arguments.results.absolute().parent.is_dir():
        parser.error(f"there is no folder for {arguments.results}; make it first")
    with one_line_errors(parser):
        store = FrameStore(arguments.frames)
        clips = held_out_clips(store, *arguments.runs)
        models = [load_model(name) for name in arguments.models]
    if not clips:
        parser.error(f"no clip of {arguments.frames} is of a group that {', '.join(map(str, arguments.runs))} held out")
    results = measure_held_out(models, store, clips, arguments.seq_len, arguments.spacing)
    arguments.results.write_text(results_json(results) + "\n", "utf-8")
    print(results_markdown(each.row for each in results))


if __name__ == "__main__":
    main()
