"""``imgorder train``: train a network on sets with a known order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgorder.cli._options import named_path, parse_sizes
from imgorder.cli._terminal import counting, needs_training, one_line_errors, print_message, say_if_stopped
from imgorder.errors import EXIT_INTERRUPTED, ImgorderError
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.training.trainer import Trainer


@one_line_errors
@needs_training
def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA…", parser=named_path, help="Manifests of `imgorder dataset`, or folders of videos."
        ),
    ] = None,
    run: Annotated[
        Path, typer.Option("--out", metavar="DIR", parser=named_path, help="Folder of the run; created if missing.")
    ] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the run's last checkpoint.")] = False,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="paper|fast", help="Where the settings start (default: paper).")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", parser=named_path, help="Settings as a TOML file; flags win over it."),
    ] = None,
    seq_len: Annotated[
        list[str] | None, typer.Option("--seq-len", metavar="N|N-M", help="Images in a set; several for tridab only.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", metavar="resnet18|resnet50|tridab|opn|deepimseq", help="The network.")
    ] = None,
    width: Annotated[float | None, typer.Option("--width", help="Factor on the network's channels.")] = None,
    init: Annotated[
        str | None,
        typer.Option("--init", metavar="NAME|FILE", help="Begin with the weights of a model, where they fit."),
    ] = None,
    dab: Annotated[
        str | None,
        typer.Option("--dab", metavar="signed|magnitude|off|symmetric", help="Difference accumulator of a resnet."),
    ] = None,
    dab_window: Annotated[
        int | None, typer.Option("--dab-window", metavar="M", min=0, help="Accumulate images at most M places ahead.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Sets a step and process.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Highest learning rate.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over all samples of manifests.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Steps, instead of epochs.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Mixed or not.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to train.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Decides first weights and order.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; a wrong KEY lists them.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            "--frames", metavar="DIR", parser=named_path, help="Where decoded frames are kept (default: in the run)."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Threads that decode videos.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.0, help="Stop and save after so long.")] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard/--no-tensorboard", help="Write a TensorBoard log.")
    ] = None,
) -> None:
    """Train a network: by default as the paper does, with --recipe fast a TriDAB for all set sizes.

    Ctrl-C saves the run; --resume goes on with the very next sample. On several GPUs:
    accelerate launch -m imgorder train …
    """
    from imgorder.training.config import parse_settings, read_toml
    from imgorder.training.train import train_network

    flags: dict[str, Any] = {
        "recipe": recipe,
        "data": [str(path) for path in data] if data else None,
        "seq_len": parse_sizes(seq_len) if seq_len else None,
        "backbone": backbone,
        "init": init,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "steps": steps,
        "precision": precision,
        "device": device,
        "seed": seed,
        "tensorboard": tensorboard,
    }
    network = {"width": width, "dab": dab, "window": dab_window}
    changes = {name: value for name, value in flags.items() if value is not None}
    changes["network"] = {name: value for name, value in network.items() if value is not None}
    from_file = read_toml(config) if config else {}
    try:
        with say_if_stopped("nothing is saved yet; the same command begins anew"), counting("decoding") as progress:
            trainer = train_network(
                run,
                [from_file, parse_settings(settings or []), changes],
                resume=resume,
                frames=frames,
                minutes=float("inf") if minutes is None else minutes,
                workers=workers,
                progress=progress,
                warn=lambda line: print_message("warning", line),
                say=lambda line: print_message("training", line),
            )
    except ImgorderError as error:
        if os.environ.get("RANK", "0") != "0":  # only the first process reports what stops them all
            raise typer.Exit(error.exit_code) from error
        raise
    if trainer.accelerator.is_main_process:
        _print_result(trainer)
    if trainer.stopped and not trainer.finished:
        raise typer.Exit(EXIT_INTERRUPTED)


def _print_result(trainer: Trainer) -> None:
    done = trainer.progress
    if not trainer.finished:
        print_message("stopped", f"after step {done.step} of {trainer.steps}; --resume goes on from there")
    elif done.step < trainer.steps:
        print_message(
            "finished", f"after step {done.step}: the validation loss no longer falls at the lowest learning rate"
        )
    if trainer.weights is None:
        return  # before the first validation
    loss = "" if done.best_loss is None else f", validation loss {done.best_loss:.3f}"
    print(f"{show(trainer.weights)}: {trainer.config.backbone}, weights after step {done.best_step}{loss}")
