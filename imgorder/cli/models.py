"""``imgorder models``: which models there are, and what they score."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from imgorder.cli._errors import one_line_errors


@one_line_errors
def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """List the models that are there, with their figures."""
    from rich.console import Console
    from rich.table import Table

    from imgorder import registry

    cards = registry.cards()
    if as_json:
        print(json.dumps({"version": 1, "models": [asdict(card) for card in cards]}, indent=2))
        return
    console = Console(highlight=False)
    for card in cards:
        sizes = f"{min(card.sizes)} to {max(card.sizes)} photos"
        files = ", ".join(f"{kind} {entry['bytes'] / 1e6:.1f} MB" for kind, entry in card.files.items())
        mark = " (default)" if card.name == registry.DEFAULT_MODEL else ""
        console.print(f"[bold]{card.name}[/bold]{mark}: {card.about}")
        console.print(f"  family {card.family}, {sizes}, {files or 'no files'}")
        if card.figures:
            table = Table("data", "n", "spacing", "sets", "exact match", "path baseline")
            for row in card.figures:
                table.add_row(
                    row["dataset"],
                    str(row["seq_len"]),
                    str(row["spacing"]),
                    str(row["sets"]),
                    f"{row['accuracy']:.1f} %",
                    f"{row['baseline']:.1f} %",
                )
            console.print(table)
