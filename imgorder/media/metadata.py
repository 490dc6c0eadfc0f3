"""The EXIF blocks, XMP packets and texts in a photo, found without decoding it and without a library for its format."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from imgorder.media import exif, kinds
from imgorder.media.photos import read_tags, unreadable
from imgorder.media.tiff import HEADERS, Block, ExifError

LONGEST = 16 << 20  # bytes of one block or packet; what is longer is left out

_HEAD = 1 << 19  # most JPEGs have their metadata within these bytes
_PARTS = 100_000  # chunks, boxes or items of one file; of a sound photo there are fewer
_EXIF = b"Exif\0\0"

_PNG_EXIF = re.compile(rb"\s*exif\s+\d+\s+([0-9a-fA-F\s]+)", re.DOTALL)  # as ImageMagick writes it into a text


@dataclass
class Metadata:
    """What stands in a photo beside its pixels.

    Attributes:
        exif: the EXIF blocks, the usual one first; of each the directories with times and camera, tag by tag.
        xmp: the XMP packets.
        created: the texts in which a PNG says when it was made.
    """

    exif: list[Sequence[Mapping[int, object]]] = field(default_factory=list)
    xmp: list[bytes] = field(default_factory=list)
    created: list[str] = field(default_factory=list)

    def add_block(self, data: bytes) -> None:
        """Add an EXIF block if it is one; some writers put the head of a JPEG's segment in front."""
        with suppress(ExifError):
            self.exif.append(Block(data[len(_EXIF) :] if data.startswith(_EXIF) else data).directories())


def read_metadata(path: Path) -> Metadata:
    """What stands in a photo beside its pixels. What is broken is left out; the pixels are not looked at.

    Raises:
        PhotoError: if the file cannot be read.
    """
    found = Metadata()
    try:
        with path.open("rb") as file:
            kind = kinds.name_kind(file.read(kinds.HEAD))
            file.seek(0)
            read = {"JPEG": _read_jpeg, "PNG": _read_png, "WebP": _read_webp, kinds.HEIC: _read_heif}
            read[kinds.AVIF] = _read_heif
            if kind in read:
                # What was found before a break counts.
                with suppress(ValueError, OverflowError, struct.error):
                    read[kind](file, found)
    except OSError as error:
        raise unreadable(path, error) from error
    if kind == "TIFF":
        tags = read_tags(path)
        found.exif.append(tags)
        found.xmp += [packet for each in tags if isinstance(packet := each.get(700), bytes)]
    return found


def _read_jpeg(file: BinaryIO, found: Metadata) -> None:
    data = file.read(_HEAD)
    if exif.ends_before_picture(data):
        data += file.read()
    found.exif += [block.directories() for block in exif.find_blocks(data)]
    found.xmp += exif.find_xmp(data)


def _read_png(file: BinaryIO, found: Metadata) -> None:
    file.seek(8)
    for _ in range(_PARTS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name not in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") or length > LONGEST:
            file.seek(length + 4, os.SEEK_CUR)
            continue
        data = file.read(length)
        file.seek(4, os.SEEK_CUR)  # its checksum
        if name == b"eXIf":
            found.add_block(data)
            continue
        # A text that is broken leaves the others as they are.
        with suppress(ValueError, zlib.error):
            _read_text(name, data, found)


def _read_text(name: bytes, data: bytes, found: Metadata) -> None:
    keyword, _, text = data.partition(b"\0")
    if name == b"zTXt":
        text = _inflate(text[1:])
    if name == b"iTXt":
        packed = text[:1] == b"\1"
        _, _, text = text[2:].split(b"\0", 2)
        text = _inflate(text) if packed else text
    if keyword == b"XML:com.adobe.xmp":
        found.xmp.append(text)
    elif keyword == b"Creation Time":
        found.created.append(text.decode("utf-8", "replace"))
    elif keyword in (b"Raw profile type exif", b"Raw profile type APP1") and (raw := _PNG_EXIF.match(text)):
        found.add_block(bytes.fromhex(raw[1].decode("ascii")))


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, LONGEST)


def _read_webp(file: BinaryIO, found: Metadata) -> None:
    file.seek(12)
    for _ in range(_PARTS):
        head = file.read(8)
        if len(head) < 8:
            return
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"EXIF", b"XMP ") and length <= LONGEST:
            data = file.read(length)
            file.seek(length % 2, os.SEEK_CUR)
            if name == b"EXIF":
                found.add_block(data)
            else:
                found.xmp.append(data)
        else:
            file.seek(length + length % 2, os.SEEK_CUR)


def _read_heif(file: BinaryIO, found: Metadata) -> None:
    """HEIC and AVIF: the items that the box ``meta`` lists as ``Exif``, and as XMP."""
    size = file.seek(0, os.SEEK_END)
    meta = next((file.read(end - start) for name, start, end in _boxes_of_file(file, size) if name == b"meta"), b"")
    boxes = {name: meta[start:end] for name, start, end in _boxes(meta, 4)}
    kinds_of = dict(_item_kinds(boxes.get(b"iinf", b"")))
    for item, parts in _item_places(boxes.get(b"iloc", b"")):
        kind, data = kinds_of.get(item), b""
        for inside, start, length in parts if kind else ():
            room = LONGEST - len(data)
            if inside:  # of the box ``idat``
                data += boxes.get(b"idat", b"")[start : start + min(length or room, room)]
            elif start < size:
                file.seek(start)
                data += file.read(min(length or room, room))
        if kind is None:
            continue
        if kind == "XMP":
            found.xmp.append(data)
        else:
            start = 4 + int.from_bytes(data[:4], "big")
            # Some writers leave out the number that says where the block begins.
            found.add_block(data if data[:4] in HEADERS else data[start:])


def _boxes_of_file(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a file that are short enough, with the file at the first byte of their content."""
    at = 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, start = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), at + 16
        if size < start - at:  # 0: to the end of the file, which is the pixels
            return
        if size <= LONGEST:
            file.seek(start)
            yield head[4:8], start, at + size
        at += size


def _boxes(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in a box: name, start and end of the content."""
    while at + 8 <= len(data):
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if size < start - at:
            return
        yield data[at + 4 : at + 8], start, at + size
        at += size


def _item_kinds(box: bytes) -> Iterator[tuple[int, str]]:
    """The items that are EXIF or XMP, by their numbers; from the box ``iinf``."""
    for name, start, end in _boxes(box, 8 if box[:1] > b"\0" else 6):
        entry = box[start:end]
        if name == b"infe" and entry[:1] in (b"\2", b"\3"):
            wide = 4 if entry[0] == 3 else 2
            item, kind = int.from_bytes(entry[4 : 4 + wide], "big"), entry[6 + wide : 10 + wide]
            if kind == b"Exif":
                yield item, "EXIF"
            elif kind == b"mime" and b"\0application/rdf+xml\0" in entry[9 + wide :] + b"\0":
                yield item, "XMP"


def _item_places(box: bytes) -> Iterator[tuple[int, list[tuple[bool, int, int]]]]:
    """Where each item's bytes are: whether in ``idat``, offset and length, part by part; from the box ``iloc``."""
    reader = _Numbers(box)
    version = reader.take(1)
    reader.take(3)
    sizes = reader.take(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(min(reader.take(4 if version == 2 else 2), _PARTS)):
        item = reader.take(4 if version == 2 else 2)
        method = reader.take(2) & 15 if version in (1, 2) else 0
        reader.take(2)  # which file; only this one is read
        base = reader.take(base_size)
        parts = []
        for _ in range(reader.take(2)):
            reader.take(index_size if version in (1, 2) else 0)
            start, length = reader.take(offset_size), reader.take(length_size)
            parts.append((method == 1, base + start, length))
        if method < 2:  # 2: made of another item
            yield item, parts


class _Numbers:
    """Big-endian numbers, one behind the other. Raises ValueError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> int:
        """The next number, of so many bytes."""
        self._at += size
        if self._at > len(self._data):
            raise ValueError("the box is cut short")
        return int.from_bytes(self._data[self._at - size : self._at], "big")
