"""Photos of any size on one canvas: upright, scaled, with bars where the shape differs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from PIL import Image

from imgorder.media.photos import open_photo, photo_header
from imgorder.media.preprocess import to_rgb, upright_turn

LIMIT = 1280
"""Longest side of anything that is written, in px."""

Size = tuple[int, int]

_SIDEWAYS = tuple(getattr(Image.Transpose, name) for name in ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"))


def load_small(path: Path, limit: int = LIMIT) -> Image.Image:
    """One photo, upright and small, for people; never enlarged.

    It is scaled as early as possible: of a colour photo, at most the photo and one copy are in memory.

    Args:
        path: the photo.
        limit: its longer side has at most this many px.

    Returns:
        An upright RGB image in sRGB, transparent parts over white.

    Raises:
        PhotoError: if the file is not a readable photo.
    """
    picture = open_photo(path, limit)
    turn = upright_turn(picture)
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data and picture.mode[0] not in "IF":  # deep grey would be clipped
        # Scaled before it is laid over white, which needs several copies.
        picture = _scaled(picture.convert("RGBA") if picture.mode != "RGBA" else picture, limit)
    picture = _scaled(to_rgb(picture), limit)
    picture = convert_to_srgb(picture, profile)
    return picture if turn is None else picture.transpose(turn)


def measure(path: Path, limit: int = LIMIT) -> Size:
    """The size that `load_small` gives a photo, give or take a pixel; the picture is not decoded.

    Raises:
        PhotoError: if the file does not begin as a readable photo.
    """
    with photo_header(path) as picture:
        turn, size = upright_turn(picture), picture.size
    if turn in _SIDEWAYS:
        size = size[::-1]
    return size if max(size) <= limit else _fit(size, (limit, limit))


def canvas_size(sizes: Sequence[Size]) -> Size:
    """The smallest canvas for pictures of all these sizes, once their longer sides are those of the largest.

    Returns:
        (width, height) in px, both even, as videos want them.
    """
    longest = max(map(max, sizes))
    fitted = [_fit(size, (longest, longest)) for size in sizes]
    width, height = map(max, zip(*fitted, strict=True))
    return width + width % 2, height + height % 2


def letterbox(picture: Image.Image, size: Size, bars: str) -> Image.Image:
    """A picture in the middle of a canvas, as large as fits; the rest has the colour of the bars.

    Returns:
        RGB of exactly ``size``, without the photo's metadata.
    """
    fitted = _fit(picture.size, size)
    # A bar of a pixel or two comes from rounding and would look like an error.
    fitted = (
        size[0] if size[0] - fitted[0] <= 2 else fitted[0],
        size[1] if size[1] - fitted[1] <= 2 else fitted[1],
    )
    canvas = Image.new("RGB", size, bars)
    scaled = picture if picture.size == fitted else picture.resize(fitted, Image.Resampling.LANCZOS)
    canvas.paste(scaled, ((size[0] - fitted[0]) // 2, (size[1] - fitted[1]) // 2))
    return canvas


def _scaled(picture: Image.Image, limit: int) -> Image.Image:
    if max(picture.size) <= limit:
        return picture
    return picture.resize(_fit(picture.size, (limit, limit)), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _fit(size: Size, box: Size) -> Size:
    """The largest size of the same shape inside a box; no side is below 1 px."""
    scale = min(box[0] / size[0], box[1] / size[1])
    return max(1, min(box[0], round(size[0] * scale))), max(1, min(box[1], round(size[1] * scale)))


def convert_to_srgb(picture: Image.Image, profile: object) -> Image.Image:
    """Convert colours by their profile: phones write a wider RGB, which looks dull if taken for sRGB."""
    if not isinstance(profile, bytes):
        return picture
    from PIL import ImageCms

    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):  # broken, or not of RGB: as it was
        theirs = ImageCms.ImageCmsProfile(BytesIO(profile))
        ours = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, theirs, ours, outputMode="RGB") or picture
    return picture
