"""The scores of those triples and pairs of a set that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from math import exp

import numpy as np
import numpy.typing as npt

from imgorder.search import triples as tables
from imgorder.search.paths import Distances
from imgorder.search.windows import Probabilities, softmax

Indices = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
AskScores = Callable[[Sequence[int], Indices, Indices], tuple[Scores, Scores, Scores]]
"""From a list of images, and triples and pairs of places in it, to t_adj, t_all and p."""


FLOOR = 0.05  # added to probabilities of triples, so that a single wrong one does not decide
_TRIPLES_AT_ONCE = 256  # are in memory


class ScoreTable:
    """Scores of one set's triples and pairs. Each is computed once, when it is first asked for.

    Args:
        n: images of the set.
        ask: computes scores.
        temperatures: set size -> divisor of the logits of sets of that size; of the nearest one for others.
    """

    def __init__(self, n: int, ask: AskScores, temperatures: Mapping[int, float]) -> None:
        self.n = n
        self._ask = ask
        self._temperatures = temperatures
        self._temperature_of_three = self._temperature(3)
        self._triples: dict[tuple[int, int, int], tuple[float, float]] = {}  # (middle, end, larger end)
        self._pairs: dict[tuple[int, int], float] = {}

    def look_at(self, images: Sequence[int]) -> None:
        """Compute what is not known yet of all triples and pairs of some images."""
        listed = sorted(images)
        triples = tables.triples(len(listed))
        named = [(listed[b], listed[a], listed[c]) for b, a, c in triples]
        missing = [row for row, name in zip(triples, named, strict=True) if name not in self._triples]
        pairs = tables.pairs(len(listed))
        used = [(a, b) for a, b in pairs if (listed[a], listed[b]) not in self._pairs]
        if not missing and used:
            self._compute(listed, [], used)
        for first in range(0, len(missing), _TRIPLES_AT_ONCE):
            part = missing[first : first + _TRIPLES_AT_ONCE]
            self._compute(listed, part, sorted({pair for row in part for pair in combinations(sorted(row), 2)}))

    def _compute(self, listed: Sequence[int], triples: Sequence[Sequence[int]], pairs: Sequence[Sequence[int]]) -> None:
        asked = np.array(triples, dtype=np.int64).reshape(-1, 3), np.array(pairs, dtype=np.int64).reshape(-1, 2)
        t_adj, t_all, p = self._ask(listed, *asked)
        for (b, a, c), one, every in zip(triples, t_adj.tolist(), t_all.tolist(), strict=True):
            self._triples[listed[b], listed[a], listed[c]] = (one, every)
        for (a, b), score in zip(pairs, p.tolist(), strict=True):
            self._pairs[listed[a], listed[b]] = score

    def class_probabilities(self, windows: Sequence[Sequence[int]]) -> Probabilities:
        """Of the orders of each window's images, ``(K, w!/2)``."""
        size = len(windows[0])
        scores = np.array([self._scores_of(window) for window in windows], dtype=np.float32)
        return softmax((scores @ tables.class_matrix(size).T).astype(np.float64) / self._temperature(size))

    def _scores_of(self, window: Sequence[int]) -> list[float]:
        """What `triples.class_matrix` turns into logits."""
        self.look_at(window)
        triples = [self._triples[_triple(window[b], window[a], window[c])] for b, a, c in tables.triples(len(window))]
        pairs = [self._pairs[_pair(window[a], window[b])] for a, b in tables.pairs(len(window))]
        return [*(t_adj for t_adj, _ in triples), *(t_all for _, t_all in triples), *pairs]

    def score(self, order: Sequence[int]) -> float:
        """Of an order, by its neighbours: Σ t_adj of its consecutive triples and Σ p of its consecutive pairs.

        These are two of the three terms of the logit; the third, over wide triples, is left out.
        """
        for first in range(0, len(order) - 2, 4):  # so that each three neighbours are in one window
            self.look_at(order[first : first + 6])
        near = [self._triples[_triple(b, a, c)][0] for a, b, c in zip(order, order[1:], order[2:], strict=False)]
        return sum(near) + sum(self._pairs[_pair(a, b)] for a, b in pairwise(order))

    def agreement_probabilities(self, windows: Sequence[Sequence[int]]) -> Probabilities:
        """As `class_probabilities`, of the triples alone, near ones before far ones: see `triples.agreement_matrix`."""
        found = []
        for window in windows:
            self.look_at(window)
            chances = [self._middle(window[b], window[a], window[c]) for b, a, c in tables.triples(len(window))]
            found.append(np.log(np.array(chances) + FLOOR))
        return softmax(np.array(found) @ tables.agreement_matrix(len(windows[0])).T)

    def middle_probabilities(self) -> Probabilities:
        """Of all triples, ``(n, n, n)``: entry (b, a, c) is P(b lies between a and c), 0 where it is not known."""
        found = np.zeros((self.n, self.n, self.n))
        for b, a, c, chance in self._middles():
            found[b, a, c] = found[b, c, a] = chance
        return found

    def _middles(self) -> Iterator[tuple[int, int, int, float]]:
        """Of each three images that were looked at, each of them between the two others: b, a, c and how probable."""
        for b, a, c in self._triples:
            if b < a:
                one, two, three = self._chances(b, a, c)
                yield from ((b, a, c, one), (a, b, c, two), (c, b, a, three))

    def _middle(self, b: int, a: int, c: int) -> float:
        """P(b lies between a and c), by the network's answer for these three alone."""
        return self._chances(b, a, c)[0]

    def _chances(self, b: int, a: int, c: int) -> tuple[float, float, float]:
        """How probable it is that b, a or c lies between the others."""
        logits = self._logit(b, a, c), self._logit(a, b, c), self._logit(c, a, b)
        most = max(logits)
        one, two, three = (exp((logit - most) / self._temperature_of_three) for logit in logits)
        total = one + two + three
        return one / total, two / total, three / total

    def _logit(self, b: int, a: int, c: int) -> float:
        """Of the order a, b, c by itself."""
        return sum(self._triples[_triple(b, a, c)]) + self._pairs[_pair(a, b)] + self._pairs[_pair(b, c)]

    def _temperature(self, size: int) -> float:
        known = self._temperatures
        return known[min(known, key=lambda n: (abs(n - size), n))] if known else 1.0

    def distances(self) -> Distances:
        """Expected number of images between each two, plus one, ``(n, n)``; of two never compared, by way of others."""
        between = np.zeros((self.n, self.n))
        compared = np.eye(self.n, dtype=bool)
        for _, a, c, chance in self._middles():
            between[a, c] += chance
            compared[a, c] = compared[c, a] = True
        found = np.where(compared, between + between.T + 1, np.inf)
        np.fill_diagonal(found, 0)
        if not compared.all():
            for image in range(self.n):
                found = np.minimum(found, found[:, image, None] + found[None, image])
        return np.where(np.isfinite(found), found, float(self.n))


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _triple(b: int, a: int, c: int) -> tuple[int, int, int]:
    return (b, a, c) if a < c else (b, c, a)
