"""What is known of an order, as a matrix that a search can ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

Before = npt.NDArray[np.bool_]
"""``(n, n)``: entry (a, b) says that image a is known to be before image b."""


def close_pairs(n: int, pairs: Collection[tuple[int, int]]) -> Before | None:
    """All that follows from the known pairs; None where nothing is known.

    Raises:
        ValueError: if the pairs contradict each other.
    """
    if not pairs:
        return None
    before = np.zeros((n, n), dtype=bool)
    for a, b in pairs:
        before[a, b] = True
    for middle in range(n):
        before |= before[:, middle, None] & before[None, middle]
    if before.diagonal().any():
        raise ValueError("what is known of the order contradicts itself")
    return before


def agree(n: int, pairs: Collection[tuple[int, int]]) -> bool:
    """Whether known pairs do not contradict each other."""
    try:
        close_pairs(n, pairs)
    except ValueError:
        return False
    return True


def obey(order: Sequence[int], before: Before | None) -> list[int]:
    """An order, or its reverse, changed as little as is needed to fit what is known.

    Images keep their places in line; each waits until all that are known to be before it are placed.
    """
    if before is None:
        return list(order)
    inside = before[np.ix_(order, order)]
    rest = list(order) if inside.sum() >= 2 * np.tril(inside).sum() else list(order)[::-1]
    waiting = before[np.ix_(rest, rest)].sum(axis=0)
    placed: list[int] = []
    open_places = list(range(len(rest)))
    images = np.array(rest)
    while open_places:
        place = next(place for place in open_places if waiting[place] == 0)
        open_places.remove(place)
        placed.append(rest[place])
        waiting -= before[rest[place], images]
    return placed


def fits(order: Sequence[int], before: Before | None) -> bool:
    """Whether an order, in this direction, breaks nothing that is known."""
    return before is None or not np.tril(before[np.ix_(order, order)]).any()
