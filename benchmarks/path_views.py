"""The baseline on what it is shown of a photo: the usual square in the middle, or photos squeezed whole.

    python benchmarks/path_views.py DAVIS/

A network that sees more of a photo than the baseline does is better for that as well. Results go to
docs/results/path-views.json, one listing a set; the baseline's answer does not depend on the listing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from imgorder.backends.path import PathBackend
from imgorder.evaluation.sets import davis_tensors
from imgorder.preprocess import DEFAULT, Preprocessing

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "path-views.json"
VIEWS = {"the square in the middle": DEFAULT, "photos of up to 9:5 whole": Preprocessing(112, 112, squeeze=1.8)}
SPACINGS = range(1, 9)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="root of DAVIS")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    rows = []
    for view, spec in VIEWS.items():
        sequences = davis_tensors(arguments.davis, spec).values()
        backend = PathBackend(spec)
        for n in (3, 4, 5, 6):
            accuracy = []
            for spacing in SPACINGS:
                length = (n - 1) * spacing + 1
                windows = [
                    each[at : at + length : spacing] for each in sequences for at in range(len(each) - length + 1)
                ]
                # Class 0 is the order in which the frames are given, which is the true one.
                right = [backend.logits(window[None])[0].argmax() == 0 for window in windows]
                accuracy.append(round(100 * float(np.mean(right)), 2))
            rows.append({"view": view, "dataset": f"davis-{len(sequences)}", "seq_len": n, "accuracy": accuracy})
            print(rows[-1], flush=True)
    arguments.json.write_text(
        json.dumps({"version": 1, "spacings": [*SPACINGS], "rows": rows}, indent=1) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
