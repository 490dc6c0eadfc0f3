"""Read and set the EXIF capture time of a JPEG, and set it back to the byte.

Setting it changes the two tags and what points to them, nothing else. The TIFF structure in the EXIF segment is
changed in its place and grows only at its end, so that every other value keeps its bytes and its place. Maker notes
hold offsets of their own, which a new block would break. Unknown tags, and known ones of an odd type, stay as they
are for the same reason.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import piexif

TIME = piexif.ExifIFD.DateTimeOriginal  # whole seconds
SUBSECOND = piexif.ExifIFD.SubSecTimeOriginal  # the decimals
ZONE = piexif.ExifIFD.OffsetTimeOriginal

_EXIF = b"Exif\0\0"
_SOI, _EOI, _SOS, _APP0, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2
# A marker outside these has no length field: TEM, RST0…7, SOI, EOI, and 0, which is no marker.
_WITH_LENGTH = frozenset({*range(0x02, 0xD0), *range(0xDA, 0xFF)})

_ASCII, _LONG, _IFD = 2, 4, 13
# Bytes of one value of each type; 129 is the UTF-8 of EXIF 3.
_SIZES = {1: 1, _ASCII: 1, 3: 2, _LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, _IFD: 4, 129: 1}


class ExifError(ValueError):
    """A JPEG or its EXIF block is broken, or cannot take the time. The message is one line, without a file name."""


def read_capture_time(data: bytes) -> datetime | None:
    """When a JPEG was taken by its first EXIF block, to the microsecond.

    Never raises: bytes that are not a JPEG, and a broken EXIF block, have no time.

    Args:
        data: the whole file.

    Returns:
        DateTimeOriginal with the decimals of SubSecTimeOriginal, in the camera's unknown time zone; None where
        DateTimeOriginal is missing, blank, zeros, or not a time.
    """
    return parse_time(*read_texts(data)[:2])


def read_texts(data: bytes) -> list[str]:
    """The texts of a JPEG's DateTimeOriginal, SubSecTimeOriginal and OffsetTimeOriginal; empty where one is missing.

    Never raises, as `read_capture_time`: if the block is broken, all are empty.
    """
    try:
        segment = _find_exif(_segments(data))
        if segment is not None:
            return _Block(segment.payload[len(_EXIF) :]).texts()
    except ExifError:
        pass
    return ["", "", ""]


def set_capture_time(data: bytes, time: datetime) -> tuple[bytes, bytes]:
    """A JPEG with another capture time, and what `restore_segment` needs to undo that.

    The decimals are always written, as ``0`` on a full second. Some galleries join both tags as text, and some use
    another tag where one is missing; so they sort all photos by the same rule.

    Args:
        data: the whole file.
        time: what to write; its zone, if it has one, is not written.

    Returns:
        The file with DateTimeOriginal and SubSecTimeOriginal set, all other tags and all bytes outside the EXIF
        segment as they were; and the EXIF segment as it stood, from marker to end, ``b""`` where there was none.

    Raises:
        ExifError: if the file is not a JPEG or ends before its picture, if the EXIF block is broken, or if there
            is no room for the time.
    """
    # Not strftime: its %Y has no leading zeros on some systems.
    whole = f"{time.year:04}:{time:%m:%d %H:%M:%S}".encode("ascii") + b"\0"
    decimals = (f"{time.microsecond:06}".rstrip("0") or "0").encode("ascii") + b"\0"
    segments = _segments(data)
    old = _find_exif(segments)
    if old is None:
        fields = {piexif.ExifIFD.ExifVersion: b"0232", TIME: whole[:-1], SUBSECOND: decimals[:-1]}
        start = end = _place_for_exif(segments)
        new = _to_segment(piexif.dump({"Exif": fields}))
    else:
        start, end = old.start, old.end
        block = _Block(old.payload[len(_EXIF) :])
        block.set_texts({TIME: whole, SUBSECOND: decimals})
        new = _to_segment(_EXIF + block.data)
        if len(new) != end - start and any(
            each.start < start and each.marker == _APP2 and each.payload.startswith(b"MPF\0") for each in segments
        ):
            # MPF counts the distance to its other pictures from itself; a segment that grows between would shift them.
            raise ExifError("the EXIF segment cannot grow: an MPF segment stands before it")
    return data[:start] + new + data[end:], data[start:end]


def restore_segment(data: bytes, old_segment: bytes) -> bytes:
    """The JPEG before `set_capture_time`, byte for byte.

    Args:
        data: the file that `set_capture_time` made.
        old_segment: the segment that it returned, ``b""`` to take the EXIF segment out.

    Raises:
        ExifError: if the file is not a JPEG or has no EXIF segment, or if the old one is not an EXIF segment.
    """
    if old_segment:
        length = int.from_bytes(old_segment[2:4], "big") + 2
        if not old_segment.startswith(b"\xff\xe1") or old_segment[4:10] != _EXIF or length != len(old_segment):
            raise ExifError("what is to be put back is not an EXIF segment")
    now = _find_exif(_segments(data))
    if now is None:
        raise ExifError("no EXIF segment that the old one could replace")
    return data[: now.start] + old_segment + data[now.end :]


def parse_time(whole: str, decimals: str) -> datetime | None:
    """The time in the texts of DateTimeOriginal and SubSecTimeOriginal; None if the first is not a time.

    The decimals are the leading digits of their text, at most six: ``5`` is half a second and ``050`` a twentieth.
    """
    try:
        taken = datetime.strptime(whole, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    digits = re.match(r"\d{0,6}", decimals)
    return taken + timedelta(microseconds=int((digits[0] if digits else "").ljust(6, "0")))


def parse_offset(text: str) -> timezone | None:
    """The zone in the text of OffsetTimeOriginal, such as ``+02:00``; None if it is not a zone."""
    found = re.fullmatch(r"([+-])([01]\d|2[0-3]):([0-5]\d)", text)
    if found is None:
        return None
    east = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-east if found[1] == "-" else east)


def clean_text(value: object) -> str:
    """The text of a tag without NULs and outer blanks."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value or "").replace("\0", "").strip()


@dataclass(frozen=True)
class _Segment:
    """A JPEG segment: from the FF of its marker to its end, and what stands behind its length."""

    marker: int
    start: int
    end: int
    payload: bytes


def _segments(data: bytes) -> list[_Segment]:
    """The segments before the first scan."""
    if data[:2] != bytes([0xFF, _SOI]):
        raise ExifError("not a JPEG")
    cut_short = ExifError("the JPEG ends before its picture")
    segments: list[_Segment] = []
    at = 2
    while True:
        if at >= len(data):
            raise cut_short
        if data[at] != 0xFF:
            raise ExifError(f"broken JPEG: no marker at byte {at}")
        while data[at + 1 : at + 2] == b"\xff":  # any number of FF may precede a marker
            at += 1
        if at + 4 > len(data) or data[at + 1] == _EOI:
            raise cut_short
        marker = data[at + 1]
        if marker not in _WITH_LENGTH:
            raise ExifError(f"broken JPEG: marker FF{marker:02X} before the picture")
        if marker == _SOS:
            return segments
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            raise ExifError(f"broken JPEG: segment of length {length} at byte {at}")
        end = at + 2 + length
        segments.append(_Segment(marker, at, end, data[at + 4 : end]))
        at = end


def _find_exif(segments: list[_Segment]) -> _Segment | None:
    return next((each for each in segments if each.marker == _APP1 and each.payload.startswith(_EXIF)), None)


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


@dataclass(frozen=True)
class _Entry:
    """One tag in a directory (IFD): where its 12 bytes and its value are, from the start of the block.

    The size is 0 for an unknown type: such a value is kept, but nothing is known of its place.
    """

    at: int
    tag: int
    kind: int
    count: int
    start: int
    size: int


class _Block:
    """The TIFF structure in an EXIF segment.

    Attributes:
        data: its bytes, to which all offsets refer.
    """

    def __init__(self, data: bytes) -> None:
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
        if order is None:
            raise ExifError("broken EXIF block: no TIFF header")
        self.data = bytearray(data)
        self._order = order

    def texts(self) -> list[str]:
        """The texts of `read_texts`; the rest of the block may be broken."""
        pointer = self._find("0th", self._entries(self._number(4)), piexif.ImageIFD.ExifTag)
        texts = dict.fromkeys((TIME, SUBSECOND, ZONE), "")
        for entry in self._entries(self._target("0th", pointer)) if pointer else ():
            if entry.tag in texts:  # of a tag that is there twice the last counts, as for Pillow
                self._check_inside("Exif", entry)
                texts[entry.tag] = clean_text(bytes(self.data[entry.start : entry.start + entry.size]))
        return list(texts.values())

    def set_texts(self, texts: Mapping[int, bytes]) -> None:
        """Set text tags of the Exif directory, the NUL at their end included.

        Raises:
            ExifError: if anything in the block is broken, or one of the tags is there twice. Do not use the data
                then.
        """
        directories, used = self._checked()
        root, exif = directories["0th"], directories.get("Exif", [])
        added = []
        for tag, text in texts.items():
            old = self._find("Exif", exif, tag)
            field = self._text_field(tag, text, old, used)
            if old is None:
                added.append((tag, field))
            else:
                self.data[old.at : old.at + 12] = field
        if not added:
            return
        # A directory that needs more room moves to the end. Offsets count from the block's start, so that the
        # values can stay where they are.
        table = self._table(exif, added, following=0)
        pointer = self._find("0th", root, piexif.ImageIFD.ExifTag)
        if pointer is not None:
            struct.pack_into(self._order + "I", self.data, pointer.at + 8, self._append(table))
            return
        field = self._pack("HHII", piexif.ImageIFD.ExifTag, _LONG, 1, self._append(table))
        following = self._number(self._number(4) + 2 + 12 * len(root))
        table = self._table(root, [(piexif.ImageIFD.ExifTag, field)], following)
        struct.pack_into(self._order + "I", self.data, 4, self._append(table))

    def _text_field(self, tag: int, text: bytes, old: _Entry | None, used: list[tuple[int, int]]) -> bytes:
        """The 12 bytes of a text tag; a text that does not fit into them goes to its old place or to the end."""
        head = self._pack("HHI", tag, _ASCII, len(text))
        if len(text) <= 4:
            return head + text.ljust(4, b"\0")
        # Some writers store equal texts once, such as the three times of a photo; such a place must stay as it is.
        if old is not None and old.size >= len(text) and _claims(used, old.start, old.start + old.size) == 1:
            self.data[old.start : old.start + old.size] = text.ljust(old.size, b"\0")
            return head + self._pack("I", old.start)
        return head + self._pack("I", self._append(text))

    def _checked(self) -> tuple[dict[str, list[_Entry]], list[tuple[int, int]]]:
        """All directories, and start and end of all that is in use; every offset is checked."""
        root = self._number(4)
        directories = {"0th": self._entries(root)}
        for name, parent, tag in (
            ("Exif", "0th", piexif.ImageIFD.ExifTag),
            ("GPS", "0th", piexif.ImageIFD.GPSTag),
            ("Interop", "Exif", piexif.ExifIFD.InteroperabilityTag),
        ):
            pointer = self._find(parent, directories.get(parent, []), tag)
            if pointer is not None:
                directories[name] = self._entries(self._target(parent, pointer))
        following = self._number(root + 2 + 12 * len(directories["0th"]))
        if following:
            directories["1st"] = self._entries(following)
        # The header, and each directory that is not empty.
        tables = [(0, 8)] + [(entries[0].at - 2, entries[-1].at + 12) for entries in directories.values() if entries]
        if any(_claims(tables, *table) > 1 for table in tables):
            raise ExifError("broken EXIF block: two of its directories overlap")
        used = [*tables, thumbnail := self._thumbnail(directories)]
        for name, entries in directories.items():
            for entry in entries:
                self._check_inside(name, entry)
                used.append((entry.start, entry.start + entry.size))
                if entry.size > 4 and _claims(tables, *used[-1]):
                    raise ExifError(f"broken EXIF block: the value of {_name(name, entry.tag)} overlaps a directory")
        if thumbnail[1] > len(self.data) or _claims(tables, *thumbnail):
            raise ExifError("broken EXIF block: the thumbnail lies outside, or overlaps a directory")
        return directories, used

    def _check_inside(self, directory: str, entry: _Entry) -> None:
        if entry.start + entry.size > len(self.data):
            raise ExifError(f"broken EXIF block: the value of {_name(directory, entry.tag)} lies outside")

    def _thumbnail(self, directories: Mapping[str, list[_Entry]]) -> tuple[int, int]:
        """Start and end of the thumbnail; (0, 0) if there is none."""
        entries = directories.get("1st", [])
        pointer = self._find("1st", entries, piexif.ImageIFD.JPEGInterchangeFormat)
        length = self._find("1st", entries, piexif.ImageIFD.JPEGInterchangeFormatLength)
        if pointer is None or length is None:
            return (0, 0)
        start = self._target("1st", pointer)
        return (start, start + self._target("1st", length))

    def _entries(self, at: int) -> list[_Entry]:
        entries = []
        for place in range(at + 2, at + 2 + 12 * self._number(at, "H"), 12):
            tag, kind = self._number(place, "H"), self._number(place + 2, "H")
            count, value = self._number(place + 4), self._number(place + 8)
            size = _SIZES.get(kind, 0) * count
            entries.append(_Entry(place, tag, kind, count, place + 8 if size <= 4 else value, size))
        return entries

    def _find(self, directory: str, entries: list[_Entry], tag: int) -> _Entry | None:
        found = [entry for entry in entries if entry.tag == tag]
        if len(found) > 1:
            raise ExifError(f"broken EXIF block: {_name(directory, tag)} is there {len(found)} times")
        return found[0] if found else None

    def _target(self, directory: str, entry: _Entry) -> int:
        if entry.kind not in (_LONG, _IFD) or entry.count != 1:
            raise ExifError(f"broken EXIF block: {_name(directory, entry.tag)} is not one offset")
        return self._number(entry.start)

    def _number(self, at: int, code: str = "I") -> int:
        try:
            (number,) = struct.unpack_from(self._order + code, self.data, at)
        except struct.error:
            raise ExifError("broken EXIF block: it is cut short, or an offset points outside") from None
        return int(number)

    def _table(self, entries: list[_Entry], added: list[tuple[int, bytes]], following: int) -> bytes:
        """A directory with fields added; they have to ascend by tag."""
        kept = [(entry.tag, bytes(self.data[entry.at : entry.at + 12])) for entry in entries]
        fields = [field for _, field in sorted([*kept, *added], key=lambda field: field[0])]
        return self._pack("H", len(fields)) + b"".join(fields) + self._pack("I", following)

    def _pack(self, codes: str, *numbers: int) -> bytes:
        return struct.pack(self._order + codes, *numbers)

    def _append(self, value: bytes) -> int:
        self.data += b"\0" * (len(self.data) % 2)  # TIFF wants even offsets
        self.data += value
        return len(self.data) - len(value)


def _claims(ranges: list[tuple[int, int]], start: int, end: int) -> int:
    """How many of the ranges share a byte with the one from start to end."""
    return sum(first < end and start < last for first, last in ranges)


def _name(directory: str, tag: int) -> str:
    return str(piexif.TAGS[directory].get(tag, {}).get("name", f"tag 0x{tag:04x}"))
