"""How well an order agrees with the triples of a set, of which all are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from imgorder.search.constraints import Before, fits
from imgorder.search.table import FLOOR

_PIECES = (1, 2, 3, 5)  # images that one move carries elsewhere
_MOVES_AT_ONCE = 256
_MOST_MOVES = 500


class Agreement:
    """Sums of log P(b lies between a and c) over the triples of an order, those that span few places first.

    Args:
        middle: ``(n, n, n)``: entry (b, a, c) is P(b lies between a and c).
    """

    def __init__(self, middle: npt.NDArray[np.float64]) -> None:
        self._n = len(middle)
        self._logs = np.log(middle + FLOOR).astype(np.float32).ravel()
        self._triples = np.array(list(combinations(range(self._n), 3))).T
        self._weights = 1 / (self._triples[2] - self._triples[0]).astype(np.float32)

    def improve(self, order: Sequence[int], before: Before | None = None) -> list[int]:
        """An order that agrees better: parts are turned round, or carried elsewhere, as long as that helps.

        A triple counts by one over its span, the places from its first to its last image.
        """
        best = np.array(order)
        moves = _list_moves(self._n)
        score, start, tried, made = self._sum(best[None])[0], 0, 0, 0
        while tried < len(moves) and made < _MOST_MOVES:
            candidates = best[moves[start : start + _MOVES_AT_ONCE]]
            scores = self._sum(candidates)
            tried, start = tried + len(candidates), (start + len(candidates)) % len(moves)
            for index in np.argsort(-scores):
                if scores[index] <= score + 1e-4:
                    break
                if fits(candidates[index], before):
                    best, score, tried, made = candidates[index], scores[index], 0, made + 1
                    break
        return [int(image) for image in best]

    def _sum(self, orders: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        first, middle, last = self._triples
        images = np.ascontiguousarray(orders.T, dtype=np.int32)  # rows are copied whole, so much quicker
        rows = images[middle]
        rows *= self._n
        rows += images[first]
        rows *= self._n
        rows += images[last]
        return np.asarray(self._weights @ self._logs[rows])


@cache
def _list_moves(n: int) -> npt.NDArray[np.int64]:
    """Every order that one move makes of 0 … n−1, ``(M, n)``."""
    same = list(range(n))
    moves = [[*same[:i], *same[i : j + 1][::-1], *same[j + 1 :]] for i, j in combinations(same, 2)]
    for length in _PIECES:
        for first in range(n - length + 1):
            rest = same[:first] + same[first + length :]
            pieces = (same[first : first + length], same[first : first + length][::-1])
            moves += [
                [*rest[:place], *piece, *rest[place:]]
                for place in range(len(rest) + 1)
                if place != first
                for piece in pieces[: 1 if length == 1 else 2]
            ]
    return np.array(moves, dtype=np.int64)
