"""Backends of networks that score triples: photos are encoded once, and then judged three at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgorder.errors import ModelError
from imgorder.inference.backends import AnySize
from imgorder.inference.backends.answers import CURE
from imgorder.names import show
from imgorder.search import triples as tables

Array = npt.NDArray[np.float32]
Scores = tuple[Array, Array, Array]
"""t_adj ``(T,)``, t_all ``(T,)`` and p ``(P,)``."""


class TripleBackend(AnySize, ABC):
    """A backend in two parts."""

    @abstractmethod
    def encode(self, images: Array) -> Array:
        """Each image alone, ``(N, 3, H, W) -> (N, F)``."""

    @abstractmethod
    def score(self, features: Array, triples: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]) -> Scores:
        """Scores of triples (rows of middle, end, end) and pairs of the images with these features.

        Each two images of a triple are among the pairs.
        """


def list_rows(sets: int, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All triples and all pairs of sets of n, whose images are counted from the first set to the last."""
    offsets = np.arange(sets)[:, None, None] * n
    triples = np.array(tables.triples(n), dtype=np.int64).reshape(-1, 3) + offsets
    pairs = np.array(tables.pairs(n), dtype=np.int64) + offsets
    return triples.reshape(-1, 3), pairs.reshape(-1, 2)


def scores_to_logits(scores: Scores, n: int) -> Array:
    """Scores of all triples and pairs of B sets of n to logits of their classes, ``(B, n!/2)``."""
    t_adj, t_all, p = (each.reshape(-1, count) for each, count in zip(scores, _counts(n), strict=True))
    return np.asarray(np.concatenate([t_adj, t_all, p], axis=1) @ tables.class_matrix(n).T)


def _counts(n: int) -> Sequence[int]:
    return tables.triple_count(n), tables.triple_count(n), tables.pair_count(n)


def check_scores(scores: Sequence[npt.NDArray[np.generic]], path: Path, triples: int, pairs: int) -> Scores:
    """Return scores as they are.

    Raises:
        ModelError: if there are more or fewer, or if one is not finite.
    """
    t_adj, t_all, p = (np.asarray(each, dtype=np.float32) for each in scores)
    if not t_adj.shape == t_all.shape == (triples,) or p.shape != (pairs,):
        raise ModelError(f"{show(path)}: gives no score for each triple and pair of photos; {CURE}")
    if not all(np.isfinite(each).all() for each in (t_adj, t_all, p)):
        raise ModelError(
            f"{show(path)}: its answer is not a number (damaged, or from a training run that diverged?); "
            "fetch or train it again"
        )
    return t_adj, t_all, p
