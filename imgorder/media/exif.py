"""Read and set the EXIF capture time of a JPEG, and set it back to the byte.

A JPEG can hold the time in several places: in more than one EXIF block, and in a block in more than one directory.
It is one fact, so it is read in all of them and written to all of them, and nothing else is changed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from imgorder.media.tiff import HEADERS, Block, ExifError
from imgorder.media.time_texts import SUBSECOND, TIME, Written, choose

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# As some programs misspell it: another case, a last byte that is not NUL, up to four bytes before it.
_MISSPELT = re.compile(rb".{0,4}exif\0.", re.DOTALL | re.IGNORECASE)
_SOI, _EOI, _SOS, _APP0, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2
# A marker outside these has no length field: TEM, RST0…7, SOI, EOI, and 0, which is no marker.
_WITH_LENGTH = frozenset({*range(0x02, 0xD0), *range(0xDA, 0xFF)})


def read_capture_time(data: bytes) -> datetime | None:
    """When a JPEG was taken by its EXIF blocks, to the microsecond.

    Never raises: bytes that are not a JPEG, and a broken EXIF block, have no time.

    Args:
        data: the whole file.

    Returns:
        DateTimeOriginal with the decimals of SubSecTimeOriginal, in the camera's unknown time zone; None where
        DateTimeOriginal is missing, blank, zeros, or not a time.
    """
    return choose(find_times(data)).time


def find_times(data: bytes) -> list[Written]:
    """The capture time wherever it stands in a JPEG, the usual place first.

    Never raises, as `read_capture_time`: what cannot be read has no time.
    """
    return [time for block in find_blocks(data) for time in block.times()]


def find_blocks(data: bytes) -> list[Block]:
    """The EXIF blocks of a JPEG, the usual one first; without those that are broken at their start."""
    segments = _segments_that_can_be_read(data)
    blocks: list[bytes] = []
    for payload in (each.payload[len(_EXIF) :] for each in _find_exif(segments)):
        if blocks and payload[:4] not in HEADERS:  # a block that is too long for one segment
            blocks[-1] += payload
        else:
            blocks.append(payload)
    found = []
    for block in [*blocks, *_find_misspelt(segments)]:
        with suppress(ExifError):
            found.append(Block(block))
    return found


def find_xmp(data: bytes) -> list[bytes]:
    """The XMP packets of a JPEG."""
    segments = _segments_that_can_be_read(data)
    return [each.payload[len(_XMP) :] for each in segments if each.marker == _APP1 and each.payload.startswith(_XMP)]


def ends_before_picture(data: bytes) -> bool:
    """Whether a JPEG, or the first bytes of one, ends among its metadata."""
    try:
        deque(_segments(data), maxlen=0)
    except ExifError:
        return True
    return False


def set_capture_time(data: bytes, time: datetime, digits: int = 1) -> tuple[bytes, bytes]:
    """A JPEG with another capture time, and what `restore_segment` needs to undo that.

    The decimals are always written, as ``0`` on a full second. Some galleries join both tags as text, and some use
    another tag where one is missing; so they sort all photos by the same rule.

    Args:
        data: the whole file.
        time: what to write; its zone, if it has one, is not written.
        digits: decimals that are written at least, from 1 to 6; the others only where they are not 0.

    Returns:
        The file with DateTimeOriginal and SubSecTimeOriginal set, all other tags and all bytes outside the EXIF
        segments as they were; and the EXIF segment as it stood, from marker to end, ``b""`` where there was none. Of
        several that change, it is all from the first to the last.

    Raises:
        ExifError: if the file is not a JPEG or ends before its picture, if an EXIF block is broken or one that not
            all programs read holds a time, or if there is no room for the time.
    """
    # Not strftime: its %Y has no leading zeros on some systems.
    whole = f"{time.year:04}:{time:%m:%d %H:%M:%S}".encode("ascii") + b"\0"
    decimals = f"{time.microsecond:06}".rstrip("0").ljust(digits, "0").encode("ascii") + b"\0"
    texts = {TIME: whole, SUBSECOND: decimals}
    segments = list(_segments(data))
    if any(_holds_time(block) for block in _find_misspelt(segments)):
        raise ExifError("it has a capture time in an EXIF block whose head is misspelt, which not all programs read")
    old = _find_exif(segments)
    if any(each.payload[len(_EXIF) :][:4] not in HEADERS for each in old[1:]):
        raise ExifError("its EXIF block goes on in another segment, which not all programs read")
    if not old:
        place = _place_for_exif(segments)
        return data[:place] + _to_segment(_EXIF + Block.new(texts).data) + data[place:], b""
    start = end = old[0].start
    new = b""
    for each in old:
        block = Block(each.payload[len(_EXIF) :])
        if each is not old[0] and not block.holds_time():
            continue
        block.set_texts(texts)
        changed = _to_segment(_EXIF + block.data)
        if len(changed) != each.end - each.start and any(
            other.start < each.start and other.marker == _APP2 and other.payload.startswith(b"MPF\0")
            for other in segments
        ):
            # MPF counts the distance to its other pictures from itself; a segment that grows between would shift them.
            raise ExifError("the EXIF segment cannot grow: an MPF segment stands before it")
        new += data[end : each.start] + changed
        end = each.end
    return data[:start] + new + data[end:], data[start:end]


def restore_segment(data: bytes, old_segment: bytes) -> bytes:
    """The JPEG before `set_capture_time`, byte for byte.

    Args:
        data: the file that `set_capture_time` made.
        old_segment: the segment that it returned, or all from the first to the last; ``b""`` to take the EXIF segment
            out.

    Raises:
        ExifError: if the file is not a JPEG or has not as many EXIF segments, or if the old one is not an EXIF segment.
    """
    number = 1
    if old_segment:
        old: list[_Segment] = []
        with suppress(ExifError):
            # As if a picture followed.
            old = _find_exif(_segments(bytes([0xFF, _SOI]) + old_segment + bytes([0xFF, _SOS, 0, 2])))
        number = len(old)
        if not old or (old[0].start, old[-1].end) != (2, 2 + len(old_segment)):
            raise ExifError("what is to be put back is not an EXIF segment")
    now = _find_exif(_segments(data))[:number]
    if len(now) < number:
        raise ExifError("no EXIF segment that the old one could replace")
    return data[: now[0].start] + old_segment + data[now[-1].end :]


@dataclass(frozen=True)
class _Segment:
    """A JPEG segment: from the FF of its marker to its end, and what stands behind its length."""

    marker: int
    start: int
    end: int
    payload: bytes


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments before the first scan. Bytes between them that are no marker are passed over, as decoders do."""
    if data[:2] != bytes([0xFF, _SOI]):
        raise ExifError("not a JPEG")
    cut_short = ExifError("the JPEG ends before its picture")
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise cut_short
        while data[at + 1 : at + 2] == b"\xff":  # any number of FF may precede a marker
            at += 1
        if data[at + 1 : at + 2] == b"\0":
            at += 2
            continue
        if at + 4 > len(data) or data[at + 1] == _EOI:
            raise cut_short
        marker = data[at + 1]
        if marker not in _WITH_LENGTH:
            raise ExifError(f"broken JPEG: marker FF{marker:02X} before the picture")
        if marker == _SOS:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            raise ExifError(f"broken JPEG: segment of length {length} at byte {at}")
        end = at + 2 + length
        yield _Segment(marker, at, end, data[at + 4 : end])
        at = end


def _segments_that_can_be_read(data: bytes) -> list[_Segment]:
    segments: list[_Segment] = []
    with suppress(ExifError):
        segments.extend(_segments(data))
    return segments


def _find_exif(segments: Iterable[_Segment]) -> list[_Segment]:
    return [each for each in segments if each.marker == _APP1 and each.payload.startswith(_EXIF)]


def _find_misspelt(segments: Iterable[_Segment]) -> list[bytes]:
    """The blocks whose head is not spelt as the standard has it."""
    payloads = (each.payload for each in segments if each.marker == _APP1 and not each.payload.startswith(_EXIF))
    return [payload[found.end() :] for payload in payloads if (found := _MISSPELT.match(payload))]


def _holds_time(block: bytes) -> bool:
    try:
        return Block(block).holds_time()
    except ExifError:
        return False


def _place_for_exif(segments: list[_Segment]) -> int:
    """Where a new EXIF segment goes: after SOI, or after the JFIF segments that follow it.

    Both standards want the place after SOI. Readers find EXIF further on, but some recognise a JFIF file only by an
    APP0 in front; cameras and editors that write both put JFIF first.
    """
    place = 2
    for segment in segments:
        # JFXX extends the JFIF segment and has to follow it directly.
        if segment.marker != _APP0 or not segment.payload.startswith((b"JFIF\0", b"JFXX\0")):
            break
        place = segment.end
    return place


def _to_segment(payload: bytes) -> bytes:
    length = len(payload) + 2
    if length > 0xFFFF:
        raise ExifError("no room for the time: an EXIF segment holds up to 64 KB")
    return bytes([0xFF, _APP1]) + length.to_bytes(2, "big") + payload
