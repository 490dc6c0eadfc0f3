"""How right an order is, and how far a figure can be trusted. All of it up to reversal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from imgorder.permutations import MAX_EXACT, SIZES
from imgorder.search.windows import place_windows


def kendall_tau(order: Sequence[int]) -> float:
    """Kendall's tau between an order and 0, 1, 2, …; of the two directions the better one, 0…1."""
    n = len(order)
    return abs(_agreement(np.asarray(order))) / (n * (n - 1) // 2)


def _agreement(order: npt.NDArray[np.int64]) -> int:
    """Pairs of an order that rise, less those that fall."""
    rising = int(np.triu(order[:, None] < order, 1).sum())
    return 2 * rising - len(order) * (len(order) - 1) // 2


def adjacency(order: Sequence[int]) -> float:
    """Share of the true neighbours (i, i + 1) that are neighbours in an order, 0…1."""
    return sum(abs(a - b) == 1 for a, b in pairwise(order)) / (len(order) - 1)


def right_places(order: Sequence[int]) -> npt.NDArray[np.float64]:
    """Whether between two neighbours in an order of 0, 1, 2, … nothing is missing or swapped, ``(n - 1,)``: 1 or 0.

    The later one has to be the next in time, in the direction of the order around it: of the two, that with which more
    pairs agree. Where equally many do, a place that is right in either direction counts half. Around it is the whole
    order of up to `MAX_EXACT` images, and of more a window of `max(SIZES)`: where a long part is turned round, its
    two ends are wrong, and not all that is between.
    """
    listed = np.asarray(order)
    n = len(listed)
    width = n if n <= MAX_EXACT else max(SIZES)
    windows = (listed[start : start + width] for start in place_windows(n, width))
    forward = np.array([(np.sign(_agreement(window)) + 1) / 2 for window in windows])
    steps = np.diff(listed)
    return np.asarray((steps == 1) * forward + (steps == -1) * (1 - forward))


def expected_calibration_error(
    confidences: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_] | npt.NDArray[np.float64], bins: int = 10
) -> float:
    """Mean distance between confidence and share of hits over equal bins, weighted by what is in them; 0…1."""
    member = np.minimum((confidences * bins).astype(int), bins - 1)
    total = 0.0
    for index in np.unique(member):
        inside = member == index
        total += float(inside.mean()) * abs(float(confidences[inside].mean()) - float(hits[inside].mean()))
    return total


def bootstrap_interval(
    hits: npt.NDArray[np.float64], groups: npt.NDArray[np.int64], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of ``hits``, 0…1, by drawing whole groups with replacement.

    Sets of one video overlap, and videos of one source are alike; drawing sets one by one would make
    the interval look far narrower than it is. With few groups it still is somewhat too narrow; with
    a single one nothing is known, and the interval is everything.

    Args:
        hits: share of right answers of each set, ``(N,)``.
        groups: number of the group of each set, ``(N,)``.
    """
    count = int(groups.max()) + 1
    if count < 2:
        return 0.0, 1.0
    right = np.bincount(groups, weights=hits, minlength=count)
    sets = np.bincount(groups, minlength=count)
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    means = right[drawn].sum(axis=1) / sets[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
