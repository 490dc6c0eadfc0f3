"""``python -m imgorder.evaluation --results FILE``: measure models on DAVIS, or on held-out clips.

``--davis ROOT`` takes all windows of the sequences in a folder that holds JPEGImages/480p;
``--clips STORE`` takes sets of the groups that training keeps out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from imgorder.evaluation.measure import measure
from imgorder.evaluation.report import write_results
from imgorder.evaluation.windows import all_windows, davis_sequences
from imgorder.predictor import load_model
from imgorder.preprocess import Tensor, normalise


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.evaluation", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--davis", type=Path, metavar="ROOT")
    source.add_argument("--clips", type=Path, metavar="STORE")
    parser.add_argument("--dataset", required=True, help="name of the data in the results")
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--spacing", nargs="+", type=int, default=list(range(1, 9)))
    parser.add_argument("--results", type=Path, required=True, help="results file, JSON")
    arguments = parser.parse_args(argv)
    sets = _davis(arguments.davis) if arguments.davis is not None else _held_out(arguments.clips)
    rows = []
    for name in arguments.models:
        model = load_model(name)
        for n in arguments.seq_len:
            for spacing in arguments.spacing:
                rows.append(measure(model, arguments.dataset, sets(n, spacing), n, spacing))
                print(rows[-1], flush=True)
    write_results(rows, arguments.results)


def _davis(root: Path) -> Callable[[int, int], Iterable[Tensor]]:
    sequences = davis_sequences(root)
    return lambda n, spacing: all_windows(sequences, n, spacing)


def _held_out(folder: Path) -> Callable[[int, int], Iterable[Tensor]]:
    from imgorder.training.clips import ClipStore, split_by_group
    from imgorder.training.windows import validation_sets

    store = ClipStore(folder)
    _, held_out = split_by_group(store.clips)
    return lambda n, spacing: map(normalise, validation_sets(store, held_out, n, spacing))


if __name__ == "__main__":
    main()
