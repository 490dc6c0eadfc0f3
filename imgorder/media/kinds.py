"""What a file is by its first bytes, and what is unusual about a picture that Pillow does not read."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

from PIL import UnidentifiedImageError

from imgorder.files import STARTS

HEAD = 64  # bytes that `name_kind` wants

HEIC, AVIF, VIDEO = "HEIC", "AVIF", "video"

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_VIDEO_BRANDS = {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"qt  ", b"avc1", b"M4V ", b"MSNV"}

# The frame headers of a JPEG; of the other numbers between them three mean something else.
_LOSSLESS, _HIERARCHICAL = (0xC3, 0xC7, 0xCB, 0xCF), (0xC5, 0xC6, 0xCD, 0xCE)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA, *_LOSSLESS, *_HIERARCHICAL)

_COLOURS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIELab"}


def name_kind(head: bytes) -> str | None:
    """The format of a file that begins so: ``"JPEG"``, …, ``"HEIC"``, ``"AVIF"``, ``"video"``; None for any other."""
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), HEAD)
        brands = {head[start : start + 4] for start in (8, *range(16, end - 3, 4))}
        if brands & _AVIF_BRANDS:
            return AVIF
        if brands & _HEIF_BRANDS:
            return HEIC
        return VIDEO if brands & _VIDEO_BRANDS or head[8:11] == b"3gp" else None
    if head[:4] == b"RIFF":
        return {b"WEBP": "WebP", b"AVI ": VIDEO}.get(head[8:12])
    return next((kind for start, kind in {**STARTS, b"BM": "BMP"}.items() if head.startswith(start)), None)


def describe_variant(path: Path, kind: str, error: Exception) -> str | None:
    """In a few words, what Pillow does not read in a sound picture; None if nothing is known that would be.

    Args:
        kind: as `name_kind` says.
        error: what Pillow raised.
    """
    text = str(error)
    if text.startswith(f"Unsupported {kind} "):
        return re.sub(r"[()]", "", text.removeprefix(f"Unsupported {kind} "))
    try:
        with path.open("rb") as file:
            if kind == "JPEG":
                return _describe_jpeg(file)
            # Where Pillow takes the tags, the pixels are damaged.
            return _describe_tiff(file) if kind == "TIFF" and isinstance(error, UnidentifiedImageError) else None
    except Exception:  # it is damaged as well, and that is what counts
        return None


def _describe_jpeg(file: BinaryIO) -> str | None:
    file.seek(2)
    while (marker := file.read(2)) and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # a byte that fills
            file.seek(-1, 1)
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker[1] not in _FRAMES:
            file.seek(length - 2, 1)
            continue
        bits, height, _, channels = struct.unpack(">BHHB", file.read(6))
        if marker[1] in _LOSSLESS or marker[1] in _HIERARCHICAL:
            return "lossless" if marker[1] in _LOSSLESS else "hierarchical"
        if bits != 8:
            return f"{bits} bits a colour"
        if height == 0:
            return "its height stands behind the picture"
        return f"{channels} channels" if channels not in (1, 3, 4) else None
    return None


def _describe_tiff(file: BinaryIO) -> str | None:
    from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

    head = file.read(8)
    if head[2:3] == b"\0" and head[3:4] == b"+":
        return "BigTIFF in big-endian order"
    if head[2:3] == b"+":
        head += file.read(8)
    tags = ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    if not {256, 257, 258, 262} <= tags.keys():
        return None  # not even what every photo says: width, height, bits, colours
    if tags.get(259, 1) not in COMPRESSION_INFO:
        return f"compression {tags[259]}"
    colour = _COLOURS.get(tags[262], f"colour space {tags[262]}")
    return f"{colour} in {tags[258][0]}-bit {'floats' if 3 in tags.get(339, ()) else 'numbers'}"
