"""Orders of sets that have too many orders to look at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgorder.permutations import SIZES
from imgorder.search.constraints import Before
from imgorder.search.paths import Distances, path_logits, shortest_path
from imgorder.search.windows import Probabilities, window_places


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        order: of images.
        places: for each two neighbours, the probability that nothing is missing or swapped between them.
        search: how it was found.
    """

    order: list[int]
    places: list[float]
    search: str


def order_by_path(distances: Distances, before: Before | None = None) -> Found:
    """The shortest path; its places by the lengths of all paths through the windows around them."""
    order = shortest_path(distances, before)

    def ask(windows: Sequence[Sequence[int]]) -> Probabilities:
        listed = np.array(windows)
        logits = path_logits(distances[listed[:, :, None], listed[:, None]]).astype(np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    return Found(order, window_places(order, min(len(order), max(SIZES)), ask), "path")
