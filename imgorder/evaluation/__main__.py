"""``python -m imgorder.evaluation DAVIS --results FILE``: measure models on a DAVIS root.

With ``--fill DOCUMENT…`` the tables of those documents are written from the results file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imgorder.evaluation.measure import measure
from imgorder.evaluation.report import accuracy_table, fill, read_results, write_results
from imgorder.evaluation.windows import davis_sequences
from imgorder.predictor import load_model


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.evaluation", description=__doc__)
    parser.add_argument("root", type=Path, nargs="?", help="folder that holds JPEGImages/480p; omit to only fill")
    parser.add_argument("--dataset", default="davis", help="name of the data in the results")
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[4, 6])
    parser.add_argument("--spacing", nargs="+", type=int, default=list(range(1, 9)))
    parser.add_argument("--results", type=Path, required=True, help="results file, JSON")
    parser.add_argument("--fill", nargs="*", type=Path, default=[], help="documents with a place marked accuracy")
    arguments = parser.parse_args(argv)
    if arguments.root is not None:
        sequences = davis_sequences(arguments.root)
        rows = []
        for name in arguments.models:
            model = load_model(name)
            for n in arguments.seq_len:
                for spacing in arguments.spacing:
                    rows.append(measure(model, arguments.dataset, sequences, n, spacing))
                    print(rows[-1], flush=True)
        write_results(rows, arguments.results)
    for document in arguments.fill:
        fill(document, "accuracy", accuracy_table(read_results(arguments.results)))


if __name__ == "__main__":
    main()
