"""Several TriDABs as one network, whose scores are the mean of theirs.

A member may want smaller images than the ensemble is given: in them a large motion is shorter, within the reach
of its matches. The same weights at two sizes are two members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from imgorder.media.preprocess import SCALING
from imgorder.networks.scoring import Scores, TripleScorer, mean_scores
from imgorder.networks.tridab import TriDAB, TriDABConfig


@dataclass(frozen=True)
class EnsembleConfig:
    """Shape of an ensemble.

    Attributes:
        members: configs of the TriDABs. The first takes images as they are given; its features make heat maps.
    """

    members: tuple[TriDABConfig, ...]

    @property
    def image_size(self) -> int:
        """Side of the input in px."""
        return self.members[0].image_size


class TriDABEnsemble(TripleScorer):
    """Images of one scene to logits of their permutation classes, any n from 3 up.

    ``(B, n, 3, S, S) -> (B, n!/2)``, with S the image size of the first member.

    Raises:
        ValueError: if there is no member, or one wants images larger than the first does.
    """

    def __init__(self, config: EnsembleConfig) -> None:
        super().__init__()
        if not config.members:
            raise ValueError("an ensemble has one member or more")
        self.config = config
        largest, configs = config.image_size, config.members
        for each in configs:
            if each.image_size > largest:
                raise ValueError(
                    f"members take images of at most {largest} px, as the first does; not {each.image_size}"
                )
        self.members = nn.ModuleList(TriDAB(each) for each in configs)
        self.inputs = nn.ModuleList(
            Downscaler(largest, each.image_size) if each.image_size < largest else nn.Identity() for each in configs
        )

    def encode(self, images: Tensor) -> Tensor:
        """See `TripleScorer.encode`: the members' features, one after the other."""
        parts = [each.encode(resize(images)) for each, resize in zip(self._each(), self.inputs, strict=True)]
        return torch.cat(parts, dim=1)

    def score(self, features: Tensor, triples: Tensor, pairs: Tensor) -> Scores:
        """See `TripleScorer.score`."""
        views = [2 if each.config.mirror and not each.training else 1 for each in self._each()]
        counts = [each.feature_count * number for each, number in zip(self._each(), views, strict=True)]
        parts = zip(self._each(), torch.split(features, counts, dim=1), strict=True)
        return mean_scores([each.score(own, triples, pairs) for each, own in parts])

    def _each(self) -> list[TriDAB]:
        return [each for each in self.members if isinstance(each, TriDAB)]


class Downscaler(nn.Module):
    """Images scaled as photos are, ``(…, source, source) -> (…, target, target)``, without rounding to bytes."""

    matrix: Tensor

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        # Scaling is linear along either axis; that of the unit vectors is its matrix. A product with it is the same
        # in torch and in ONNX, where the operators that scale differ.
        units = Image.fromarray(np.eye(source, dtype=np.float32))
        matrix = np.array(units.resize((source, target), SCALING))
        self.register_buffer("matrix", torch.from_numpy(matrix), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.matrix @ images @ self.matrix.T
