"""``imgorder sort``: print the order of photos, and draw it if asked; change no photo."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._formats import Output, writing
from imgorder.cli._library import LibraryOptions, open_scenes, say_left_out
from imgorder.cli._options import in_panel, named_path, number_or_all, spread_options, warn_interrupted
from imgorder.cli._terminal import one_line_errors, print_message, print_warning
from imgorder.errors import EXIT_INPUT, EXIT_UNSURE, ImgorderError, UsageError
from imgorder.inference.options import ModelOptions
from imgorder.known import Kept, Known

if TYPE_CHECKING:
    from imgorder.media.photos import PhotoSet
    from imgorder.pictures.picture_job import PictureJob
    from imgorder.sorting.sorted_set import SortedSet


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
    output: Output = Output(),
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
        bool,
        in_panel(_PICTURES, "--force", help="Let --sheet, --animate, --parquet replace files, but never photos."),
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
    from imgorder.sorting.sort import sort_sets

    limit = number_or_all(classes, "--classes")
    library.check()
    form = output.choose(as_json)
    warn_interrupted(paths)
    job = _picture_job(sheet, animate, pingpong, fps, force and output.parquet is None)
    if library.recursive and (job or thumbnails):
        raise UsageError("--sheet, --animate and --thumbnails draw few photos; leave -r out, and give one folder")
    problems: list[str] = []

    def set_apart(error: ImgorderError) -> None:
        print_message("error", str(error))
        problems.append(str(error))

    results: list[SortedSet] = []
    written: list[Sequence[Path]] = []
    with ExitStack() as stack:
        if library.recursive:
            tree = stack.enter_context(open_scenes(paths, library, set_apart, exclude or (), known.trust_mtime))
            # What is streamed needs no list of all photos.
            sets = tree.sets if keep is not None or output.needs_sets else []
        else:
            sets = find_sets(paths, exclude or (), print_warning, set_apart)
        if keep is not None:
            known = replace(known, kept=_read_kept(keep, sets))
        targets = job.check(sets, print_warning) if job else []
        protocol = _show_order.choose_protocol(thumbnails, graphics, form)
        write = stack.enter_context(writing(output, sets, lambda result: _show_order.set_as_json(result, limit), force))
        if library.recursive:
            for result in tree.sort(known, options, limit):
                results.append(result)
                if write:
                    write(result)
        wanted = {id(photos): files for photos, files in zip(sets, targets, strict=False)}
        for sorting in sort_sets(sets, options, known, print_warning, set_apart) if not library.recursive else ():
            results.append(sorting.result)
            written += [wanted[id(sorting.found)]] if job else []
            if write and not job:
                write(sorting.result)
        if not results and library.recursive and not problems:
            print_warning("no two photos in these folders are of one scene")
        elif not results:
            raise typer.Exit(EXIT_INPUT)
        strips = _show_order.draw_thumbnails(results, protocol) if protocol else []
        if job:  # last of what can fail
            job.write(results, written)
            for result in results:
                if write:
                    write(result)
    if as_json:
        print(_show_order.as_json(results, limit, problems))
    elif form is None:
        _show_order.print_tables(results, limit, written, strips)
    if form in ("--plain", "--print0"):
        for result in results:
            if result.guessed:
                print_warning(f"{result.title}: {result.words}; a list of photos does not say so")
    least = min_confidence or 0.0
    unsure = [result for result in results if result.confidence < least]
    for result in unsure:
        print_message("unsure", f"{result.title}: confidence {result.confidence:g} is below {least:g}")
    if library.recursive:
        say_left_out(problems)
    if problems or unsure:
        raise typer.Exit(EXIT_INPUT if problems else EXIT_UNSURE)


def _read_kept(file: Path, sets: Sequence[PhotoSet]) -> tuple[Kept, ...]:
    """What an earlier order says of these photos; raises ImgorderError."""
    from imgorder.changes.stale import refuse_stale
    from imgorder.sorting.order_file import find_kept, read_file

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
            raise UsageError("--force lets --sheet, --animate and --parquet replace files; without them it has no use")
        return None
    from imgorder.pictures.picture_job import DEFAULT_FPS, PictureJob  # only now: sorting needs no drawing

    return PictureJob(sheet, animate, DEFAULT_FPS if fps is None else fps, pingpong, force)
