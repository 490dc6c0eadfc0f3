"""How `rename` and `stamp` show their plans: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgorder.changes.journal import Run
from imgorder.changes.plan import Plan, PlannedSet
from imgorder.cli._show_order import UNKNOWN_DIRECTION
from imgorder.cli._terminal import print_message
from imgorder.names import show, undo_command
from imgorder.order_file import GIVEN

if TYPE_CHECKING:
    from imgorder.changes.stamp import StampPlan


def as_json(plan: Plan, runs: Sequence[Run] | None) -> str:
    """The stable JSON of ``docs/json.md``: the plan, whether it was carried out, and by which runs."""
    result = {"applied": runs is not None, "runs": [run.id for run in runs or ()]}
    return json.dumps({**plan.record, **result}, indent=2, allow_nan=False)


def print_plan(plan: Plan) -> None:
    """Old and new names, set by set, and the digest."""
    console = Console(highlight=False)
    for planned in plan.sets:
        photos = len(planned.photos)
        others = len(planned.files) - photos
        more = f" and {others} files that belong to them" if others else ""
        source = f"{_sure(planned.confidence, photos)}, by {planned.model}"
        heading = f"{photos} photos{more}; {'in the order given' if planned.model == GIVEN else source}"
        numbers = iter(range(1, photos + 1))
        rows = [
            ("" if file.companion_of is not None else str(next(numbers)), file.old, file.new) for file in planned.files
        ]
        _print_set(console, planned.folder, heading, ("now", "then"), rows, planned.direction)
    if plan.copy_to is not None:
        console.print(Text(f"Copies go to {show(plan.copy_to)}; the originals stay as they are."), soft_wrap=True)
    console.print(f"Plan {plan.digest}", soft_wrap=True)


def print_stamps(plan: StampPlan, confidence: float, direction: str) -> None:
    """Old and new capture times, and a note where time zones differ."""
    console = Console(highlight=False)
    heading = f"{len(plan.stamps)} photos; {_sure(confidence, len(plan.stamps))}"
    rows = [
        (
            str(place),
            each.name,
            str(each.before or (f"not understood: {each.unread}" if each.unread else "none")),
            str(each.time),
        )
        for place, each in enumerate(plan.stamps, start=1)
    ]
    _print_set(console, plan.folder, heading, ("photo", "capture time now", "then"), rows, direction)
    if len({each.zone for each in plan.stamps}) > 1:
        zones = ", ".join(f"{show(each.name)} {each.zone or 'none'}" for each in plan.stamps)
        console.print(f"Their time zones differ and stay as they are ({zones}).", soft_wrap=True, markup=False)
        console.print("A program that uses time zones may show them in another order.", soft_wrap=True)


def describe_outcome(plan: Plan, runs: Sequence[Run] | None, plan_file: Path | None) -> list[str]:
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
    return likely_order(planned.confidence, len(planned.photos), planned.direction)


def likely_order(confidence: float, photos: int, direction: str) -> float:
    """The probability that ``--min-confidence`` is compared with: of two photos either may be the first."""
    return 0.5 if photos == 2 and direction == "unknown" else confidence


def tell_unsure(title: str, confidence: float, least: float) -> None:
    """One line on stderr for a set whose order is not sure enough."""
    print_message("unsure", f"{title}: confidence {confidence:g} is below {least:g}; nothing was changed")


def _sure(confidence: float, photos: int) -> str:
    """How sure an order is, for people. Of two photos nothing but the direction is asked, which nobody knows."""
    return "two photos, nothing to order" if photos == 2 else f"order {confidence:.1%} sure"


def _print_set(
    console: Console,
    folder: Path,
    heading: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    direction: str,
) -> None:
    console.print(Text(show(f"{folder}: {heading}")), soft_wrap=True)
    table = Table()
    table.add_column("", justify="right")
    for name in columns:
        table.add_column(name, overflow="fold", style="bold" if name == columns[-1] else None)
    for row in rows:
        table.add_row(*(Text(show(cell)) for cell in row))
    console.print(table)
    if direction == "unknown":
        console.print(UNKNOWN_DIRECTION, soft_wrap=True)
