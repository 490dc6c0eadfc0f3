"""``imgorder report``: one HTML file with the order and the reasons for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._options import named_path, spread_options, warn_interrupted
from imgorder.cli._terminal import one_line_errors, print_warning
from imgorder.cli.heatmap import Alpha, Colormap
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.names import show


@one_line_errors
@spread_options
def report(
    paths: _options.Photos,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", parser=named_path, help="File to write.")],
    known: Known = Known(),
    alpha: Alpha = 0.7,
    colormap: Colormap = "ember",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists, but never a photo.")] = False,
    options: ModelOptions = ModelOptions(),
    exclude: _options.Exclude = None,
    skip_bad: _options.SkipBad = False,
) -> None:
    """Write an HTML file: the photos in order, their heat maps, and how sure the order is.

    It opens in any browser, without network or script. No photo is changed.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.heatmaps.overlay import Look
    from imgorder.media.photos import refuse
    from imgorder.report.compose import write_reports

    look = Look(alpha, colormap)
    warn_interrupted(paths)
    apart = _options.warn_of_bad if skip_bad else refuse
    for path in write_reports(
        paths, out, look, options, known, force=force, warn=print_warning, exclude=exclude or (), apart=apart
    ):
        print(show(path))
