"""``imgorder stamp``: show which capture times photos would get in their order, and write them if told to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli import _ordered
from imgorder.cli._errors import one_line_errors, tell
from imgorder.cli._output import or_on_stderr
from imgorder.ending import exit_code
from imgorder.errors import EXIT_UNSURE, UsageError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.stamping import StampPlan


@one_line_errors
def stamp(
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="Of the first photo: '2024-05-01 12:00:00'.")],
    paths: _ordered.Paths = None,
    step: Annotated[
        str, typer.Option("--step", metavar="TIME", help="From one photo to the next: 1s, 500ms, 2m.")
    ] = "1s",
    apply: _ordered.Apply = False,
    overwrite_times: Annotated[
        bool, typer.Option("--overwrite-times", help="Also replace capture times that are there already.")
    ] = False,
    order: _ordered.Order = None,
    first: _ordered.First = None,
    reverse: _ordered.Reverse = False,
    min_confidence: _ordered.MinConfidence = 0.0,
    model: _ordered.Model = "default",
    backend: _ordered.Backend = "auto",
    threads: _ordered.Threads = None,
    votes: _ordered.Votes = 1,
) -> None:
    """Give JPEGs capture times in their order. Shows the plan; --apply carries it out, `imgorder undo` takes it back.

    Writes the EXIF fields DateTimeOriginal and SubSecTimeOriginal. Times that are there are kept, unless you
    say --overwrite-times.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.renaming.apply import refuse_interrupted
    from imgorder.renaming.commands import undo_command
    from imgorder.stamping import apply_stamps, make_stamps, parse_start, parse_step

    began, between = parse_start(start), parse_step(step)
    if not paths and order is None:
        raise UsageError("give photos, or a folder of photos")
    order_file = _ordered.read(order)
    refuse_interrupted(_ordered.folders_of(paths or [], order_file))
    sets = _ordered.ordered_sets(paths or [], order_file, first or [], reverse, model, backend, threads, votes)
    plan = make_stamps(sets, began, between, overwrite=overwrite_times)
    confidence = _ordered.likely(sets[0].confidence, len(plan.stamps), sets[0].direction)
    _print_plan(plan, sets[0].confidence, sets[0].direction)
    sys.stdout.flush()  # the plan is seen before it is carried out, or nothing is
    if confidence < min_confidence:
        _ordered.tell_unsure(show(plan.folder), confidence, min_confidence)
        raise typer.Exit(EXIT_UNSURE)
    if not apply:
        print("Nothing was changed; --apply carries it out.")
        return
    try:
        run = apply_stamps(plan)
    except (KeyboardInterrupt, SystemExit) as stop:
        tell("stopped", "interrupted; what was under way was taken back")
        raise typer.Exit(exit_code(stop)) from stop
    if run is None:
        print("All photos have these times already; nothing was changed.")
        return
    outcome = f"Stamped {len(run.changes)} photos; taken back by: {undo_command(plan.folder, run.id)}"
    with or_on_stderr([outcome]):
        print(outcome)


def _print_plan(plan: StampPlan, confidence: float, direction: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from imgorder.cli._sorted import UNKNOWN_DIRECTION

    console = Console(highlight=False)
    heading = f"{show(plan.folder)}: {len(plan.stamps)} photos; {_ordered.sure(confidence, len(plan.stamps))}"
    console.print(Text(heading), soft_wrap=True)
    table = Table()
    table.add_column("", justify="right")
    table.add_column("photo", overflow="fold")
    table.add_column("capture time now", overflow="fold")
    table.add_column("then", overflow="fold", style="bold")
    for place, each in enumerate(plan.stamps, start=1):
        table.add_row(str(place), Text(show(each.name)), str(each.before or "none"), str(each.time))
    console.print(table)
    if direction == "unknown":
        console.print(UNKNOWN_DIRECTION, soft_wrap=True)
    if not plan.one_zone:
        zones = ", ".join(f"{show(each.name)} {each.zone or 'none'}" for each in plan.stamps)
        console.print(f"Their time zones differ and stay as they are ({zones}).", soft_wrap=True, markup=False)
        console.print("A program that heeds zones may show them in another order.", soft_wrap=True)
