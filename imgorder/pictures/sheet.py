"""A contact sheet: the photos of a set in order, each with its number and name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil

from PIL import Image, ImageDraw

from imgorder.pictures.canvas import LIMIT, Size, canvas_size, letterbox
from imgorder.pictures.lettering import fit_text, line_height

PAPER = "#fafaf7"
MOUNT = "#e6e6e0"
INK = "#1d1d1b"
PALE_INK = "#5c5c57"
BADGE = "#1f4e79"

# All in px.
_MARGIN = 28
_GAP = 22
_TITLE = 30
_NOTE = 20
_HEADER = 102
_CAPTION = 44
_NAME = 19
_BADGE = 28
_LEAST_CELL = 280  # a narrow photo's name still needs room


def draw_sheet(pictures: Sequence[Image.Image], names: Sequence[str], title: str, note: str) -> Image.Image:
    """Photos in rows, to be read like text.

    Args:
        pictures: the photos, in order, as `load_small` gives them.
        names: one line each.
        title, note: what stands above them, one line each.

    Returns:
        RGB, at most `LIMIT` px on its longer side.
    """
    shape = canvas_size(pictures)
    columns, tile = _grid(len(pictures), shape)
    rows = ceil(len(pictures) / columns)
    cell = max(tile[0], _LEAST_CELL)
    width = 2 * _MARGIN + columns * cell + (columns - 1) * _GAP
    height = _HEADER + rows * (tile[1] + _CAPTION) + (rows - 1) * _GAP + _MARGIN // 2
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (_MARGIN, 18), title, _TITLE, width - 2 * _MARGIN, INK)
    _write(draw, (_MARGIN, 57), note, _NOTE, width - 2 * _MARGIN, PALE_INK)
    for index, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        left = _MARGIN + index % columns * (cell + _GAP)
        top = _HEADER + index // columns * (tile[1] + _CAPTION + _GAP)
        sheet.paste(letterbox(picture, (cell, tile[1]), MOUNT), (left, top))
        _caption(sheet, (left, top + tile[1]), index + 1, name, cell)
    return sheet


def _grid(n: int, shape: Size) -> tuple[int, Size]:
    """How many columns, and the size of a tile of the canvas's shape.

    Up to three photos make one row, more make two; wide panoramas stand one below the other.
    """
    columns = n if n <= 3 else ceil(n / 2)
    row, column = _tile(n, columns, shape), _tile(n, 1, shape)
    return (1, column) if column[0] >= 1.8 * row[0] else (columns, row)


def _tile(n: int, columns: int, shape: Size) -> Size:
    """The largest tile with which so many columns stay within the limit."""
    rows = ceil(n / columns)
    width = (LIMIT - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    height = (LIMIT - _HEADER - _MARGIN // 2 - rows * _CAPTION - (rows - 1) * _GAP) / rows
    scale = min(width / shape[0], height / shape[1])
    return max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))


def _caption(sheet: Image.Image, corner: Size, number: int, name: str, width: int) -> None:
    draw = ImageDraw.Draw(sheet)
    left, middle = corner[0], corner[1] + _CAPTION // 2
    sheet.paste(BADGE, (left, middle - _BADGE // 2), _disc())
    digit, font = fit_text(str(number), _NAME, _BADGE)
    height = line_height(font)
    draw.text((left + (_BADGE - font.getlength(digit)) / 2, middle - height / 2), digit, fill="white", font=font)
    indent = _BADGE + 10
    text, font = fit_text(name, _NAME, width - indent)
    draw.text((left + indent, middle - line_height(font) / 2), text, fill=INK, font=font)


@lru_cache
def _disc() -> Image.Image:
    """The badge's shape as a mask, drawn large and scaled down for a smooth edge."""
    large = Image.new("L", (8 * _BADGE, 8 * _BADGE))
    ImageDraw.Draw(large).ellipse((0, 0, 8 * _BADGE - 1, 8 * _BADGE - 1), fill=255)
    return large.resize((_BADGE, _BADGE), Image.Resampling.BOX)


def _write(draw: ImageDraw.ImageDraw, corner: Size, text: str, size: int, width: int, ink: str) -> None:
    shown, font = fit_text(text, size, width)
    draw.text(corner, shown, fill=ink, font=font)
