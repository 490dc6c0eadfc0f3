"""A network's answer, or one line that says it gave none. Model files come from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgorder.errors import ModelError
from imgorder.names import first_line, show
from imgorder.permutations import class_count

CURE = "fetch or export it again"


@contextmanager
def running(path: Path, n: int, cure: str = CURE) -> Iterator[None]:
    """What a network of this file raises while it looks at n photos, as a ModelError with this cure."""
    try:
        yield
    except Exception as error:  # torch and ONNX Runtime have a dozen classes, and none above them
        raise ModelError(
            f"{show(path)}: its network cannot be run on {n} photos ({first_line(error)}); {cure}"
        ) from error


def checked(logits: npt.NDArray[np.float32], path: Path, sets: int, n: int) -> npt.NDArray[np.float32]:
    """Logits ``(sets, n!/2)`` as they are.

    Raises:
        ModelError: if they are not that many, or not all finite.
    """
    if logits.shape != (sets, class_count(n)):
        raise ModelError(f"{show(path)}: gives no probability for each order of {n} photos; {CURE}")
    if not np.isfinite(logits).all():
        raise ModelError(
            f"{show(path)}: its answer is not a number (damaged, or from a training run that diverged?); "
            "fetch or train it again"
        )
    return logits
