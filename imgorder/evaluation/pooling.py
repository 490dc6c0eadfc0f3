"""One figure for each model and set size, over the sets of all spacings and kinds together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imgorder.datasets.manifest import SeqLen
from imgorder.evaluation.measure import Answers, Measured, percent


@dataclass(frozen=True)
class PooledRow:
    """A row over several spacings, or kinds of photos.

    Attributes:
        model, dataset, seq_len: what was judged on what.
        spacings: of the sets, each of which counts once: spacings with more sets count for more.
        sets: how many, each shown in ``permutations`` listings.
        accuracy: exact match in percent; ``accuracy_low`` and ``accuracy_high`` are its 95 % interval by
            bootstrap over groups (videos of one source), whose sets of all spacings are drawn together.
        confidence: mean of the confidences in percent. Above ``accuracy`` the model was too sure, below it
            not sure enough.
        ece: expected calibration error over ten equal bins of confidence, 0…1.
        chance: percent.
        kendall_tau, adjacency, place_ece: as in `Row`; None in results of former versions.
    """

    model: str
    dataset: str
    seq_len: SeqLen
    spacings: tuple[float, ...]
    sets: int
    permutations: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    confidence: float
    ece: float
    chance: float
    kendall_tau: float | None = None
    adjacency: float | None = None
    place_ece: float | None = None


def pool_rows(measured: Iterable[Measured]) -> list[PooledRow]:
    """A row for each model, source of data and set size, in the order in which they first appear.

    Data from different places stay apart even if they have one name: their groups are not the same ones.
    """
    parts: dict[tuple[str, str, SeqLen, str], list[Measured]] = {}
    for each in measured:
        row = each.row
        parts.setdefault((each.source, row.dataset, row.seq_len, row.model), []).append(each)
    return [_pool(own) for own in parts.values()]


def _pool(parts: list[Measured]) -> PooledRow:
    answers = Answers(
        videos=tuple(video for each in parts for video in each.answers.videos),
        groups=tuple(group for each in parts for group in each.answers.groups),
        table=np.concatenate([each.answers.table for each in parts]),
        places=np.concatenate([each.answers.places for each in parts]),
    )
    first = parts[0].row
    return PooledRow(
        model=first.model,
        dataset=first.dataset,
        seq_len=first.seq_len,
        spacings=tuple(each.row.spacing for each in parts),
        permutations=first.permutations,
        confidence=percent(answers.confidences.mean()),
        chance=round(sum(each.row.chance * each.row.sets for each in parts) / len(answers.videos), 2),
        **answers.figures(),
    )
