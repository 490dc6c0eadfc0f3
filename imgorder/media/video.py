"""Videos on disk, opened with OpenCV."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError
from imgorder.names import show

SUFFIXES = (
    ".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg",
    ".wmv", ".flv", ".3gp", ".ogv", ".mts", ".m2ts", ".ts", ".mjpg", ".mjpeg",
)  # fmt: skip

OPENCV_HINT = "pip install 'imgorder[train]'"


class VideoError(ImgorderError):
    """A video that cannot be read; ``reason`` is the message without the name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{show(path)}: {reason}")
        self.reason = reason


def opencv() -> Any:
    """The module ``cv2``.

    Raises:
        ImgorderError: if it is not installed.
    """
    # FFmpeg's own lines name no file; `VideoError` does.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise ImgorderError(f"videos need OpenCV; run: {OPENCV_HINT}") from error
    return cv2


def open_video(path: Path) -> Any:
    """An open ``cv2.VideoCapture`` at the first frame.

    Raises:
        VideoError: if there is no such file, or no video in it.
    """
    cv2 = opencv()
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})") from error
    if size == 0:
        raise VideoError(path, "the file is empty (0 bytes)")
    try:
        # Named, since OpenCV otherwise also tries the name as a pattern of numbered pictures.
        video = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    except (cv2.error, UnicodeError) as error:
        raise VideoError(path, "cannot be opened by OpenCV") from error
    if not video.isOpened():
        raise VideoError(path, "not a video that OpenCV can read")
    return video


def read_pictures(path: Path) -> Generator[Any, None, None]:
    """The pictures of a video from the first on, uint8 BGR ``(H, W, 3)``; raises as `open_video` does."""
    video = open_video(path)
    try:
        while (read := video.read())[0]:
            yield read[1]
    finally:
        video.release()
