"""Where logits come from: ONNX Runtime, torch, or the shortest-path baseline.

Each backend is an object with ``logits(tensors)``: float32 ``(B, n, 3, H, W) -> (B, n!/2)``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Backend(Protocol):
    """Computes logits of the permutation classes for sets of equal size."""

    name: str

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        ...
