"""``imgorder report``: one HTML file that shows the order and what speaks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _ordered
from imgorder.cli._errors import one_line_errors, tell
from imgorder.cli._paths import named_path
from imgorder.cli.heatmap import Alpha, Colormap
from imgorder.names import show


@one_line_errors
def report(
    paths: _ordered.Photos,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", parser=named_path, help="The file to write.")],
    first: _ordered.First = None,
    reverse: _ordered.Reverse = False,
    alpha: Alpha = 0.7,
    colormap: Colormap = "ember",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there, never a photo.")] = False,
    model: _ordered.Model = "default",
    backend: _ordered.Backend = "auto",
    threads: _ordered.Threads = None,
    votes: _ordered.Votes = 1,
) -> None:
    """Write one HTML file with the photos in order, their heat maps, and what speaks for and against the order.

    It opens in any browser, without network or script. Photos are only read.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.cli._interrupted import warn_interrupted
    from imgorder.heatmaps.overlay import Look
    from imgorder.report.run import write_reports

    _ordered.one_direction(first, reverse)
    look = Look(alpha, colormap)
    warn_interrupted(paths)
    written = write_reports(
        paths,
        out,
        look=look,
        force=force,
        model=model,
        backend=backend,
        threads=threads,
        votes=votes,
        first=first or [],
        reverse=reverse,
        warn=lambda message: tell("warning", message),
    )
    for path in written:
        print(show(path))
