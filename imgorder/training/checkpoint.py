"""Training state as one safetensors file, written atomically; no pickle anywhere.

Tensors are named ``model.…``, ``ema.…`` and ``optimizer.<parameter index>.<name>``; the run's config,
step and the rest are JSON in the file's metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from imgorder.errors import ImgorderError
from imgorder.fields import as_record
from imgorder.files import atomic_write
from imgorder.model_format import FORMAT, FORMER, read_settings
from imgorder.names import show
from imgorder.networks.weights import write_tensors
from imgorder.training.config import TrainConfig, family_of, make_config

WEIGHTS = "model.safetensors"  # of a run, for use; its config.toml lies beside it


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: optimizer steps done.
        best_loss: lowest validation loss so far, None before the first.
        best_step: after which it was measured.
        schedule: state of the learning rate's schedule.
        scaler: state of the gradient scaler, of fp16 runs.
        processes: how many the run has had from its beginning.
        seen: sets, loss summed over them, and sets put right since the last validation.
    """

    step: int = 0
    best_loss: float | None = None
    best_step: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    seen: tuple[int, float, int] = (0, 0.0, 0)


def save_checkpoint(
    path: Path,
    config: TrainConfig,
    progress: Progress,
    model: nn.Module,
    ema: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state of a run; a reader sees the old file or the new one, never a part."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items() if value is not None}
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"format": FORMAT, "config": json.dumps(as_record(config)), "progress": json.dumps(vars(progress))}
    with atomic_write(path, "free some space, then go on with --resume") as partial:
        write_tensors(contiguous, metadata, partial)


def load_checkpoint(path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved state into the three objects.

    Raises:
        ImgorderError: if the file is missing, cannot be read, or is of another network.
    """
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            for name in file.keys():  # noqa: SIM118 - a safetensors handle is not a mapping
                group, _, rest = name.partition(".")
                groups[group][rest] = file.get_tensor(name)
        model.load_state_dict(groups["model"])
        ema.load_state_dict(groups["ema"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ImgorderError(f"{show(path)}: no state of this run that can be read; check --out") from error
    slots: dict[int, dict[str, Any]] = {}
    for name, value in groups["optimizer"].items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    progress.seen = (progress.seen[0], progress.seen[1], progress.seen[2])
    return progress


def read_config(path: Path) -> TrainConfig:
    """The config with which a checkpoint was written.

    Raises:
        ImgorderError: if the file is missing, or not one of imgorder's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        settings = json.loads(metadata["config"])
        family, version = family_of(settings["backbone"]), metadata.get("format", FORMER)
        settings["network"] = read_settings(family, settings.get("network", {}), version)
        return make_config(settings)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ImgorderError(f"{show(path)}: no state of a run that can be read; check --out") from error


def read_step(path: Path) -> int:
    """The number of steps after which a checkpoint was written."""
    with safe_open(path, framework="pt") as file:
        return int(json.loads(file.metadata()["progress"])["step"])


def read_ema_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint: what is validated and released."""
    prefix = "ema.module."
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
