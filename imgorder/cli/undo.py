"""``imgorder undo``: take back a rename or a stamp, and recover from an interrupted run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli._options import named_path
from imgorder.cli._terminal import one_line_errors, print_message, print_warning, say_if_stopped
from imgorder.errors import EXIT_INPUT, UsageError
from imgorder.names import show, word_count

if TYPE_CHECKING:
    from imgorder.changes.undo import Listed


@one_line_errors
def undo(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", parser=named_path, help="Where the photos are (default: here).", show_default=False
        ),
    ] = Path("."),
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Take back this run (default: the last one).")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the runs in this folder; change nothing.")] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Put the folder back as it was before an interrupted run.")
    ] = False,
    names_only: Annotated[
        bool,
        typer.Option("--names-only", help="Give old names back to photos of a rename that were changed since, too."),
    ] = False,
) -> None:
    """Take back the last rename or stamp in a folder; again for the one before it.

    Files that have changed since are named and left alone.
    """
    from imgorder.changes import journal
    from imgorder.changes import undo as undoing
    from imgorder.names import undo_command

    if run is None and not os.path.isdir(folder) and journal.RUN_ID.fullmatch(str(folder)):
        folder, run = Path("."), str(folder)
    if list_ + recover + (run is not None) > 1:
        raise UsageError("--list, --recover and RUN do not go together; give one of them")
    if names_only and (list_ or recover):
        raise UsageError("--names-only goes with neither --list nor --recover; leave one of them out")
    if list_:
        history = journal.read_history(folder)
        listed = [
            each for runs in (history.runs, history.others) for each in undoing.list_runs(replace(history, runs=runs))
        ]
        _print_list(sorted(listed, key=lambda each: (each.run.number, each.run.id)))
        if history.stray_problem:
            print_warning(history.stray_problem)
        return
    with say_if_stopped(f"interrupted; if there is something to put right: {undo_command(folder, '--recover')}"):
        if recover:
            _recover(folder)
            return
        undone = undoing.undo(folder, run, names_only=names_only)
        taken, left = len(undone.changes), len(undone.left_alone)
        print(f"{show(folder)}: {taken} of {word_count(taken + left, 'file')} of {undone.id} taken back")
        for line in undone.refused:
            print_warning(line)
        for line in undone.left_alone:
            print_message("error", line)
        if left:
            raise typer.Exit(EXIT_INPUT)


def _recover(folder: Path) -> None:
    from imgorder.changes import journal
    from imgorder.changes import undo as undoing

    runs = undoing.recover(folder)
    lost = journal.read_history(folder).stray_problem
    ways = {
        journal.BACK: "taken back; the folder is as it was before",
        journal.DONE: "finished, since it could not be taken back (an old name is taken by now)",
        journal.UNBEGUN: "had not changed anything yet",
    }
    if not runs and not lost:
        print(f"{show(folder)}: nothing to recover")
    for run in runs:
        left = len(run.left_alone)
        way = (
            f"taken back, except for {word_count(left, 'file')}"
            if left and run.status == journal.BACK
            else ways[run.status]
        )
        print(f"{show(folder)}: the interrupted {run.title}: {way}")
        for line in run.refused:
            print_warning(line)
        for line in run.left_alone:
            print_message("error", f"{show(folder)}: {line}")
    if lost:
        print_message("error", lost)
    if lost or any(run.left_alone for run in runs):
        raise typer.Exit(EXIT_INPUT)


def _print_list(runs: list[Listed]) -> None:
    if not runs:
        print("no runs here")
    for each in runs:
        run = each.run
        what = f"undo of {run.of}" if run.of else run.kind
        partly = each.state == "done" and run.kind != "undo" and each.left < len(run.changes)
        state = f"{each.state}, {each.left} not undone yet" if partly else each.state
        state += f", except for {word_count(len(run.left_alone), 'file')}" if run.left_alone else ""
        state += f", by another user, {run.owner}" if run.owner else ""
        what += f": {word_count(len(run.changes), 'file')}, {state}"
        print(show(f"{run.id}  {run.time.replace('T', ' '):19}  {what}"))
