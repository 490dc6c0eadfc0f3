"""Photos of two cameras among those that nothing else tells apart: each camera gives colours a cast of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from imgorder.media.preprocess import DEFAULT, Preprocessing, denormalise

if TYPE_CHECKING:
    from imgorder.media.preprocess import Tensor

# Chosen on development photos and clips, half of whose photos were given another white balance and saturation: with a
# wider gap more cameras are missed, with a narrower one a change of light is taken for a camera more often.
_FEWEST = 3  # photos of a camera; of two the pictures say too little
_WIDER = 1.5  # the gap between two cameras over what the photos of one differ by
_DRIFT = 0.02  # what photos of one camera may differ by at least: a hundredth is one per cent of red or blue


def part_by_cast(tensors: Tensor, spec: Preprocessing = DEFAULT) -> tuple[list[int], list[int]] | None:
    """Two groups of photos between whose casts of red or blue lies a wide gap; None if there are none.

    A change of light, or of what is seen, may look the same. So this is no more than a hint.

    Args:
        tensors: ``(n, 3, crop, crop)``, as preprocessed.
        spec: how they were.
    """
    means = np.stack([denormalise(each, spec).mean(axis=(0, 1)) + 1 for each in tensors])
    casts = np.log(means[:, [0, 2]] / means[:, [1]])
    return max((_find_gap(cast) for cast in casts.T), default=(0.0, None), key=lambda found: found[0])[1]


def even_casts(tensors: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """The photos, with the colours of each group moved and stretched to those of the first one, channel by channel.

    Else a network takes the photos of one camera for neighbours.
    """
    even = tensors.copy()
    middle, spread = _measure(tensors[list(groups[0])])
    for group in groups[1:]:
        own, wide = _measure(tensors[list(group)])
        even[list(group)] = (tensors[list(group)] - own) * (spread / np.maximum(wide, 1e-3)) + middle
    return even


def _measure(tensors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel over some photos."""
    return tensors.mean(axis=(0, 2, 3))[:, None, None], tensors.std(axis=(0, 2, 3))[:, None, None]


def _find_gap(cast: npt.NDArray[np.float64]) -> tuple[float, tuple[list[int], list[int]] | None]:
    """How wide the widest gap is over what either side spans, and the two sides; 0 and None if it is too narrow."""
    order = np.argsort(cast)
    ascending = cast[order]
    best, place = _WIDER, 0
    for first in range(_FEWEST, len(cast) - _FEWEST + 1):
        below, above = ascending[:first], ascending[first:]
        wide = (above[0] - below[-1]) / max(np.ptp(below), np.ptp(above), _DRIFT)
        if wide > best:
            best, place = float(wide), first
    return (best, (sorted(order[:place].tolist()), sorted(order[place:].tolist()))) if place else (0.0, None)
