"""The shortest open path through images, of which the distances are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from imgorder.permutations import MAX_EXACT, class_table
from imgorder.search.constraints import Before, fits, obey

Distances = npt.NDArray[np.float64]

# Path lengths in units of the set's mean distance, turned into logits; sharp enough that a clearly
# shorter path wins clearly. Not calibrated: a baseline's confidence is for ranking only.
SHARPNESS = 10.0

_NEAREST_STARTS = 3  # nearest-neighbour paths that are tried, besides the spectral order
_LONGEST_PIECE = 3  # images that one move carries elsewhere
_EPSILON = 1e-9  # of the mean distance: shorter gains are rounding


def shortest_path(
    distances: Distances, before: Before | None = None, starts: Iterable[Sequence[int]] = ()
) -> list[int]:
    """The shortest order of all, up to `MAX_EXACT` images; of more, the best that a local search finds.

    Args:
        distances: symmetric ``(n, n)``.
        before: what is known; the order fits it.
        starts: orders to begin from, besides those that are made here.
    """
    n = len(distances)
    if n <= MAX_EXACT:
        return _shortest_of_all(distances, before)
    candidates = [*starts, *_make_starts(distances)]
    found = [improve_path(obey(start, before), distances, before) for start in candidates]
    return min(found, key=lambda order: path_length(order, distances))


def path_logits(distances: Distances) -> npt.NDArray[np.float32]:
    """Minus the length of the path through each set in each order, ``(B, n, n) -> (B, n!/2)``."""
    orders = class_table(distances.shape[1])
    lengths = distances[:, orders[:, :-1], orders[:, 1:]].sum(axis=2)
    scale = distances.mean(axis=(1, 2), keepdims=True)[:, 0]
    return np.asarray(-SHARPNESS * lengths / np.maximum(scale, 1e-12), dtype=np.float32)


def path_length(order: Sequence[int], distances: Distances) -> float:
    """Sum of the distances between neighbours."""
    return float(distances[list(order[:-1]), list(order[1:])].sum())


def improve_path(order: Sequence[int], distances: Distances, before: Before | None = None) -> list[int]:
    """Shorten a path by 2-opt (turn a part round) and or-opt (carry up to three images elsewhere) until neither helps.

    Moves that do not touch each other are made together, the best first. None breaks what is known, if the order
    that is given breaks nothing.
    """
    order = list(order)
    if len(order) < 3:
        return order
    least = _EPSILON * float(distances.mean())
    while True:
        moves = sorted(_find_moves(order, distances, before, least))
        if not moves:
            return order
        touched = np.zeros(len(order) + 2, dtype=bool)
        for _, first, last, piece in moves:
            if not touched[first : last + 3].any():  # the neighbours on either side belong to it
                touched[first : last + 3] = True
                order[first : last + 1] = [order[first + place] for place in piece]


def _find_moves(
    order: list[int], distances: Distances, before: Before | None, least: float
) -> Iterator[tuple[float, int, int, tuple[int, ...]]]:
    """Moves that shorten the path: the change, the first and last place, and the new order of the places between."""
    n = len(order)
    padded = np.zeros((n + 2, n + 2))  # the path's ends are at no distance from what is beyond
    padded[1:-1, 1:-1] = distances[np.ix_(order, order)]
    edge = np.diagonal(padded, 1)  # edge[i] leads to place i
    known = None if before is None else _count_known(before[np.ix_(order, order)])
    place = np.arange(n)

    turned = padded[:-2, 1:-1] + padded[1:-1, 2:] - edge[:-1, None] - edge[None, 1:]
    allowed = place[:, None] < place[None]
    if known is not None:
        allowed &= _within(known, place[:, None], place[None] + 1, place[:, None], place[None] + 1) == 0
    for i, j in _best(turned, allowed, least, n):
        yield float(turned[i, j]), i, j, tuple(range(j - i, -1, -1))

    for length in range(1, min(_LONGEST_PIECE, n - 1) + 1):
        first = np.arange(n - length + 1)[:, None]  # the piece is at places first … first + length - 1
        gap = np.arange(n + 1)[None]  # it goes before place gap
        end = first + length
        cut = padded[first, end + 1] - edge[first] - edge[end]
        leave = padded[gap, first + 1], padded[end, gap + 1]
        enter = padded[gap, end], padded[first + 1, gap + 1]
        outside = (gap < first) | (gap > end)
        for flip, (one, other) in enumerate((leave, enter)):
            change = cut + one + other - edge[gap]
            allowed = outside
            if known is not None:
                passed = _within(known, first, end, end, np.maximum(gap, end))
                passed += _within(known, np.minimum(gap, first), first, first, end)
                inner = _within(known, first, end, first, end) if flip else 0
                allowed = outside & (passed + inner == 0)
            for i, k in _best(change, allowed, least, n):
                piece = tuple(range(i, i + length))[:: -1 if flip else 1]
                low, high = min(i, k), max(i + length, k)
                rest = [each for each in range(low, high) if each not in piece]
                where = len(rest) if k > i else 0
                new = (*rest[:where], *piece, *rest[where:])
                yield float(change[i, k]), low, high - 1, tuple(each - low for each in new)


def _best(change: Distances, allowed: npt.NDArray[np.bool_], least: float, most: int) -> Iterator[tuple[int, int]]:
    rows, columns = np.nonzero(allowed & (change < -least))
    if len(rows) > most:
        kept = np.argpartition(change[rows, columns], most)[:most]
        rows, columns = rows[kept], columns[kept]
    yield from zip(rows.tolist(), columns.tolist(), strict=True)


def _count_known(inside: Before) -> npt.NDArray[np.int64]:
    """Sums from the first place on, so that known pairs of any two ranges of places are counted at once."""
    counts = np.zeros((len(inside) + 1, len(inside) + 1), dtype=np.int64)
    counts[1:, 1:] = inside.cumsum(axis=0).cumsum(axis=1)
    return counts


def _within(
    counts: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    other_first: npt.NDArray[np.int64],
    other_end: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """How many pairs are known with one image at places first … end - 1 and its later one at those of the others."""
    return counts[end, other_end] - counts[first, other_end] - counts[end, other_first] + counts[first, other_first]


def _shortest_of_all(distances: Distances, before: Before | None) -> list[int]:
    orders = class_table(len(distances))
    lengths = distances[orders[:, :-1], orders[:, 1:]].sum(axis=1)
    for index in np.argsort(lengths, kind="stable"):
        for order in (orders[index].tolist(), orders[index, ::-1].tolist()):
            if fits(order, before):
                return [int(image) for image in order]
    raise ValueError("no order fits what is known")


def _make_starts(distances: Distances) -> Iterator[list[int]]:
    """The spectral order, and nearest-neighbour paths from its ends and its middle."""
    spectral = _order_by_spectrum(distances)
    yield spectral
    for first in (spectral[0], spectral[-1], spectral[len(spectral) // 2])[:_NEAREST_STARTS]:
        left = set(range(len(distances))) - {first}
        path = [first]
        while left:
            path.append(min(left, key=lambda image: (distances[path[-1], image], image)))
            left.remove(path[-1])
        yield path


def _order_by_spectrum(distances: Distances) -> list[int]:
    """Images by the Fiedler vector of their similarities: near ones come together, far ones apart."""
    scale = float(np.median(distances)) or 1.0
    similarity = np.exp(-np.square(distances / (0.5 * scale)))
    np.fill_diagonal(similarity, 0)
    root = 1 / np.sqrt(np.maximum(similarity.sum(axis=1), 1e-12))
    laplacian = np.eye(len(distances)) - root[:, None] * similarity * root[None]
    vector = np.linalg.eigh(laplacian)[1][:, 1] * root
    return [int(image) for image in np.argsort(vector, kind="stable")]
