"""How `sort` shows its results: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgorder.names import show
from imgorder.ordering import Ordering
from imgorder.sorting import SortedSet

UNKNOWN_DIRECTION = (
    "Whether this runs forward or backward is not known from the pictures; --first FILE or --reverse tells."
)


def as_json(results: Sequence[SortedSet], limit: int | None) -> str:
    """The stable JSON of ``docs/json.md``. Names with bytes that are not UTF-8 hold lone surrogates."""
    return json.dumps({"version": 1, "sets": [_set_as_json(result, limit) for result in results]}, indent=2)


def print_tables(
    results: Sequence[SortedSet],
    limit: int | None,
    written: Sequence[Sequence[Path]] = (),
    strips: Sequence[str] = (),
) -> None:
    """A listing, the predicted order beside the runner-up, and what is not known, set by set.

    Args:
        limit: how many orders to list with their probability; None for all.
        written: the files written for each set.
        strips: thumbnails of each set, as the terminal takes them.
    """
    console = Console(highlight=False)
    for number, result in enumerate(results):
        if number:
            console.print()
        _print_set(console, result, limit)
        if strips:
            print(strips[number])
        if written:
            console.print(Text(f"Written: {', '.join(show(file) for file in written[number])}"), soft_wrap=True)


def _set_as_json(result: SortedSet, limit: int | None) -> dict[str, Any]:
    assert result.ordering is not None  # it was sorted now
    return {
        "folder": str(result.photos.folder),
        "order": result.names(result.order),
        "confidence": result.confidence,
        "direction": result.direction,
        "model": result.model,
        "backend": result.backend,
        "votes": result.votes,
        "classes": [
            {"order": result.names(order), "probability": round(probability, 6)}
            for order, probability in result.ordering.ranking()[:limit]
        ],
    }


def _print_set(console: Console, result: SortedSet, limit: int | None) -> None:
    files = result.photos.files
    listing = ", ".join(show(result.photos.name(file)) for file in files)
    console.print(Text(f"{result.title}: {len(files)} photos: {listing}"), soft_wrap=True)
    if len(files) == 2:
        console.print("Two photos: nothing to order, since an order and its reverse are one.")
        if result.direction == "unknown":
            return
    assert result.ordering is not None
    ranking = result.ordering.ranking()
    table = Table()
    table.add_column("", justify="right")
    table.add_column(f"order ({ranking[0][1]:.1%})", overflow="fold", style="bold")
    columns = [ranking[0][0]]
    if len(ranking) > 1:
        table.add_column(f"runner-up ({ranking[1][1]:.1%})", overflow="fold", style="dim")
        columns.append(ranking[1][0])
    for place, row in enumerate(zip(*(result.names(order) for order in columns), strict=True), start=1):
        table.add_row(str(place), *(Text(show(name)) for name in row))
    console.print(table)
    if limit is None or limit > 2:
        _print_classes(console, result, result.ordering, limit)
    if result.direction == "unknown":
        console.print(UNKNOWN_DIRECTION, soft_wrap=True)


def _print_classes(console: Console, result: SortedSet, ordering: Ordering, limit: int | None) -> None:
    ranking = ordering.ranking()[:limit]
    table = Table(title=f"{len(ranking)} of {len(ordering.classes)} orders")
    table.add_column("probability", justify="right")
    table.add_column("order", overflow="fold")
    for order, probability in ranking:
        table.add_row(f"{probability:.2%}", Text(", ".join(show(name) for name in result.names(order))))
    console.print(table)
