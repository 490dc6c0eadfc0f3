"""A map laid over its photo, or written as numbers, at the photo's own size.

Everything works on strips of rows: a photo of 48 megapixels is held once, its map never as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from imgorder.errors import UsageError
from imgorder.heatmaps.colormap import LEVELS, PATHS, make_colours
from imgorder.media.preprocess import DEFAULT, Preprocessing, seen_box

Map = npt.NDArray[np.float32]

STRIP = 64


@dataclass(frozen=True)
class Look:
    """How maps are painted.

    Attributes:
        alpha: share of the brightest colour; weaker motion is laid on more thinly.
        colormap: name in `imgorder.heatmaps.colormap.PATHS`.
    """

    alpha: float = 0.7
    colormap: str = "ember"

    def __post_init__(self) -> None:
        """Raises UsageError for colours that are not known."""
        if self.colormap not in PATHS:
            raise UsageError(f"--colormap is {', '.join(PATHS)}; not {self.colormap!r}")


def paint(picture: Image.Image, heat: Map, full: float, look: Look, spec: Preprocessing = DEFAULT) -> None:
    """Lay a map over a photo, in place. What the network does not see becomes grey and darker, outside a frame.

    Args:
        picture: upright, RGB.
        heat: ``(H, W)``, over what the network sees.
        full: the value that gets the brightest colour.
        spec: how the photo became the network's input.
    """
    table = make_colours(look.colormap).astype(np.float32)
    width = picture.width
    for first, values in upsample_strips(heat, picture.size, spec):
        area = np.asarray(picture.crop((0, first, width, first + len(values))), dtype=np.float32)
        grey = area @ np.array([0.299, 0.587, 0.114], dtype=np.float32) * 0.45
        share = np.clip(np.nan_to_num(values) / full, 0, 1)
        colour = table[(share * (LEVELS - 1) + 0.5).astype(np.uint8)]
        # Thin where little moves, so that the photo stays visible.
        weight = (look.alpha * share**0.75)[..., None]
        painted = np.where(np.isnan(values)[..., None], grey[..., None], area + weight * (colour - area))
        picture.paste(Image.fromarray((painted + 0.5).astype(np.uint8)), (0, first))
    left, top, right, bottom = round_box(seen_box(picture.size, spec))
    line = max(1, min(picture.size) // 400)
    frame = (left, top, right - 1, bottom - 1)
    ImageDraw.Draw(picture).rectangle(frame, outline=(255, 255, 255), width=line)


def upsample_strips(
    heat: Map, size: tuple[int, int], spec: Preprocessing = DEFAULT, rows: int = STRIP
) -> Iterator[tuple[int, Map]]:
    """A map at the size of its photo, strip by strip: first row and values; NaN where the network does not see.

    Args:
        heat: ``(H, W)``, over what the network sees.
        size: width and height of the photo in px, upright.
        spec: how the photo became the network's input.
        rows: of a strip.
    """
    width, height = size
    left, top, right, bottom = round_box(seen_box(size, spec))
    for first in range(0, height, rows):
        count = min(rows, height - first)
        values = np.full((count, width), np.nan, dtype=np.float32)
        start, end = max(first, top), min(first + count, bottom)
        if start < end:
            part = upsample(heat, (right - left, bottom - top), (start - top, end - top), spec.crop)
            values[start - first : end - first, left:right] = part
        yield first, values


def round_box(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """A box in whole px, at least 1×1: of a photo 1 px wide the network sees less than a pixel."""
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def find_stride(heat: Map, crop: int) -> int:
    """The distance between two cells of a map, in px of the network's input, which is ``crop`` px wide."""
    # Each layer that halves the side rounds it up, so the last cell may reach over the edge.
    return int(2 ** ceil(log2(crop / len(heat))))


def upsample(heat: Map, size: tuple[int, int], rows: tuple[int, int], crop: int = DEFAULT.crop) -> Map:
    """Rows ``rows[0]`` to ``rows[1]`` of a map scaled smoothly to ``size`` (width, height).

    A layer at stride s has its i-th value over pixel s·i of the network's input, not over the middle of
    the i-th cell: strides come from convolutions that begin on the first pixel. The values are put there.

    Args:
        heat: square, over the network's whole input.
        crop: side of that input in px.
    """
    stride = find_stride(heat, crop)
    padded = np.pad(heat, ((0, 1), (0, 1)), mode="edge")
    low = 0.5 - 0.5 / stride
    cells = crop / stride
    scale = cells / size[1]
    box = (low, low + rows[0] * scale, low + cells, low + rows[1] * scale)
    image = Image.fromarray(padded.astype(np.float32))
    resized = image.resize((size[0], rows[1] - rows[0]), Image.Resampling.BICUBIC, box=box)
    return np.maximum(np.asarray(resized, dtype=np.float32), 0)  # a cubic dips below zero beside a peak
