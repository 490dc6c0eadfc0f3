"""Exact match, rank correlation and calibration of a model on sets whose order is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.evaluation.metrics import adjacency, bootstrap_interval, expected_calibration_error, kendall_tau
from imgorder.evaluation.sets import TimedSet, draw_listings
from imgorder.inference.predictor import OrderingModel
from imgorder.permutations import class_count, class_to_order, order_to_class

# On a CPU a few sets at once are quicker than many: what is computed stays in the cache.
BATCH = 4


@dataclass(frozen=True)
class Row:
    """One figure with all that it needs beside it.

    Attributes:
        model, dataset, seq_len, spacing: what was judged on what; where data of one name were given from several
            places, ``dataset`` has the file's or the folder's name as well.
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
class Answers:
    """A model's answers to each set, for figures over several cases.

    Attributes:
        videos, groups: each set's video, and the source that it is of.
        table: exact match, Kendall's tau, share of neighbours and confidence of each showing, ``(N, showings, 4)``.
    """

    videos: tuple[str, ...]
    groups: tuple[str, ...]
    table: npt.NDArray[np.float64]

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Share of right answers of each set, ``(N,)``."""
        return np.asarray(self.table[..., 0].mean(axis=1))

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        """Confidence of each showing, 0…1, ``(N · showings,)``."""
        return self.table[..., 3].ravel()

    def figures(self) -> dict[str, Any]:
        """The number of sets, the exact match with its interval, and the calibration error, as rows have them."""
        numbers = {group: number for number, group in enumerate(dict.fromkeys(self.groups))}
        low, high = bootstrap_interval(self.hits, np.array([numbers[group] for group in self.groups]))
        return {
            "sets": len(self.videos),
            "accuracy": percent(self.hits.mean()),
            "accuracy_low": percent(low),
            "accuracy_high": percent(high),
            "ece": round(expected_calibration_error(self.confidences, self.table[..., 0].ravel() > 0), 4),
        }


@dataclass(frozen=True)
class Measured:
    """A row, the exact match of each video in percent, and the answers that both are made of.

    Attributes:
        source: path of the data, where several can be of one name.
    """

    row: Row
    videos: dict[str, float]
    answers: Answers
    source: str = ""


def measure_all(
    models: Sequence[OrderingModel],
    dataset: str,
    sets: Iterable[TimedSet],
    n: int,
    spacing: float,
    permutations: int | None = 1,
    seed: int = 0,
) -> list[Measured]:
    """Judge models that want photos preprocessed alike, on the same sets in the same listings.

    Every figure is up to reversal. A set's listings depend on the seed and its place among the sets alone, so
    models that want other tensors and are judged on the same sets by another call see them in the same ones.

    Args:
        models: to judge.
        dataset: name of the data, for the rows.
        sets: in temporal order, all of n images; gone through once.
        n, spacing: of the sets, for the rows.
        permutations: in how many random listings each set is shown; None for all n!.
        seed: of the listings.

    Returns:
        One for each model; none if there are no sets.
    """
    for model in models:
        model.check_size(n)
    videos: list[str] = []
    groups: list[str] = []
    outcomes: list[list[tuple[float, float, float, float]]] = [[] for _ in models]
    rest = enumerate(sets)
    while batch := list(islice(rest, BATCH)):
        listings = [draw_listings(n, permutations, (seed, index)) for index, _ in batch]
        videos += [timed.video for _, timed in batch]
        groups += [timed.group for _, timed in batch]
        shown = [
            (timed.tensors[list(listing)], listing)
            for (_, timed), each in zip(batch, listings, strict=True)
            for listing in each
        ]
        for start in range(0, len(shown), BATCH):
            part = shown[start : start + BATCH]
            tensors = np.stack([tensors for tensors, _ in part])
            for model, own in zip(models, outcomes, strict=True):
                rows = zip(model.probabilities(tensors), part, strict=True)
                own += [_judge(row, listing) for row, (_, listing) in rows]
    if not videos:
        return []
    measured = []
    for model, own in zip(models, outcomes, strict=True):
        answers = Answers(tuple(videos), tuple(groups), np.array(own).reshape(len(videos), -1, 4))
        row = Row(
            model=model.name,
            dataset=dataset,
            seq_len=n,
            spacing=spacing,
            permutations=factorial(n) if permutations is None else permutations,
            kendall_tau=round(float(answers.table[..., 1].mean()), 4),
            adjacency=round(float(answers.table[..., 2].mean()), 4),
            chance=percent(1 / class_count(n)),
            **answers.figures(),
        )
        by_video = {video: answers.hits[np.array(videos) == video] for video in dict.fromkeys(videos)}
        measured.append(Measured(row, {video: percent(hits.mean()) for video, hits in by_video.items()}, answers))
    return measured


def percent(share: float) -> float:
    """A share as rows have it."""
    return round(100 * float(share), 2)


def _judge(probabilities: npt.NDArray[np.float64], listing: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Exact match, Kendall's tau, share of neighbours and confidence of one showing."""
    winner = int(probabilities.argmax())
    in_time = [listing[i] for i in class_to_order(len(listing), winner)]  # 0, 1, 2, … or back when right
    truth = order_to_class(np.argsort(listing).tolist())
    return float(winner == truth), kendall_tau(in_time), adjacency(in_time), float(probabilities[winner])
