"""Splits by group: what comes from one source is never on both sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgorder.names import natural_key


def draw_held_out_groups(sizes: Mapping[str, int], fraction: float, seed: int) -> set[str]:
    """Groups to hold out.

    Groups are drawn in a seeded order and taken while they fit into ``fraction`` of the total. Where none
    fits, the smallest is taken, so that with two groups or more neither side is empty.

    Args:
        sizes: how many clips each group has.
        fraction: share of the clips that may be held out; with 0 none is.
        seed: decides the order.
    """
    groups = sorted(sizes, key=natural_key)
    if fraction <= 0 or len(groups) < 2:
        return set()
    drawn = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    room = fraction * sum(sizes.values())
    held_out: set[str] = set()
    for group in drawn:
        if sizes[group] <= room and len(held_out) < len(groups) - 1:
            held_out.add(group)
            room -= sizes[group]
    return held_out or {min(drawn, key=lambda group: sizes[group])}
