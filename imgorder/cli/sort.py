"""``imgorder sort``: print the order of photos; change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli._errors import one_line_errors, tell
from imgorder.errors import EXIT_UNSURE, UsageError


@one_line_errors
def sort(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATHS", readable=False, help="A folder of photos, or 3 to 6 photos.")
    ],
    first: Annotated[
        list[Path] | None,
        typer.Option("--first", metavar="FILE", readable=False, help="Taken first; fixes the direction. Repeatable."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Show the opposite direction.")] = False,
    classes: Annotated[
        str, typer.Option("--classes", metavar="K|all", help="How many orders to list with their probability.")
    ] = "2",
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", min=0.0, max=1.0, help="Exit with code 3 below this probability.")
    ] = 0.0,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="See `imgorder models`; or a model file.")
    ] = "default",
    backend: Annotated[str, typer.Option("--backend", metavar="auto|onnx|torch", help="What runs the model.")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads (default: all cores).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Print the order in which photos were taken. Nothing is changed or written.

    Each folder is a set of its own; photos given one by one make one set.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.cli import _sorted
    from imgorder.sorting import sort_photos

    shown = _class_limit(classes)
    if first and reverse:
        raise UsageError("--first and --reverse both fix the direction; give one of them")
    results = sort_photos(
        paths,
        model=model,
        backend=backend,
        threads=threads,
        first=first or [],
        reverse=reverse,
        warn=lambda message: tell("warning", message),
    )
    if as_json:
        print(_sorted.as_json(results, shown))
    else:
        _sorted.print_tables(results, shown)
    unsure = [result for result in results if result.confidence < min_confidence]
    for result in unsure:
        tell("unsure", f"{result.title}: confidence {result.confidence:g} is below {min_confidence:g}")
    if unsure:
        raise typer.Exit(EXIT_UNSURE)


def _class_limit(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--classes takes a number from 1 up, or all; not {text!r}")
    return int(text)
