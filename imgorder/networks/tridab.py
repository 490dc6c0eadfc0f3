"""TriDAB: one network for every set size, scored over triples instead of positions.

The difference accumulator of the paper (Eq. 2), taken for the middle image b of a triple against
the two others, is D_b = 2·f_b − f_a − f_c: symmetric in a and c, and small when b lies between
them in time. Each image passes through a shared trunk once; a head judges every (middle, ends)
triple and another every pair; the logit of an order is a fixed sum of those scores (`search/triples.py`).

By construction, permuting the inputs permutes the logits, and a reversed order is the same class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgorder.networks.matching import Matcher, betweenness_channels, match_features, take
from imgorder.networks.scoring import Scores, TripleScorer, couple_rows, mean_scores


@dataclass(frozen=True)
class TriDABConfig:
    """Shape of a TriDAB network.

    Attributes:
        trunk_widths: channels at stride 2, 4 and 8; the last are the features' channels C.
        trunk_blocks: residual blocks at stride 4 and at stride 8.
        head_width: channels of the triple head; the pair head has half as many.
        match_width: channels of the features that are matched between images; 0 leaves matching out.
        match_radius: largest displacement looked at, in feature cells.
        match_levels: 1 matches cells of 8 px; 2 matches the means of 2×2 of them as well, whose
            displacements reach twice as far.
        head_blocks: residual blocks of either head.
        image_size: side of the input in px, a multiple of 16. No weight depends on it.
        mirror: in evaluation mode, average the scores of a set and of its mirror image. It costs twice
            the time and no weights, and a mirrored set then gets the same answer.
    """

    trunk_widths: tuple[int, int, int] = (24, 40, 64)
    trunk_blocks: tuple[int, int] = (2, 2)
    head_width: int = 64
    match_width: int = 32
    match_radius: int = 4
    match_levels: int = 1
    head_blocks: int = 1
    image_size: int = 112
    mirror: bool = False


def conv_bn(cin: int, cout: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, then batch normalisation."""
    conv = nn.Conv2d(cin, cout, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(cout))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and an identity shortcut, ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(width, width)
        self.conv2 = conv_bn(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class Trunk(nn.Module):
    """Each image alone: ``(B, 3, S, S) -> (B, C, S/8, S/8)``.

    Attributes:
        stage_ends: places in ``layers`` of the last layer at stride 2, 4 and 8.
    """

    def __init__(self, config: TriDABConfig) -> None:
        super().__init__()
        w2, w4, w8 = config.trunk_widths
        n4, n8 = config.trunk_blocks
        self.layers = nn.Sequential(
            conv_bn(3, w2, stride=2),
            nn.ReLU(),
            conv_bn(w2, w4, stride=2),
            nn.ReLU(),
            *[ResidualBlock(w4) for _ in range(n4)],
            conv_bn(w4, w8, stride=2),
            nn.ReLU(),
            *[ResidualBlock(w8) for _ in range(n8)],
        )

        self.stage_ends = (1, 3 + n4, 5 + n4 + n8)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class Head(nn.Module):
    """Scores from summed 7×7 maps: normalise, residual blocks, average and maximum, linear.

    ``(K, width, 7, 7) -> (K, scores)``
    """

    def __init__(self, width: int, scores: int, blocks: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.block = ResidualBlock(width)
        self.more = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks - 1)])
        self.score = nn.Linear(2 * width, scores)

    def forward(self, x: Tensor) -> Tensor:
        x = self.more(self.block(F.relu(self.norm(x))))
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        scores: Tensor = self.score(pooled)
        return scores


class TriDAB(TripleScorer):
    """Images of one scene to logits of their permutation classes, any n from 3 up.

    ``(B, n, 3, S, S) -> (B, n!/2)``, with S the image size of the config.
    """

    def __init__(self, config: TriDABConfig | None = None) -> None:
        super().__init__()
        self.config = config or TriDABConfig()
        if self.config.image_size % 16 or self.config.image_size < 32:
            raise ValueError(f"image_size is a multiple of 16 px from 32 up; not {self.config.image_size}")
        if self.config.match_levels not in (1, 2):
            raise ValueError(f"match_levels is 1 or 2; not {self.config.match_levels}")
        if self.config.head_blocks < 1:
            raise ValueError(f"head_blocks is at least 1; not {self.config.head_blocks}")
        cells = self.config.image_size // 8
        c = self.config.trunk_widths[2]
        wide = self.config.head_width
        narrow = wide // 2
        self.trunk = Trunk(self.config)

        # The 2.5D step convolves the concatenation [|D_b|, |f_a − f_c|, |f_a − f_b| + |f_b − f_c|].
        # Convolution is linear, so the terms that concern two images alone are convolved once for
        # each pair, of which there are far fewer than triples, and added up.
        self.accumulate = downscale(c, wide)
        self.pair_terms = downscale(c, 2 * wide + narrow)  # between the ends | beside the middle | pair head
        self.product = downscale(c, narrow)
        self.triple_head = Head(wide, scores=2, blocks=self.config.head_blocks)
        self.pair_head = Head(narrow, scores=1, blocks=self.config.head_blocks)

        self.matcher = self.coarse_matcher = None
        radius, width = self.config.match_radius, self.config.match_width
        d = (2 * radius + 1) ** 2
        if width:
            self.matcher = Matcher(c, width, radius, cells)
            self.couple_terms = nn.Conv2d(d + 1, wide + narrow, 1, bias=False)
            self.triple_matches = nn.Conv2d(betweenness_channels(d), wide, 1, bias=False)
        if width and self.config.match_levels == 2:
            self.coarse_matcher = Matcher(c, width, radius, cells // 2, step=1)
            self.coarse_couple_terms = nn.Conv2d(d + 1, wide + narrow, 1, bias=False)
            self.coarse_triple_matches = nn.Conv2d(betweenness_channels(d), wide, 1, bias=False)

    def encode(self, images: Tensor) -> Tensor:
        """See `TripleScorer.encode`; F is views × (S/8)² × C, and with ``mirror`` there are two views."""
        views = [self._encode(images)]
        if self.config.mirror and not self.training:
            views.append(self._encode(images.flip(-1)))
        return torch.cat(views, dim=1)

    def _encode(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images)
        return features.permute(0, 2, 3, 1).flatten(1)

    def score(self, features: Tensor, triples: Tensor, pairs: Tensor) -> Scores:
        """See `TripleScorer.score`."""
        rows = couple_rows(features.shape[0], pairs)
        one_view = (self.config.image_size // 8) ** 2 * self.config.trunk_widths[2]
        views = torch.split(features, one_view, dim=1)
        return mean_scores([self._score(view, triples, pairs, rows) for view in views])

    def _score(self, features: Tensor, triples: Tensor, pairs: Tensor, rows: tuple[Tensor, Tensor]) -> Scores:
        """The scores of one view; for ``rows`` see `couple_rows`."""
        wide, cells = self.config.head_width, self.config.image_size // 8
        count, (pair_rows, couples) = features.shape[0], rows
        f = features.reshape(-1, cells, cells, self.config.trunk_widths[2])
        middle, first, last = triples.unbind(1)
        one, other = pairs.unbind(1)

        f_one, f_other = take(f, one), take(f, other)
        by_pair = self.pair_terms(channels_first((f_one - f_other).abs()))
        p = by_pair[:, 2 * wide :] + self.product(channels_first(f_one * f_other))

        between, beside = by_pair[:, :wide], by_pair[:, wide : 2 * wide]
        accumulated = take(2 * f, middle) - take(f, first) - take(f, last)  # D_b
        t = (
            self.accumulate(channels_first(accumulated.abs()))
            + take(between, take(pair_rows, first * count + last))
            + take(beside, take(pair_rows, middle * count + first))
            + take(beside, take(pair_rows, middle * count + last))
        )

        there, back = take(couples, middle * count + first), take(couples, middle * count + last)
        if self.matcher is not None:
            near = match_features(f, self.matcher, self.couple_terms, self.triple_matches, pairs, there, back)
            t, p = t + near[0], p + near[1]
        if self.coarse_matcher is not None:
            pooled = F.avg_pool2d(channels_first(f), 2).permute(0, 2, 3, 1)  # (N, 7, 7, C)
            coarse = self.coarse_matcher, self.coarse_couple_terms, self.coarse_triple_matches
            far = match_features(pooled, *coarse, pairs, there, back)
            t, p = t + far[0], p + far[1]

        t = self.triple_head(t)
        return t[:, 0], t[:, 1], self.pair_head(p)[:, 0]


def downscale(cin: int, cout: int) -> nn.Conv2d:
    """3×3 convolution from the 14×14 to the 7×7 grid; a normalisation follows after the sum."""
    return nn.Conv2d(cin, cout, 3, stride=2, padding=1, bias=False)


def channels_first(x: Tensor) -> Tensor:
    """``(K, H, W, C) -> (K, C, H, W)`` as a view, which convolutions read as channels_last."""
    return x.permute(0, 3, 1, 2)
