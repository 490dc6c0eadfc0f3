"""``imgorder stamp``: show capture times for photos in their order; with ``--apply``, write them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._library import LibraryOptions
from imgorder.cli._options import spread_options
from imgorder.cli._terminal import one_line_errors, or_on_stderr, print_warning, say_if_stopped
from imgorder.errors import EXIT_UNSURE, ProblemsError, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known


@one_line_errors
@spread_options
def stamp(
    paths: _options.Paths = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Of the first photo: '2024-05-01 12:00:00'.")
    ] = None,
    keep_seconds: Annotated[
        bool, typer.Option("--keep-seconds", help="Keep times; part the photos of one second by fractions of it.")
    ] = False,
    fill: Annotated[
        bool, typer.Option("--fill", help="Keep times; give photos without one a time between their neighbours'.")
    ] = False,
    step: Annotated[
        str, typer.Option("--step", metavar="TIME", help="From one photo to the next: 1s, 500ms, 2m.")
    ] = "1s",
    apply: _options.Apply = False,
    overwrite_times: Annotated[
        bool, typer.Option("--overwrite-times", help="Also replace capture times that photos have already.")
    ] = False,
    order: _options.Order = None,
    known: Known = Known(),
    either_direction: _options.EitherDirection = False,
    min_confidence: _options.MinConfidence = None,
    options: ModelOptions = ModelOptions(),
    exclude: _options.Exclude = None,
    skip_bad: _options.SkipBad = False,
    library: LibraryOptions = LibraryOptions(),
) -> None:
    """Give JPEGs capture times in their order. Shows the plan; --apply carries it out, `imgorder undo` takes it back.

    Writes the EXIF fields DateTimeOriginal and SubSecTimeOriginal: new times with --start, times that fit those which
    are there with --keep-seconds, --fill or both. Photos that have a capture time keep it, or with --keep-seconds its
    second, unless you give --overwrite-times. With -r all scenes below the folders are found, ordered and stamped.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.changes.stamp import apply_stamps, make_stamps, parse_start, parse_step
    from imgorder.cli import _show_plan
    from imgorder.names import undo_command, word_count

    keeps = keep_seconds or fill
    if library.recursive and (start is not None or not keeps):
        raise UsageError("--start is the time of one scene; with -r keep times: give --keep-seconds, --fill or both")
    if start is not None and keeps:
        raise UsageError(
            "--start gives all photos new times, --keep-seconds and --fill keep them; give --start or those"
        )
    if start is None and not keeps:
        raise UsageError("give the time of the first photo with --start, or keep times with --keep-seconds or --fill")
    began, between = None if start is None else parse_start(start), parse_step(step)
    sets = _options.find_orders(paths or [], order, known, options, exclude or (), skip_bad, library)
    plans = []
    problems: list[str] = []
    for given in [[each] for each in sets] if library.recursive else [sets]:
        try:
            plan = make_stamps(given, began, between, overwrite=overwrite_times, keep_seconds=keep_seconds, fill=fill)
        except ProblemsError as error:
            if not library.recursive:
                raise
            problems += (each for each in error.problems if each not in problems)  # of a folder, by each of its scenes
        else:
            plans.append((given[0], plan))
    if problems and not (skip_bad and plans):
        way_out = "; --skip-bad leaves the scene out" if plans else ""  # for the others, where there are any
        raise ProblemsError(problem + way_out for problem in problems)
    for problem in problems:
        print_warning(f"left out: {problem}")
    for photos, plan in plans:
        _show_plan.print_stamps(plan, photos.confidence, photos.direction, photos.model)
    sys.stdout.flush()  # the plan is seen before it is carried out, or nothing is
    consent = _show_plan.Consent(apply, min_confidence, either_direction)
    refused = [
        consent.refuses(plan.folder, len(plan.stamps), photos.confidence, photos.direction) for photos, plan in plans
    ]
    if any(refused):
        raise typer.Exit(EXIT_UNSURE)
    if not apply:
        print("Nothing was changed; --apply carries it out.")
        return
    for _, plan in plans:
        with say_if_stopped("interrupted; what was under way was taken back"):
            run = apply_stamps(plan)
        if run is None:
            print("All photos have these times already; nothing was changed.")
            continue
        for line in run.refused:
            print_warning(line)
        outcome = f"Stamped {word_count(len(run.changes), 'photo')}; taken back by: {undo_command(plan.folder, run.id)}"
        with or_on_stderr([outcome]):
            print(outcome)
