"""The learning rate of a step."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from imgorder.training.config import TrainConfig

# Of the plateau's state what has happened; how patient it is stays a matter of the config.
REMEMBERED = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


class Schedule:
    """Sets an optimizer's learning rate before each step.

    "cosine" and "linear" follow from the step alone; "plateau" also from the validation losses so far,
    which `state` holds.
    """

    def __init__(self, config: TrainConfig, steps: int, optimizer: Optimizer) -> None:
        self._config = config
        self._steps = steps
        self._optimizer = optimizer
        self._plateau = ReduceLROnPlateau(
            optimizer, factor=config.plateau_factor, patience=config.plateau_patience, min_lr=0.0
        )
        self._level = 1.0

    def before(self, step: int) -> float:
        """Set and return the rate of a step, counted from 0."""
        rate = self._level * compute_rate(self._config, self._steps, step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def after_validation(self, loss: float) -> None:
        """Take note of a validation loss; where there is no validation, of the training loss since the last call."""
        if self._config.schedule != "plateau":
            return
        for group in self._optimizer.param_groups:
            group["lr"] = self._level
        self._plateau.step(loss)
        self._level = self._optimizer.param_groups[0]["lr"]

    @property
    def finished(self) -> bool:
        """Whether a plateau has brought the rate below the least one."""
        config = self._config
        return config.schedule == "plateau" and self._level * config.learning_rate < config.min_learning_rate

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on."""
        plateau = self._plateau.state_dict()
        return {"level": self._level, "plateau": {key: plateau[key] for key in REMEMBERED}}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._level = state["level"]
        self._plateau.load_state_dict(state["plateau"])


def compute_rate(config: TrainConfig, steps: int, step: int) -> float:
    """Rate of a step by the step alone: warm-up, then constant, a cosine, or a line to zero at the end."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    if config.schedule == "cosine":
        rest = max(1, steps - config.warmup)
        warm *= 0.5 * (1 + math.cos(math.pi * min(1.0, max(0, step - config.warmup) / rest)))
    elif config.schedule == "linear":
        warm *= max(0.0, min(1.0, (steps - step) / max(1, config.decay)))
    return config.learning_rate * warm
