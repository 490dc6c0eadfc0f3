"""``imgorder heatmap``: paint what the network saw move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._options import named_path, spread_options
from imgorder.cli._terminal import one_line_errors
from imgorder.errors import UsageError
from imgorder.inference.options import ModelOptions
from imgorder.names import show

Alpha = Annotated[float, typer.Option("--alpha", min=0.0, max=1.0, help="How strongly colour covers.")]
Colormap = Annotated[str, typer.Option("--colormap", metavar="ember|ocean|grey", help="Colours.")]


@one_line_errors
@spread_options
def heatmap(
    paths: _options.Photos,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", parser=named_path, help="Folder for the maps; created if missing."),
    ],
    alpha: Alpha = 0.7,
    colormap: Colormap = "ember",
    normalise: Annotated[
        str, typer.Option("--normalise", metavar="set|photo", help="One scale for the set, or one for each photo.")
    ] = "set",
    raw: Annotated[bool, typer.Option("--raw", help="Also write the values: .npy and 16-bit PNG.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Also write a grid of all layers, first to last.")] = False,
    decision: Annotated[
        bool, typer.Option("--decision", help="Also paint what spoke for the order against the runner-up (torch).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite maps that are there already.")] = False,
    options: ModelOptions = ModelOptions(),
) -> None:
    """Paint a motion heat map over each photo, into a folder of their own. Photos are only read.

    Bright is where the network saw the photo differ from its neighbours in time. What the network
    does not look at is grey.
    """
    from imgorder.cli._terminal import warn_interrupted
    from imgorder.heatmaps.heatmap import Wanted, write_heatmaps
    from imgorder.heatmaps.overlay import Look

    look = Look(alpha, colormap)
    if normalise not in ("set", "photo"):
        raise UsageError(f"--normalise is set or photo; not {normalise!r}")
    wanted = Wanted(look, normalise == "photo", raw, layers, decision, force)
    warn_interrupted(paths)
    write_heatmaps(paths, out, wanted, options, written=lambda path: print(show(path)))
