"""When a photo was taken by its EXIF block, for any format that is read here. `exif.py` writes this time."""

from __future__ import annotations

from pathlib import Path

from imgorder.media.metadata import read_metadata
from imgorder.media.photos import check_photo
from imgorder.media.time_texts import Written, choose, gather


def capture_time(path: Path) -> Written:
    """When a photo was taken by its EXIF block: the time, or the text that is not understood, or nothing.

    The picture is not decoded.

    Raises:
        PhotoError: if the file is not a photo.
    """
    check_photo(path)
    return choose(time for block in read_metadata(path).exif for time in gather(block))
