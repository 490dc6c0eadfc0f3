"""Training state as one safetensors file, written atomically; no pickle anywhere.

Tensors are named ``model.…``, ``ema.…`` and ``optimizer.<parameter index>.<name>``; the run's
config and step are JSON in the file's metadata.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from imgorder.training.config import TrainConfig


def save_checkpoint(
    path: Path, config: TrainConfig, step: int, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write the state after ``step`` steps; a reader sees the old file or the new one, never a part."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(contiguous, partial, metadata={"config": json.dumps(asdict(config)), "step": str(step)})
    with partial.open("rb") as handle:
        os.fsync(handle.fileno())
    partial.replace(path)


def load_checkpoint(path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Put a saved state into the three objects; returns the number of steps done."""
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
    with safe_open(path, framework="pt") as file:
        step = int(file.metadata()["step"])
        for name in file.keys():  # noqa: SIM118 - a safetensors handle is not a mapping
            group, _, rest = name.partition(".")
            groups[group][rest] = file.get_tensor(name)
    model.load_state_dict(groups["model"])
    ema.load_state_dict(groups["ema"])
    state = optimizer.state_dict()
    slots: dict[int, dict[str, Any]] = {}
    for name, value in groups["optimizer"].items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": state["param_groups"]})
    return step


def read_config(path: Path) -> TrainConfig:
    """The config with which a checkpoint was written."""
    with safe_open(path, framework="pt") as file:
        return TrainConfig(**json.loads(file.metadata()["config"]))


def read_step(path: Path) -> int:
    """The number of steps after which a checkpoint was written."""
    with safe_open(path, framework="pt") as file:
        return int(file.metadata()["step"])


def read_ema_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint: what is validated and released."""
    prefix = "ema.module."
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
