"""Write what a report of coverage.py says of each room of the package into docs/results/coverage.json.

    python docs/summarise_coverage.py REPORT.json

`make coverage` runs it.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "coverage.json"
COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def main() -> None:
    """Read the report, write the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="from `pytest --cov --cov-report json:REPORT.json`")
    summary = summarise(json.loads(parser.parse_args().report.read_bytes()))
    RESULTS.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")


def summarise(report: dict[str, Any]) -> dict[str, Any]:
    """Percent of lines and of branches that the tests run through, of the package and of each room.

    Loose modules are one room, ``imgorder``.
    """
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for file, measured in report["files"].items():
        names = Path(file).parts
        room = names[1] if len(names) > 2 else names[0]
        rooms[room].update({name: measured["summary"][name] for name in COUNTED})
    package = sum(rooms.values(), Counter[str]())
    return {"version": 1, **_shares(package), "rooms": {room: _shares(rooms[room]) for room in sorted(rooms)}}


def _shares(counts: Counter[str]) -> dict[str, float]:
    def share(part: str, whole: str) -> float:
        return round(100 * counts[part] / counts[whole], 1) if counts[whole] else 100.0

    return {
        "lines": share("covered_lines", "num_statements"),
        "branches": share("covered_branches", "num_branches"),
    }


if __name__ == "__main__":
    main()
