"""An animation: the photos of a set one after the other, all on one canvas."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, features

from imgorder.errors import ImgorderError
from imgorder.media import video
from imgorder.names import show
from imgorder.pictures.canvas import Size, canvas_size, letterbox
from imgorder.pictures.outputs import mark_film, save_marked

BARS = "#101010"

_SAMPLE = 128  # px of each side from which a GIF's colours are chosen
_GIF_COLOURS = 255  # one of 256 is left for "as in the frame before"


def check_encoder(target: Path) -> None:
    """Raise ImgorderError, before the sorting and not after it, if an animation of this kind cannot be written."""
    suffix = target.suffix.lower()
    if suffix == ".mp4":
        try:
            video.opencv()
        except ImgorderError as error:
            cure = f"{video.OPENCV_HINT}, or name the animation .gif or .webp"
            raise ImgorderError(f"{show(target)}: an mp4 needs OpenCV; run: {cure}") from error
    if suffix == ".webp" and not features.check("webp"):
        raise ImgorderError(f"{show(target)}: this Pillow writes no WebP; name the animation .gif")


def play(photos: Sequence[Path], pingpong: bool) -> list[Path]:
    """The photos as they are shown: forward, or forward and back; in a loop neither end is shown twice."""
    return [*photos, *photos[-2:0:-1]] if pingpong else list(photos)


def frame_size(sizes: Sequence[Size], frames: int, most: int | None) -> Size:
    """The size of all frames: that of the photos' canvas, or smaller where there are many frames.

    Args:
        sizes: of the photos, at most `LIMIT` px on the longer side.
        frames: how many are shown.
        most: px of all frames together; None for no bound.

    Returns:
        (width, height) in px, both even.
    """
    width, height = canvas_size(sizes)
    scale = 1.0 if most is None else min(1.0, (most / (frames * width * height)) ** 0.5)
    return max(2, int(width * scale / 2) * 2), max(2, int(height * scale / 2) * 2)


def make_frames(pictures: Iterable[Image.Image], size: Size) -> Iterator[Image.Image]:
    """Frames of one size, one after the other, of pictures as `load_small` gives them."""
    return (letterbox(picture, size, BARS) for picture in pictures)


def write_gif(frames: Iterable[Image.Image], fps: float, file: BinaryIO) -> None:
    """Write an endless GIF. All frames share their colours, so that still parts do not flicker."""
    frames = list(frames)
    strip = Image.new("RGB", (_SAMPLE, _SAMPLE * len(frames)))
    for number, frame in enumerate(frames):
        # The nearest pixel, not a mean: small bright things keep their colour.
        strip.paste(frame.resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST), (0, _SAMPLE * number))
    palette = strip.quantize(_GIF_COLOURS, kmeans=1)
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    save_marked(first, file, "GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def write_webp(frames: Iterable[Image.Image], fps: float, file: BinaryIO) -> None:
    """Write an endless WebP, lossy like a JPEG."""
    first, *rest = frames
    save_marked(first, file, "WEBP", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=85)


def write_mp4(frames: Iterable[Image.Image], fps: float, file: BinaryIO) -> None:
    """Write an MP4 with MPEG-4 video, which every OpenCV can write; no more than a frame or two are in memory.

    Raises:
        ImgorderError: if OpenCV is not installed.
        OSError: if the video could not be written.
    """
    cv2 = video.opencv()
    # OpenCV writes only to names, does not take all names, and does not report a full disk. So the video is
    # made under a plain name, checked, and copied.
    with TemporaryDirectory(prefix="imgorder-") as folder:
        made, shown = Path(folder) / "made.mp4", 0
        try:
            writer = cv2.VideoWriter()
            for frame in frames:
                if not shown:
                    writer.open(str(made), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), fps, frame.size)
                writer.write(np.ascontiguousarray(np.asarray(frame)[..., ::-1]))
                shown += 1
            writer.release()
            complete = _count_frames(cv2.VideoCapture(str(made), cv2.CAP_FFMPEG)) == shown
        except cv2.error:
            complete = False
        if not complete:
            raise OSError(f"OpenCV could not make the video; is there room in {show(gettempdir())}?")
        with made.open("rb") as complete_video:
            shutil.copyfileobj(complete_video, file)
    mark_film(file)


def _count_frames(made: Any) -> int:
    count = 0
    while made.read()[0]:
        count += 1
    made.release()
    return count
