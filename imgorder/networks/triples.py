"""Index tables that turn scores of triples and pairs into logits of permutation classes.

Both lists are sorted by their largest index, so the triples (pairs) of n images are the first
n·C(n−1, 2) (C(n, 2)) rows of the list for any larger n. One table serves every set size, and an
exported graph takes the rows that it needs by a slice.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from imgorder.permutations import permutation_classes


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


def class_matrix(n: int) -> npt.NDArray[np.float32]:
    """The linear map from scores to logits, float32 ``(n!/2, 2·T + P)``.

    The columns are t_adj of the T triples, t_all of the T triples, p of the P pairs; the row of an
    order π holds ones for its consecutive triples, 1/C(n, 3) for every triple that it puts in
    order, and ones for its neighbours:

        logit(π) = Σ_i t_adj(π_i | π_{i−1}, π_{i+1}) + mean_{i<j<k} t_all(π_j | π_i, π_k) + Σ_i p(π_i, π_{i+1})
    """
    triple_row = {row: index for index, row in enumerate(triples(n))}
    pair_row = {row: index for index, row in enumerate(pairs(n))}
    n_triples = len(triple_row)
    matrix = np.zeros((len(permutation_classes(n)), 2 * n_triples + len(pair_row)), dtype=np.float32)
    for row, order in zip(matrix, permutation_classes(n), strict=True):
        ordered = list(combinations(order, 3))
        for a, b, c in zip(order, order[1:], order[2:], strict=False):
            row[triple_row[b, min(a, c), max(a, c)]] = 1.0
        for a, b, c in ordered:
            row[n_triples + triple_row[b, min(a, c), max(a, c)]] = 1.0 / len(ordered)
        for a, b in pairwise(order):
            row[2 * n_triples + pair_row[min(a, b), max(a, b)]] = 1.0
    return matrix
