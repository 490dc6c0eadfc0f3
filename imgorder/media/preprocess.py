"""Photo to tensor: the one preprocessing that training, torch and ONNX share.

Orient by EXIF, scale the shorter edge to 136, take the centre 112×112, normalise as ImageNet. A model may
have other sizes, and squeeze longer edges rather than cut them off. The steps are public because training
crops at random between `to_scaled` and `normalise`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgorder.errors import PhotoError
from imgorder.media.photos import decoded_photo

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# How pixels are resampled, in training as well: networks do worse on photos that are softer or sharper than
# those they were trained on.
SCALING = Image.Resampling.BICUBIC

ImageLike = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]

# More than any network needs. Model files come from anywhere, and a photo must not fill the memory.
_LARGEST_EDGE = 4096

# At most this many times the shorter edge is scaled of a longer one.
_REACH = 8

# So many px are made RGB at once.
_STRIP = 1 << 19

# Tag 0x0112. How to turn the stored picture so that it stands upright.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Preprocessing:
    """Parameters of the preprocessing; they travel with every checkpoint and ONNX file.

    Attributes:
        shorter_edge: the photo is scaled so that its shorter edge has this many px.
        crop: side of the square taken from the centre, in px.
        squeeze: the middle of a longer edge, up to this many times the shorter one, is squeezed to its length. At 1
            a square is cut out and nothing is squeezed.
        mean, std: per channel (RGB), of values in 0…1.
        draft_factor: a JPEG is decoded at no less than this many times the shorter edge.
    """

    shorter_edge: int = 136
    crop: int = 112
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    draft_factor: int = 2
    squeeze: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError or TypeError for values that make no sense."""
        if not 1 <= self.crop <= self.shorter_edge <= _LARGEST_EDGE:
            raise ValueError(f"a crop of {self.crop} px of a shorter edge of {self.shorter_edge} px")
        if not 1 <= self.draft_factor <= 16:
            raise ValueError(f"photos decoded at {self.draft_factor} times the shorter edge")
        if not 1 <= self.squeeze <= _REACH:
            raise ValueError(f"photos squeezed to 1/{self.squeeze} of their length")
        if not all(isinstance(each, int) for each in (self.shorter_edge, self.crop, self.draft_factor)):
            raise TypeError("the sizes of a preprocessing are whole numbers")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError("the mean and the deviation of three channels are needed")
        if not all(math.isfinite(each) for each in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError(f"a mean of {self.mean} and a deviation of {self.std}")

    def to_json(self) -> str:
        """For a checkpoint's or an ONNX file's metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Preprocessing:
        """Back from metadata.

        Raises:
            ValueError, TypeError: if the text is not what `to_json` writes.
        """
        fields: dict[str, Any] = dict(json.loads(text))
        fields |= {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return cls(**fields)


DEFAULT = Preprocessing()


def preprocess(image: ImageLike, spec: Preprocessing = DEFAULT) -> Tensor:
    """One image as the networks see it.

    Args:
        image: a path, a PIL image, or an RGB array uint8 ``(H, W, 3)``.
        spec: sizes and normalisation.

    Returns:
        float32 ``(3, crop, crop)``.

    Raises:
        PhotoError: if a path is not a readable photo.
        TypeError, ValueError: if an array is not uint8 ``(H, W, 3)``.
    """
    return normalise(to_pixels(image, spec), spec)


def preprocess_set(images: Sequence[ImageLike], spec: Preprocessing = DEFAULT, threads: int | None = None) -> Tensor:
    """A set of images, float32 ``(n, 3, crop, crop)``; paths are decoded in parallel, by up to 8 threads."""
    if all(isinstance(image, str | os.PathLike) for image in images):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(threads or 8, os.cpu_count() or 1)) as pool:
            return np.stack(list(pool.map(lambda image: preprocess(image, spec), images)))
    return np.stack([preprocess(image, spec) for image in images])


def preprocess_readable(
    files: Sequence[Path], spec: Preprocessing = DEFAULT, threads: int | None = None
) -> tuple[Tensor, dict[int, PhotoError]]:
    """As `preprocess_set`, of those photos that can be read; and, by their index, why the others cannot."""
    from concurrent.futures import ThreadPoolExecutor

    def attempt(file: Path) -> Tensor | PhotoError:
        try:
            return preprocess(file, spec)
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(min(threads or 8, os.cpu_count() or 1)) as pool:
        rows = list(pool.map(attempt, files))
    bad = {index: row for index, row in enumerate(rows) if isinstance(row, PhotoError)}
    good = [row for row in rows if not isinstance(row, PhotoError)]
    return np.stack(good) if good else np.empty((0, 3, spec.crop, spec.crop), np.float32), bad


def to_pixels(image: ImageLike, spec: Preprocessing = DEFAULT) -> Pixels:
    """Everything before the normalisation: an upright, scaled and cropped RGB image.

    Returns:
        uint8 ``(crop, crop, 3)``.
    """
    return centre(to_scaled(image, spec), spec)


def to_scaled(image: ImageLike, spec: Preprocessing = DEFAULT) -> Pixels:
    """An upright RGB image whose shorter edge is that of the preprocessing, not cropped yet.

    Returns:
        uint8 ``(H, W, 3)`` with min(H, W) = shorter_edge; both are, where the preprocessing squeezes.
    """
    with _opened(image, spec) as stored:
        turn = upright_turn(stored)
        picture = to_rgb(stored)
        # Of a strip that is much longer than wide only the middle is scaled, which holds all that is seen: the whole
        # of 1×60,000 px would need gigabytes.
        reach = _seen_length(min(picture.size), spec)
        width, height = min(picture.width, reach), min(picture.height, reach)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        shorter = min(width, height)
        size = (_scaled_length(width, shorter, spec), _scaled_length(height, shorter, spec))
        if size != picture.size:
            middle = (left, top, left + width, top + height)
            picture = picture.resize(size, SCALING, box=middle)
        if turn is not None:
            picture = picture.transpose(turn)
        return np.asarray(picture)


def centre(pixels: Pixels, spec: Preprocessing = DEFAULT) -> Pixels:
    """The square in the middle, ``(…, H, W, 3) -> (…, crop, crop, 3)``."""
    top = (pixels.shape[-3] - spec.crop) // 2
    left = (pixels.shape[-2] - spec.crop) // 2
    return pixels[..., top : top + spec.crop, left : left + spec.crop, :]


def seen_box(size: tuple[int, int], spec: Preprocessing = DEFAULT) -> tuple[float, float, float, float]:
    """The part of an upright photo that the network sees: a square, unless the preprocessing squeezes.

    Args:
        size: width and height of the photo in px, upright.

    Returns:
        left, top, right and bottom in px of the photo.
    """
    reach = _seen_length(min(size), spec)
    edges = []
    for length in size:
        used = min(length, reach)
        scaled = _scaled_length(used, min(size), spec)
        zoom = used / scaled
        start = (length - used) // 2 + (scaled - spec.crop) // 2 * zoom
        edges.append((start, start + spec.crop * zoom))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def _seen_length(shorter: int, spec: Preprocessing) -> int:
    """How many px of a longer edge are scaled, given the shorter one."""
    return int(shorter * (spec.squeeze if spec.squeeze > 1 else _REACH))


def _scaled_length(edge: int, shorter: int, spec: Preprocessing) -> int:
    """How many px an edge has when it is scaled, given the shorter one."""
    if spec.squeeze > 1:
        return spec.shorter_edge
    return max(spec.shorter_edge, round(edge * (spec.shorter_edge / shorter)))


def normalise(pixels: Pixels, spec: Preprocessing = DEFAULT) -> Tensor:
    """uint8 ``(…, H, W, 3)`` to float32 ``(…, 3, H, W)`` less the mean, over the deviation of ``spec``, per channel."""
    mean = np.array(spec.mean, dtype=np.float32)
    std = np.array(spec.std, dtype=np.float32)
    scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


def denormalise(tensors: Tensor, spec: Preprocessing = DEFAULT) -> Pixels:
    """What `normalise` was given: ``(…, 3, H, W)`` to uint8 ``(…, H, W, 3)``."""
    mean, std = (np.array(each, dtype=np.float32)[:, None, None] for each in (spec.mean, spec.std))
    pixels = np.clip((tensors * std + mean) * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(pixels, -3, -1))


def upright_turn(picture: Image.Image) -> Image.Transpose | None:
    """How to turn a picture, as it was read, so that it is upright by its EXIF orientation; None for not at all."""
    return _UPRIGHT.get(_orientation(picture))


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A picture at its own size in RGB, turned by its EXIF orientation."""
    turn = upright_turn(picture)
    plain = to_rgb(picture)
    return plain if turn is None else plain.transpose(turn)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any mode that Pillow decodes to 8-bit RGB.

    Deep grey is scaled, not clipped; transparency is laid over white, so that colours hidden under
    transparent pixels do not show.
    """
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    # In strips: of a picture of 300 megapixels each step on the way would take a gigabyte.
    top = _find_top(picture) if _is_deep_grey(picture) else 0.0
    if picture.height <= _rows_at_once(picture):
        return _strip_to_rgb(picture, top)
    whole = Image.new("RGB", picture.size)
    for first, strip in _strips(picture):
        whole.paste(_strip_to_rgb(strip, top), (0, first))
    return whole


def _rows_at_once(picture: Image.Image) -> int:
    return max(1, _STRIP // picture.width)


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The first row of each strip, and the strip."""
    rows = _rows_at_once(picture)
    for first in range(0, picture.height, rows):
        yield first, picture.crop((0, first, picture.width, min(first + rows, picture.height)))


def _is_deep_grey(picture: Image.Image) -> bool:
    return picture.mode.startswith("I") or picture.mode == "F"


def _find_top(picture: Image.Image) -> float:
    """The largest finite value of deep grey."""
    top = 0.0
    for _, strip in _strips(picture):
        values = np.asarray(strip)
        top = max(top, float(values.max(initial=0, where=np.isfinite(values))))
    return top


def _strip_to_rgb(picture: Image.Image, top: float) -> Image.Image:
    if _is_deep_grey(picture):
        values = np.asarray(picture)
        grey = _deep_grey_to_8_bit(values, top)
        hidden = picture.info.get("transparency")
        if isinstance(hidden, int):
            grey[values == hidden] = 255
        return Image.fromarray(grey).convert("RGB")
    if picture.mode == "LAB":
        from PIL import ImageCms

        return ImageCms.profileToProfile(
            picture, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        ) or picture.convert("RGB")
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    return picture.convert("RGB")


def _deep_grey_to_8_bit(values: npt.NDArray[Any], top: float) -> Pixels:
    """16-bit grey by its top byte; wider integers and floats by the range that their values use, up to ``top``."""
    if values.dtype.kind == "f":
        # Resampling overshoots: values may go a little beyond their range.
        full = next((each for each in (1.0, 255.0, 65535.0) if top <= 2 * each), top)
        with np.errstate(all="ignore"):  # what is no number, or far below the range, is black
            return np.asarray(np.clip(np.nan_to_num(values / full, posinf=1.0), 0, 1) * 255 + 0.5, dtype=np.uint8)
    shift = 0 if top <= 0xFF else 8 if top <= 0xFFFF else 24
    if values.dtype.itemsize == 2:
        shift = 8
    return np.asarray(np.clip(values, 0, None) >> shift, dtype=np.uint8)


@contextmanager
def _opened(image: ImageLike, spec: Preprocessing) -> Iterator[Image.Image]:
    if isinstance(image, Image.Image):
        yield image
    elif isinstance(image, str | os.PathLike):
        with decoded_photo(Path(image), spec.draft_factor * spec.shorter_edge) as photo:
            yield photo
    else:
        array = np.asarray(image)
        if array.dtype != np.uint8:
            raise TypeError(f"an image array must be uint8, not {array.dtype}")
        if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise ValueError(f"an image array must be (height, width, 3), not {array.shape}")
        yield Image.fromarray(np.ascontiguousarray(array))


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block must not cost the photo
        return 1
