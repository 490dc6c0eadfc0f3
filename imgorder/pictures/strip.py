"""A strip of thumbnails: the photos of a set in order, side by side in one row."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from imgorder.pictures.animation import BARS
from imgorder.pictures.canvas import Size, canvas_size, letterbox

TILE: Size = (320, 240)
"""The largest thumbnail, (width, height) in px."""

_GAP = 4  # px


def draw_strip(pictures: Sequence[Image.Image], width: int) -> Image.Image:
    """Photos from left to right.

    Args:
        pictures: the photos, in order, as `load_small` gives them.
        width: room in px.

    Returns:
        RGB, no wider than ``width`` unless that leaves less than a pixel for each photo.
    """
    n = len(pictures)
    shape = canvas_size(pictures)
    room = (width - (n - 1) * _GAP) // n
    scale = min(1.0, room / shape[0], TILE[0] / shape[0], TILE[1] / shape[1])
    tile = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    strip = Image.new("RGB", (n * tile[0] + (n - 1) * _GAP, tile[1]), BARS)
    for place, picture in enumerate(pictures):
        strip.paste(letterbox(picture, tile, BARS), (place * (tile[0] + _GAP), 0))
    return strip
