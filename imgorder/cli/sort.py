"""``imgorder sort``: print the order of photos, and draw it if asked; change no photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._library import LibraryOptions, sort_tree
from imgorder.cli._options import in_panel, named_path, number_or_all, spread_options, warn_interrupted
from imgorder.cli._terminal import one_line_errors, print_message, print_warning
from imgorder.errors import EXIT_INPUT, EXIT_UNSURE, ImgorderError, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Kept, Known

if TYPE_CHECKING:
    from imgorder.media.photos import PhotoSet
    from imgorder.pictures.picture_job import PictureJob


_PICTURES = "Pictures"


@one_line_errors
@spread_options
def sort(
    paths: _options.Photos,
    known: Known = Known(),
    classes: Annotated[
        str, typer.Option("--classes", metavar="K|all", help="How many orders to list with their probability.")
    ] = "2",
    min_confidence: _options.MinConfidence = None,
    options: ModelOptions = ModelOptions(),
    as_json: _options.Json = False,
    sheet: Annotated[
        Path | None,
        in_panel(_PICTURES, "--sheet", metavar="FILE.png", parser=named_path, help="Also write a contact sheet."),
    ] = None,
    animate: Annotated[
        Path | None,
        in_panel(
            _PICTURES, "--animate", metavar="FILE.gif|.webp|.mp4", parser=named_path, help="Also write an animation."
        ),
    ] = None,
    pingpong: Annotated[bool, in_panel(_PICTURES, "--pingpong", help="Play the animation forward and back.")] = False,
    fps: Annotated[
        float | None,
        in_panel(
            _PICTURES, "--fps", metavar="N", min=0.1, max=30.0, help="Photos a second in the animation (default: 3)."
        ),
    ] = None,
    force: Annotated[
        bool, in_panel(_PICTURES, "--force", help="Let --sheet and --animate replace files, but never photos.")
    ] = False,
    thumbnails: Annotated[
        bool, in_panel(_PICTURES, "--thumbnails", help="Also show the photos, small, in the terminal.")
    ] = False,
    graphics: Annotated[
        str | None,
        in_panel(
            _PICTURES,
            "--graphics",
            metavar="auto|kitty|iterm|sixel",
            help="How the terminal takes thumbnails (default: auto).",
        ),
    ] = None,
    exclude: _options.Exclude = None,
    keep: Annotated[
        Path | None,
        in_panel(
            "Order",
            "--keep",
            metavar="FILE",
            parser=named_path,
            help="Let photos keep the order that they have in FILE, as --order of `rename` reads it.",
        ),
    ] = None,
    library: LibraryOptions = LibraryOptions(),
) -> None:
    """Print the order in which photos were taken. No photo is changed.

    Each folder is a set of its own; photos given one by one make one set. With -r all scenes below the folders are
    found and ordered.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.cli import _show_order
    from imgorder.media.photos import find_sets
    from imgorder.sorting import sort_sets

    limit = number_or_all(classes, "--classes")
    library.check()
    warn_interrupted(paths)
    job = _picture_job(sheet, animate, pingpong, fps, force)
    if library.recursive and (job or thumbnails):
        raise UsageError("--sheet, --animate and --thumbnails draw few photos; leave -r out, and give one folder")
    problems: list[str] = []

    def set_apart(error: ImgorderError) -> None:
        print_message("error", str(error))
        problems.append(str(error))

    sets = [] if library.recursive else find_sets(paths, exclude or (), print_warning, set_apart)
    if keep is not None and not library.recursive:
        known = replace(known, kept=_read_kept(keep, sets))
    targets = job.check(sets, print_warning) if job else []
    protocol = _show_order.choose_protocol(thumbnails, graphics, as_json)
    sortings = []
    if library.recursive:
        kept = None if keep is None else partial(_read_kept, keep)
        results = list(sort_tree(paths, library, known, options, set_apart, exclude or (), limit, kept))
    else:
        sortings = list(sort_sets(sets, options, known, print_warning, set_apart))
        results = [sorting.result for sorting in sortings]
    if not results and library.recursive and not problems:
        print_warning("no two photos in these folders are of one scene")
    elif not results:
        raise typer.Exit(EXIT_INPUT)
    if job:
        wanted = {id(photos): files for photos, files in zip(sets, targets, strict=True)}
        targets = [wanted[id(sorting.found)] for sorting in sortings]
    strips = _show_order.draw_thumbnails(results, protocol) if protocol else []
    if job:  # last of what can fail
        job.write(results, targets)
    if as_json:
        print(_show_order.as_json(results, limit, problems))
    else:
        _show_order.print_tables(results, limit, targets, strips)
    least = min_confidence or 0.0
    unsure = [result for result in results if result.confidence < least]
    for result in unsure:
        print_message("unsure", f"{result.title}: confidence {result.confidence:g} is below {least:g}")
    if problems or unsure:
        raise typer.Exit(EXIT_INPUT if problems else EXIT_UNSURE)


def _read_kept(file: Path, sets: Sequence[PhotoSet]) -> tuple[Kept, ...]:
    """What an earlier order says of these photos; raises ImgorderError."""
    from imgorder.changes.stale import refuse_stale
    from imgorder.order_file import find_kept, read_file

    order = read_file(file)
    kept = find_kept(order, sets, print_warning)
    refuse_stale(order, (path for each in kept for path in each.files))
    return kept


def _picture_job(
    sheet: Path | None, animate: Path | None, pingpong: bool, fps: float | None, force: bool
) -> PictureJob | None:
    if animate is None and (pingpong or fps is not None):
        raise UsageError(f"{'--pingpong' if pingpong else '--fps'} says how to play an animation; add --animate FILE")
    if sheet is None and animate is None:
        if force:
            raise UsageError("--force lets --sheet and --animate replace files; without them it has no use")
        return None
    from imgorder.pictures.picture_job import DEFAULT_FPS, PictureJob  # only now: sorting needs no drawing

    return PictureJob(sheet, animate, DEFAULT_FPS if fps is None else fps, pingpong, force)
