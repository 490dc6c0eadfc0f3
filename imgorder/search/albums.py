"""Orders of sets that have too many orders to look at each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from imgorder.permutations import SIZES
from imgorder.search.agreement import Agreement
from imgorder.search.constraints import Before
from imgorder.search.paths import Distances, path_logits, shortest_path
from imgorder.search.table import ScoreTable
from imgorder.search.windows import Probabilities, improve_by_windows, softmax, window_places

ALL_TRIPLES = 30  # images of which all triples are looked at
_WINDOW = 8  # images of a window, of which all triples are
_MOST_ROUNDS = 3


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
        return softmax(path_logits(distances[listed[:, :, None], listed[:, None]]).astype(np.float64))

    return Found(order, window_places(order, min(len(order), max(SIZES)), ask, before), "path")


def order_by_triples(table: ScoreTable, start: Sequence[int], before: Before | None = None) -> Found:
    """The shortest path where a distance is the expected number of images between two.

    That number is a sum over triples, of which only those of images near each other in a path decide on it. So windows
    of the best path so far are looked at, then a new path is found, until it stays. A window's images lie side by side,
    or 2, 4, 8, … places apart: those are few, and show where a long part of the path is turned round or misplaced,
    which its neighbours cannot tell. Of up to `ALL_TRIPLES` images all triples are looked at.

    Where the network is wrong about wide triples, the distances are, too. So there are further candidates: orders that
    agree with most triples, and orders of which each window is the most probable one. That which the network's scores
    of neighbours speak for is taken.

    Args:
        table: of the set.
        start: a path to begin from; it fits what is known.
        before: what is known.
    """
    order = list(start)
    few = len(order) <= ALL_TRIPLES
    for _ in range(1 if few else _MOST_ROUNDS):
        for window in _spread_windows(order):
            table.look_at(window)
        former, order = order, shortest_path(table.distances(), before, [order])
        if order in (former, former[::-1]):
            break
    width = min(len(order), max(SIZES))
    candidates = [improve_by_windows(order, width, table.agreement_probabilities, before)]
    if few:
        agreement = Agreement(table.middle_probabilities())
        candidates += [agreement.improve(each, before) for each in (*candidates, order, list(start))]
    wide = min(len(order), _WINDOW) if few else width
    candidates += [
        improve_by_windows(each, wide, table.class_probabilities, before)
        for each in ((*candidates[:1], order, list(start)) if few else candidates)
    ]
    best = max(candidates, key=table.score)
    places = window_places(best, width, table.class_probabilities, before)
    return Found(best, places, "triples" if few else "windows")


def _spread_windows(order: Sequence[int]) -> Iterator[Sequence[int]]:
    """Windows of an order and of each second, fourth, … of its images; all images if they are few."""
    if len(order) <= ALL_TRIPLES:
        # Three blocks of images at a time: no more is computed at once, and all triples are seen.
        blocks = [order[first : first + 4] for first in range(0, len(order), 4)]
        yield from ([*one, *two, *three] for one, two, three in combinations(blocks, 3))
        return
    step = 1
    while step == 1 or len(order) // step >= _WINDOW // 2:
        spread = order[step // 2 :: step]
        width = min(_WINDOW, len(spread))
        yield from (spread[min(first, len(spread) - width) :][:width] for first in range(0, len(spread), width // 2))
        step *= 2
