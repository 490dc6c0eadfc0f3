"""Exact match, rank correlation and calibration of a model on sets whose order is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import factorial

import numpy as np
import numpy.typing as npt

from imgorder.evaluation.metrics import adjacency, bootstrap_interval, expected_calibration_error, kendall_tau
from imgorder.evaluation.sets import TimedSet, shuffled
from imgorder.permutations import class_count, class_to_order, order_to_class
from imgorder.predictor import OrderingModel

BATCH = 32


@dataclass(frozen=True)
class Row:
    """One figure with all that it needs beside it.

    Attributes:
        model, dataset, seq_len, spacing: what was judged on what.
        sets: how many, each shown in ``permutations`` listings.
        accuracy: exact match in percent; ``accuracy_low`` and ``accuracy_high`` are its 95 %
            interval by bootstrap over groups (videos of one source).
        kendall_tau, adjacency: means over sets, 0…1.
        ece: expected calibration error over ten equal bins of confidence, 0…1.
        chance: percent.
    """

    model: str
    dataset: str
    seq_len: int
    spacing: float
    sets: int
    permutations: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    kendall_tau: float
    adjacency: float
    ece: float
    chance: float


@dataclass(frozen=True)
class Measured:
    """A row, and the exact match of each video in percent."""

    row: Row
    videos: dict[str, float]


def measure(
    model: OrderingModel,
    dataset: str,
    sets: Iterable[TimedSet],
    n: int,
    spacing: float,
    permutations: int | None = 1,
    seed: int = 0,
) -> Measured | None:
    """Judge a model; every figure is up to reversal.

    Args:
        model: to judge.
        dataset: name of the data, for the row.
        sets: in temporal order, all of n images.
        n, spacing: of the sets, for the row.
        permutations: in how many random listings each set is shown; None for all n!.
        seed: of the listings.

    Returns:
        None if there are no sets.
    """
    model.check_size(n)
    names: dict[str, int] = {}
    groups: dict[str, int] = {}
    videos: list[int] = []
    sources: list[int] = []
    outcomes: list[tuple[float, float, float, float]] = []  # hit, tau, adjacency, confidence of each showing
    rest = enumerate(sets)
    while batch := list(islice(rest, BATCH)):
        listings = [shuffled(n, permutations, (seed, index)) for index, _ in batch]
        videos += [names.setdefault(timed.video, len(names)) for _, timed in batch]
        sources += [groups.setdefault(timed.group, len(groups)) for _, timed in batch]
        shown = [
            (timed.tensors[list(listing)], listing)
            for (_, timed), each in zip(batch, listings, strict=True)
            for listing in each
        ]
        for start in range(0, len(shown), BATCH):
            part = shown[start : start + BATCH]
            probabilities = model.probabilities(np.stack([tensors for tensors, _ in part]))
            outcomes += [_outcome(row, listing) for row, (_, listing) in zip(probabilities, part, strict=True)]
    if not outcomes:
        return None
    showings = len(outcomes) // len(videos)
    table = np.array(outcomes).reshape(len(videos), showings, 4)
    hits = table[..., 0].mean(axis=1)
    low, high = bootstrap_interval(hits, np.array(sources))
    row = Row(
        model=model.name,
        dataset=dataset,
        seq_len=n,
        spacing=spacing,
        sets=len(videos),
        permutations=factorial(n) if permutations is None else permutations,
        accuracy=_percent(hits.mean()),
        accuracy_low=_percent(low),
        accuracy_high=_percent(high),
        kendall_tau=round(float(table[..., 1].mean()), 4),
        adjacency=round(float(table[..., 2].mean()), 4),
        ece=round(expected_calibration_error(table[..., 3].ravel(), table[..., 0].ravel() > 0), 4),
        chance=round(100 / class_count(n), 2),
    )
    member = np.array(videos)
    return Measured(row, {name: _percent(hits[member == number].mean()) for name, number in names.items()})


def _outcome(probabilities: npt.NDArray[np.float64], listing: tuple[int, ...]) -> tuple[float, float, float, float]:
    winner = int(probabilities.argmax())
    in_time = [listing[i] for i in class_to_order(len(listing), winner)]  # 0, 1, 2, … or back when right
    truth = order_to_class(np.argsort(listing).tolist())
    return float(winner == truth), kendall_tau(in_time), adjacency(in_time), float(probabilities[winner])


def _percent(share: float) -> float:
    return round(100 * float(share), 2)
