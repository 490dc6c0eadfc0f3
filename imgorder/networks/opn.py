"""OPN: the order of n images from features of their pairs, to compare with.

After H.-Y. Lee, J.-B. Huang, M. Singh and M.-H. Yang, "Unsupervised Representation Learning by Sorting
Sequences", 2017, whose order prediction network looks at all pairs as a sorting algorithm does.

From the literature: one encoder for all images; a fully connected layer to a vector for each image
(fc6, 1024 features); one on the concatenation of every two vectors (fc7, 512), whose weights all pairs
share; one linear layer from all pairs to the classes, an order and its reverse being one; batch
normalisation, ReLU and dropout after fc6 and fc7, the statistics of fc7 shared by all pairs.

Ours: the encoder, a small residual one (theirs is CaffeNet's five convolutions on 80×80 patches); the
pairs in lexicographic order, and one affine of the normalisation for all of them (theirs has one for
each pair, and another order of pairs, which for a linear layer is a matter of names).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from imgorder.networks.encoder import Encoder
from imgorder.permutations import class_count


@dataclass(frozen=True)
class OPNConfig:
    """Shape of an order prediction network.

    Attributes:
        seq_len: n, the images of a set.
        width: factor on the encoder's channels.
        grid: cells to a side in which the encoder averages its last map; 2 as the last map of Lee et al.
        fc6: features of an image.
        fc7: features of a pair.
        dropout: share of fc6 and fc7 that is left out in training.
    """

    seq_len: int = 4
    width: float = 1.0
    grid: int = 2
    fc6: int = 1024
    fc7: int = 512
    dropout: float = 0.5


def fully_connected(cin: int, cout: int, dropout: float) -> nn.Sequential:
    """Linear layer, batch normalisation, ReLU and dropout, ``(B, cin) -> (B, cout)``."""
    return nn.Sequential(nn.Linear(cin, cout, bias=False), nn.BatchNorm1d(cout), nn.ReLU(), nn.Dropout(dropout))


class OPN(nn.Module):
    """Images of one scene to logits of their permutation classes, for the one n of the config.

    ``(B, n, 3, 112, 112) -> (B, n!/2)``; other sizes of image work as well.

    Attributes:
        pairs: the C(n, 2) pairs (i, j), i < j, of places in the input, in lexicographic order.

    Raises:
        ValueError: if the config's n, width or grid is out of range.
    """

    def __init__(self, config: OPNConfig | None = None) -> None:
        super().__init__()
        self.config = config or OPNConfig()
        n, fc6, fc7, dropout = self.config.seq_len, self.config.fc6, self.config.fc7, self.config.dropout
        classes = class_count(n)
        self.pairs = tuple(combinations(range(n), 2))
        self.encoder = Encoder(self.config.width, self.config.grid)
        self.fc6 = fully_connected(self.encoder.size, fc6, dropout)
        self.fc7 = fully_connected(2 * fc6, fc7, dropout)
        self.classify = nn.Linear(len(self.pairs) * fc7, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.pair_features(images).flatten(1))
        return logits

    def pair_features(self, images: Tensor) -> Tensor:
        """fc7 of every pair, ``(B, n, 3, 112, 112) -> (B, C(n, 2), fc7)``, in the order of `pairs`.

        The earlier image *in the input* is the first half of the concatenation, so (i, j) and (j, i)
        do not have the same features.
        """
        n = self.config.seq_len
        if images.shape[1] != n:
            raise ValueError(f"this network orders {n} images, not {images.shape[1]}")
        vectors = self.fc6(self.encoder(images.flatten(0, 1))).unflatten(0, (-1, n))
        first, second = ([pair[side] for pair in self.pairs] for side in (0, 1))
        both = torch.cat([vectors[:, first], vectors[:, second]], dim=2)  # (B, C(n, 2), 2·fc6)
        features: Tensor = self.fc7(both.flatten(0, 1)).unflatten(0, (-1, len(self.pairs)))
        return features
