"""The baseline that every model has to beat: shortest open path over thumbnails.

Images of one scene change little between neighbours, so the order in which the summed L2 distance
of 14×14 thumbnails is least is a strong guess that needs no weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imgorder.errors import ModelError
from imgorder.inference.backends import AnySize
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.search.paths import path_logits

THUMBNAIL = 14


class PathBackend(AnySize):
    """Logits are minus the length of the open path through the set in each order."""

    name = "numpy"

    def __init__(self, spec: Preprocessing = DEFAULT) -> None:
        self._std = np.array(spec.std, dtype=np.float32).reshape(3, 1, 1)

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        return path_logits(thumbnail_distances(tensors * self._std))

    def distances(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Distances between the images of one set of any size, ``(n, 3, H, W) -> (n, n)``."""
        (found,) = thumbnail_distances(tensors[None] * self._std)
        return np.asarray(found)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """None: there are no layers."""
        return {}

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Refused: there are no layers."""
        raise ModelError("path: has no heat maps; choose a TriDAB or DAB-ResNet model")


def thumbnail_distances(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """L2 distances between the 14×14 thumbnails of each set, ``(B, n, 3, H, W) -> (B, n, n)``."""
    b, n, c, height, width = images.shape
    if height % THUMBNAIL or width % THUMBNAIL:  # another model's preprocessing: cut to whole cells
        images = images[..., : height - height % THUMBNAIL, : width - width % THUMBNAIL]
        height, width = images.shape[3:]
    blocks = images.reshape(b, n, c, THUMBNAIL, height // THUMBNAIL, THUMBNAIL, width // THUMBNAIL)
    thumbnails = blocks.mean(axis=(4, 6), dtype=np.float64).reshape(b, n, -1)
    # Row by row: the differences of 500 images at once would be a gigabyte.
    rows = [np.sqrt(np.square(thumbnails - thumbnails[:, i, None]).sum(axis=-1)) for i in range(n)]
    return np.stack(rows, axis=1)
