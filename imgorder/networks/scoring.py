"""What all networks share that score triples and pairs: the logits of the orders are a fixed sum of the scores.

Such a network has two parts. The encoder sees each image once; the scorer judges listed triples and pairs of the
images that were encoded. So sets of any size can be ordered, without a look at all their triples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from imgorder.search import triples as tables

Scores = tuple[Tensor, Tensor, Tensor]


class TripleScorer(nn.Module, ABC):
    """Images of one scene to logits of their permutation classes, any n from 3 up.

    ``(B, n, 3, S, S) -> (B, n!/2)``
    """

    def __init__(self) -> None:
        super().__init__()
        self._class_matrices: dict[int, Tensor] = {}

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Each image alone: ``(N, 3, S, S) -> (N, F)``."""

    @abstractmethod
    def score(self, features: Tensor, triples: Tensor, pairs: Tensor) -> Scores:
        """Scores of listed triples and pairs of encoded images.

        Args:
            features: of N images, ``(N, F)``, as `encode` gives them.
            triples: T rows of middle, end, end; int64.
            pairs: P rows of one, other; int64. Each two images of a triple are among them, in either direction.

        Returns:
            t_adj ``(T,)``, t_all ``(T,)`` and p ``(P,)``.
        """

    def forward(self, images: Tensor) -> Tensor:
        b, n = images.shape[:2]
        device = images.device
        first = torch.arange(b, device=device)[:, None, None] * n  # image of each set
        triples = torch.tensor(tables.triples(n), device=device) + first
        pairs = torch.tensor(tables.pairs(n), device=device) + first
        found = self.score(self.encode(images.flatten(0, 1)), triples.flatten(0, 1), pairs.flatten(0, 1))
        scores = torch.cat([each.reshape(b, -1) for each in found], dim=1).float()
        with torch.autocast(device.type, enabled=False):
            return scores @ self._class_matrix(n, device).T

    def _class_matrix(self, n: int, device: torch.device) -> Tensor:
        """`triples.class_matrix` on the device, made once for each n."""
        matrix = self._class_matrices.get(n)
        if matrix is None or matrix.device != device:
            with torch.inference_mode(False):  # kept for passes that take gradients as well
                matrix = torch.from_numpy(tables.class_matrix(n)).to(device)
            self._class_matrices[n] = matrix
        return matrix


def mean_scores(several: list[Scores]) -> Scores:
    """The mean of what `TripleScorer.score` gave several times."""
    t_adj, t_all, p = (sum(parts[1:], parts[0]) / len(parts) for parts in zip(*several, strict=True))
    return t_adj, t_all, p


def couple_rows(count: int, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Where each couple (source, target) of ``count`` images is among the pairs.

    Args:
        pairs: P rows of one, other.

    Returns:
        Two int64 tables ``(count²,)``, of which entry source · count + target is the row of the pair; in the second
        one, where the pairs are listed there and then back, that of the couple: of 2·P rows.
    """
    one, other = pairs.unbind(1)
    places = torch.cat([one * count + other, other * count + one])
    rows = torch.arange(pairs.shape[0], device=pairs.device)
    empty = torch.zeros(count * count, dtype=torch.int64, device=pairs.device)
    return empty.scatter(0, places, torch.cat([rows, rows])), empty.scatter(
        0, places, torch.arange(places.shape[0], device=pairs.device)
    )
