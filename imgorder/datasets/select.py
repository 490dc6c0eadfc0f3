"""Which windows of a clip become sets: those in which enough moves, the liveliest first."""

from __future__ import annotations

import numpy as np

from imgorder.datasets.flow import ClipFlow


def moving_windows(flow: ClipFlow, n: int, spacing: int, min_flow: float) -> list[int]:
    """Starts of windows of n frames, ``spacing`` apart, that do not overlap, in rising order.

    A window counts if the flow between each two neighbours reaches ``min_flow`` px, so that no two of
    its images look alike. Windows are taken from the largest mean flow down, each unless it overlaps one
    taken before; of equal ones the earlier is taken.
    """
    length = (n - 1) * spacing + 1
    starts = np.arange(max(0, flow.frames - length + 1))
    if not len(starts):
        return []
    gaps = flow.between[spacing][starts[:, None] + spacing * np.arange(n - 1)]
    mean = gaps.mean(axis=1)
    free = gaps.min(axis=1) >= min_flow
    taken = []
    for start in np.lexsort((starts, -mean)):
        if free[start]:
            taken.append(int(start))
            free[max(0, start - length + 1) : start + length] = False
    return sorted(taken)
