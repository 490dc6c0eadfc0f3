"""Orders of many images from answers about few neighbours at a time: windows of an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from imgorder.ordering import fitting_classes, place_probabilities, restrict
from imgorder.permutations import class_table
from imgorder.search.constraints import Before

Probabilities = npt.NDArray[np.float64]
AskClasses = Callable[[Sequence[Sequence[int]]], Probabilities]
"""Class probabilities ``(K, w!/2)`` of K windows, each a listing of w images."""

_MOST_SWEEPS = 6


def softmax(logits: Probabilities) -> Probabilities:
    """Of each row."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def temper(chances: Sequence[float], temperature: float) -> list[float]:
    """Probabilities whose log-odds are divided by a temperature."""
    bounded = np.clip(chances, 1e-6, 1 - 1e-6)
    return [float(chance) for chance in 1 / (1 + ((1 - bounded) / bounded) ** (1 / temperature))]


def improve_by_windows(order: Sequence[int], width: int, ask: AskClasses, before: Before | None = None) -> list[int]:
    """Put the images of every window into their most probable order, again and again, until nothing changes.

    Windows of one sweep lie half a width apart, those of the next one begin between them. A window keeps the direction
    in which more of its pairs stay as they were.

    Args:
        order: to begin from; it fits what is known.
        width: images in a window, w; at most n.
        ask: about windows.
        before: what is known; a window's order that breaks it is not taken.
    """
    order = list(order)
    n, step = len(order), max(1, width // 2)
    quiet = 0
    for sweep in range(_MOST_SWEEPS):
        starts = sorted({min(start, n - width) for start in range((sweep % 2) * (step // 2), n, step)})
        changed = False
        # Windows that do not overlap are asked about together.
        for part in filter(None, (starts[0::2], starts[1::2])):
            windows = [order[start : start + width] for start in part]
            for start, window, row in zip(part, windows, ask(windows), strict=True):
                if window != order[start : start + width]:
                    continue  # the last window overlaps the one before
                best = _best_order(window, row, before)
                changed |= best != window
                order[start : start + width] = best
        quiet = 0 if changed else quiet + 1
        if quiet == 2:
            break
    return order


def window_places(order: Sequence[int], width: int, ask: AskClasses, before: Before | None = None) -> list[float]:
    """For each two neighbours of an order, how probable they are so within the window around them; n − 1 numbers.

    Args:
        order: fits what is known.
        width: images in a window.
        ask: about windows.
        before: what is known; a window's orders that break it are impossible.
    """
    starts = place_windows(len(order), width)
    each = sorted(set(starts))
    rows = dict(zip(each, ask([order[start : start + width] for start in each]), strict=True))
    inside = {start: _places(order[start : start + width], row, before) for start, row in rows.items()}
    return [inside[start][place - start] for place, start in enumerate(starts)]


def _places(window: Sequence[int], row: Probabilities, before: Before | None) -> tuple[float, ...]:
    n = len(window)
    known = frozenset[tuple[int, int]]()
    if before is not None:
        known = frozenset((int(a), int(b)) for a, b in zip(*np.nonzero(before[np.ix_(window, window)]), strict=True))
    return place_probabilities(range(n), restrict(row, fitting_classes(n, known)) if known else row, known)


def place_windows(n: int, width: int) -> list[int]:
    """Where the window of ``width`` images begins that is around each of the n − 1 places."""
    return [min(max(place + 1 - width // 2, 0), n - width) for place in range(n - 1)]


def _best_order(window: list[int], probabilities: Probabilities, before: Before | None) -> list[int]:
    table = class_table(len(window))
    known = None if before is None else before[np.ix_(window, window)]
    if known is not None and known.any():
        backwards = known[table[:, :, None], table[:, None, :]] & np.tri(len(window), dtype=bool)
        forwards = known[table[:, :, None], table[:, None, :]] & np.tri(len(window), dtype=bool).T
        fit, fit_reversed = ~backwards.any(axis=(1, 2)), ~forwards.any(axis=(1, 2))
        best = int(np.where(fit | fit_reversed, probabilities, -1.0).argmax())
        chosen = table[best] if fit[best] else table[best, ::-1]
    else:
        chosen = table[int(probabilities.argmax())]
        place = np.argsort(chosen)
        kept = np.sign(place[None] - place[:, None])[np.triu_indices(len(window), 1)].sum()
        chosen = chosen if kept >= 0 else chosen[::-1]
    return [window[index] for index in chosen]
