"""When a photo was taken by its EXIF block, for any format that Pillow reads. `exif.py` writes this time."""

from __future__ import annotations

from pathlib import Path

from imgorder.media.photos import find_times
from imgorder.media.time_texts import Written, choose


def capture_time(path: Path) -> Written:
    """When a photo was taken by its EXIF block: the time, or the text that is not understood, or nothing.

    The picture is not decoded.

    Raises:
        PhotoError: if the file is not a photo.
    """
    return choose(find_times(path))
