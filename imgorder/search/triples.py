"""Index tables that turn scores of triples and pairs into logits of permutation classes.

Both lists are sorted by their largest index, so the triples (pairs) of n images are the first
n·C(n−1, 2) (C(n, 2)) rows of the list for any larger n.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from imgorder.permutations import class_table


def triple_count(n: int) -> int:
    """Number of (middle, {end, end}) triples of n images: n·C(n−1, 2)."""
    return n * (n - 1) * (n - 2) // 2


def pair_count(n: int) -> int:
    """Number of unordered pairs of n images: C(n, 2)."""
    return n * (n - 1) // 2


@cache
def triples(n: int) -> tuple[tuple[int, int, int], ...]:
    """All ``(middle b, end a, end c)`` with a < c, sorted by their largest index."""
    rows = [(b, a, c) for a, c in combinations(range(n), 2) for b in range(n) if b not in (a, c)]
    return tuple(sorted(rows, key=lambda row: (max(row), row)))


@cache
def pairs(n: int) -> tuple[tuple[int, int], ...]:
    """All ``(a, b)`` with a < b, sorted by their largest index."""
    return tuple(sorted(combinations(range(n), 2), key=lambda row: (row[1], row[0])))


@cache
def class_matrix(n: int) -> npt.NDArray[np.float32]:
    """The linear map from scores to logits, float32 ``(n!/2, 2·T + P)``, for n up to `MAX_EXACT`.

    The columns are t_adj of the T triples, t_all of the T triples, p of the P pairs; the row of an
    order π holds ones for its consecutive triples, 1/C(n, 3) for every triple that it puts in
    order, and ones for its neighbours:

        logit(π) = Σ_i t_adj(π_i | π_{i−1}, π_{i+1}) + mean_{i<j<k} t_all(π_j | π_i, π_k) + Σ_i p(π_i, π_{i+1})
    """
    orders = class_table(n)
    rows = np.arange(len(orders))
    count = triple_count(n)
    triple_row = np.zeros((n, n, n), dtype=np.int64)
    for row, (b, a, c) in enumerate(triples(n)):
        triple_row[b, a, c] = triple_row[b, c, a] = row
    pair_row = np.zeros((n, n), dtype=np.int64)
    for row, (a, b) in enumerate(pairs(n)):
        pair_row[a, b] = pair_row[b, a] = row
    matrix = np.zeros((len(orders), 2 * count + pair_count(n)), dtype=np.float32)
    for i, j, k in combinations(range(n), 3):
        matrix[rows, count + triple_row[orders[:, j], orders[:, i], orders[:, k]]] = 1.0 / comb(n, 3)
    for i in range(n - 2):
        matrix[rows, triple_row[orders[:, i + 1], orders[:, i], orders[:, i + 2]]] = 1.0
    for i in range(n - 1):
        matrix[rows, 2 * count + pair_row[orders[:, i], orders[:, i + 1]]] = 1.0
    return matrix


@cache
def agreement_matrix(n: int) -> npt.NDArray[np.float64]:
    """From log P(b lies between a and c) of the T triples to the agreement of each class with them, ``(n!/2, T)``.

    Each triple counts by one over its span, the places from its first to its last image: a network is too sure of
    triples that lie far apart.
    """
    orders = class_table(n)
    rows = np.arange(len(orders))
    triple_row = np.zeros((n, n, n), dtype=np.int64)
    for row, (b, a, c) in enumerate(triples(n)):
        triple_row[b, a, c] = triple_row[b, c, a] = row
    matrix = np.zeros((len(orders), triple_count(n)))
    for i, j, k in combinations(range(n), 3):
        matrix[rows, triple_row[orders[:, j], orders[:, i], orders[:, k]]] = 1 / (k - i)
    return matrix
