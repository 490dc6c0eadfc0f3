"""Orders of sets that have too many orders to look at each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np

from imgorder.ordering import SURE
from imgorder.permutations import SIZES
from imgorder.search.agreement import Agreement
from imgorder.search.constraints import Before
from imgorder.search.paths import Distances, path_logits, shortest_path
from imgorder.search.table import ScoreTable
from imgorder.search.windows import Probabilities, improve_by_windows, softmax, window_places

FEW = 20  # images of which all triples are looked at
ALL_TRIPLES = 30  # images of which they are, where windows leave a doubt
_BLOCK = 4  # images; three blocks are looked at together
_WINDOW = 8  # images of a window, of which all triples are looked at
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
    which its neighbours cannot tell.

    Where the network is wrong about wide triples, the distances are, too. So there are further candidates: orders that
    agree with most triples, and orders of which each window is the most probable one. That which the network's scores
    of neighbours speak for is taken.

    All triples tell more, and take longer. They are looked at where images are `FEW`, and, up to `ALL_TRIPLES` of
    them, where windows have found an order of which a place is not sure.

    Args:
        table: of the set.
        start: a path to begin from; it fits what is known.
        before: what is known.
    """
    if len(start) > FEW:
        found = _order_by_windows(table, start, before)
        if len(start) > ALL_TRIPLES or min(found.places) >= SURE:
            return found
    return _order_by_all_triples(table, start, before)


def _order_by_windows(table: ScoreTable, start: Sequence[int], before: Before | None) -> Found:
    order = list(start)
    for _ in range(_MOST_ROUNDS):
        for window in _spread_windows(order):
            table.look_at(window)
        former, order = order, shortest_path(table.distances(), before, [order])
        if order in (former, former[::-1]):
            break
    width = max(SIZES)
    agreed = improve_by_windows(order, width, table.agreement_probabilities, before)
    probable = improve_by_windows(agreed, width, table.class_probabilities, before)
    return _choose(table, [agreed, probable], "windows", before)


def _order_by_all_triples(table: ScoreTable, start: Sequence[int], before: Before | None) -> Found:
    # Three blocks at a time: no more is computed at once, and all triples are seen.
    blocks = [start[first : first + _BLOCK] for first in range(0, len(start), _BLOCK)]
    for three in combinations(blocks, min(3, len(blocks))):
        table.look_at(list(chain(*three)))
    begin = list(start)
    order = shortest_path(table.distances(), before, [begin])
    agreed = improve_by_windows(order, min(len(order), max(SIZES)), table.agreement_probabilities, before)
    agreement = Agreement(table.middle_probabilities())
    candidates = [agreed, *(agreement.improve(each, before) for each in (agreed, order, begin))]
    width = min(len(order), _WINDOW)
    candidates += [
        improve_by_windows(each, width, table.class_probabilities, before) for each in (agreed, order, begin)
    ]
    return _choose(table, candidates, "triples", before)


def _choose(table: ScoreTable, candidates: Sequence[list[int]], search: str, before: Before | None) -> Found:
    best = max(candidates, key=table.score)
    places = window_places(best, min(len(best), max(SIZES)), table.class_probabilities, before)
    return Found(best, places, search)


def _spread_windows(order: Sequence[int]) -> Iterator[Sequence[int]]:
    """Windows of an order and of each second, fourth, … of its images."""
    step = 1
    while step == 1 or len(order) // step >= _WINDOW // 2:
        spread = order[step // 2 :: step]
        width = min(_WINDOW, len(spread))
        yield from (spread[min(first, len(spread) - width) :][:width] for first in range(0, len(spread), width // 2))
        step *= 2
