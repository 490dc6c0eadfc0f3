"""All that decides a training run, in one dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainConfig:
    """Settings of a run. `steps` may be raised on resume; the rest should stay as it was.

    Attributes:
        family, network: which network, and the fields of its config.
        set_sizes: set size n -> share of the batches.
        batch_images: images a batch; a batch of sets of n holds batch_images // n of them.
        learning_rate: peak; reached after `warmup` steps, held, then brought down linearly to zero
            over the last `decay` steps (warm-up, stable, decay: the stable part can be prolonged).
        ema: decay of the exponential moving average of the weights that is validated and released.
        validation_fraction: share of the clips, in whole groups, that is kept out of training.
        held_out_groups: those groups; drawn when a run begins, and kept with it from then on.
        commit: of imgorder when the run began.
        validation: (set size, spacing) of each validation figure.
        validate_every, save_every: in steps.
    """

    family: str = "tridab"
    network: dict[str, Any] = field(default_factory=dict)
    set_sizes: dict[int, float] = field(default_factory=lambda: {3: 0.1, 4: 0.5, 5: 0.2, 6: 0.2})
    batch_images: int = 128
    steps: int = 10_000
    warmup: int = 200
    decay: int = 2_000
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    clip_gradient: float = 1.0
    ema: float = 0.998
    seed: int = 0
    validation_fraction: float = 0.15
    held_out_groups: list[str] = field(default_factory=list)
    commit: str = "unknown"
    validation: tuple[tuple[int, int], ...] = ((4, 2), (4, 4), (4, 8), (6, 4))
    validate_every: int = 500
    save_every: int = 250
    device: str = "auto"
    bf16: bool = True
    threads: int = 0
    window: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # JSON has no integer keys and no tuples.
        self.set_sizes = {int(n): share for n, share in self.set_sizes.items()}
        self.validation = tuple((n, spacing) for n, spacing in self.validation)

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step counted from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1, self.decay)
        return self.learning_rate * min(warm, max(0.0, min(1.0, left)))
