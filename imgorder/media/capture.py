"""When a photo was taken by its EXIF block, for any format that Pillow reads. `exif.py` writes this time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from imgorder.media.exif import parse_offset, parse_time
from imgorder.media.photos import exif_fields

_TIME = 0x9003  # DateTimeOriginal, whole seconds
_SUBSECOND = 0x9291  # SubSecTimeOriginal, the decimals
_OFFSET = 0x9011  # OffsetTimeOriginal, the zone


def exposure_time(path: Path) -> datetime | None:
    """When a photo was taken by its EXIF block, to the microsecond; None if it does not say.

    It is the time on the camera's clock, without its time zone. The picture is not decoded.

    Raises:
        PhotoError: if the file is not a photo.
    """
    taken = zoned_time(path)
    return None if taken is None else taken.replace(tzinfo=None)


def zoned_time(path: Path) -> datetime | None:
    """As `exposure_time`, with the time zone of the camera's clock where that is written."""
    fields = exif_fields(path)
    taken = parse_time(_text(fields.get(_TIME)), _text(fields.get(_SUBSECOND)))
    return None if taken is None else taken.replace(tzinfo=parse_offset(_text(fields.get(_OFFSET))))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value or "").replace("\0", "").strip()
