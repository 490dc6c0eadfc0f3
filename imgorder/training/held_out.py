"""Exact match on the groups that training keeps out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgorder.evaluation.measure import Measured, measure
from imgorder.evaluation.report import results_json, results_markdown
from imgorder.evaluation.sets import TimedSet
from imgorder.predictor import load_model
from imgorder.preprocess import normalise
from imgorder.training.checkpoint import read_config
from imgorder.training.clips import Clip, ClipStore
from imgorder.training.windows import validation_sets


def held_out_sets(store: ClipStore, clips: Sequence[Clip], n: int, spacing: int) -> Iterator[TimedSet]:
    """The sets on which training validates, as tensors."""
    for clip in clips:
        for images in validation_sets(store, [clip], n, spacing):
            yield TimedSet(clip.name, clip.group, normalise(images))


def main(argv: list[str] | None = None) -> None:
    """``python -m imgorder.training.held_out RUN --store DIR --results FILE``."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.held_out", description=__doc__)
    parser.add_argument("run", type=Path, help="the run that kept the groups out")
    parser.add_argument("--store", type=Path, required=True, help="decoded clips")
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--spacing", nargs="+", type=int, default=list(range(1, 9)))
    parser.add_argument("--results", type=Path, required=True, help="results file, JSON")
    arguments = parser.parse_args(argv)
    store = ClipStore(arguments.store)
    groups = read_config(arguments.run / "state.safetensors").held_out_groups
    held_out = [clip for clip in store.clips if clip.group in groups]
    if not held_out:
        parser.error(f"no clip of {arguments.store} is of a group that {arguments.run} held out")
    results: list[Measured] = []
    for model in map(load_model, arguments.models):
        for n in arguments.seq_len:
            for spacing in arguments.spacing:
                sets = held_out_sets(store, held_out, n, spacing)
                measured = measure(model, "held-out clips", sets, n, spacing)
                results += [measured] if measured is not None else []
    arguments.results.write_text(results_json(results) + "\n", "utf-8")
    print(results_markdown(each.row for each in results))


if __name__ == "__main__":
    main()
