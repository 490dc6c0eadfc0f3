"""``imgorder models release | grow | held-out``: from trained networks to released models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from imgorder.cli._options import named_path, parse_any_sizes, parse_spacings
from imgorder.cli._terminal import needs_training, one_line_errors
from imgorder.errors import UsageError
from imgorder.files import atomic_write
from imgorder.names import show

Frames = Annotated[Path, typer.Option("--frames", metavar="DIR", parser=named_path, help="Decoded frames of the run.")]
Name = Annotated[str, typer.Option("--name", help="Name of the new model.")]
About = Annotated[str, typer.Option("--about", metavar="TEXT", help="One line for `imgorder models`.")]
Licence = Annotated[str, typer.Option("--licence", metavar="ID", help="Of the weights, an SPDX identifier.")]
Data = Annotated[str, typer.Option("--data", metavar="TEXT", help="What it was trained on, in words.")]
Steady = Annotated[bool, typer.Option("--steady", help="Show each set twice, the second time steadied and mirrored.")]
Votes = Annotated[
    int,
    typer.Option("--votes", metavar="K", min=1, help="Show each set in K listings, for DAB-ResNets; the mean counts."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", parser=named_path, help="Folder for the files.")]
MODELS = Path("models")


def add_model_tools(models: typer.Typer) -> None:
    """Give ``imgorder models`` the commands of this file."""
    new = "--frames runs/new/frames --name new --about TEXT"
    for name, command, example in (
        ("release", release, f"runs/new {new}"),
        ("grow", grow, "tridab-s --network '{\"head_blocks\": 3}' --out large.safetensors"),
        ("held-out", held_out, "runs/new --frames runs/new/frames --results held-out.json"),
    ):
        models.command(name, epilog=f"Example: imgorder models {name} {example}")(command)  # type: ignore[type-var]


@one_line_errors
@needs_training
def release(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=named_path, help="Folder of a run.")],
    frames: Frames,
    name: Name,
    about: About,
    licence: Licence = "",
    data: Data = "",
    out: Out = MODELS,
    steady: Steady = False,
    votes: Votes = 1,
    network: Annotated[
        str, typer.Option("--network", metavar="JSON", help='Network settings to change: {"mirror": true}.')
    ] = "{}",
    settings: Annotated[
        str, typer.Option("--set", metavar="JSON", help='Run settings to change: {"image_size": 128}.')
    ] = "{}",
) -> None:
    """Make a model of a run: averaged weights, fitted temperatures, ONNX file and card."""
    changes = _table("--network", network), _table("--set", settings)
    from imgorder.training.release import Release, release_run
    from imgorder.training.store import FrameStore

    to = Release(name, about, out, licence, data, steady, votes)
    release_run(run, FrameStore(frames), to, *changes)


@one_line_errors
@needs_training
def grow(
    model: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A TriDAB, or its safetensors file.")],
    network: Annotated[str, typer.Option("--network", metavar="JSON", help="Network settings that change.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", parser=named_path, help="The file for `imgorder train --init`.")
    ],
    seed: Annotated[int, typer.Option("--seed", help="Decides the new weights.")] = 0,
) -> None:
    """Make a larger TriDAB that begins with what a smaller one has learned, and answers as it does.

    It prints the flags with which `imgorder train` goes on.
    """
    changes = _table("--network", network)
    from imgorder.training.grow import grow_file

    print(grow_file(model, changes, out, seed))


@one_line_errors
@needs_training
def held_out(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN…", parser=named_path, help="Runs; the groups that all of them held out count."),
    ],
    frames: Frames,
    results: Annotated[
        Path, typer.Option("--results", metavar="FILE", parser=named_path, help="The results file, JSON.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME|PATH", help="A model (default: path and default); may be repeated."),
    ] = None,
    seq_len: Annotated[
        list[str] | None,
        typer.Option("--seq-len", metavar="N|N-M|all", help="Set sizes; all: whole clips (default: 4,6)."),
    ] = None,
    spacing: Annotated[
        list[str] | None, typer.Option("--spacing", metavar="N|N-M", help="Frames between neighbours (default: 1-8).")
    ] = None,
) -> None:
    """Measure models on the clips that runs held out, as `imgorder evaluate` does on other data."""
    sizes, spacings = parse_any_sizes(seq_len or ["4,6"]), parse_spacings(spacing or ["1-8"])
    if not results.absolute().parent.is_dir():
        raise UsageError(f"there is no folder for {show(results)}; make it first")
    from imgorder.evaluation.tables import results_json, results_markdown
    from imgorder.inference.predictor import load_model
    from imgorder.training.held_out import find_held_out_clips, measure_held_out
    from imgorder.training.store import FrameStore

    store = FrameStore(frames)
    clips = find_held_out_clips(store, *runs)
    models = [load_model(name) for name in model or ["path", "default"]]
    if not clips:
        named = ", ".join(map(show, runs))
        raise UsageError(f"no clip of {show(frames)} is of a group that {named} held out; give the frames of the runs")
    measured = measure_held_out(models, store, clips, sizes, spacings)
    with atomic_write(results) as partial:
        partial.write_text(results_json(measured) + "\n", "utf-8")
    print(results_markdown(each.row for each in measured))


def _table(option: str, text: str) -> dict[str, Any]:
    """Settings from JSON; raises UsageError."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} takes a table of settings that fit, as JSON ({error})") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{option} takes a table of settings that fit, as JSON; not {show(text)}")
    return settings
