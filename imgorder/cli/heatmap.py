"""``imgorder heatmap``: paint over photos where the network saw motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _options
from imgorder.cli._options import in_panel, named_path, spread_options, warn_interrupted
from imgorder.cli._terminal import one_line_errors, print_warning
from imgorder.errors import UsageError
from imgorder.inference.options import ModelOptions
from imgorder.names import show

_LOOK = "Look"
Alpha = Annotated[
    float, in_panel(_LOOK, "--alpha", metavar="X", min=0.0, max=1.0, help="How strongly the colours cover the photo.")
]
Colormap = Annotated[str, in_panel(_LOOK, "--colormap", metavar="ember|ocean|grey", help="The colours.")]


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
        str, in_panel(_LOOK, "--normalise", metavar="set|photo", help="One scale for the set, or one for each photo.")
    ] = "set",
    raw: Annotated[bool, typer.Option("--raw", help="Also write the values: .npy and 16-bit PNG.")] = False,
    layers: Annotated[
        bool, typer.Option("--layers", help="Also write a picture of all layers, first to last.")
    ] = False,
    decision: Annotated[
        bool, typer.Option("--decision", help="Also show what favoured this order over the runner-up (needs torch).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace maps that exist already.")] = False,
    options: ModelOptions = ModelOptions(),
    exclude: _options.Exclude = None,
    skip_bad: _options.SkipBad = False,
    keep_strays: _options.KeepStrays = False,
) -> None:
    """Show where photos differ, as colours over a copy of each. No photo is changed.

    Bright is where the network saw a photo differ from its neighbours in time. The network does not see the grey
    edges.
    """
    # Imported here, so that `--help` does not wait for them.
    from imgorder.heatmaps.heatmap import Wanted, write_heatmaps
    from imgorder.heatmaps.overlay import Look
    from imgorder.media.photos import refuse

    look = Look(alpha, colormap)
    if normalise not in ("set", "photo"):
        raise UsageError(f"--normalise is set or photo; not {normalise!r}")
    wanted = Wanted(look, normalise == "photo", raw, layers, decision, force)
    warn_interrupted(paths)
    apart = _options.warn_of_bad if skip_bad else refuse
    write_heatmaps(
        paths,
        out,
        wanted,
        options,
        lambda path: print(show(path)),
        exclude or (),
        print_warning,
        apart,
        keep_strays,
    )
