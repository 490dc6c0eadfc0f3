"""The TIFF structure of an EXIF block: read the capture time wherever it stands, and set it.

The structure is changed in its place and grows only at its end, so that every other value keeps its bytes and its
place. Maker notes hold offsets of their own, which a new block would break. Unknown tags, and known ones of an odd
type, stay as they are for the same reason.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from imgorder.media.time_texts import MAKE, MODEL, SERIAL, SUBSECOND, TIME, ZONE, Written, gather

HEADERS = (b"II*\0", b"MM\0*")

_EXIF_POINTER, _GPS_POINTER, _INTEROP_POINTER = 0x8769, 0x8825, 0xA005
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_VERSION = 0x9000
_WANTED = (TIME, SUBSECOND, ZONE, MAKE, MODEL, SERIAL, _EXIF_POINTER)
_ASCII, _LONG, _UNDEFINED, _IFD = 2, 4, 7, 13
# Bytes of one value of each type; 129 is the UTF-8 of EXIF 3.
_SIZES = {1: 1, _ASCII: 1, 3: 2, _LONG: 4, 5: 8, 6: 1, _UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, _IFD: 4, 129: 1}


class ExifError(ValueError):
    """A JPEG or its EXIF block is broken, or cannot take the time. The message is one line, without a file name."""


@dataclass(frozen=True)
class _Entry:
    """One tag in a directory (IFD): where its 12 bytes and its value are, from the start of the block.

    The size is 0 for an impossible type: of such a value nothing is known. It is kept where it hides no time.
    """

    at: int
    tag: int
    kind: int
    count: int
    start: int
    size: int


class Block:
    """The TIFF structure in an EXIF segment.

    Attributes:
        data: its bytes, to which all offsets refer.
    """

    def __init__(self, data: bytes) -> None:
        # Readers take the second number in either order of bytes.
        order = {b"II": "<", b"MM": ">"}.get(data[:2]) if data[2:4] in (b"*\0", b"\0*") else None
        if order is None:
            raise ExifError("broken EXIF block: no TIFF header")
        self.data = bytearray(data)
        self._order = order

    @staticmethod
    def new(texts: Mapping[int, bytes]) -> Block:
        """A block with nothing but text tags of the Exif directory, the NUL at their end included."""
        root = struct.pack(">HHHIII", 1, _EXIF_POINTER, _LONG, 1, 8 + 2 + 12 + 4, 0)
        block = Block(HEADERS[1] + struct.pack(">I", 8) + root)
        fields = [(_VERSION, block._version())]
        values = len(block.data) + 2 + 12 * (1 + len(texts)) + 4
        for tag, text in texts.items():
            head = block._pack("HHI", tag, _ASCII, len(text))
            fields.append((tag, head + (text.ljust(4, b"\0") if len(text) <= 4 else block._pack("I", values))))
            values += len(text) + len(text) % 2 if len(text) > 4 else 0
        block._append(block._table([], fields, following=0))
        for text in texts.values():
            if len(text) > 4:
                block._append(text)
        return block

    def times(self) -> list[Written]:
        """The capture time wherever it stands: in the Exif directory, in the first, in the thumbnail's.

        The rest of the block may be broken.
        """
        return gather(self.directories())

    def holds_time(self) -> bool:
        """Whether a tag of the capture time's seconds or decimals stands anywhere, even if it is blank."""
        return any(tag in directory for directory in self.directories() for tag in (TIME, SUBSECOND))

    def set_texts(self, texts: Mapping[int, bytes]) -> None:
        """Set text tags of the Exif directory, the NUL at their end included, and those of them that stand elsewhere.

        Raises:
            ExifError: if anything in the block is broken, or one of the tags is there twice. Do not use the data
                then.
        """
        directories, used = self._checked()
        for name in ("0th", "1st"):
            self._replace(directories.get(name, []), texts, used)
        root, exif = directories["0th"], directories.get("Exif", [])
        missing = self._replace(exif, texts, used)
        if not missing and self._ends_well(exif, used):
            return
        # A directory that needs more room moves to the end. Offsets count from the block's start, so that the
        # values can stay where they are.
        added = [(tag, self._text_field(tag, text, None, used)) for tag, text in missing.items()]
        if "Exif" not in directories:
            added.append((_VERSION, self._version()))
        table = self._table(exif, added, following=0)
        pointer = self._find(root, _EXIF_POINTER)
        if pointer is not None:
            struct.pack_into(self._order + "I", self.data, pointer.at + 8, self._append(table))
            return
        field = self._pack("HHII", _EXIF_POINTER, _LONG, 1, self._append(table))
        following = self._number(self._number(4) + 2 + 12 * len(root))
        table = self._table(root, [(_EXIF_POINTER, field)], following)
        struct.pack_into(self._order + "I", self.data, 4, self._append(table))

    def directories(self) -> list[dict[int, bytes]]:
        """What can be read of the tags of time and camera in the Exif directory, the first, and the thumbnail's."""
        root, following = self._values(bytes(self.data[4:8]))
        return [self._values(root.get(_EXIF_POINTER, b""))[0], root, self._values(following)[0]]

    def _values(self, offset: bytes) -> tuple[dict[int, bytes], bytes]:
        """What of a directory can be read: tag -> value, and the offset of the next one."""
        values: dict[int, bytes] = {}
        at = int.from_bytes(offset[:4], "little" if self._order == "<" else "big")
        if not at:
            return values, b""
        last = at + 2
        with suppress(ExifError):
            for entry in self._entries(at):
                last = entry.at + 12
                if entry.tag in _WANTED and entry.start + entry.size <= len(self.data):
                    values[entry.tag] = bytes(self.data[entry.start : entry.start + entry.size])
            return values, bytes(self.data[last : last + 4])
        return values, b""

    def _replace(
        self, entries: list[_Entry], texts: Mapping[int, bytes], used: list[tuple[int, int]]
    ) -> dict[int, bytes]:
        """Set those texts whose tags a directory has; gives the others."""
        missing = {}
        for tag, text in texts.items():
            old = self._find(entries, tag)
            if old is None:
                missing[tag] = text
            else:
                self.data[old.at : old.at + 12] = self._text_field(tag, text, old, used)
        return missing

    def _ends_well(self, entries: list[_Entry], used: list[tuple[int, int]]) -> bool:
        """Whether a directory has the four bytes at its end that say where the next one is.

        Some libraries leave them out. Readers then take what stands there for an offset.
        """
        end = entries[-1].at + 12
        return end + 4 <= len(self.data) and not _claims(used, end, end + 4)

    def _version(self) -> bytes:
        """The field without which an Exif directory is not whole."""
        return self._pack("HHI4s", _VERSION, _UNDEFINED, 4, b"0232")

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
        if self.data[:4] not in HEADERS:
            raise ExifError("broken EXIF block: no TIFF header")
        root = self._number(4)
        directories = {"0th": list(self._entries(root))}
        for name, parent, tag in (
            ("Exif", "0th", _EXIF_POINTER),
            ("GPS", "0th", _GPS_POINTER),
            ("Interop", "Exif", _INTEROP_POINTER),
        ):
            pointer = self._find(directories.get(parent, []), tag)
            if pointer is not None:
                directories[name] = list(self._entries(self._target(pointer)))
        following = self._number(root + 2 + 12 * len(directories["0th"]))
        if following:
            directories["1st"] = list(self._entries(following))
        for name, entries in directories.items():
            # Readers give a directory up at such an entry, or after a few: they would not see the time behind it.
            wanted = {"0th": {_EXIF_POINTER}, "Exif": {TIME, SUBSECOND}}.get(name, set())
            wanted |= {TIME, SUBSECOND} & {entry.tag for entry in entries}
            end = max((entry.at for entry in entries if entry.tag in wanted), default=0)
            for entry in entries if wanted else ():
                # In front by its tag as well: a directory that moves is sorted.
                in_front = entry.at <= max(end, entries[0].at) or entry.tag < max(wanted)
                if entry.kind not in _SIZES and in_front:
                    raise ExifError(f"broken EXIF block: {_name(entry.tag)} has an impossible type, {entry.kind}")
        # The header, and each directory that is not empty.
        tables = [(0, 8)] + [(entries[0].at - 2, entries[-1].at + 12) for entries in directories.values() if entries]
        if any(_claims(tables, *table) > 1 for table in tables):
            raise ExifError("broken EXIF block: two of its directories overlap")
        used = [*tables, thumbnail := self._thumbnail(directories)]
        for entries in directories.values():
            for entry in entries:
                self._check_inside(entry)
                used.append((entry.start, entry.start + entry.size))
                if entry.size > 4 and _claims(tables, *used[-1]):
                    raise ExifError(f"broken EXIF block: the value of {_name(entry.tag)} overlaps a directory")
        if thumbnail[1] > len(self.data) or _claims(tables, *thumbnail):
            raise ExifError("broken EXIF block: the thumbnail lies outside, or overlaps a directory")
        return directories, used

    def _check_inside(self, entry: _Entry) -> None:
        if entry.start + entry.size > len(self.data):
            raise ExifError(f"broken EXIF block: the value of {_name(entry.tag)} lies outside")

    def _thumbnail(self, directories: Mapping[str, list[_Entry]]) -> tuple[int, int]:
        """Start and end of the thumbnail; (0, 0) if there is none."""
        entries = directories.get("1st", [])
        pointer = self._find(entries, _THUMBNAIL)
        length = self._find(entries, _THUMBNAIL_LENGTH)
        if pointer is None or length is None:
            return (0, 0)
        start = self._target(pointer)
        return (start, start + self._target(length))

    def _entries(self, at: int) -> Iterator[_Entry]:
        for place in range(at + 2, at + 2 + 12 * self._number(at, "H"), 12):
            tag, kind = self._number(place, "H"), self._number(place + 2, "H")
            count, value = self._number(place + 4), self._number(place + 8)
            size = _SIZES.get(kind, 0) * count
            yield _Entry(place, tag, kind, count, place + 8 if size <= 4 else value, size)

    def _find(self, entries: list[_Entry], tag: int) -> _Entry | None:
        found = [entry for entry in entries if entry.tag == tag]
        if len(found) > 1:
            raise ExifError(f"broken EXIF block: {_name(tag)} is there {len(found)} times")
        return found[0] if found else None

    def _target(self, entry: _Entry) -> int:
        if entry.kind not in (_LONG, _IFD) or entry.count != 1:
            raise ExifError(f"broken EXIF block: {_name(entry.tag)} is not one offset")
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

    def _pack(self, codes: str, *values: int | bytes) -> bytes:
        return struct.pack(self._order + codes, *values)

    def _append(self, value: bytes) -> int:
        self.data += b"\0" * (len(self.data) % 2)  # TIFF wants even offsets
        self.data += value
        return len(self.data) - len(value)


def _claims(ranges: list[tuple[int, int]], start: int, end: int) -> int:
    """How many of the ranges share a byte with the one from start to end."""
    return sum(first < end and start < last for first, last in ranges)


def _name(tag: int) -> str:
    from PIL.ExifTags import GPSTAGS, TAGS  # only for a message

    return str(GPSTAGS.get(tag) or TAGS.get(tag) or f"tag 0x{tag:04x}")
