"""Exact match and calibration of a model on sets whose order is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from imgorder.permutations import class_count, order_to_class
from imgorder.predictor import OrderingModel
from imgorder.preprocess import Tensor


@dataclass(frozen=True)
class Row:
    """One figure with all that it needs beside it. Accuracies are in percent.

    Attributes:
        permutations: in how many orders each set was shown to the model.
        ece: expected calibration error over ten equal bins of confidence, 0…1.
    """

    model: str
    dataset: str
    seq_len: int
    spacing: int
    sets: int
    permutations: int
    accuracy: float
    ece: float
    chance: float


def measure(model: OrderingModel, dataset: str, sets: Iterable[Tensor], n: int, spacing: int) -> Row:
    """Exact match, up to reversal.

    Each set is shown in one order that depends on its pixels alone (see `canonical_ranks`), so the
    listing gives nothing away.

    Args:
        model: to judge.
        dataset: name of the data, for the row.
        sets: each float32 ``(n, 3, crop, crop)`` in temporal order.
        n, spacing: of the sets, for the row.
    """
    confidences: list[float] = []
    hits: list[bool] = []
    truth = order_to_class(range(n))
    rest = iter(sets)
    while batch := list(islice(rest, 32)):
        for ordering in model.order_tensors(batch):
            confidences.append(ordering.confidence)
            hits.append(order_to_class(ordering.order) == truth)
    return Row(
        model=model.name,
        dataset=dataset,
        seq_len=n,
        spacing=spacing,
        sets=len(hits),
        permutations=1,
        accuracy=round(100 * float(np.mean(hits)), 2),
        ece=round(expected_calibration_error(confidences, hits), 4),
        chance=round(100 / class_count(n), 2),
    )


def expected_calibration_error(confidences: Sequence[float], hits: Sequence[bool], bins: int = 10) -> float:
    """Mean distance between confidence and exact match over equal bins, weighted by their sets; 0…1."""
    confidence = np.asarray(confidences, dtype=np.float64)
    hit = np.asarray(hits, dtype=np.float64)
    member = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for index in np.unique(member):
        inside = member == index
        total += inside.mean() * abs(confidence[inside].mean() - hit[inside].mean())
    return float(total)
