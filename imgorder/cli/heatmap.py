"""``imgorder heatmap``: paint what the network saw move."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgorder.cli import _ordered
from imgorder.cli._errors import one_line_errors
from imgorder.cli._paths import named_path
from imgorder.errors import UsageError
from imgorder.names import show

Alpha = Annotated[float, typer.Option("--alpha", min=0.0, max=1.0, help="How strongly colour covers.")]
Colormap = Annotated[str, typer.Option("--colormap", metavar="ember|ocean|grey", help="Colours.")]


@one_line_errors
def heatmap(
    paths: _ordered.Photos,
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
    model: _ordered.Model = "default",
    backend: _ordered.Backend = "auto",
    threads: _ordered.Threads = None,
    votes: _ordered.Votes = 1,
) -> None:
    """Paint a motion heat map over each photo, into a folder of their own. Photos are only read.

    Bright is where the network saw the photo differ from its neighbours in time. What the network
    does not look at is grey.
    """
    from imgorder.cli._interrupted import warn_interrupted
    from imgorder.heatmaps.overlay import Look
    from imgorder.heatmaps.run import Wanted, write_heatmaps

    look = Look(alpha, colormap)
    if normalise not in ("set", "photo"):
        raise UsageError(f"--normalise is set or photo; not {normalise!r}")
    wanted = Wanted(look, normalise == "photo", raw, layers, decision, force)
    warn_interrupted(paths)
    write_heatmaps(
        paths,
        out,
        wanted,
        model=model,
        backend=backend,
        threads=threads,
        votes=votes,
        written=lambda path: print(show(path)),
    )
