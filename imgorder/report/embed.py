"""Pictures in a report: small JPEGs without metadata."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

from imgorder.report.facts import Picture

EDGE = 720
"""Longer side of a picture, in px; less where there are many."""

MOST = 120_000
"""Bytes that a picture may have: twelve of them as text stay below 2 MB."""

TOTAL = 9_000_000
"""Bytes that all pictures of a report may have together: as text 12 MB, which a browser on a phone opens."""

_QUALITIES = (85, 75, 62, 48, 34, 20)


def choose_size(pictures: int) -> tuple[int, int]:
    """The longer side in px and the bytes of each of so many pictures: fewer bytes, fewer pixels."""
    most = min(MOST, TOTAL // pictures)
    return round(EDGE * (most / MOST) ** 0.5), most


def encode_picture(picture: Image.Image, most: int = MOST) -> Picture:
    """An RGB picture as JPEG, as good as fits into so many bytes."""
    # A new picture: Pillow copies comments and other metadata from the one that was read.
    plain = Image.new("RGB", picture.size)
    plain.paste(picture)
    for quality in _QUALITIES:
        file = BytesIO()
        plain.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= most:
            break
    return Picture(file.getvalue(), plain.width, plain.height)


def make_data_uri(picture: Picture) -> str:
    """For the ``src`` of an ``img``."""
    return f"data:image/jpeg;base64,{b64encode(picture.jpeg).decode('ascii')}"
