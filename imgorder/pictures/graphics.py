"""Pictures in a terminal: which way it takes them, and how they are sent."""

from __future__ import annotations

import shutil
import struct
from base64 import standard_b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TextIO

from PIL import Image

from imgorder.pictures import sixel
from imgorder.pictures.animation import BARS
from imgorder.pictures.canvas import LIMIT, Size, canvas_size, letterbox, load_small, measure

TILE: Size = (320, 240)
"""The largest thumbnail, (width, height) in px."""

_GAP = 4  # px between thumbnails
_ONE_ROW = 8  # photos; more are shown in rows
_LEAST = 96  # px, the width of a thumbnail in rows

_KITTY_CHUNK = 4096  # bytes of base64 in one sequence, at most
_COLUMN = 8  # px, where the terminal does not say

# TERM is that of the real terminal, also through ssh. The other variables are inherited: a terminal that was
# started from another one may still have those of the first.
_TERMS = {
    "xterm-kitty": "kitty",
    "xterm-ghostty": "kitty",
    "wezterm": "iterm",
    "foot": "sixel",
    "foot-extra": "sixel",
    "mlterm": "sixel",
    "contour": "sixel",
}
_PROGRAMS = {"ghostty": "kitty", "iTerm.app": "iterm", "WezTerm": "iterm", "mintty": "sixel"}
_MULTIPLEXERS = ("TMUX", "STY", "ZELLIJ")


def detect(environment: Mapping[str, str]) -> str | None:
    """How the terminal takes pictures: a key of `ENCODERS`; None if it may take none, as inside tmux and the like."""
    term = environment.get("TERM", "")
    if any(name in environment for name in _MULTIPLEXERS) or term.startswith(("screen", "tmux")) or term == "dumb":
        return None
    if term in _TERMS or term.endswith("-sixel"):
        return _TERMS.get(term, "sixel")
    program = environment.get("TERM_PROGRAM", "")
    if program in _PROGRAMS:
        return _PROGRAMS[program]
    if "KITTY_WINDOW_ID" in environment:
        return "kitty"
    return "iterm" if environment.get("LC_TERMINAL") == "iTerm2" else None


def measure_width(stream: TextIO) -> int:
    """Width of a terminal in px, at most `LIMIT`."""
    pixels = 0
    with suppress(ImportError, OSError, ValueError):  # not on Windows; not every terminal
        import fcntl
        import termios

        size = fcntl.ioctl(stream.fileno(), termios.TIOCGWINSZ, bytes(8))
        pixels = struct.unpack("HHHH", size)[2]
    return min(LIMIT, pixels or _COLUMN * shutil.get_terminal_size().columns)


def draw_thumbnails(files: Sequence[Path], protocol: str, width: int) -> str:
    """Photos as they are sent to the terminal: a strip, or of many photos a strip for each row, after their numbers.

    Args:
        files: the photos, in order.
        protocol: a key of `ENCODERS`.
        width: of the terminal, in px.

    Returns:
        ASCII, without a line end behind it.

    Raises:
        PhotoError: if a photo cannot be read any more.
    """
    n = len(files)
    in_row = n if n <= _ONE_ROW else max(1, min(n, (width + _GAP) // (_LEAST + _GAP)))
    tile = choose_tile([measure(file, max(TILE)) for file in files], in_row, width)
    lines = []
    for first in range(0, n, in_row):
        row = files[first : first + in_row]
        if in_row < n:
            lines.append(f"{first + 1} to {first + len(row)}" if len(row) > 1 else str(n))
        lines.append(ENCODERS[protocol](draw_strip([load_small(file, max(TILE)) for file in row], tile)))
    return "\n".join(lines)


def choose_tile(sizes: Sequence[Size], in_row: int, width: int) -> Size:
    """The size of each of so many thumbnails in a row; none is enlarged.

    Args:
        sizes: of all photos.
        in_row: how many stand in a row.
        width: room in px.

    Returns:
        (width, height) in px: within `TILE`, and such that a row fits unless that leaves less than a pixel for each.
    """
    shape = canvas_size(sizes)
    room = (width - (in_row - 1) * _GAP) // in_row
    scale = min(1.0, room / shape[0], TILE[0] / shape[0], TILE[1] / shape[1])
    return max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))


def draw_strip(pictures: Sequence[Image.Image], tile: Size) -> Image.Image:
    """Photos from left to right, as `load_small` gives them, RGB."""
    strip = Image.new("RGB", (len(pictures) * (tile[0] + _GAP) - _GAP, tile[1]), BARS)
    for place, picture in enumerate(pictures):
        strip.paste(letterbox(picture, tile, BARS), (place * (tile[0] + _GAP), 0))
    return strip


def kitty(picture: Image.Image) -> str:
    """Kitty's graphics protocol: a PNG in chunks."""
    data = _png(picture)
    chunks = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
    # Transmit and show, a PNG, and no answer, which would arrive as if it were typed.
    keys = ["a=T,f=100,q=2,", *[""] * (len(chunks) - 1)]
    more = [*"1" * (len(chunks) - 1), "0"]
    return "".join(
        f"\x1b_G{each}m={follows};{chunk}\x1b\\" for each, follows, chunk in zip(keys, more, chunks, strict=True)
    )


def iterm(picture: Image.Image) -> str:
    """iTerm2's inline images: a PNG."""
    data = _png(picture)
    size = len(data) * 3 // 4 - data.count("=")
    return f"\x1b]1337;File=inline=1;size={size}:{data}\x07"


def _png(picture: Image.Image) -> str:
    stream = BytesIO()
    picture.save(stream, "PNG")
    return standard_b64encode(stream.getvalue()).decode("ascii")


ENCODERS: dict[str, Callable[[Image.Image], str]] = {"kitty": kitty, "iterm": iterm, "sixel": sixel.encode}
"""What a picture is sent as, by the protocol's name."""
