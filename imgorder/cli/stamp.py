"""``imgorder stamp``: show which capture times photos would get in their order, and write them if told to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._options import spread_options
from imgorder.cli._terminal import one_line_errors, or_on_stderr, print_message
from imgorder.errors import EXIT_UNSURE, UsageError
from imgorder.files import exit_code
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.changes.stamp import StampPlan


@one_line_errors
@spread_options
def stamp(
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="Of the first photo: '2024-05-01 12:00:00'.")],
    paths: _options.Paths = None,
    step: Annotated[
        str, typer.Option("--step", metavar="TIME", help="From one photo to the next: 1s, 500ms, 2m.")
    ] = "1s",
    apply: _options.Apply = False,
    overwrite_times: Annotated[
        bool, typer.Option("--overwrite-times", help="Also replace capture times that are there already.")
    ] = False,
    order: _options.Order = None,
    known: Known = Known(),
    min_confidence: _options.MinConfidence = 0.0,
    options: ModelOptions = ModelOptions(),
) -> None:
    """Give JPEGs capture times in their order. Shows the plan; --apply carries it out, `imgorder undo` takes it back.

    Writes the EXIF fields DateTimeOriginal and SubSecTimeOriginal. Times that are there are kept, unless you
    say --overwrite-times.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.changes.apply import refuse_interrupted
    from imgorder.changes.stamp import apply_stamps, make_stamps, parse_start, parse_step
    from imgorder.names import undo_command

    began, between = parse_start(start), parse_step(step)
    if not paths and order is None:
        raise UsageError("give photos, or a folder of photos")
    order_file = _options.read(order)
    refuse_interrupted(_options.folders_of(paths or [], order_file))
    sets = _options.ordered_sets(paths or [], order_file, known, options)
    plan = make_stamps(sets, began, between, overwrite=overwrite_times)
    confidence = _options.likely(sets[0].confidence, len(plan.stamps), sets[0].direction)
    _print_plan(plan, sets[0].confidence, sets[0].direction)
    sys.stdout.flush()  # the plan is seen before it is carried out, or nothing is
    if confidence < min_confidence:
        _options.tell_unsure(show(plan.folder), confidence, min_confidence)
        raise typer.Exit(EXIT_UNSURE)
    if not apply:
        print("Nothing was changed; --apply carries it out.")
        return
    try:
        run = apply_stamps(plan)
    except (KeyboardInterrupt, SystemExit) as stop:
        print_message("stopped", "interrupted; what was under way was taken back")
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

    from imgorder.cli._show_order import UNKNOWN_DIRECTION

    console = Console(highlight=False)
    heading = f"{show(plan.folder)}: {len(plan.stamps)} photos; {_options.sure(confidence, len(plan.stamps))}"
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
