"""``imgorder rename``: show new names for photos in their order; with ``--apply``, rename them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._library import LibraryOptions
from imgorder.cli._options import named_path, spread_options
from imgorder.cli._terminal import one_line_errors, or_on_stderr, print_warning, say_if_stopped
from imgorder.errors import EXIT_UNSURE, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known


@one_line_errors
@spread_options
def rename(
    paths: _options.Paths = None,
    apply: _options.Apply = False,
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
        typer.Option(
            "--copy-to", metavar="DIR", parser=named_path, help="Copy into DIR; the originals stay as they are."
        ),
    ] = None,
    no_companions: Annotated[
        bool, typer.Option("--no-companions", help="Leave RAW files, Live Photo videos and XMP files behind.")
    ] = False,
    order: _options.Order = None,
    known: Known = Known(),
    either_direction: _options.EitherDirection = False,
    min_confidence: _options.MinConfidence = None,
    options: ModelOptions = ModelOptions(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    exclude: _options.Exclude = None,
    skip_bad: _options.SkipBad = False,
    library: LibraryOptions = LibraryOptions(),
) -> None:
    """Name photos by their order. Shows the plan; --apply carries it out, and `imgorder undo` takes it back.

    Files that belong to a photo move with it. No file is ever overwritten. With -r all scenes below the folders are
    found and ordered; numbers count through each folder, scene by scene, and photos that stand alone keep their names.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.changes.apply import apply_plan, check, refuse_interrupted
    from imgorder.changes.check import find_left_behind
    from imgorder.changes.plan import make_plan, read_plan, refuse_others, write_plan
    from imgorder.changes.template import DEFAULT, parse_template
    from imgorder.cli import _show_plan

    if plan_file is not None and apply:
        made = (template, copy_to, order) != (None, None, None) or no_companions or exclude or skip_bad
        if made or (known, options, library) != (Known(), ModelOptions(), LibraryOptions()):
            raise UsageError("--plan FILE --apply carries FILE out as it is; leave the options that make a plan out")
        plan = read_plan(plan_file)
        if plan.copy_to is None:
            refuse_interrupted(planned.folder for planned in plan.sets)
        if paths:
            refuse_others(plan, plan_file, paths)
    else:
        parsed = parse_template(DEFAULT if template is None else template)
        sets = _options.find_orders(
            paths or [], order, known, options, exclude or (), skip_bad, library, read_only=copy_to is not None
        )
        if library.recursive:
            from imgorder.library.orders import join_folders

            sets = join_folders(sets)
        plan = make_plan(sets, parsed, copy_to=copy_to, companions=not no_companions)
    check(plan)
    consent = _show_plan.Consent(apply, min_confidence, either_direction, made=plan_file is not None and apply)
    unsure = not apply and consent.refuses_any(plan)
    if not unsure and plan_file is not None and not apply:
        write_plan(plan, plan_file)
    if not as_json:
        _show_plan.print_plan(plan)
        sys.stdout.flush()  # the plan is seen before it is carried out, or nothing is
    for line in find_left_behind(plan):
        print_warning(line)
    unsure = unsure or (apply and consent.refuses_any(plan))
    runs = None
    if apply and not unsure:
        with say_if_stopped("interrupted; what was under way was taken back"):
            runs = apply_plan(plan, print_warning)
    outcome = _show_plan.describe_outcome(plan, runs, plan_file)
    with or_on_stderr([] if runs is None else outcome):
        if as_json:
            print(_show_plan.as_json(plan, runs))
        elif not unsure:
            print("\n".join(outcome))
    if unsure:
        raise typer.Exit(EXIT_UNSURE)
