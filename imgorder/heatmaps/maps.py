"""Activations to motion maps, one for each image of a set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from imgorder.model_format import DAB, FEATURES

Array = npt.NDArray[np.float32]


def motion_maps(name: str, activation: Array, order: Sequence[int]) -> Array:
    """Maps of a set from one layer.

    DAB-ResNet (the paper's section on motion heat maps): the mean over channels of |F_s^i|. TriDAB: the
    mean over channels of |2·f_b − f_a − f_c|, the accumulator of Eq. 2 for the image b between its
    neighbours a and c in the order; the first and the last use their one neighbour twice.

    Args:
        name: of the layer.
        activation: F_s or features, ``(n, C, H, W)``, image by image as listed.
        order: indices of the images in temporal order.

    Returns:
        ``(n, H, W)``, as listed.
    """
    if name.startswith(DAB):
        return np.asarray(np.abs(activation).mean(axis=1))
    maps = np.empty((activation.shape[0], *activation.shape[2:]), dtype=np.float32)
    for place, image in enumerate(order):
        before = order[place - 1] if place else order[1]
        after = order[place + 1] if place + 1 < len(order) else order[-2]
        difference = 2 * activation[image] - activation[before] - activation[after]
        maps[image] = np.abs(difference).mean(axis=0)
    return maps


def depend_on_listing(layers: Iterable[str]) -> bool:
    """Whether maps of these layers depend on how the images are listed: those of accumulators do."""
    return any(name.startswith(DAB) for name in layers)


def name_layer(name: str) -> str:
    """A layer's name for people: ``layer4``, ``stride 8``."""
    return name.removeprefix(DAB).removeprefix(FEATURES).replace("stride", "stride ")


def last_layer(layers: Mapping[str, Array]) -> Array:
    """The maps of the layer nearest to the output: those to look at."""
    return list(layers.values())[-1]


def find_scales(maps: Array, by_photo: bool) -> list[float]:
    """The value that gets the brightest colour in each map: the 99th percentile of the set, or of each photo."""
    parts = list(maps) if by_photo else [maps] * len(maps)
    return [float(np.percentile(part, 99)) or 1.0 for part in parts]
