"""The difference accumulator block (DAB) of the paper, and the unit that puts it after a convolution.

A convolution of each image alone says nothing about the other images. The accumulator adds, for each
image, its differences to the others, and a second convolution looks at both together.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

DABMode = Literal["signed", "magnitude", "off", "symmetric", "symmetric-magnitude"]


def accumulate_differences(features: Tensor, mode: DABMode = "signed", window: int | None = None) -> Tensor:
    """Accumulated differences F_s of the feature maps F_c of n images, the i-th at place i of the input.

    The paper's sums go over the images ahead in the input, and the last image, which has none, keeps its
    own map, F_s^n = F_c^n (Section III-B):

        signed (Eq. 2)       F_s^i = Σ_{k = i+1 … n} (F_c^i − F_c^k),  i < n
        magnitude (Eq. 3)    F_s^i = Σ_{k = i+1 … n} |F_c^i − F_c^k|,  i < n
        off                  F_s^i = 0 for all i, the ablation without DAB (Section IV-E1)

    With a window m (Eq. 4) k ends at min(i + m, n).

    Two further sums are not the paper's. They go over the images on both sides, all others or those with
    |i − k| ≤ m, and treat the last image like the rest: *symmetric* is signed, *symmetric-magnitude* not.

    Args:
        features: F_c, ``(B, n, C, H, W)``.
        mode: which of the five.
        window: m in 0…n−1, None for no bound. m = n−1 is none.

    Returns:
        F_s, ``(B, n, C, H, W)``.

    Raises:
        ValueError: for an unknown mode, or a window outside 0…n−1.
    """
    n = features.shape[1]
    check_accumulator(n, mode, window)
    reach = n - 1 if window is None else window
    if mode == "off":
        return torch.zeros_like(features)
    if mode == "magnitude":
        ahead = [_distance(features, i, i + 1, i + 1 + reach) for i in range(n - 1)]
        return torch.stack([*ahead, features[:, -1]], dim=1)
    if mode == "symmetric-magnitude":
        return torch.stack([_distance(features, i, max(i - reach, 0), i + 1 + reach) for i in range(n)], dim=1)
    # A signed sum is one product with an n×n matrix: −1 at the images of the sum, their number on the diagonal.
    # Its small integers are exact in half precision too, where n·F^i itself would be rounded.
    place = torch.arange(n, device=features.device)
    steps = place - place[:, None]
    others = (steps.abs() <= reach) if mode == "symmetric" else (steps > 0) & (steps <= reach)
    counted = others.to(features.dtype)
    weights = torch.diag(counted.sum(dim=1)) - counted
    if mode == "signed":
        weights[-1, -1] = 1
    if features.stride(2) == 1:  # channels come last in memory: multiplied in that layout, and left in it
        seen = features.permute(0, 1, 3, 4, 2)
        return (weights @ seen.flatten(2)).reshape(seen.shape).permute(0, 1, 4, 2, 3)
    return (weights @ features.flatten(2)).reshape(features.shape)


def _distance(features: Tensor, image: int, begin: int, end: int) -> Tensor:
    """Summed magnitude of the differences between one image and those from ``begin`` to before ``end``."""
    return (features[:, image : image + 1] - features[:, begin:end]).abs().sum(dim=1)


def check_accumulator(n: int, mode: str, window: int | None) -> None:
    """Raise ValueError unless `accumulate_differences` can be taken over ``n`` images."""
    if mode not in get_args(DABMode):
        raise ValueError(f"a difference accumulator is {', '.join(get_args(DABMode))}, not {mode!r}")
    if window is not None and not 0 <= window < n:
        raise ValueError(f"the window of {n} images is 0 to {n - 1}, not {window}")


class DifferenceAccumulator(nn.Module):
    """`accumulate_differences` as a module without weights, so that its output can be hooked.

    ``(B, n, C, H, W) -> (B, n, C, H, W)``
    """

    def __init__(self, mode: DABMode = "signed", window: int | None = None) -> None:
        super().__init__()
        self.mode: DABMode = mode
        self.window = window

    def forward(self, features: Tensor) -> Tensor:
        return accumulate_differences(features, self.mode, self.window)


def convolution(cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """2D convolution without bias, padded with ``kernel // 2``."""
    if kernel == 1 and stride > 1 and cin < 16:
        return SkippingConv2d(cin, cout, stride)
    return nn.Conv2d(cin, cout, kernel, stride=stride, padding=kernel // 2, bias=False)


class SkippingConv2d(nn.Conv2d):
    """1×1 convolution with a stride that leaves the skipped pixels out first, with the same result.

    On a CPU the gradient of the plain one writes past its memory, and ends the process or spoils weights, where
    channels come last and are fewer than the processor's vectors hold (oneDNN issue 6035).
    """

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__(cin, cout, 1, bias=False)
        self.skip = stride

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input[..., :: self.skip, :: self.skip])


class DABConv(nn.Module):
    """The paper's unit in place of one 2D convolution.

    2D convolution to F_c → accumulator to F_s → [F_c, F_s] on channels → 2D convolution (the "2.5D"
    step). The first convolution has the kernel, stride, padding and output channels of the replaced
    one, so F_c and the result have the same shape. The images of a set are folded into the batch, set
    by set, as for any other layer of a network:

    ``(B·n, cin, H, W) -> (B·n, cout, H', W')``, H' = ⌈H / stride⌉ for an odd kernel

    Neither convolution has a bias: one in F_c cancels in the differences, and batch normalisation follows
    the unit. With DAB off the channels of F_s are zero and the weights keep their shapes.

    Args:
        cin, cout: channels.
        kernel, stride: of the replaced convolution; its padding is ``kernel // 2``.
        images: n, the images of one set.
        mode, window: of the accumulator.
        mix_kernel: side of the second convolution's kernel, odd. The first convolution has looked at
            the surroundings already, so 1 leaves the receptive field as it was; beside a 3×3 convolution
            of equal channels that costs 2/9 more, where a mix kernel of 3 makes it three times the cost.
        inner_norm: batch normalisation of F_c before the accumulator.

    Raises:
        ValueError: for an even kernel, an unknown mode, or a window outside 0…n−1.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        images: int,
        mode: DABMode = "signed",
        window: int | None = None,
        mix_kernel: int = 1,
        inner_norm: bool = False,
    ) -> None:
        super().__init__()
        check_accumulator(images, mode, window)
        if kernel % 2 == 0 or mix_kernel % 2 == 0:
            raise ValueError(f"kernels have odd sides, not {kernel} and {mix_kernel}")
        self.images = images
        self.spatial = convolution(cin, cout, kernel, stride)
        self.norm = nn.BatchNorm2d(cout) if inner_norm else nn.Identity()
        self.accumulate = DifferenceAccumulator(mode, window)
        self.mix = nn.Conv2d(2 * cout, cout, mix_kernel, padding=mix_kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        f_c = self.norm(self.spatial(x))
        f_s = self.accumulate(f_c.unflatten(0, (-1, self.images))).flatten(0, 1)
        mixed: Tensor = self.mix(torch.cat([f_c, f_s], dim=1))
        return mixed
