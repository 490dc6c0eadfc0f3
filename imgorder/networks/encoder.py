"""A plain residual encoder: each image alone to one vector, for the networks that compare vectors.

The blocks of `dab_resnet.py` with DAB off would do, but their second convolution stays: beside a 3×3
convolution it is 2/9 more weights and work, half of it on channels of zeros. The encoder is made of
TriDAB's plain blocks instead, at the channels of a residual network.
"""

from __future__ import annotations

from torch import Tensor, nn

from imgorder.networks.tridab import ResidualBlock, conv_bn

STAGES = 4


class Encoder(nn.Module):
    """Images to vectors, ``(B, 3, 112, 112) -> (B, size)``; other sizes of image work as well.

    A convolution to stride 2, then four stages at stride 4, 8, 16 and 32, each a convolution of stride
    2 and a residual block. The last 4×4 map is averaged in ``grid × grid`` cells, which are put side by
    side: with more than one cell the vector says roughly where something is, and an order is read from
    places.

    Args:
        width: factor on the channels 64, 128, 256 and 512 of the stages.
        grid: cells to a side; 1 is the average over the whole image.

    Attributes:
        size: length of a vector, 512 · width · grid².

    Raises:
        ValueError: if no channels are left, or no cells.
    """

    def __init__(self, width: float = 1.0, grid: int = 2) -> None:
        super().__init__()
        base = round(64 * width)
        if base < 1:
            raise ValueError(f"a width of {width} leaves no channels")
        if grid < 1:
            raise ValueError(f"a grid has at least one cell to a side, not {grid}")
        layers: list[nn.Module] = [conv_bn(3, base, stride=2), nn.ReLU()]
        channels = base
        for stage in range(STAGES):
            wider = base * 2**stage
            layers += [conv_bn(channels, wider, stride=2), nn.ReLU(), ResidualBlock(wider)]
            channels = wider
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid), nn.Flatten())
        self.size = channels * grid * grid

    def forward(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.layers(images)
        return vectors
