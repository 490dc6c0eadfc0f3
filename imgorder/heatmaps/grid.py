"""All layers as one picture: a row for each photo, a column for each layer from first to last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imgorder.heatmaps.maps import Array, name_layer
from imgorder.heatmaps.overlay import Look, paint
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.pictures.lettering import fit_text

PAGE = 20
"""Photos in one picture, at most: it is about 5,000 px high."""

TILE = 224
MARGIN = 8
LABEL = 28


def draw_grid(
    squares: Sequence[Image.Image],
    names: Sequence[str],
    maps: Mapping[str, Array],
    scales: Mapping[str, Sequence[float]],
    look: Look,
    spec: Preprocessing = DEFAULT,
    first: int = 1,
) -> Image.Image:
    """Photos and their maps, labelled.

    Args:
        squares: what the network sees of each photo, in the order of the rows.
        names: of the photos, safe to show.
        maps: layer -> maps ``(n, H, W)`` of the same photos.
        scales: layer -> the value with the brightest colour in each of these maps.
        spec: how the photos became the network's input.
        first: the number of the first photo.
    """
    columns = 1 + len(maps)
    width = columns * (TILE + MARGIN) + MARGIN
    height = LABEL + len(squares) * (TILE + LABEL + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, height), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for column, text in enumerate(["photo", *map(name_layer, maps)]):
        draw.text((MARGIN + column * (TILE + MARGIN), 6), text, fill=(230, 230, 230), font=font)
    for row, (square, name) in enumerate(zip(squares, names, strict=True)):
        y = LABEL + row * (TILE + LABEL + MARGIN)
        tile = square.resize((TILE, TILE), Image.Resampling.BICUBIC)
        sheet.paste(tile, (MARGIN, y))
        label, lettering = fit_text(f"{first + row}  {name}", 15, TILE)
        draw.text((MARGIN, y + TILE + 4), label, fill=(230, 230, 230), font=lettering)
        for column, layer in enumerate(maps, start=1):
            painted = tile.copy()
            # The tile holds only what is seen, so nothing of it is cut off.
            uncropped = replace(spec, shorter_edge=spec.crop)
            paint(painted, np.asarray(maps[layer][row]), scales[layer][row], look, uncropped)
            sheet.paste(painted, (MARGIN + column * (TILE + MARGIN), y))
    return sheet
