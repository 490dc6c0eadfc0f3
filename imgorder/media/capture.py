"""When a photo was taken by its EXIF block, for any format that Pillow reads. `exif.py` writes this time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from imgorder.media.exif import SUBSECOND, TIME, ZONE, clean_text, parse_offset, parse_time
from imgorder.media.photos import exif_fields


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
    whole, decimals, zone = (clean_text(fields.get(tag)) for tag in (TIME, SUBSECOND, ZONE))
    taken = parse_time(whole, decimals)
    return None if taken is None else taken.replace(tzinfo=parse_offset(zone))
