"""What training runs reached after so many steps, by their own validations; see docs/reproduction.md.

    python benchmarks/training_curves.py "n = 4, 80 px=runs/first" "n = 4, 112 px=runs/second"

Reads the `metrics.csv` of each run and writes docs/results/training-curves.json, with each run under its label.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "training-curves.json"


def main() -> None:
    """Write the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="LABEL=RUN", help="what to call a run, and its folder")
    given = parser.parse_args()
    pairs = [each.rpartition("=") for each in given.runs]
    rows = [row for label, _, run in pairs for row in read_validations(label, Path(run))]
    RESULTS.write_text(json.dumps({"version": 1, "rows": rows}, indent=1) + "\n", "utf-8")


def read_validations(label: str, run: Path) -> Iterator[dict[str, Any]]:
    """The steps of a run at which it validated, with its losses and the exact match at each spacing."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            exact = [float(value) for name, value in row.items() if name.startswith("val_n")]
            losses = {name: float(row[name]) for name in ("loss", "val_loss")}
            yield {"run": label, "step": int(float(row["step"])), **losses, "exact": exact}


if __name__ == "__main__":
    main()
