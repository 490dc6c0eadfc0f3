"""What models answer on sets whose order is known, set by set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.evaluation.measure import BATCH, percent
from imgorder.evaluation.metrics import bootstrap_interval
from imgorder.evaluation.sets import draw_listings
from imgorder.inference.predictor import OrderingModel
from imgorder.media.preprocess import Tensor
from imgorder.permutations import class_count, class_to_order


@dataclass(frozen=True)
class Answer:
    """A model's order of one set.

    Attributes:
        in_time: place in time of each photo in the order that was given; 0, 1, 2, … or its reverse when right.
        confidence: probability of that order, 0…1.
    """

    in_time: tuple[int, ...]
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the whole order is right, up to reversal."""
        rising = tuple(range(len(self.in_time)))
        return self.in_time in (rising, rising[::-1])


def answer(model: OrderingModel, sets: Sequence[Tensor], seed: int = 0) -> list[Answer]:
    """One answer a set; the sets are of one size, in temporal order, and are shown in a random listing each."""
    found = []
    for start in range(0, len(sets), BATCH):
        part = sets[start : start + BATCH]
        listings = [draw_listings(len(each), 1, (seed, start + index))[0] for index, each in enumerate(part)]
        shown = np.stack([each[list(listing)] for each, listing in zip(part, listings, strict=True)])
        for row, listing in zip(model.probabilities(shown), listings, strict=True):
            order = class_to_order(len(listing), int(row.argmax()))
            found.append(Answer(tuple(listing[place] for place in order), float(row.max())))
    return found


def exact_match(hits: Sequence[bool] | npt.NDArray[np.bool_], groups: Sequence[str], n: int) -> dict[str, Any]:
    """Share of right answers in percent, with its interval by bootstrap over groups.

    Args:
        hits: whether each set came out right.
        groups: what each set was filmed with or by; sets of one group are alike.
        n: size of the sets.
    """
    values = np.asarray(hits, dtype=np.float64)
    low, high = bootstrap_interval(values, numbered(groups))
    return {
        "sets": len(values),
        "groups": len(set(groups)),
        "permutations": 1,
        "accuracy": percent(values.mean()),
        "accuracy_low": percent(low),
        "accuracy_high": percent(high),
        "chance": percent(1 / class_count(n)),
    }


def numbered(groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """Numbers from 0 for names."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)
