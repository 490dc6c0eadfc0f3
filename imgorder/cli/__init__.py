"""The command line: one file a command, each a thin layer over the package."""

from __future__ import annotations

from typing import Annotated

import typer

from imgorder import __version__
from imgorder.cli._options import Commands
from imgorder.cli._terminal import quiet_libraries, writable_output
from imgorder.cli.cache import cache
from imgorder.cli.dataset import dataset
from imgorder.cli.decide import decide
from imgorder.cli.evaluate import evaluate
from imgorder.cli.group import group
from imgorder.cli.heatmap import heatmap
from imgorder.cli.models import models
from imgorder.cli.rename import rename
from imgorder.cli.report import report
from imgorder.cli.sort import sort
from imgorder.cli.stamp import stamp
from imgorder.cli.train import train
from imgorder.cli.undo import undo

app = Commands(
    name="imgorder",
    help="Put a handful of photos of one moving scene into the order in which they were taken.",
    epilog="Example: imgorder sort ./photos/",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PHOTOS, _MODELS = "Photos", "Models"
_QUIET = set()  # commands that open people's photos
for command, panel, example in (
    (sort, _PHOTOS, "sort ./photos/ --first IMG_2041.jpg"),
    (group, _PHOTOS, "group ~/Pictures/"),
    (heatmap, _PHOTOS, "heatmap ./photos/ --out maps/"),
    (report, _PHOTOS, "report ./photos/ --out report.html"),
    (rename, _PHOTOS, "rename ./photos/ --first IMG_2041.jpg --apply"),
    (stamp, _PHOTOS, "stamp ./photos/ --start '2024-05-01 12:00:00' --step 1s --apply"),
    (undo, _PHOTOS, "undo ./photos/"),
    (decide, _PHOTOS, "decide IMG_1.jpg IMG_3.jpg IMG_2.jpg --ordered"),
    (evaluate, _MODELS, "evaluate DAVIS/ --model tridab-s --seq-len 4 --spacing 1-8"),
    (train, _MODELS, "train sets/ucf101-n4.jsonl --seq-len 4 --out runs/paper"),
):
    app.command(rich_help_panel=panel, epilog=f"Example: imgorder {example}")(command)
    if panel == _PHOTOS:
        _QUIET.add(example.split()[0])
app.add_typer(cache, rich_help_panel=_PHOTOS)
for commands in (models, dataset):
    app.add_typer(commands, rich_help_panel=_MODELS)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"imgorder {__version__}")
        raise typer.Exit


@app.callback()
def imgorder(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Put a handful of photos of one moving scene into the order in which they were taken."""
    if context.invoked_subcommand in _QUIET:
        context.with_resource(quiet_libraries())


def main() -> None:
    """Entry point of the ``imgorder`` command."""
    with writable_output():
        app()
