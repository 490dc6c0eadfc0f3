"""What all networks share that score triples and pairs: the logits of the orders are a fixed sum of the scores."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from imgorder.networks import triples as tables


class TripleScorer(nn.Module, ABC):
    """Images of one scene to logits of their permutation classes, any n from 3 up.

    ``(B, n, 3, S, S) -> (B, n!/2)``
    """

    def __init__(self) -> None:
        super().__init__()
        self._class_matrices: dict[int, Tensor] = {}

    @abstractmethod
    def scores(self, images: Tensor, triples: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of the listed triples (T rows of middle, end, end) and pairs (P rows of one, other).

        The lists are those of `triples.triples(n)` and `triples.pairs(n)`, int64.

        Returns:
            t_adj ``(B, T)``, t_all ``(B, T)`` and p ``(B, P)``.
        """

    def forward(self, images: Tensor) -> Tensor:
        n = images.shape[1]
        device = images.device
        adjacent, overall, pair = self.scores(
            images,
            torch.tensor(tables.triples(n), device=device),
            torch.tensor(tables.pairs(n), device=device),
        )
        scores = torch.cat([adjacent, overall, pair], dim=1).float()
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


def mean_scores(several: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of what `TripleScorer.scores` gave several times."""
    t_adj, t_all, p = (sum(parts[1:], parts[0]) / len(parts) for parts in zip(*several, strict=True))
    return t_adj, t_all, p
