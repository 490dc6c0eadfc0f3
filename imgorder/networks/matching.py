"""Matching: where the patches of one image are found in another, and how the matches of three fit together."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Matcher(nn.Module):
    """Where each image's patches are found in the others: a local correlation volume.

    Every second cell of an image's 14×14 features (7×7 of them; more in larger images) is compared, by
    cosine, with the cells of another image up to ``radius`` cells away in each direction. With
    ``step`` 1 every cell is, as the 7×7 means of 2×2 cells are.
    """

    target_index: Tensor
    offsets: Tensor

    def __init__(self, cin: int, width: int, radius: int, cells: int, step: int = 2) -> None:
        super().__init__()
        self.step = step
        self.project = nn.Linear(cin, width)
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        side = 2 * radius + 1
        self.displacements = side * side
        steps = torch.arange(-radius, radius + 1)
        dy, dx = torch.meshgrid(steps, steps, indexing="ij")
        offsets = torch.stack([dy.flatten(), dx.flatten()])  # (2, D), in cells
        source = torch.arange(step - 1, cells, step)
        sy, sx = torch.meshgrid(source, source, indexing="ij")
        ty = sy.flatten()[:, None] + offsets[0]  # (49, D)
        tx = sx.flatten()[:, None] + offsets[1]
        outside = (ty < 0) | (ty >= cells) | (tx < 0) | (tx >= cells)
        target = torch.where(outside, torch.full_like(ty, cells * cells), ty * cells + tx)
        rows = torch.arange(target.shape[0])[:, None] * (cells * cells + 1)
        self.register_buffer("target_index", (rows + target).flatten(), persistent=False)
        self.register_buffer("offsets", offsets.float() / radius, persistent=False)

    def forward(self, features: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compare image ``source[k]`` with image ``target[k]``.

        Args:
            features: ``(N, 14, 14, C)``, or 7×7 with step 1.
            source, target: int64 ``(K,)``.

        Returns:
            Cosines less their mean over displacements, ``(K, D, 7, 7)``, zero outside the image;
            and the expected displacement (dy, dx) in units of the radius, ``(K, 2, 7, 7)``.
        """
        h, w = features.shape[1:3]
        g = F.normalize(self.project(features), dim=-1)
        at = g[:, self.step - 1 :: self.step, self.step - 1 :: self.step].flatten(1, 2)  # (N, 49, M)
        to = g.flatten(1, 2).transpose(1, 2)  # (N, M, 196)
        cosine = at.index_select(0, source) @ to.index_select(0, target)  # (K, 49, 196)
        cosine = F.pad(cosine, (0, 1)).flatten(1)  # one empty cell stands for all outside the image
        cosine = cosine.index_select(1, self.target_index)
        down, across = h // self.step, w // self.step
        cosine = cosine.reshape(-1, down * across, self.displacements)
        weight = torch.softmax(cosine * self.log_sharpness.exp(), dim=-1)
        flow = weight @ self.offsets.T  # (K, 49, 2)
        cosine = cosine - cosine.mean(dim=-1, keepdim=True)
        return (
            cosine.transpose(1, 2).reshape(-1, self.displacements, down, across),
            flow.transpose(1, 2).reshape(-1, 2, down, across),
        )


def match_features(
    features: Tensor,
    matcher: Matcher,
    couple_terms: nn.Conv2d,
    triple_matches: nn.Conv2d,
    pairs: Tensor,
    there: Tensor,
    back: Tensor,
) -> tuple[Tensor, Tensor]:
    """What the matches of one level add to the maps of T triples and of P pairs, before the heads.

    Args:
        features: of N images, ``(N, H, W, C)``.
        matcher: for features of that size.
        couple_terms: 1×1 convolution of one image's matches in another, to the channels of a triple's map
            and of a pair's, one after the other.
        triple_matches: 1×1 convolution of a `betweenness`, to those of a triple's map.
        pairs: P rows of one, other.
        there, back: ``(T,)``, row of each triple's middle with its first and its last end, as in `couple_rows`.

    Returns:
        ``(T, wide, 7, 7)`` and ``(P, narrow, 7, 7)``.
    """
    one, other = pairs.unbind(1)
    wide = triple_matches.out_channels
    cosine, flow = matcher(features, torch.cat([one, other]), torch.cat([other, one]))
    squared = flow.square().sum(1, keepdim=True)
    terms = couple_terms(torch.cat([cosine, squared], dim=1))
    for_triples, for_pairs = terms[:, :wide], terms[:, wide:]
    t = take(for_triples, there) + take(for_triples, back)
    p = for_pairs[: pairs.shape[0]] + for_pairs[pairs.shape[0] :]
    u, v = take(cosine, there), take(cosine, back)
    return t + triple_matches(betweenness(u, v, take(flow, there), take(flow, back))), p


def betweenness_channels(displacements: int) -> int:
    """Channels that `betweenness` gives."""
    return displacements + displacements // 2 + 1 + 4


def betweenness(u: Tensor, v: Tensor, flow_u: Tensor, flow_v: Tensor) -> Tensor:
    """How the middle's matches in its two ends fit together, symmetric in the ends.

    An image in the middle of a steady motion finds its patches displaced one way in one end and
    the opposite way in the other: so the products are taken at opposite displacements.

    Args:
        u, v: cosines of the middle with either end, ``(K, D, 7, 7)``.
        flow_u, flow_v: expected displacements, ``(K, 2, 7, 7)``.
    """
    opposite = u * v.flip(1)  # displacement d, turned round, is at D − 1 − d
    half = opposite.shape[1] // 2 + 1
    opposite = (opposite + opposite.flip(1))[:, :half]
    geometry = [
        (flow_u * flow_v).sum(1, keepdim=True),
        (flow_u - flow_v).square().sum(1, keepdim=True),
        (flow_u + flow_v).square().sum(1, keepdim=True),
        flow_u.square().sum(1, keepdim=True) * flow_v.square().sum(1, keepdim=True),
    ]
    return torch.cat([u * v, opposite, *geometry], dim=1)


def take(x: Tensor, rows: Tensor) -> Tensor:
    """Rows of axis 0."""
    return x.index_select(0, rows)
