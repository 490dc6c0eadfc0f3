"""Results files, and the tables that are written from them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from imgorder.evaluation.measure import Measured, Row
from imgorder.evaluation.pooled import PooledRow, pooled
from imgorder.names import show

# Kanojia & Raman 2020, Table V: DAVIS, 50 sequences, spacing 1 to 8, as measured by its authors.
PAPER_TABLE_V = {
    4: (92.99, 93.43, 91.8, 87.61, 84.04, 80.90, 77.35, 74.74),
    6: (90.7, 89.7, 84.5, 77.7, 72.3, 68.2, 64.6, 62.2),
}


def results_json(results: Iterable[Measured]) -> str:
    """``{"version": 1, "rows": […], "pooled": […], "videos": […]}``, see ``docs/json.md``."""
    measured = list(results)
    videos = [
        {key: asdict(each.row)[key] for key in ("model", "dataset", "seq_len", "spacing")} | {"accuracy": each.videos}
        for each in measured
    ]
    rows = [asdict(each.row) for each in measured]
    together = [asdict(row) for row in pooled(measured)]
    return json.dumps({"version": 1, "rows": rows, "pooled": together, "videos": videos}, indent=1)


def read_results(path: Path) -> list[Row]:
    """Rows of a results file."""
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))["rows"]]


def results_csv(rows: Iterable[Row]) -> str:
    """Rows as comma-separated values with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()


def results_markdown(rows: Iterable[Row]) -> str:
    """Rows as a Markdown table, one line each."""
    lines = [
        "| data | n | spacing | model | exact match (95 %) | chance | Kendall tau | neighbours | ECE | sets | shown |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        lines.append(
            f"| {cell(r.dataset)} | {r.seq_len} | {r.spacing:g} | {cell(r.model)} | {_accuracy(r)} | {r.chance:.1f} "
            f"| {r.kendall_tau:.3f} | {r.adjacency:.3f} | {r.ece:.3f} | {r.sets} | {r.permutations} |"
        )
    return "\n".join(lines)


def cell(text: str) -> str:
    """A name from anywhere in a cell of a Markdown table."""
    return show(text).replace("|", "\\|")


def pooled_markdown(rows: Iterable[PooledRow]) -> str:
    """Rows over all spacings as a Markdown table, one line each."""
    lines = [
        "| data | n | spacings | model | exact match (95 %) | mean confidence | ECE | chance | sets | shown |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in rows:
        spacings = ", ".join(f"{spacing:g}" for spacing in r.spacings)
        lines.append(
            f"| {cell(r.dataset)} | {r.seq_len} | {spacings} | {cell(r.model)} | {_accuracy(r)} "
            f"| {r.confidence:.1f} | {r.ece:.3f} | {r.chance:.1f} | {r.sets} | {r.permutations} |"
        )
    return "\n".join(lines)


def accuracy_table(rows: Sequence[Row], with_paper: bool = True) -> str:
    """Exact match in percent, a row for each set size and model, a column for each spacing.

    Where asked for, the paper's figures stand below ours, marked as measured on other data.
    """
    return _by_spacing(rows, lambda row: f"{row.accuracy:.1f}", with_paper, with_chance=True)


def calibration_table(rows: Sequence[Row]) -> str:
    """Expected calibration error, laid out as `accuracy_table`; the baseline is not calibrated and left out."""
    networks = [row for row in rows if row.model != "path"]
    return _by_spacing(networks, lambda row: f"{row.ece:.3f}")


def filled(document: Path, name: str, text: str) -> str:
    """A document's text with ``text`` between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        ValueError: if the marks are not there.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = document.read_text("utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document}: has no place marked {name}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def _accuracy(row: Row | PooledRow) -> str:
    return f"{row.accuracy:.1f} ({row.accuracy_low:.1f} to {row.accuracy_high:.1f})"


def _by_spacing(
    rows: Sequence[Row], value: Callable[[Row], str], with_paper: bool = False, with_chance: bool = False
) -> str:
    spacings = sorted({row.spacing for row in rows})
    lines = [
        "| n | spacing (frames) | " + " | ".join(f"{spacing:g}" for spacing in spacings) + " |",
        "| --- | --- |" + " --- |" * len(spacings),
    ]

    def add(n: int, name: str, cells: Iterable[str]) -> None:
        lines.append(f"| {n} | {name} | " + " | ".join(cells) + " |")

    def shown(row: Row | None, value: Callable[[Row], str]) -> str:
        return "–" if row is None else value(row)

    for n in sorted({row.seq_len for row in rows}):
        found = {(row.model, row.spacing): row for row in rows if row.seq_len == n}
        models = dict.fromkeys(row.model for row in rows)
        for model in models:
            add(n, model, (shown(found.get((model, spacing)), value) for spacing in spacings))
        if with_paper and n in PAPER_TABLE_V:
            figures: dict[float, float] = dict(enumerate(PAPER_TABLE_V[n], start=1))
            cells = (f"{figures[spacing]:g}" if spacing in figures else "" for spacing in spacings)
            add(n, "paper, Table V: 50 sequences, by its authors", cells)
        first = [found.get((next(iter(models)), spacing)) for spacing in spacings]
        if with_chance:
            add(n, "chance", (shown(row, lambda row: f"{row.chance:.1f}") for row in first))
        add(n, "sets", (shown(row, lambda row: str(row.sets)) for row in first))
        add(n, "permutations of each set", (shown(row, lambda row: str(row.permutations)) for row in first))
    return "\n".join(lines)
