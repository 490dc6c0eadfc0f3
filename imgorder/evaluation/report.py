"""Results files, and the Markdown tables that are written from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from imgorder.evaluation.measure import Row

# Kanojia & Raman 2020, Table V: DAVIS, 50 sequences, spacing 1 to 8, as measured by its authors.
PAPER_TABLE_V = {
    4: (92.99, 93.43, 91.8, 87.61, 84.04, 80.90, 77.35, 74.74),
    6: (90.7, 89.7, 84.5, 77.7, 72.3, 68.2, 64.6, 62.2),
}


def write_results(rows: Iterable[Row], path: Path) -> None:
    """Write rows as JSON: ``{"version": 1, "rows": […]}``."""
    path.write_text(json.dumps({"version": 1, "rows": [asdict(row) for row in rows]}, indent=1) + "\n", "utf-8")


def read_results(path: Path) -> list[Row]:
    """Rows of a results file."""
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))["rows"]]


def accuracy_table(rows: Sequence[Row], with_paper: bool = True) -> str:
    """Exact match in percent, a row for each set size and model, a column for each spacing.

    Where asked for, the paper's figures stand below ours, marked as measured on other data.
    """
    return _table(rows, lambda row: f"{row.accuracy:.1f}", with_paper)


def calibration_table(rows: Sequence[Row]) -> str:
    """Expected calibration error, laid out as `accuracy_table`; the baseline is not calibrated and left out."""
    return _table([row for row in rows if row.model != "path"], lambda row: f"{row.ece:.3f}", with_paper=False)


def _table(rows: Sequence[Row], value: Callable[[Row], str], with_paper: bool) -> str:
    spacings = sorted({row.spacing for row in rows})
    lines = [
        "| n | spacing (frames) | " + " | ".join(str(spacing) for spacing in spacings) + " |",
        "| --- | --- |" + " --- |" * len(spacings),
    ]

    def add(n: int, name: str, cells: Iterable[str]) -> None:
        lines.append(f"| {n} | {name} | " + " | ".join(cells) + " |")

    for n in sorted({row.seq_len for row in rows}):
        found = {(row.model, row.spacing): row for row in rows if row.seq_len == n}
        models = dict.fromkeys(row.model for row in rows)
        for model in models:
            add(n, model, (value(found[model, spacing]) for spacing in spacings))
        if with_paper and n in PAPER_TABLE_V:
            add(n, "paper, Table V: 50 sequences, by its authors", (f"{PAPER_TABLE_V[n][s - 1]:.1f}" for s in spacings))
        first = next(iter(models))
        add(n, "sets, each in 1 permutation", (str(found[first, spacing].sets) for spacing in spacings))
        add(n, "chance", (f"{found[first, spacing].chance:.1f}" for spacing in spacings))
    return "\n".join(lines)


def fill(document: Path, name: str, text: str) -> None:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->`` in a document.

    Raises:
        ValueError: if the marks are not there.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = document.read_text("utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document}: has no place marked {name}")
    document.write_text(f"{head}{begin}\n{text}\n{end}{tail}", "utf-8")
