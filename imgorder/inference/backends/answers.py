"""Check a network's answer: model files come from anywhere, so a bad one has to end in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgorder.errors import MEMORY_CURE, NO_MEMORY, ModelError, is_out_of_memory
from imgorder.names import first_line, show
from imgorder.permutations import class_count

CURE = "fetch or export it again"


@contextmanager
def as_model_errors(path: Path, n: int, cure: str = CURE) -> Iterator[None]:
    """Turn whatever this file's network raises when it is run on n photos into a ModelError with this cure."""
    try:
        yield
    except Exception as error:  # torch and ONNX Runtime have a dozen classes, and none above them
        if is_out_of_memory(error) and cure == CURE:
            raise ModelError(f"{show(path)}: {NO_MEMORY} to run its network on {n} photos; {MEMORY_CURE}") from error
        raise ModelError(
            f"{show(path)}: its network cannot be run on {n} photos ({first_line(error)}); {cure}"
        ) from error


def split(tensors: npt.NDArray[np.float32], images: int) -> Iterator[npt.NDArray[np.float32]]:
    """Sets ``(B, n, 3, H, W)`` in parts of about so many images, so that memory does not grow with their number."""
    yield from split_rows(tensors, max(1, images // tensors.shape[1]))


def split_rows(rows: npt.NDArray[np.float32], most: int) -> Iterator[npt.NDArray[np.float32]]:
    """Parts of at most so many rows."""
    for first in range(0, len(rows), most):
        yield rows[first : first + most]


def check_logits(logits: npt.NDArray[np.float32], path: Path, sets: int, n: int) -> npt.NDArray[np.float32]:
    """Return logits ``(sets, n!/2)`` as they are.

    Raises:
        ModelError: if there are more or fewer, or if one is not finite.
    """
    if logits.shape != (sets, class_count(n)):
        raise ModelError(f"{show(path)}: gives no probability for each order of {n} photos; {CURE}")
    if not np.isfinite(logits).all():
        raise ModelError(
            f"{show(path)}: its answer is not a number (damaged, or from a training run that diverged?); "
            "fetch or train it again"
        )
    return logits
