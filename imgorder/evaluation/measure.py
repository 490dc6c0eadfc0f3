"""Exact match, rank correlation and calibration of a model on sets whose order is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import factorial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgorder.datasets.manifest import SeqLen
from imgorder.errors import SetSizeError
from imgorder.evaluation.metrics import (
    adjacency,
    bootstrap_interval,
    expected_calibration_error,
    kendall_tau,
    right_places,
)
from imgorder.evaluation.sets import TimedSet, draw_listings
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import Tensor
from imgorder.ordering import place_probabilities
from imgorder.permutations import Order, class_to_order

# On a CPU a few sets at once are quicker than many: what is computed stays in the cache.
BATCH = 4


@dataclass(frozen=True)
class Row:
    """One figure with all that it needs beside it.

    Attributes:
        model, dataset, seq_len, spacing: what was judged on what; where data of one name were given from several
            places, ``dataset`` has the file's or the folder's name as well. A ``seq_len`` of None says that the
            sets are whole albums or sequences, and a ``spacing`` of 0 that it is not known.
        sets: how many, each shown in ``permutations`` listings.
        accuracy: exact match in percent; ``accuracy_low`` and ``accuracy_high`` are its 95 %
            interval by bootstrap over groups (videos of one source).
        kendall_tau, adjacency: means over sets, 0…1.
        ece: expected calibration error over ten equal bins of confidence, 0…1.
        chance: percent.
        kind: what kind of photos they are, where the data say so.
        place_ece: expected calibration error of the places: of the probability that between two neighbours in an
            answer nothing is missing or swapped; None in results of former versions.
    """

    model: str
    dataset: str
    seq_len: SeqLen
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
    kind: str | None = None
    place_ece: float | None = None


@dataclass(frozen=True)
class Answers:
    """A model's answers to each set, for figures over several cases.

    Attributes:
        videos, groups: each set's video, and the source that it is of.
        table: exact match, Kendall's tau, share of neighbours and confidence of each showing, ``(N, showings, 4)``.
        places: probability of each place of each answer, and how far it was right, ``(places, 2)``.
    """

    videos: tuple[str, ...]
    groups: tuple[str, ...]
    table: npt.NDArray[np.float64]
    places: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def hits(self) -> npt.NDArray[np.float64]:
        """Share of right answers of each set, ``(N,)``."""
        return np.asarray(self.table[..., 0].mean(axis=1))

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        """Confidence of each showing, 0…1, ``(N · showings,)``."""
        return self.table[..., 3].ravel()

    def figures(self) -> dict[str, Any]:
        """The number of sets, the exact match with its interval and all other figures, as rows have them."""
        numbers = {group: number for number, group in enumerate(dict.fromkeys(self.groups))}
        low, high = bootstrap_interval(self.hits, np.array([numbers[group] for group in self.groups]))
        return {
            "sets": len(self.videos),
            "accuracy": percent(self.hits.mean()),
            "accuracy_low": percent(low),
            "accuracy_high": percent(high),
            "kendall_tau": round(float(self.table[..., 1].mean()), 4),
            "adjacency": round(float(self.table[..., 2].mean()), 4),
            "ece": round(expected_calibration_error(self.confidences, self.table[..., 0].ravel() > 0), 4),
            "place_ece": round(expected_calibration_error(*self.places.T), 4) if len(self.places) else None,
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
    n: SeqLen,
    spacing: float,
    permutations: int | None = 1,
    seed: int = 0,
    kind: str | None = None,
) -> list[Measured]:
    """Judge models that want photos preprocessed alike, on the same sets in the same listings.

    Every figure is up to reversal. A set's listings depend on the seed and its place among the sets alone, so
    models that want other tensors and are judged on the same sets by another call see them in the same ones.

    Args:
        models: to judge.
        dataset: name of the data, for the rows.
        sets: in temporal order, all of n images, or of any number where n is None; gone through once.
        n, spacing, kind: of the sets, for the rows.
        permutations: in how many random listings each set is shown; None for all n!, where the sets are of one size.
        seed: of the listings.

    Returns:
        One for each model; none if there are no sets.
    """
    if n is not None:
        for model in models:
            model.check_size(n)
    videos: list[str] = []
    groups: list[str] = []
    chances: list[float] = []
    outcomes: list[list[_Judged]] = [[] for _ in models]
    rest = enumerate(sets)
    while batch := list(islice(rest, BATCH if n else 1)):
        videos += [timed.video for _, timed in batch]
        groups += [timed.group for _, timed in batch]
        chances += [2 / factorial(len(timed.tensors)) for _, timed in batch]
        showings = (
            (timed.tensors[list(listing)], listing)
            for index, timed in batch
            for listing in draw_listings(len(timed.tensors), permutations, (seed, index))
        )
        while part := list(islice(showings, BATCH)):
            tensors = np.stack([tensors for tensors, _ in part])
            for model, own in zip(models, outcomes, strict=True):
                answers = zip(_answer(model, tensors), part, strict=True)
                own += [_judge(answer, listing) for answer, (_, listing) in answers]
    if not videos:
        return []
    measured = []
    for model, own in zip(models, outcomes, strict=True):
        table = np.array([each.figures for each in own]).reshape(len(videos), -1, 4)
        judged = Answers(tuple(videos), tuple(groups), table, np.concatenate([each.places for each in own]))
        row = Row(
            model=model.name,
            dataset=dataset,
            seq_len=n,
            spacing=spacing,
            permutations=table.shape[1],
            chance=percent(sum(chances) / len(chances)),
            kind=kind,
            **judged.figures(),
        )
        by_video = {video: judged.hits[np.array(videos) == video] for video in dict.fromkeys(videos)}
        measured.append(Measured(row, {video: percent(hits.mean()) for video, hits in by_video.items()}, judged))
    return measured


def takes(model: OrderingModel, n: int) -> bool:
    """Whether a model orders sets of n; raises ModelError if it does, but cannot be opened."""
    try:
        model.check_size(n)
    except SetSizeError:
        return False
    return True


def percent(share: float) -> float:
    """A share as rows have it."""
    return round(100 * float(share), 2)


class _Answer(NamedTuple):
    """A model's order of a set as it was listed, how sure it is, and the probability of each place."""

    order: Order
    confidence: float
    places: Sequence[float]


class _Judged(NamedTuple):
    """One showing: exact match, Kendall's tau, share of neighbours and confidence; and see `Answers.places`."""

    figures: tuple[float, float, float, float]
    places: npt.NDArray[np.float64]


def _answer(model: OrderingModel, tensors: Tensor) -> list[_Answer]:
    """What a model says of sets of one size, ``(B, n, 3, crop, crop)``, just as they are listed.

    Where a search has to find the order, the listing counts for nothing.
    """
    n = tensors.shape[1]
    if not model.knows_classes(n):
        return [_Answer(each.order, each.confidence, each.places) for each in model.order_tensors(list(tensors))]
    answers = []
    for probabilities in model.probabilities(tensors):
        winner = int(probabilities.argmax())
        order = class_to_order(n, winner)
        answers.append(_Answer(order, float(probabilities[winner]), place_probabilities(order, probabilities)))
    return answers


def _judge(answer: _Answer, listing: tuple[int, ...]) -> _Judged:
    in_time = [listing[i] for i in answer.order]  # 0, 1, 2, … or back when right
    exact = in_time in (sorted(in_time), sorted(in_time, reverse=True))
    figures = float(exact), kendall_tau(in_time), adjacency(in_time), answer.confidence
    return _Judged(figures, np.column_stack([answer.places, right_places(in_time)]))
