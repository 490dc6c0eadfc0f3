"""Where logits come from: ONNX Runtime, torch, or the shortest-path baseline.

Each backend is an object with ``logits(tensors)``: float32 ``(B, n, 3, H, W) -> (B, n!/2)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class AnySize:
    """A backend that gives the logits of sets of any size up to `MAX_EXACT`, whatever it was trained for."""


class Backend(Protocol):
    """Computes logits of the permutation classes for sets of equal size."""

    @property
    def name(self) -> str:
        """What runs it: ``"onnx"``, ``"torch"`` or ``"numpy"``."""
        ...

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        ...

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """What motion heat maps are made of: layer -> ``(B, n, C, H, W)``, input to output; may be empty."""
        ...

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Where one set, ``(1, n, 3, H, W)``, speaks for one order against another: ``(n, h, w)``, 0 or more.

        Raises:
            UsageError: if this backend has no gradients.
            ModelError: if the model has no maps.
        """
        ...
