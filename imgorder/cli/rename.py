"""``imgorder rename``: show what photos would be called in their order, and rename them if told to."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli import _ordered
from imgorder.cli._errors import one_line_errors, tell
from imgorder.cli._output import or_on_stderr
from imgorder.cli._paths import named_path
from imgorder.ending import exit_code
from imgorder.errors import EXIT_UNSURE, UsageError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.renaming.plan import Plan


@one_line_errors
def rename(
    paths: _ordered.Paths = None,
    apply: _ordered.Apply = False,
    plan_file: Annotated[
        Path | None,
        typer.Option(
            "--plan", metavar="FILE", parser=named_path, help="Write the plan to FILE; with --apply, carry it out."
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="TEXT",
            help="New names: {index} {stem} {ext} {date} {folder} {n} (default: {index:03d}_{stem}{ext}).",
        ),
    ] = None,
    copy_to: Annotated[
        Path | None,
        typer.Option("--copy-to", metavar="DIR", parser=named_path, help="Copy into DIR; leave the originals alone."),
    ] = None,
    no_companions: Annotated[
        bool, typer.Option("--no-companions", help="Leave RAW files, Live Photo videos and XMP files behind.")
    ] = False,
    order: _ordered.Order = None,
    first: _ordered.First = None,
    reverse: _ordered.Reverse = False,
    min_confidence: _ordered.MinConfidence = 0.0,
    model: _ordered.Model = "default",
    backend: _ordered.Backend = "auto",
    threads: _ordered.Threads = None,
    votes: _ordered.Votes = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Name photos by their order. Shows the plan; --apply carries it out, and `imgorder undo` takes it back.

    Files that belong to a photo move with it. No file is ever overwritten.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.cli import _planned
    from imgorder.renaming.apply import Stopped, apply_plan, check
    from imgorder.renaming.commands import undo_command

    if plan_file is not None and apply:
        making = template is not None or copy_to or no_companions or order or first or reverse
        if making or _ordered.names_model(model, backend, threads, votes):
            raise UsageError("--plan FILE --apply carries FILE out as it is; leave the options that make a plan out")
        plan = _read(plan_file, paths or [])
    else:
        if not paths and order is None:
            raise UsageError("give photos, or a folder of photos")
        plan = _make(
            paths or [], template, copy_to, no_companions, order, first or [], reverse, model, backend, threads, votes
        )
    check(plan)
    unsure = [planned for planned in plan.sets if _planned.likely(planned) < min_confidence]
    if not unsure and plan_file is not None and not apply:
        from imgorder.renaming.plan import write_plan

        write_plan(plan, plan_file)
    if not as_json:
        _planned.print_plan(plan)
        sys.stdout.flush()  # the plan is seen before it is carried out, or nothing is
    for planned in unsure:
        _ordered.tell_unsure(_planned.title(planned), _planned.likely(planned), min_confidence)
    runs = None
    if apply and not unsure:
        try:
            runs = apply_plan(plan)
        except Stopped as stop:
            for folder, run in stop.done:
                tell("stopped", f"{show(folder)} is renamed already; taken back by: {undo_command(folder, run.id)}")
            tell("stopped", "interrupted; what was under way was taken back")
            raise typer.Exit(exit_code(stop.by)) from stop
    outcome = _planned.outcome(plan, runs, plan_file)
    with or_on_stderr([] if runs is None else outcome):
        if as_json:
            print(_planned.as_json(plan, runs))
        elif not unsure:
            print("\n".join(outcome))
    if unsure:
        raise typer.Exit(EXIT_UNSURE)


def _read(plan_file: Path, paths: list[Path]) -> Plan:
    from imgorder.renaming.apply import refuse_interrupted
    from imgorder.renaming.plan import read_plan, refuse_others

    plan = read_plan(plan_file)
    if plan.copy_to is None:
        refuse_interrupted(planned.folder for planned in plan.sets if os.path.isdir(planned.folder))
    if paths:
        refuse_others(plan, plan_file, paths)
    return plan


def _make(
    paths: list[Path],
    template: str | None,
    copy_to: Path | None,
    no_companions: bool,
    order: Path | None,
    first: list[Path],
    reverse: bool,
    model: str,
    backend: str,
    threads: int | None,
    votes: int,
) -> Plan:
    from imgorder.renaming import journal
    from imgorder.renaming.apply import refuse_interrupted
    from imgorder.renaming.plan import make_plan
    from imgorder.renaming.template import DEFAULT, parse_template

    parsed = parse_template(DEFAULT if template is None else template)
    order_file = _ordered.read(order)
    folders = _ordered.folders_of(paths, order_file)
    if copy_to is None:
        refuse_interrupted(folders)
    else:  # only read, perhaps on a medium that cannot be locked
        for folder in folders:
            journal.refuse_unfinished(folder)
    sets = _ordered.ordered_sets(paths, order_file, first, reverse, model, backend, threads, votes)
    return make_plan(sets, parsed, copy_to=copy_to, companions=not no_companions)
