"""Results files, and the tables that `imgorder evaluate` shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields

from imgorder.datasets.manifest import name_size
from imgorder.evaluation.measure import Measured, Row
from imgorder.evaluation.pooling import PooledRow, pool_rows
from imgorder.names import show

EMPTY = "–"


def results_json(results: Iterable[Measured]) -> str:
    """``{"version": 1, "rows": […], "pooled": […], "videos": […]}``, see ``docs/json.md``."""
    measured = list(results)
    told = ("model", "dataset", "seq_len", "spacing", "kind")
    videos = [{key: asdict(each.row)[key] for key in told} | {"accuracy": each.videos} for each in measured]
    rows = [asdict(each.row) for each in measured]
    together = [asdict(row) for row in pool_rows(measured)]
    return json.dumps({"version": 1, "rows": rows, "pooled": together, "videos": videos}, indent=1)


def results_csv(rows: Iterable[Row]) -> str:
    """Rows as comma-separated values with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()


def results_markdown(rows: Iterable[Row]) -> str:
    """Rows as a Markdown table, one line each; kinds and the calibration of places where there are any."""
    rows = list(rows)
    kinds, places = any(r.kind for r in rows), any(r.place_ece is not None for r in rows)
    columns = f"data, {'kind, ' if kinds else ''}n, spacing, model, exact match (95 %), chance, Kendall tau, neighbours"
    columns += f", ECE, {'ECE of places, ' if places else ''}sets, shown"
    lines = (
        f"{cell(r.dataset)} | {f'{cell(r.kind or EMPTY)} | ' if kinds else ''}{name_size(r.seq_len)} "
        f"| {_spacing(r.spacing)} | {cell(r.model)} | {_accuracy(r)} | {r.chance:.1f} "
        f"| {r.kendall_tau:.3f} | {r.adjacency:.3f} | {r.ece:.3f} | {_place_ece(r) if places else ''}"
        f"{r.sets} | {r.permutations}"
        for r in rows
    )
    return _table(columns, lines)


def pooled_markdown(rows: Iterable[PooledRow]) -> str:
    """Rows over all spacings as a Markdown table, one line each."""
    rows = list(rows)
    places = any(r.place_ece is not None for r in rows)
    columns = "data, n, spacings, model, exact match (95 %), mean confidence, ECE, "
    columns += f"{'ECE of places, ' if places else ''}chance, sets, shown"
    lines = (
        f"{cell(r.dataset)} | {name_size(r.seq_len)} | {', '.join(map(_spacing, r.spacings))} | {cell(r.model)} "
        f"| {_accuracy(r)} | {r.confidence:.1f} | {r.ece:.3f} | {_place_ece(r) if places else ''}"
        f"{r.chance:.1f} | {r.sets} | {r.permutations}"
        for r in rows
    )
    return _table(columns, lines)


def videos_markdown(results: Iterable[Measured]) -> str:
    """The exact match of each video as a Markdown table."""
    lines = (
        f"{cell(video)} | {name_size(each.row.seq_len)} | {_spacing(each.row.spacing)} | {cell(each.row.model)} "
        f"| {accuracy:.1f}"
        for each in results
        for video, accuracy in each.videos.items()
    )
    return _table("video, n, spacing, model, exact match", lines)


def cell(text: str) -> str:
    """A name from anywhere in a cell of a Markdown table."""
    return show(text).replace("|", "\\|")


def _table(columns: str, lines: Iterable[str]) -> str:
    names = columns.split(", ")
    return "\n".join(f"| {line} |" for line in (" | ".join(names), " | ".join(["---"] * len(names)), *lines))


def _accuracy(row: Row | PooledRow) -> str:
    return f"{row.accuracy:.1f} ({row.accuracy_low:.1f} to {row.accuracy_high:.1f})"


def _spacing(spacing: float) -> str:
    return f"{spacing:g}" if spacing else EMPTY


def _place_ece(row: Row | PooledRow) -> str:
    return f"{EMPTY if row.place_ece is None else format(row.place_ece, '.3f')} | "
