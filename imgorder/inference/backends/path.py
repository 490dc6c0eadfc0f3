"""The baseline that every model has to beat: shortest open path over thumbnails.

Images of one scene change little between neighbours, so the order in which the summed L2 distance
of 14×14 thumbnails is least is a strong guess that needs no weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imgorder.errors import ModelError
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.permutations import permutation_classes

THUMBNAIL = 14

# Path lengths in units of the set's mean distance, turned into logits; sharp enough that a clearly
# shorter path wins clearly. Not calibrated: a baseline's confidence is for ranking only.
SHARPNESS = 10.0


class PathBackend:
    """Logits are minus the length of the open path through the set in each order."""

    name = "numpy"

    def __init__(self, spec: Preprocessing = DEFAULT) -> None:
        self._std = np.array(spec.std, dtype=np.float32).reshape(3, 1, 1)

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        distances = thumbnail_distances(tensors * self._std)
        orders = np.array(permutation_classes(tensors.shape[1]))
        lengths = distances[:, orders[:, :-1], orders[:, 1:]].sum(axis=2)
        scale = distances.mean(axis=(1, 2), keepdims=True)[:, 0]
        return np.asarray(-SHARPNESS * lengths / np.maximum(scale, 1e-12), dtype=np.float32)

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
    differences = thumbnails[:, :, None] - thumbnails[:, None]
    return np.asarray(np.sqrt(np.square(differences).sum(axis=-1)))
