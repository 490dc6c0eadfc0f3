"""What can be measured about a set without a network: how much moves, how, and in what light.

All of it is of the square that the usual preprocessing shows a network, on the means of its 8×8 px cells
where nothing else is said, so that noise of single pixels counts little. Values of pixels are 0…255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from imgorder.training.store import average_cells

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

EXPLAINED = 0.9  # a shift of the whole picture has to leave less than this of the difference


@dataclass(frozen=True)
class Facts:
    """Of one set in temporal order.

    Attributes:
        change: mean absolute difference of neighbours.
        smallest: that of the two neighbours which differ least.
        returning: the difference of the first and the last photo, over the largest one of the first and
            any photo between; below 1 what moved has come part of the way back.
        shift: by how many px the whole picture moves between neighbours (median), by phase correlation.
        left: how much of the difference (of pixels) is left when that shift is taken out, 0…1.
        light: mean brightness.
        flicker: share of the neighbours' difference that their mean brightness makes up, 0…1.
    """

    change: float
    smallest: float
    returning: float
    shift: float
    left: float
    light: float
    flicker: float


@dataclass(frozen=True)
class Property:
    """One way to group sets.

    Attributes:
        name: in results and tables.
        buckets: names and tests; each set is of the first bucket whose test holds, if of any.
    """

    name: str
    buckets: dict[str, Callable[[Facts], bool]]

    def bucket(self, facts: Facts) -> str | None:
        """Name of the bucket that a set falls into."""
        return next((name for name, holds in self.buckets.items() if holds(facts)), None)


PROPERTIES = (
    Property(
        "mean change between neighbours",
        {
            "below 1.5 of 255": lambda facts: facts.change < 1.5,
            "1.5 to 5": lambda facts: facts.change < 5,
            "5 to 10": lambda facts: facts.change < 10,
            "10 to 20": lambda facts: facts.change < 20,
            "20 and more": lambda facts: True,
        },
    ),
    Property(
        "smallest change between neighbours",
        {
            "below 0.5 of 255": lambda facts: facts.smallest < 0.5,
            "0.5 to 1.5": lambda facts: facts.smallest < 1.5,
            "1.5 and more": lambda facts: True,
        },
    ),
    Property(
        "motion",
        {
            "comes back most of the way": lambda facts: facts.returning < 0.7,
            "comes back in part": lambda facts: facts.returning < 1,
            "goes on": lambda facts: True,
        },
    ),
    Property(
        "camera",
        {
            "stands still: what moves is in the scene": lambda facts: facts.shift < 1,
            "no one shift explains the change": lambda facts: facts.left >= EXPLAINED,
            "pans by 1 to 5 px of 112": lambda facts: facts.shift < 5,
            "pans by 5 px and more": lambda facts: True,
        },
    ),
    Property(
        "light",
        {
            "dark: mean below 40 of 255": lambda facts: facts.light < 40,
            "40 to 80": lambda facts: facts.light < 80,
            "80 and more": lambda facts: True,
        },
    ),
    Property(
        "what changes",
        {
            "mostly the brightness": lambda facts: facts.flicker >= 0.7,
            "mostly something else": lambda facts: True,
        },
    ),
)


def facts(images: Pixels) -> Facts:
    """Measure a set, uint8 ``(n, H, W, 3)`` in temporal order, n of 3 or more."""
    cells = average_cells(images).astype(np.float64)
    differences = np.abs(cells[:, None] - cells[None]).mean(axis=(2, 3, 4))
    neighbours = np.diag(differences, 1)
    grey = images.mean(axis=-1, dtype=np.float64)
    shifts = [_shift(one, other) for one, other in pairwise(grey)]
    steps = np.abs(np.diff(cells.mean(axis=(1, 2, 3))))
    return Facts(
        change=float(neighbours.mean()),
        smallest=float(neighbours.min()),
        returning=float(differences[0, -1] / max(differences[0, 1:-1].max(), 1e-9)),
        shift=float(np.median([length for length, _ in shifts])),
        left=float(np.median([left for _, left in shifts])),
        light=float(grey.mean()),
        flicker=float(steps.sum() / max(neighbours.sum(), 1e-9)),
    )


def _shift(one: Floats, other: Floats) -> tuple[float, float]:
    """Length in px of the shift that lays one picture over another, and the share of difference that it leaves."""
    height, width = one.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    a, b = (np.fft.rfft2((each - each.mean()) * window) for each in (one, other))
    cross = a * b.conj()
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), one.shape)
    place = np.unravel_index(int(peaks.argmax()), peaks.shape)
    down, right = ((int(at) + size // 2) % size - size // 2 for at, size in zip(place, one.shape, strict=True))
    rows = slice(abs(down), height - abs(down))
    columns = slice(abs(right), width - abs(right))
    inside = np.abs(one - np.roll(other, (down, right), (0, 1)))[rows, columns]
    before = np.abs(one - other).mean()
    # Without overlap, or without a difference, a shift explains nothing.
    left = float(inside.mean() / before) if inside.size and before > 0 else 1.0
    return float(np.hypot(down, right)), left
