"""How alike photos are, as one number for each two: by their colours, their edges and where light and dark stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder.media.preprocess import DEFAULT, Preprocessing, denormalise

if TYPE_CHECKING:
    from imgorder.media.preprocess import Pixels, Tensor

Floats = npt.NDArray[np.float32]

_EDGE = 64  # px to which photos are scaled, whatever the model sees
_LIGHT, _HUE = 6, 8  # steps of brightness, and of each of two axes of colour
_STEPS = np.array([4, 12, 30, 60], dtype=np.float32)  # between strengths of edges, of 0…255
_DIRECTIONS = 8


Rows = tuple[Floats, Floats, Floats]
"""Of n photos, each row of length 1, so that a product of two says how alike they are: roots of the shares of colours
``(n, 384)``; roots of the shares of edges by strength and direction ``(n, 33)``; a grey thumbnail less its mean
``(n, 256)``, of zeros for a photo of one colour.
"""


def describe(tensors: Tensor, spec: Preprocessing = DEFAULT) -> Rows:
    """What photos are compared by.

    Args:
        tensors: ``(n, 3, crop, crop)``, as preprocessed.
        spec: how they were.
    """
    rows = [describe_pixels(denormalise(each, spec)) for each in tensors]
    colours, edges, greys = (np.stack(each) for each in zip(*rows, strict=True))
    return colours, edges, greys


def compare(rows: Rows) -> Floats:
    """Distances of each two photos in colours, edges and thumbnails, ``(n, n, 3)``.

    They are 0 for the same and 1 for nothing in common; thumbnails of which one is the other's negative are 2 apart.
    """
    colours, edges, greys = rows
    apart = [np.sqrt(np.maximum(0, 1 - each @ each.T)) for each in (colours, edges)]
    return np.stack([*apart, 1 - greys @ greys.T], axis=-1)


def describe_pixels(pixels: Pixels) -> Rows:
    """As `describe`, of one photo, uint8 ``(H, W, 3)``: three rows."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.size != (_EDGE, _EDGE):
        image = image.resize((_EDGE, _EDGE), Image.Resampling.BOX)
    small = np.asarray(image, dtype=np.float32)
    grey = _halve(_halve(small)).mean(axis=-1)
    return _colours(_halve(small)), _edges(small.mean(axis=-1)), _unit((grey - grey.mean()).ravel(), least=1.0)


def _halve(pixels: Floats) -> Floats:
    """Means of 2×2 px."""
    height, width = pixels.shape[:2]
    found: Floats = pixels.reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3))
    return found


def _colours(pixels: Floats) -> Floats:
    """Shares of colours, each spread a little over its neighbours: light and white balance drift."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    light = pixels.mean(axis=-1) / 256 * _LIGHT
    # Pale colours are many, so their steps are finer.
    hues = [np.sign(each) * np.sqrt(np.abs(each)) / 2 + 4 for each in (red - green, (red + green) / 2 - blue)]
    places = [np.clip(light, 0, _LIGHT - 1).astype(int), *(np.clip(each, 0, _HUE - 1).astype(int) for each in hues)]
    sizes = (_LIGHT, _HUE, _HUE)
    counts = np.bincount(np.ravel_multi_index([each.ravel() for each in places], sizes), minlength=_LIGHT * _HUE**2)
    shares: npt.NDArray[np.float64] = counts.reshape(sizes).astype(np.float64)
    for axis, size in enumerate(sizes):
        wide = np.pad(shares, [(int(axis == each),) * 2 for each in range(3)], mode="edge")
        low, middle, high = (np.take(wide, range(first, first + size), axis) for first in range(3))
        shares = low / 4 + middle / 2 + high / 4
    return _unit(np.sqrt(shares.ravel()))


def _edges(grey: Floats) -> Floats:
    """Shares of edges by strength and direction; weak ones have no direction."""
    down = grey[2:, 1:-1] - grey[:-2, 1:-1]
    right = grey[1:-1, 2:] - grey[1:-1, :-2]
    direction = (np.arctan2(down, right) % np.pi / np.pi * _DIRECTIONS).astype(int) % _DIRECTIONS
    strength = np.digitize(np.hypot(down, right), _STEPS)
    kind = np.where(strength > 0, (strength - 1) * _DIRECTIONS + direction + 1, 0)
    return _unit(np.sqrt(np.bincount(kind.ravel(), minlength=len(_STEPS) * _DIRECTIONS + 1)))


def _unit(row: npt.NDArray[np.floating], least: float = 0.0) -> Floats:
    """A row over its length; of one shorter than ``least``, no more than it has."""
    return np.asarray(row / max(float(np.linalg.norm(row)), least, 1e-9), dtype=np.float32)
