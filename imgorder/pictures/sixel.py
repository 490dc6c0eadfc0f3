"""Sixel, the oldest way to draw in a terminal: bands six pixels high, drawn colour by colour."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = 256
"""As many as terminals have registers for."""

_BAND = 6  # rows of pixels; a character holds one column of them in its six low bits, counted from "?"
_RUN = re.compile(rb"(.)\1{3,}")  # `!4?` is shorter than `?` four times


def encode(picture: Image.Image) -> str:
    """A picture as a Sixel sequence, ASCII.

    Args:
        picture: RGB; its colours are reduced to `COLOURS`.
    """
    reduced = picture.quantize(COLOURS)
    pixels = np.asarray(reduced)
    height, width = pixels.shape
    palette = np.array(reduced.getpalette("RGB")).reshape(-1, 3)
    # Sixel counts colours from 0 to 100.
    registers = "".join(
        f"#{index};2;{';'.join(str(round(value / 2.55)) for value in palette[index])}" for index in np.unique(pixels)
    )
    bands = "-".join(_band(pixels[top : top + _BAND]) for top in range(0, height, _BAND))
    # 0;1: no aspect ratio of its own, and what is not drawn stays as it is; then the size, in square pixels.
    return f'\x1bP0;1q"1;1;{width};{height}{registers}{bands}\x1b\\'


def _band(rows: npt.NDArray[np.uint8]) -> str:
    """Up to six rows of pixels, ``(≤ 6, width)``: each colour in turn, over the same place."""
    weights = (1 << np.arange(len(rows), dtype=np.uint8))[:, None]
    layers = []
    for colour in np.unique(rows):
        columns = ((rows == colour) * weights).sum(axis=0, dtype=np.uint8) + np.uint8(ord("?"))
        line = columns.tobytes().rstrip(b"?")  # nothing of this colour follows
        packed = _RUN.sub(lambda run: b"!%d%s" % (len(run[0]), run[1]), line)
        layers.append(f"#{colour}{packed.decode('ascii')}")
    return "$".join(layers)
