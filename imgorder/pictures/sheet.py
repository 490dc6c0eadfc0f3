"""A contact sheet: the photos of a set in order, each with its number and name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

# Of more photos than fit so, the cells get smaller and the sheet larger, and from a number on there are pages.
_FEW = 8
_PAGE = 48
_PAGE_LIMIT = 2000
_LEAST_CELL_OF_MANY = 200


@dataclass(frozen=True)
class Layout:
    """How photos stand on a sheet.

    Attributes:
        columns: how many.
        tile: the room for a photo, (width, height) in px.
        cell: width of a column, the tile's or more, in px.
        edge: the longer side at which photos are needed, in px.
    """

    columns: int
    tile: Size
    cell: int
    edge: int


def count_pages(n: int) -> int:
    """How many sheets n photos need."""
    return ceil(n / _PAGE)


def choose_layout(n: int, sizes: Sequence[Size]) -> Layout:
    """The layout of a sheet of n photos, so large that they can be seen.

    Args:
        n: photos on the sheet.
        sizes: of the photos, those of other sheets too, so that all get the same.

    Returns:
        With it, `draw_sheet` gives at most `LIMIT` px on the longer side for few photos, and `_PAGE_LIMIT` for more.
    """
    shape = canvas_size(sizes)
    columns, tile = _grid(n, shape)
    return Layout(
        columns,
        tile,
        max(tile[0], _LEAST_CELL if n <= _FEW else _LEAST_CELL_OF_MANY),
        LIMIT if n <= _FEW else max(tile),
    )


def draw_sheet(
    pictures: Iterable[Image.Image], names: Sequence[str], title: str, note: str, layout: Layout, first: int = 1
) -> Image.Image:
    """Photos in rows, to be read like text.

    Args:
        pictures: the photos, in order, as `load_small` gives them; only one is in memory.
        names: one line each.
        title, note: what stands above them, one line each.
        layout: for so many photos or more.
        first: the number of the first photo.

    Returns:
        RGB.
    """
    columns, tile, cell = layout.columns, layout.tile, layout.cell
    rows = ceil(len(names) / columns)
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
        _caption(sheet, (left, top + tile[1]), first + index, name, cell)
    return sheet


def _grid(n: int, shape: Size) -> tuple[int, Size]:
    """How many columns, and the size of a tile of the canvas's shape.

    Up to three photos make one row, up to eight make two; wide panoramas stand one below the other. More photos get
    the columns that leave them largest.
    """
    if n > _FEW:
        most = (_PAGE_LIMIT - 2 * _MARGIN + _GAP) // (_LEAST_CELL_OF_MANY + _GAP)
        tiles = [(columns, _tile(n, columns, shape, _PAGE_LIMIT)) for columns in range(1, min(n, most) + 1)]
        return max(tiles, key=lambda each: each[1])
    columns = n if n <= 3 else ceil(n / 2)
    row, column = _tile(n, columns, shape), _tile(n, 1, shape)
    return (1, column) if column[0] >= 1.8 * row[0] else (columns, row)


def _tile(n: int, columns: int, shape: Size, limit: int = LIMIT) -> Size:
    """The largest tile with which so many columns stay within the limit."""
    rows = ceil(n / columns)
    width = (limit - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    height = (limit - _HEADER - _MARGIN // 2 - rows * _CAPTION - (rows - 1) * _GAP) / rows
    scale = min(width / shape[0], height / shape[1])
    return max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))


def _caption(sheet: Image.Image, corner: Size, number: int, name: str, width: int) -> None:
    draw = ImageDraw.Draw(sheet)
    left, middle = corner[0], corner[1] + _CAPTION // 2
    digits, font = fit_text(str(number), _NAME, width)
    long = font.getlength(digits)
    badge = max(_BADGE, round(long) + 14)
    sheet.paste(BADGE, (left, middle - _BADGE // 2), _badge(badge))
    draw.text((left + (badge - long) / 2, middle - line_height(font) / 2), digits, fill="white", font=font)
    indent = badge + 10
    text, font = fit_text(name, _NAME, width - indent)
    draw.text((left + indent, middle - line_height(font) / 2), text, fill=INK, font=font)


@lru_cache
def _badge(width: int) -> Image.Image:
    """The badge's shape as a mask, a disc or longer, drawn large and scaled down for a smooth edge."""
    large = Image.new("L", (8 * width, 8 * _BADGE))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 8 * width - 1, 8 * _BADGE - 1), 4 * _BADGE, fill=255)
    return large.resize((width, _BADGE), Image.Resampling.BOX)


def _write(draw: ImageDraw.ImageDraw, corner: Size, text: str, size: int, width: int, ink: str) -> None:
    shown, font = fit_text(text, size, width)
    draw.text(corner, shown, fill=ink, font=font)
