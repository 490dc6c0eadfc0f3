"""The paper's network: a residual network whose convolutions are DAB units, one network for each n.

Every image goes through the same weights, with the images of a set folded into the batch; the only
exchange between images is inside the units (`dab.py`). The classifier reads the n pooled vectors side by
side, in input order, because a class names positions in the input, or their mean (``pool``). Without the
accumulator a logit is a sum of terms of one image each, and such a sum cannot compare images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from imgorder.networks.dab import DABConv, DABMode, convolution
from imgorder.permutations import class_count

Pool = Literal["image", "set"]


@dataclass(frozen=True)
class DABResNetConfig:
    """Shape of a DAB network; the depth is the subclass's, as it is in the family's name.

    Attributes:
        depth: 18 or 50.
        seq_len: n, the images of a set.
        width: factor on the channels 64, 128, 256 and 512 of the four stages.
        dab: the accumulator: "signed" (Eq. 2), "magnitude" (Eq. 3), "off", or one of `DABMode` that the paper lacks.
        window: m of Eq. 4, or None for no bound.
        pool: what the last maps are averaged over, "image" for each image's positions, "set" for the images as well.
        mix_kernel: side of the second convolution's kernel in every unit.
        inner_norm: batch normalisation between a unit's first convolution and its accumulator.
        dab_shortcut: whether the 1×1 convolutions of shortcuts are units too.
        hidden: features of a hidden layer in the classifier, over the pooled vectors; 0 for none.
    """

    depth: ClassVar[int]
    seq_len: int = 4
    width: float = 1.0
    dab: DABMode = "signed"
    window: int | None = None
    pool: Pool = "image"
    mix_kernel: int = 1
    inner_norm: bool = False
    dab_shortcut: bool = False
    hidden: int = 0


class DABResNet18Config(DABResNetConfig):
    """Two 3×3 units in a block, blocks (2, 2, 2, 2)."""

    depth = 18


class DABResNet50Config(DABResNetConfig):
    """Units of 1×1, 3×3 and 1×1 in a block (bottleneck), blocks (3, 4, 6, 3)."""

    depth = 50


def dab_bn(config: DABResNetConfig, cin: int, cout: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A DAB unit, then batch normalisation."""
    unit = DABConv(
        cin,
        cout,
        kernel,
        stride,
        images=config.seq_len,
        mode=config.dab,
        window=config.window,
        mix_kernel=config.mix_kernel,
        inner_norm=config.inner_norm,
    )
    return nn.Sequential(unit, nn.BatchNorm2d(cout))


def shortcut(config: DABResNetConfig, cin: int, cout: int, stride: int) -> nn.Module:
    """Past a block: the identity where shapes agree, else a 1×1 convolution with normalisation."""
    if stride == 1 and cin == cout:
        return nn.Identity()
    if config.dab_shortcut:
        return dab_bn(config, cin, cout, 1, stride)
    return nn.Sequential(convolution(cin, cout, 1, stride), nn.BatchNorm2d(cout))


class Block(nn.Module):
    """Units with ReLU between them, past a shortcut, ``(B·n, cin, H, W) -> (B·n, cout, H/stride, W/stride)``.

    Args:
        config: of the network.
        stride: of the whole block.
        units: input channels, output channels, kernel and stride of each.
    """

    def __init__(self, config: DABResNetConfig, stride: int, units: Sequence[tuple[int, int, int, int]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for unit in units:
            layers += [dab_bn(config, *unit), nn.ReLU()]
        self.residual = nn.Sequential(*layers[:-1])
        self.shortcut = shortcut(config, units[0][0], units[-1][1], stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


def basic_block(config: DABResNetConfig, cin: int, width: int, stride: int) -> Block:
    """Two 3×3 units, to ``width`` channels."""
    return Block(config, stride, [(cin, width, 3, stride), (width, width, 3, 1)])


def bottleneck(config: DABResNetConfig, cin: int, width: int, stride: int) -> Block:
    """Units of 1×1, 3×3 and 1×1, to ``4·width`` channels."""
    return Block(config, stride, [(cin, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)])


# Depth -> block, its output channels as a multiple of its width, and how many there are in each stage.
BLOCKS: dict[int, tuple[Callable[[DABResNetConfig, int, int, int], Block], int, tuple[int, int, int, int]]] = {
    18: (basic_block, 1, (2, 2, 2, 2)),
    50: (bottleneck, 4, (3, 4, 6, 3)),
}


class DABResNet(nn.Module):
    """Images of one scene to logits of their permutation classes, for the one n of the config.

    ``(B, n, 3, 112, 112) -> (B, n!/2)``; other sizes of image work as well.

    Raises:
        ValueError: if the config's n, width, window, mode or kernel is out of range.
    """

    def __init__(self, config: DABResNetConfig) -> None:
        super().__init__()
        self.config = config
        classes = class_count(config.seq_len)
        base = round(64 * config.width)
        if base < 1:
            raise ValueError(f"a width of {config.width} leaves no channels")
        make_block, expansion, counts = BLOCKS[config.depth]
        self.stem = dab_bn(config, 3, base, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: list[nn.Module] = []
        channels = base
        for stage, count in enumerate(counts):
            width = base * 2**stage
            blocks: list[nn.Module] = []
            for index in range(count):
                blocks.append(make_block(config, channels, width, 2 if stage > 0 and index == 0 else 1))
                channels = expansion * width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        if config.pool not in get_args(Pool):
            raise ValueError(f"maps are pooled over each {' or the '.join(get_args(Pool))}, not {config.pool!r}")
        size = channels if config.pool == "set" else config.seq_len * channels
        self.classify: nn.Module = nn.Linear(size, classes)
        if config.hidden:
            self.classify = nn.Sequential(nn.Linear(size, config.hidden), nn.ReLU(), nn.Linear(config.hidden, classes))

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] != self.config.seq_len:
            raise ValueError(f"this network orders {self.config.seq_len} images, not {images.shape[1]}")
        x = self.pool(F.relu(self.stem(images.flatten(0, 1))))
        vectors = self.stages(x).mean(dim=(2, 3)).unflatten(0, (-1, self.config.seq_len))
        pooled = vectors.mean(dim=1) if self.config.pool == "set" else vectors.flatten(1)
        logits: Tensor = self.classify(pooled)
        return logits
