"""How `rename` shows its plan and what became of it: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgorder.changes.journal import Run
from imgorder.changes.plan import Plan, PlannedSet
from imgorder.cli import _options
from imgorder.cli._show_order import UNKNOWN_DIRECTION
from imgorder.names import show, undo_command


def as_json(plan: Plan, runs: Sequence[Run] | None) -> str:
    """The stable JSON of ``docs/json.md``: the plan, whether it was carried out, and by which runs."""
    outcome = {"applied": runs is not None, "runs": [run.id for run in runs or ()]}
    return json.dumps({**plan.record, **outcome}, indent=2, allow_nan=False)


def print_plan(plan: Plan) -> None:
    """Old and new names, set by set, and the digest."""
    console = Console(highlight=False)
    for planned in plan.sets:
        _print_set(console, planned)
    if plan.copy_to is not None:
        console.print(Text(f"Copies go to {show(plan.copy_to)}; the originals stay as they are."), soft_wrap=True)
    console.print(f"Plan {plan.digest}", soft_wrap=True)


def outcome(plan: Plan, runs: Sequence[Run] | None, plan_file: Path | None) -> list[str]:
    """Lines of what was done, and how to take it back; or that nothing was, and how to do it."""
    if runs is None:
        how = "--apply carries it out" if plan_file is None else f"written to {show(plan_file)}, --apply carries it out"
        return [f"Nothing was changed; {how}."]
    if plan.copy_to is not None:
        return [f"Copied {sum(len(planned.files) for planned in plan.sets)} files to {show(plan.copy_to)}."]
    if not runs:
        return ["All files have these names already; nothing was changed."]
    changed = [planned for planned in plan.sets if planned.changing]
    return [
        f"Renamed {len(run.changes)} files; taken back by: {undo_command(planned.folder, run.id)}"
        for planned, run in zip(changed, runs, strict=True)
    ]


def likely(planned: PlannedSet) -> float:
    """The probability of its order, for ``--min-confidence``."""
    return _options.likely(planned.confidence, len(planned.photos), planned.direction)


def title(planned: PlannedSet) -> str:
    """The folder, for people."""
    return show(planned.folder)


def _print_set(console: Console, planned: PlannedSet) -> None:
    photos = len(planned.photos)
    others = len(planned.files) - photos
    more = f" and {others} files that belong to them" if others else ""
    sure = f"{_options.sure(planned.confidence, photos)}, by {planned.model}"
    console.print(Text(f"{title(planned)}: {photos} photos{more}; {show(sure)}"), soft_wrap=True)
    table = Table()
    table.add_column("", justify="right")
    table.add_column("now", overflow="fold")
    table.add_column("then", overflow="fold", style="bold")
    place = 0
    for file in planned.files:
        place += file.companion_of is None
        number = str(place) if file.companion_of is None else ""
        table.add_row(number, Text(show(file.old)), Text(show(file.new)))
    console.print(table)
    if planned.direction == "unknown":
        console.print(UNKNOWN_DIRECTION, soft_wrap=True)
