"""The baseline on photos that are squeezed whole, rather than on the usual square in their middle.

    python benchmarks/path_views.py DAVIS/

A network that sees more of a photo than the baseline does is better for that as well. Results go to
docs/results/path-views.json, on the sets and listings of `imgorder evaluate`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from imgorder.evaluation.measure import Measured, measure_all
from imgorder.evaluation.sets import DavisWindows
from imgorder.evaluation.tables import results_json
from imgorder.inference.backends.path import PathBackend
from imgorder.inference.cards import BASELINE
from imgorder.inference.predictor import Network, load_model
from imgorder.media.preprocess import Preprocessing
from imgorder.permutations import SIZES

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "path-views.json"
WHOLE = Preprocessing(112, 112, squeeze=1.8)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="root of DAVIS")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    whole = dict.fromkeys(SIZES, Network(PathBackend(WHOLE)))
    path = replace(load_model(BASELINE), name="path, photos whole", networks=whole, preprocessing=WHOLE)
    windows = DavisWindows(arguments.davis)
    found: list[Measured] = []
    for n in path.sizes:
        for spacing in range(1, 9):
            sets = windows.sets(n, spacing, WHOLE)
            for measured in measure_all([path], f"davis-{windows.sequences}", sets, n, spacing):
                found.append(measured)
                print(measured.row, flush=True)
    arguments.json.write_text(results_json(found) + "\n", "utf-8")


if __name__ == "__main__":
    main()
