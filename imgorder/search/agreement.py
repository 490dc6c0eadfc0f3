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
        self._logs = np.log(middle + FLOOR).astype(np.float32)
        first, _, last = _list_triples(self._n)
        self._weights = 1 / (last - first).astype(np.float32)

    def improve(self, order: Sequence[int], before: Before | None = None) -> list[int]:
        """An order that agrees better: parts are turned round, or carried elsewhere, as long as that helps.

        A triple counts by one over its span, the places from its first to its last image.
        """
        best = np.array(order)
        moves, rows = _list_moves(self._n), _list_rows(self._n)
        logs = self._in_order(best)
        score = float(self._weights @ logs[_rows_of(np.arange(self._n)[None])][:, 0])
        quiet = made = place = 0
        while quiet < len(moves) and made < _MOST_MOVES:
            scores = self._weights @ logs[rows[place]]
            first, place = place * _MOVES_AT_ONCE, (place + 1) % len(rows)
            quiet += len(scores)
            for index in np.argsort(-scores):
                if scores[index] <= score + 1e-4:
                    break
                candidate = best[moves[first + index]]
                if fits(candidate, before):
                    best, score, quiet, made = candidate, float(scores[index]), 0, made + 1
                    logs = self._in_order(best)
                    break
        return [int(image) for image in best]

    def _in_order(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The logarithms by places of an order."""
        return self._logs[np.ix_(order, order, order)].ravel()


@cache
def _list_triples(n: int) -> npt.NDArray[np.int64]:
    """The places of all triples, first, middle and last, ``(3, T)``."""
    return np.array(list(combinations(range(n), 3))).T


def _rows_of(orders: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Where the triples of some orders are in an array ``(n, n, n)`` of middle, end, end that is laid flat, ``(T, M)``.

    Short numbers: those of all moves of 30 images are kept, 23 million.
    """
    n = orders.shape[1]
    first, middle, last = (orders.T[places] for places in _list_triples(n))
    return np.asarray((middle * n + first) * n + last, dtype=np.min_scalar_type(n**3))


@cache
def _list_rows(n: int) -> list[npt.NDArray[np.uint16]]:
    """`_rows_of` the moves, some at a time."""
    moves = _list_moves(n)
    return [_rows_of(moves[first : first + _MOVES_AT_ONCE]) for first in range(0, len(moves), _MOVES_AT_ONCE)]


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
