"""Order averaging: a network is shown each set in several listings, and its answers are averaged.

A network such as DAB-ResNet answers a little differently when the same photos are listed in another order. The mean
over several listings depends less on how the photos were listed; over all n! it does not depend on it at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import permutations
from math import factorial

import numpy as np
import numpy.typing as npt

from imgorder.permutations import Order, class_count, relabel_classes

Ask = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def mean_logits(ask: Ask, tensors: npt.NDArray[np.float32], listings: Sequence[Order]) -> npt.NDArray[np.float32]:
    """The mean of a network's logits over several listings of each set.

    Args:
        ask: gives them, ``(B, n, 3, H, W) -> (B, n!/2)``.
        tensors: float32 ``(B, n, 3, H, W)``.
        listings: in which a set is shown.

    Returns:
        float32 ``(B, n!/2)``, of the classes of the set as it is listed.
    """
    if listings == (tuple(range(tensors.shape[1])),):
        return ask(tensors)
    # One listing after the other, so that no more is in memory than without votes.
    total = np.zeros((len(tensors), class_count(tensors.shape[1])))
    for listing in listings:
        # What the network calls image i is image listing[i].
        total[:, relabel_classes(listing)] += ask(tensors[:, list(listing)])
    return np.asarray(total / len(listings), dtype=np.float32)


def listings_of_views(n: int, votes: int) -> tuple[tuple[Order, ...], tuple[Order, ...]]:
    """In which listings each of two views of n images is shown: different ones, where there are enough.

    What a network gets wrong in one listing it may get right in another, so different ones tell more than the same.
    """
    chosen = choose_listings(n, 2 * votes)
    return chosen[:votes], chosen[-votes:]


@cache
def choose_listings(n: int, count: int) -> tuple[Order, ...]:
    """Different listings of n images, always the same ones: as they are, then drawn ones.

    Args:
        n: of a set.
        count: how many; all n! if there are fewer. Those for a smaller count are the first of those for a larger one.
    """
    if count == 1:
        return (tuple(range(n)),)
    drawn = np.random.default_rng(0).permutation(factorial(n) - 1)[: count - 1] + 1  # 0 is the set as it is
    every = list(permutations(range(n)))
    return (every[0], *(every[index] for index in drawn))
