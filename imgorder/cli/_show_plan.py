"""How `rename` and `stamp` show their plans: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imgorder.changes.journal import Run
from imgorder.changes.plan import Plan
from imgorder.cli._show_order import DIRECTIONS, UNKNOWN_DIRECTION
from imgorder.cli._terminal import print_message
from imgorder.names import show, undo_command, word_count
from imgorder.ordering import LIKELY
from imgorder.permutations import MAX_EXACT
from imgorder.sorting.order_file import GIVEN

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
        belongs = "belongs" if others == 1 else "belong"
        more = (
            f" and {word_count(others, 'file')} that {belongs} to {'it' if photos == 1 else 'them'}" if others else ""
        )
        source = _source(planned.confidence, photos, planned.model, planned.direction)
        heading = f"{word_count(photos, 'photo')}{more}; {source}"
        numbers = iter(range(1, photos + 1))
        rows = [
            ("" if file.companion_of is not None else str(next(numbers)), file.old, file.new) for file in planned.files
        ]
        _print_set(console, planned.folder, heading, ("now", "then"), rows, planned.direction)
    if plan.copy_to is not None:
        console.print(Text(f"Copies go to {show(plan.copy_to)}; the originals stay as they are."), soft_wrap=True)
    console.print(f"Plan {plan.digest}", soft_wrap=True)


def print_stamps(plan: StampPlan, confidence: float, direction: str, model: str) -> None:
    """Old and new capture times, and a note where time zones differ."""
    console = Console(highlight=False)
    photos = len(plan.stamps)
    heading = f"{word_count(photos, 'photo')}; {_source(confidence, photos, model, direction)}"
    rows = [
        (
            str(place),
            each.name,
            str(each.before or (f"not understood: {each.unread}" if each.unread else "none")),
            "stays" if each.rewrite is None else _spell_time(each.time, each.rewrite.digits),
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
        return [
            f"Copied {word_count(sum(len(planned.files) for planned in plan.sets), 'file')} to {show(plan.copy_to)}."
        ]
    if not runs:
        return ["All files have these names already; nothing was changed."]
    changed = [planned for planned in plan.sets if planned.changing]
    return [
        f"Renamed {word_count(len(run.changes), 'file')}; taken back by: {undo_command(planned.folder, run.id)}"
        for planned, run in zip(changed, runs, strict=True)
    ]


def likely_order(confidence: float, photos: int, direction: str) -> float:
    """The probability that ``--min-confidence`` is compared with: of two photos either may be the first."""
    return 0.5 if photos == 2 and direction == "unknown" else confidence


@dataclass(frozen=True)
class Consent:
    """What the user accepts of an order that is carried out.

    Attributes:
        apply: whether it is; a plan that is only shown has to be as sure as the user asks for, and no more.
        least: ``--min-confidence``; None if it was not given.
        either: ``--either-direction``.
        made: whether the plan is one of a file, which is carried out as it is.
    """

    apply: bool
    least: float | None
    either: bool
    made: bool = False

    def refuses_any(self, plan: Plan) -> bool:
        """As `refuses`, for each set of a plan."""
        sets = plan.sets
        refused = [self.refuses(each.folder, len(each.photos), each.confidence, each.direction) for each in sets]
        return any(refused)  # of a list, so that each set gets its line

    def refuses(self, folder: Path, photos: int, confidence: float, direction: str) -> bool:
        """Whether this order is not to be carried out; then one line on stderr has said why.

        An order that is no more than a guess is carried out if the user accepts it by ``--min-confidence``, or answers
        yes at a terminal.
        """
        title, changed = show(folder), "nothing was changed"
        likely = likely_order(confidence, photos, direction)
        if self.least is not None and likely < self.least:
            print_message("unsure", f"{title}: confidence {likely:g} is below {self.least:g}; {changed}")
            return True
        if not self.apply:
            return False
        if direction == "unknown" and not self.either:
            tell, anyway = "--first FILE, --last FILE or --reverse", "--either-direction if it does not matter"
            cure = f"add {anyway}, or make the plan again with {tell}" if self.made else f"add {tell}, or {anyway}"
            print_message("unsure", f"{title}: which end is the first is not known; {changed}; {cure}")
            return True
        guess = f"{title}: a guess, confidence {confidence:g}"
        if self.least is None and confidence < LIKELY and not _confirm(guess):
            print_message("unsure", f"{guess}; {changed}; --min-confidence 0 carries it out")
            return True
        return False


def _confirm(what: str) -> bool:
    """A person's yes at a terminal; False where there is none."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(f"{what}. Carry it out?", err=True)


def _source(confidence: float, photos: int, model: str, direction: str) -> str:
    """Where an order comes from, for people. Of two photos nothing but the direction is asked, which no model knows."""
    if model == GIVEN:
        return "in the order given"
    if photos == 2 and direction in DIRECTIONS:
        return DIRECTIONS[direction]
    return f"{_sure(confidence, photos)}, by {model}"


def _sure(confidence: float, photos: int) -> str:
    """How sure an order is, for people."""
    if photos == 2:
        return "two photos, nothing to order"
    return f"order {confidence:.1%} sure" if photos <= MAX_EXACT else f"least sure place {confidence:.1%}"


def _spell_time(time: datetime, digits: int) -> str:
    """A time with as many decimals as are written; with one, as Python has it."""
    if digits == 1:
        return str(time)
    return f"{time.replace(microsecond=0)}.{f'{time.microsecond:06}'[:digits]}"


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
