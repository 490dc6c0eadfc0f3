"""Names in pictures: a font that can show them, and as much of a name as fits."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

from PIL import ImageFont, features

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The font that comes with Pillow has little more than ASCII. For other names the system's fonts are tried:
# Linux, macOS, Windows; the last of each for East Asian names.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "NotoSansCJK-Regular.ttc",
    "Arial.ttf", "Arial Unicode.ttf",
    "segoeui.ttf", "msyh.ttc", "malgun.ttf",
)  # fmt: skip

_NO_CHARACTER = "\U0010ffff"  # no font has it, so it shows how a font draws what it lacks


def fit_text(text: str, size: int, width: float) -> tuple[str, Font]:
    """Choose what to draw for a text, and the font.

    Characters that no font has become escapes such as ``\\u732b``. A text that is too long loses its middle, since
    the names of a burst differ at the end.

    Args:
        text: one line, without control characters.
        size: height of the letters in px; without FreeType there is only one size.
        width: room in px.
    """
    text, font = _showable(unicodedata.normalize("NFC", text), size)
    if font.getlength(text) <= width:
        return text, font
    # The first number of characters that is too many; without any, only the dots are left.
    most = bisect_right(range(1, len(text)), width, key=lambda kept: font.getlength(_shortened(text, kept)))
    return _shortened(text, most), font


def line_height(font: Font) -> int:
    """Height of a line in px, the same for all texts."""
    top, bottom = font.getbbox("Ág|")[1::2] if isinstance(font, ImageFont.ImageFont) else (0, sum(font.getmetrics()))
    return round(bottom - top)


def _shortened(text: str, kept: int) -> str:
    end = kept // 2
    return f"{text[: kept - end]}...{text[len(text) - end :]}"


def _showable(text: str, size: int) -> tuple[str, Font]:
    best: tuple[set[str], Font] | None = None
    for font in _fonts(size):
        missing = {char for char in text if _lacks(font, char)}
        if best is None or len(missing) < len(best[0]):
            best = missing, font
        if not missing:
            break
    assert best is not None  # the bundled font is always there
    missing, font = best
    return "".join(char.encode("unicode_escape").decode() if char in missing else char for char in text), font


def _fonts(size: int) -> Iterator[Font]:
    yield _bundled(size)
    if features.check("freetype2"):
        for name in _SYSTEM_FONTS:
            font = _system(name, size)
            if font is not None:
                yield font


@lru_cache
def _bundled(size: int) -> Font:
    if not features.check("freetype2"):  # a Pillow built without: one small bitmap font
        return ImageFont.load_default()
    return ImageFont.load_default(size)


@lru_cache
def _system(name: str, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except (OSError, ValueError):  # not there, or broken
        return None


def _lacks(font: Font, char: str) -> bool:
    if char.isascii():
        return False
    if isinstance(font, ImageFont.ImageFont):
        return ord(char) > 0xFF
    return _glyph(font, char) == _glyph(font, _NO_CHARACTER)


def _glyph(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)
