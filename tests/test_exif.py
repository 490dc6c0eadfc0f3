"""The EXIF time of a JPEG: set without touching anything else, and set back to the byte."""

from __future__ import annotations

import hashlib
import io
import re
import struct
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import piexif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgorder.media.capture import capture_time
from imgorder.media.exif import find_times, read_capture_time, restore_segment, set_capture_time
from imgorder.media.tiff import ExifError
from imgorder.media.time_texts import parse_time

TIME = datetime(2024, 2, 29, 13, 5, 9, 120_000)
BEFORE = b"2001:02:03 04:05:06\0"
ORIGINAL, SUBSECOND, MAKER_NOTE, EXIF_POINTER, GPS_POINTER = 0x9003, 0x9291, 0x927C, 0x8769, 0x8825
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7

SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, 6: 1, UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}

Fields = dict[int, tuple[int, int, bytes]]  # tag: type, count, value in the block's byte order

JFIF = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


JFXX = segment(0xE0, b"JFXX\0\x13\1\1" + bytes(3))
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")
ICC = segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60))
MPF = segment(0xE2, b"MPF\0II*\0\x08\0\0\0" + bytes(6))
COMMENT = segment(0xFE, b"Exif\0\0 in a comment is no EXIF")
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) + b"\xff\xd8\xff\xe1\x00\x08Exif\0\0"


def table(order: str, at: int, fields: Fields, following: int = 0) -> bytes:
    """A TIFF directory at an offset, and its values behind it."""
    head, values = struct.pack(order + "H", len(fields)), b""
    end = at + 2 + 12 * len(fields) + 4
    for tag, (kind, count, value) in sorted(fields.items()):
        head += struct.pack(order + "HHI", tag, kind, count)
        if len(value) <= 4:
            head += value.ljust(4, b"\0")
        else:
            head += struct.pack(order + "I", end + len(values))
            values += value + b"\0" * (len(value) % 2)
    return head + struct.pack(order + "I", following) + values


def exif_segment(
    order: str,
    root: Fields,
    exif: Fields | None = None,
    gps: Fields | None = None,
    thumbnail: bytes = b"",
    first: Fields | None = None,
) -> bytes:
    """An EXIF segment written by the letter of TIFF, in either byte order and with any types."""
    body, pointers = b"", dict(root)
    for tag, fields in ((EXIF_POINTER, exif), (GPS_POINTER, gps)):
        if fields is not None:
            pointers[tag] = (LONG, 1, bytes(4))
    at = 8 + len(table(order, 8, pointers))
    for tag, fields in ((EXIF_POINTER, exif), (GPS_POINTER, gps)):
        if fields is not None:
            pointers[tag] = (LONG, 1, struct.pack(order + "I", at + len(body)))
            body += table(order, at + len(body), fields)
    following = at + len(body) if thumbnail or first else 0
    if first:
        body += table(order, following, first)
    if thumbnail:
        where, length = (struct.pack(order + "I", n) for n in (following + 2 + 2 * 12 + 4, len(thumbnail)))
        body += table(order, following, {0x0201: (LONG, 1, where), 0x0202: (LONG, 1, length)}) + thumbnail
    header = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    return segment(0xE1, b"Exif\0\0" + header + table(order, 8, pointers, following) + body)


def rich_segment(order: str, times: Fields) -> bytes:
    """As a camera writes it: a maker note with its own offset, GPS, a thumbnail; and types that piexif cannot dump."""
    maker = b"MAKER\0" + struct.pack(order + "I", 700) + bytes(range(150))
    root = {
        0x010F: (ASCII, 6, b"Maker\0"),
        0x0112: (SHORT, 1, struct.pack(order + "H", 6)),
        0x011A: (RATIONAL, 1, struct.pack(order + "II", 72, 1)),
        0x0132: (ASCII, 20, BEFORE),
        0xC612: (SHORT, 0, b""),
        0xFDE8: (ASCII, 8, b"unknown\0"),
    }
    exif = {
        0x829A: (RATIONAL, 1, struct.pack(order + "II", 1, 250)),
        0x9004: (ASCII, 20, BEFORE),
        0x9286: (ASCII, 7, b"remark\0"),  # UserComment as text
        MAKER_NOTE: (UNDEFINED, len(maker), maker),
        0xA301: (BYTE, 1, b"\1"),  # SceneType as a number
        0xA433: (200, 3, b"abcd"),  # a type that does not exist
        0xEA1C: (UNDEFINED, 30, bytes(30)),  # padding, as editors add it
    }
    gps = {0x0001: (ASCII, 2, b"N\0"), 0x0002: (RATIONAL, 3, struct.pack(order + "6I", 50, 1, 6, 1, 4, 3))}
    return exif_segment(order, root, exif | times, gps, jpeg((16, 12)))


def jpeg(size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    return jpeg_of(Image.linear_gradient("L").resize(size).convert("RGB"), **options)


def jpeg_of(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def inserted(data: bytes, *segments: bytes) -> bytes:
    """Segments after the JFIF segment of a JPEG that Pillow made."""
    at = 2 + len(JFIF)
    return data[:at] + b"".join(segments) + data[at:]


def without_jfif(data: bytes) -> bytes:
    assert data[2 : 2 + len(JFIF)] == JFIF
    return data[:2] + data[2 + len(JFIF) :]


def pixels(data: bytes) -> str:
    return hashlib.sha256(Image.open(io.BytesIO(data)).tobytes()).hexdigest()


def scan(data: bytes) -> bytes:
    """From the first start of scan, but for that of a thumbnail, to the end of the file."""
    rest = data.replace(exif_of(data), b"", 1)
    return rest[rest.index(b"\xff\xda") :]


def exif_of(data: bytes) -> bytes:
    """The first EXIF segment."""
    found = re.search(rb"\xff\xe1(..)Exif\0\0", data, re.DOTALL)
    assert found is not None
    return data[found.start() : found.start() + 2 + int.from_bytes(found[1], "big")]


def tags(data: bytes) -> dict[str, dict[int, Any]]:
    """All values as Pillow reads them, but for offsets and the two of the time."""
    exif = Image.open(io.BytesIO(data)).getexif()
    found = {"0th": dict(exif)}
    found |= {name: dict(exif.get_ifd(tag)) for name, tag in (("Exif", 0x8769), ("GPS", 0x8825), ("1st", 1))}
    moved = {"0th": (EXIF_POINTER, GPS_POINTER), "Exif": (ORIGINAL, SUBSECOND)}
    return {
        name: {tag: value for tag, value in sorted(values.items()) if tag not in moved.get(name, ())}
        for name, values in found.items()
    }


def raw_tags(exif: bytes) -> dict[str, Any]:
    """All values as bytes, but for the two of the time; offsets as what stands there."""
    block = exif[len(b"....Exif..") :]
    order = "<" if block[:2] == b"II" else ">"
    found: dict[str, Any] = {}

    def read(name: str, at: int) -> int:
        (number,) = struct.unpack_from(order + "H", block, at)
        found[name] = {}
        for place in range(at + 2, at + 2 + 12 * number, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHII", block, place)
            size = count * SIZES[kind]
            start = place + 8 if size <= 4 else value
            if tag in (EXIF_POINTER, GPS_POINTER):
                read(f"{name} {tag}", value)
            elif tag not in (ORIGINAL, SUBSECOND) or name == f"0th {GPS_POINTER}":
                found[name][tag] = kind, count, block[start : start + size]
        return int(struct.unpack_from(order + "I", block, at + 2 + 12 * number)[0])

    first = read("0th", struct.unpack_from(order + "I", block, 4)[0])
    if first:
        read("1st", first)
        where, length = (struct.unpack(order + "I", found["1st"][tag][2])[0] for tag in (0x0201, 0x0202))
        found["thumbnail"] = block[where : where + length]
    found.setdefault(f"0th {EXIF_POINTER}", {0x9000: (UNDEFINED, 4, b"0232")})  # the one that comes with the time
    return found


def piexif_tags(data: bytes) -> dict[str, Any]:
    found = piexif.load(data)
    for name, tag in (("Exif", ORIGINAL), ("Exif", SUBSECOND), ("0th", EXIF_POINTER)):
        found[name].pop(tag, None)
    return dict(found)


def fits(data: bytes, time: datetime = TIME) -> bytes:
    """Set the time, check all that is promised, and return the new file."""
    new, old_segment = set_capture_time(data, time)
    assert read_capture_time(new) == time
    assert restore_segment(new, old_segment) == data
    assert restore_segment(new, b"") == (data.replace(old_segment, b"", 1) if old_segment else data)
    assert new.replace(exif_of(new), old_segment, 1) == data
    # Once more: the block has room by now and only the values change.
    other = time.replace(year=1996)
    again, between = set_capture_time(new, other)
    assert read_capture_time(again) == other
    assert len(again) == len(new)
    assert restore_segment(restore_segment(again, between), old_segment) == data
    return new


TIMES: dict[str, Fields] = {
    "both": {ORIGINAL: (ASCII, 20, BEFORE), SUBSECOND: (ASCII, 4, b"999\0")},
    "long decimals": {ORIGINAL: (ASCII, 20, BEFORE), SUBSECOND: (ASCII, 7, b"999999\0")},
    "whole seconds": {ORIGINAL: (ASCII, 20, BEFORE)},
    "decimals only": {SUBSECOND: (ASCII, 2, b"9\0")},
    "odd types": {ORIGINAL: (UNDEFINED, 19, BEFORE[:-1]), SUBSECOND: (SHORT, 1, b"\1\1")},
    "none": {},
}


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO file")  # only its first segment is there
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("before", TIMES)
@pytest.mark.parametrize("progressive", [False, True])
def test_all_but_the_time_stays(order: str, before: str, progressive: bool) -> None:
    exif = rich_segment(order, TIMES[before])
    data = inserted(jpeg(progressive=progressive), XMP, exif, ICC, MPF, COMMENT) + VIDEO
    new = fits(data)
    assert pixels(new) == pixels(data)
    assert scan(new) == scan(data)
    assert new.endswith(VIDEO)
    assert tags(new) == tags(data)
    # What the block held stays in its place: the maker note's offsets hold.
    block = exif_of(new)
    assert block.index(b"MAKER\0") == exif.index(b"MAKER\0")
    pillow = Image.open(io.BytesIO(new)).getexif().get_ifd(EXIF_POINTER)
    assert (pillow[ORIGINAL], pillow[SUBSECOND]) == ("2024:02:29 13:05:09", "12")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_with_both_tags_is_patched_in_place(order: str) -> None:
    exif = rich_segment(order, TIMES["both"])
    new = exif_of(fits(inserted(jpeg(), exif)))
    entry = exif.index(struct.pack(order + "HHI", ORIGINAL, ASCII, 20)) + 8
    at = len(b"....Exif..") + struct.unpack(order + "I", exif[entry : entry + 4])[0]
    expected = exif[:at] + b"2024:02:29 13:05:09\0" + exif[at + 20 :]
    decimals = [struct.pack(order + "HHI", SUBSECOND, ASCII, count) for count in (4, 3)]
    expected = expected.replace(decimals[0] + b"999\0", decimals[1] + b"12\0\0")
    assert new == expected
    assert new.count(BEFORE) == 2


def test_a_text_that_two_tags_share_is_not_changed_for_both() -> None:
    exif = exif_segment("<", {}, {ORIGINAL: (ASCII, 20, BEFORE), 0x9004: (ASCII, 20, BEFORE)})
    first, second = (exif.index(struct.pack("<HHI", tag, ASCII, 20)) + 8 for tag in (ORIGINAL, 0x9004))
    shared = exif[:second] + exif[first : first + 4] + exif[second + 4 :]
    new = fits(inserted(jpeg(), shared))
    assert piexif.load(new)["Exif"][0x9004] == BEFORE[:-1]


def offsets(exif: bytes) -> list[int]:
    """Where the directories of a block are, and all values that do not fit into them."""
    block = exif[len(b"....Exif..") :]
    order = "<" if block[:2] == b"II" else ">"
    found = []
    pending = [struct.unpack_from(order + "I", block, 4)[0]]
    while pending:
        at = pending.pop()
        found.append(at)
        (number,) = struct.unpack_from(order + "H", block, at)
        for place in range(at + 2, at + 2 + 12 * number, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHII", block, place)
            if tag in (EXIF_POINTER, GPS_POINTER):
                pending.append(value)
            elif count * SIZES[kind] > 4:
                found.append(value)
    return found


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("before", [None, *TIMES])
def test_what_is_added_to_a_block_of_odd_length_has_even_offsets(order: str, before: str | None) -> None:
    """TIFF wants that, and some readers refuse a block without it."""
    exif = None if before is None else TIMES[before]
    block = exif_segment(order, {0x010F: (ASCII, 6, b"Maker\0")}, exif, thumbnail=b"odd")
    assert len(block) % 2
    new = exif_of(fits(inserted(jpeg(), block)))
    assert [offset for offset in offsets(new) if offset % 2] == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_without_an_exif_directory(order: str) -> None:
    data = inserted(jpeg(), exif_segment(order, {0x010F: (ASCII, 6, b"Maker\0")}, thumbnail=jpeg((8, 8))))
    new = fits(data)
    assert tags(new) == tags(data) | {"Exif": {0x9000: b"0232"}}
    assert piexif.load(new)["thumbnail"] == piexif.load(data)["thumbnail"] == jpeg((8, 8))


def test_what_piexif_wrote() -> None:
    fields = {
        "0th": {piexif.ImageIFD.Make: b"Maker", piexif.ImageIFD.XResolution: (72, 1)},
        "Exif": {piexif.ExifIFD.MakerNote: bytes(99), piexif.ExifIFD.UserComment: b"ASCII\0\0\0remark"},
        "GPS": {piexif.GPSIFD.GPSDateStamp: b"1999:99:99 99:99:99"},
        "Interop": {piexif.InteropIFD.InteroperabilityIndex: b"R98"},
        "1st": {piexif.ImageIFD.Make: b"Maker"},
        "thumbnail": jpeg((16, 12)),
    }
    file = io.BytesIO()
    piexif.insert(piexif.dump(fields), jpeg(), file)
    data = file.getvalue()
    new = fits(data)
    assert piexif_tags(new) == piexif_tags(data)
    assert piexif_tags(new)["Interop"] == fields["Interop"]
    assert tags(new) == tags(data)


@pytest.mark.parametrize("endian", ["<", ">"])
def test_what_pillow_wrote(endian: str) -> None:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "Maker"
    exif.get_ifd(EXIF_POINTER)[ORIGINAL] = BEFORE[:-1].decode()
    data = jpeg(exif=exif, comment=b"remark", icc_profile=bytes(99))
    assert read_capture_time(data) == datetime(2001, 2, 3, 4, 5, 6)
    assert tags(fits(data)) == tags(data)


FRONTS = {
    "JFIF": (JFIF, b""),
    "JFIF and its extension": (JFIF + JFXX, b""),
    "JFIF, then XMP": (JFIF, XMP),
    "JFIF after XMP": (b"", XMP + JFIF),
    "XMP": (b"", XMP),
    "another APP0": (b"", segment(0xE0, b"AVI1" + bytes(10))),
    "fill bytes": (b"", b"\xff\xff\xff" + COMMENT),
    "MPF": (JFIF, MPF),
    "nothing": (b"", b""),
}


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO file")
@pytest.mark.parametrize("front", FRONTS)
def test_a_new_segment_comes_after_the_start_or_jfif(front: str) -> None:
    ahead, behind = FRONTS[front]
    plain = without_jfif(jpeg())
    data = plain[:2] + ahead + behind + plain[2:] + VIDEO
    new = fits(data)
    assert set_capture_time(data, TIME)[1] == b""
    assert new == data[:2] + ahead + exif_of(new) + behind + plain[2:] + VIDEO
    assert pixels(new) == pixels(data)
    assert piexif.load(exif_of(new)[4:])["Exif"] == {
        0x9000: b"0232",
        ORIGINAL: b"2024:02:29 13:05:09",
        SUBSECOND: b"12",
    }


def test_of_two_exif_segments_the_first_counts_and_both_are_set() -> None:
    one, two = (exif_segment("<", {}, {ORIGINAL: (ASCII, 20, text)}) for text in (BEFORE, b"2002" + BEFORE[4:]))
    data = inserted(jpeg(), one, COMMENT, two)
    assert read_capture_time(data) == datetime(2001, 2, 3, 4, 5, 6)
    new, old = set_capture_time(data, TIME)
    assert old == one + COMMENT + two
    assert [each.time for each in find_times(new)] == [TIME, TIME]
    assert new.count(b"2024:02:29 13:05:09\0") == 2
    assert COMMENT in new
    assert restore_segment(new, old) == data
    again, between = set_capture_time(new, TIME.replace(year=1996))
    assert len(again) == len(new)
    assert restore_segment(again, between) == new


def standing(tag: int, text: bytes) -> Fields:
    return {tag: (ASCII, len(text), text)}


IN_IFD0 = standing(ORIGINAL, BEFORE)
DECIMALS = standing(SUBSECOND, b"5\0")
PLAIN = {0x010F: (ASCII, 6, b"Maker\0")}
# Each a list of EXIF segments, and in how many places the time stands once it is set.
PLACES: dict[str, tuple[list[bytes], int]] = {
    "the first directory alone": ([exif_segment("<", IN_IFD0)], 2),
    "the first directory beside an empty one": ([exif_segment(">", IN_IFD0, {})], 2),
    "both directories": ([exif_segment("<", IN_IFD0 | DECIMALS, IN_IFD0)], 2),
    "the first directory in an odd type": ([exif_segment("<", {ORIGINAL: (UNDEFINED, 19, BEFORE[:-1])})], 2),
    "the first directory, with blanks in the usual place": (
        [exif_segment("<", IN_IFD0, standing(ORIGINAL, b" " * 19 + b"\0"))],
        2,
    ),
    "the thumbnail's directory": ([exif_segment("<", {}, {}, first=IN_IFD0)], 2),
    "the second segment": ([exif_segment("<", PLAIN), exif_segment(">", {}, IN_IFD0)], 2),
    "the second segment's first directory": ([exif_segment("<", PLAIN, {}), exif_segment(">", IN_IFD0)], 3),
    "the third segment": ([exif_segment("<", {}), exif_segment("<", PLAIN), exif_segment("<", {}, IN_IFD0)], 2),
    "two segments": ([exif_segment(">", {}, IN_IFD0 | DECIMALS), exif_segment("<", IN_IFD0, IN_IFD0)], 3),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_time_is_read_and_set_wherever_it_stands(place: str, tmp_path: Path) -> None:
    segments, number = PLACES[place]
    data = inserted(jpeg(), *segments[:1], COMMENT, *segments[1:], XMP) + VIDEO
    taken = read_capture_time(data)
    assert taken is not None
    assert taken.replace(microsecond=0) == datetime(2001, 2, 3, 4, 5, 6)
    (tmp_path / "photo.jpg").write_bytes(data)
    assert capture_time(tmp_path / "photo.jpg").time == taken
    new, old = set_capture_time(data, TIME)
    assert [each.time for each in find_times(new)] == [TIME] * number
    assert restore_segment(new, old) == data
    assert pixels(new) == pixels(data)
    for segment in (COMMENT, XMP, VIDEO):
        assert segment in new
    for segment in segments:  # what has no time stays as it is
        assert segment in new or BEFORE[:-1] in segment or segment is segments[0]
    again, between = set_capture_time(new, TIME.replace(year=1996))
    assert len(again) == len(new)
    assert restore_segment(again, between) == new


@pytest.mark.parametrize("head", [b"Exif\0\xff", b"EXIF\0\0", b"\0\x10\0\0Exif\0\0", b"exif\0\0"])
def test_a_time_under_a_misspelt_head_is_read_and_refused(head: bytes) -> None:
    payload = exif_segment("<", {}, IN_IFD0)[10:]
    for others in ([], [exif_segment("<", PLAIN)]):
        data = inserted(jpeg(), *others, segment(0xE1, head + payload))
        assert read_capture_time(data) == datetime(2001, 2, 3, 4, 5, 6)
        with pytest.raises(ExifError, match="misspelt"):
            set_capture_time(data, TIME)
    fits(inserted(jpeg(), segment(0xE1, head + exif_segment("<", PLAIN)[10:])))


def test_a_block_that_goes_on_in_another_segment_is_read_and_refused() -> None:
    block = exif_segment("<", {}, IN_IFD0)[10:]
    data = inserted(jpeg(), *(segment(0xE1, b"Exif\0\0" + part) for part in (block[:40], block[40:])))
    assert read_capture_time(data) == datetime(2001, 2, 3, 4, 5, 6)
    with pytest.raises(ExifError, match="goes on in another segment"):
        set_capture_time(data, TIME)


@pytest.mark.parametrize("kind", [0, 14, 0xFF05])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_impossible_type_before_the_time_is_refused(order: str, kind: int) -> None:
    """Some readers give such a directory up, at the first one or after a few, and would not see the time."""
    odd = {0x0001: (kind, 1, b"abcd")}
    for block in (exif_segment(order, {}, odd), exif_segment(order, odd), exif_segment(order, odd, IN_IFD0)):
        refused(block, f"has an impossible type, {kind}")
    second = {0x0000: (SHORT, 1, b"\1\1"), **odd}
    for block in (exif_segment(order, {}, second), exif_segment(order, second), exif_segment(order, second, IN_IFD0)):
        refused(block, f"has an impossible type, {kind}")
    last = {0x0000: (SHORT, 1, b"\1\1"), 0xFFFF: (kind, 1, b"abcd")}
    refused(exif_segment(order, {}, {}, first={**IN_IFD0, **second}), f"has an impossible type, {kind}")
    for block in (  # where the time stands before it, or does not stand, it is kept
        exif_segment(order, last, last),
        exif_segment(order, last, {0x0000: (SHORT, 1, b"\1\1"), **IN_IFD0, **DECIMALS, 0xFFFF: (kind, 1, b"abcd")}),
        exif_segment(order, {}, IN_IFD0, gps=odd, first=odd),
    ):
        fits(inserted(jpeg(), block))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stray", [b"\0\0", b"stray", b"\xff\0", b"\xff\0\0\xff"])
def test_stray_bytes_between_segments_are_passed_over(order: str, stray: bytes, tmp_path: Path) -> None:
    for exif in (rich_segment(order, TIMES["both"]), exif_segment(order, PLAIN), b""):
        data = inserted(jpeg(), stray, exif, stray, XMP, stray)
        new = fits(data)
        assert pixels(new) == pixels(data)
        (tmp_path / "photo.jpg").write_bytes(data)
        assert capture_time(tmp_path / "photo.jpg").time == read_capture_time(data)


# As former versions wrote a block: its Exif directory has no end.
FORMER = piexif.dump({"Exif": {0x9000: b"0232", ORIGINAL: BEFORE[:-1], SUBSECOND: b"0"}})


def table_end(exif: bytes, tag: int) -> bytes:
    """The four bytes behind the directory that a pointer in the first one leads to."""
    block = exif[len(b"....Exif..") :]
    order = "<" if block[:2] == b"II" else ">"
    (root,) = struct.unpack_from(order + "I", block, 4)
    (number,) = struct.unpack_from(order + "H", block, root)
    entries = [struct.unpack_from(order + "HHII", block, root + 2 + 12 * each) for each in range(number)]
    (at,) = (value for found, _, _, value in entries if found == tag)
    end = at + 2 + 12 * int(struct.unpack_from(order + "H", block, at)[0])
    return block[end : end + 4]


def test_every_exif_directory_ends_as_tiff_wants_it() -> None:
    former = segment(0xE1, FORMER)
    assert table_end(former, EXIF_POINTER) == BEFORE[:4]
    for block in (b"", former, exif_segment("<", {}), exif_segment(">", {}, {})):
        for microsecond in (0, 123456):
            new = fits(inserted(jpeg(), block), TIME.replace(microsecond=microsecond))
            assert table_end(exif_of(new), EXIF_POINTER) == bytes(4)


@pytest.mark.parametrize("exif", [b"", rich_segment("<", {}), rich_segment(">", TIMES["both"])])
def test_the_second_picture_of_an_mpo_stays_in_reach(exif: bytes) -> None:
    file = io.BytesIO()
    second = Image.new("RGB", (24, 16), "teal")
    Image.new("RGB", (24, 16), "navy").save(file, "MPO", save_all=True, append_images=[second])
    data = file.getvalue()
    if exif:  # in the place where the standard for MPF wants it
        data = restore_segment(set_capture_time(data, TIME)[0], exif)
    new = Image.open(io.BytesIO(fits(data)))
    new.seek(1)
    assert new.tobytes() == Image.open(io.BytesIO(jpeg_of(second))).tobytes()


def test_a_segment_after_mpf_does_not_grow() -> None:
    held = rich_segment(">", TIMES["both"])
    fits(inserted(jpeg(), MPF, held))
    with pytest.raises(ExifError, match="MPF"):
        set_capture_time(inserted(jpeg(), MPF, rich_segment(">", {})), TIME)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        (b"5\0", 500_000),
        (b"050\0", 50_000),
        (b"000001\0", 1),
        (b"1234567\0", 123_456),
        (b"25   \0", 250_000),
        (b"25", 250_000),
        (b"0\0", 0),
        (b"   \0", 0),
        (b"\0", 0),
        (b"none\0", 0),
        (b"\xb9\xb2\0", 0),
    ],
)
def test_decimals_read(text: bytes, microsecond: int, tmp_path: Path) -> None:
    fields = {ORIGINAL: (ASCII, 20, BEFORE), SUBSECOND: (ASCII, len(text), text)}
    data = inserted(jpeg(), exif_segment(">", {}, fields))
    assert read_capture_time(data) == datetime(2001, 2, 3, 4, 5, 6, microsecond)
    (tmp_path / "photo.jpg").write_bytes(data)
    assert capture_time(tmp_path / "photo.jpg").time == read_capture_time(data)


SPELLINGS = {
    "2015:08:22 24:08:19": "2015-08-22 00:08:19",
    "2012-12-22 10:37:28": "2012-12-22 10:37:28",
    "2012/12/22 10:37:28": "2012-12-22 10:37:28",
    "2012.12.22 10:37:28": "2012-12-22 10:37:28",
    "2012-12-22 10-37-28": "2012-12-22 10:37:28",
    "2012-12-22T10:37:28": "2012-12-22 10:37:28",
    "2012-12-22T10:37:28Z": "2012-12-22 10:37:28+00:00",
    "2012-12-22T10:37:28.5+02:00": "2012-12-22 10:37:28.500000+02:00",
    "2012:12:22 10:37:28-0530": "2012-12-22 10:37:28-05:30",
    "2007:03:08 15:57: 7": "2007-03-08 15:57:07",
    "2007: 3: 8  5: 7: 7": "2007-03-08 05:07:07",
    "2007:3:8 5:7:7": "2007-03-08 05:07:07",
    "2019:11:28 14:38:40.794": "2019-11-28 14:38:40.794000",
    "2019:11:28 14:38:40,7": "2019-11-28 14:38:40.700000",
    "2019:11:28 14:38:40.1234567": "2019-11-28 14:38:40.123456",
    "2019-11-28 14:38:40:794": "2019-11-28 14:38:40.794000",
    "2019:11:28 23:59:60": "2019-11-29 00:00:00",
    "2002:07:13\x0015:58:28": "2002-07-13 15:58:28",
    "2002:07:13 15:58:28\0rubbish": "2002-07-13 15:58:28",
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_spelling_that_can_mean_one_thing_is_read(text: str, tmp_path: Path) -> None:
    value = text.encode() + b"\0"
    data = inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, value)))
    time = datetime.fromisoformat(SPELLINGS[text])
    assert read_capture_time(data) == time.replace(tzinfo=None)
    (tmp_path / "photo.jpg").write_bytes(data)
    assert capture_time(tmp_path / "photo.jpg").zoned == time
    exif = Image.Exif()
    exif[ORIGINAL] = text  # where TIFF has it
    Image.open(io.BytesIO(data)).save(tmp_path / "photo.png", exif=exif)
    if "\0" not in text:  # Pillow ends the text there
        assert capture_time(tmp_path / "photo.png").zoned == time
    fits(data)


@pytest.mark.parametrize(
    "text",
    [
        *("2001:02:30 04:05:06", "today", "2015:08:22 25:08:19", "2015:08:22 12:60:19", "2015:08:22 12:08:61"),
        *("08:22:2015 12:08:19", "15:08:22 12:08:19", "2015:08:22 12:08", "2015:08:22", "2015:08:22 12:08:19 PM"),
        *("2015:08:22 12:08:  ", "2015:08:22 12:08:19:5", "2015:08:22 12:08:19+99:00", "9999:12:31 23:59:60"),
    ],
)
def test_another_text_is_told_from_none(text: str, tmp_path: Path) -> None:
    value = text.encode() + b"\0"
    data = inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, value)))
    (tmp_path / "photo.jpg").write_bytes(data)
    found = capture_time(tmp_path / "photo.jpg")
    assert (found.time, found.unread) == (None, text.strip())


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "0000-00-00T00:00:00.000Z", "    :  :     :  :  ", "--:--", " ", "\0\0", ""]
)
def test_blanks_and_zeros_are_none(text: str, tmp_path: Path) -> None:
    value = text.encode() + b"\0"
    (tmp_path / "photo.jpg").write_bytes(inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, value))))
    assert capture_time(tmp_path / "photo.jpg") == ("", "", "")


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "    :  :     :  :  ", " " * 19, "", "2001:02:30 04:05:06", "today"]
)
def test_no_time(text: str, tmp_path: Path) -> None:
    value = text.encode() + b"\0"
    data = inserted(
        jpeg(), exif_segment("<", {}, {ORIGINAL: (ASCII, len(value), value), SUBSECOND: (ASCII, 2, b"5\0")})
    )
    assert read_capture_time(data) is None
    (tmp_path / "photo.jpg").write_bytes(data)
    assert capture_time(tmp_path / "photo.jpg").time is None
    fits(data)


def test_no_exif_has_no_time() -> None:
    assert read_capture_time(jpeg()) is None
    assert read_capture_time(inserted(jpeg(), exif_segment(">", {}))) is None
    assert read_capture_time(inserted(jpeg(), exif_segment(">", {}, {}))) is None
    assert parse_time("", "5") is None


@pytest.mark.parametrize(
    ("microsecond", "text"), [(0, b"0"), (500_000, b"5"), (50_000, b"05"), (1, b"000001"), (123_456, b"123456")]
)
def test_decimals_written(microsecond: int, text: bytes) -> None:
    new = fits(jpeg(), TIME.replace(microsecond=microsecond))
    assert piexif.load(new)["Exif"][SUBSECOND] == text


@given(
    st.datetimes(),
    st.sampled_from(list(TIMES)),
    st.sampled_from("<>"),
)
@settings(max_examples=30, deadline=None)
def test_any_time_reads_back(time: datetime, before: str, order: str) -> None:
    new, _ = set_capture_time(inserted(jpeg((8, 8)), rich_segment(order, TIMES[before])), time)
    assert read_capture_time(new) == time


def test_a_zone_is_not_written() -> None:
    zoned = TIME.replace(tzinfo=timezone(timedelta(hours=5)))
    assert read_capture_time(set_capture_time(jpeg(), zoned)[0]) == TIME


def values() -> st.SearchStrategy[tuple[int, int, bytes]]:
    """A type and a value of up to six numbers; any bytes are a value."""

    def of(kind: int) -> st.SearchStrategy[tuple[int, int, bytes]]:
        return st.integers(1, 6).flatmap(
            lambda count: st.binary(min_size=count * SIZES[kind], max_size=count * SIZES[kind]).map(
                lambda value: (kind, count, value)
            )
        )

    return st.sampled_from(list(SIZES)).flatmap(of)


@st.composite
def blocks(draw: st.DrawFn) -> bytes:
    """EXIF segments with any tags, known or not, of any type."""
    order = draw(st.sampled_from("<>"))
    # Not the pointers: their values are offsets.
    free = st.integers(0, 0xFFFF).filter(lambda tag: tag not in (EXIF_POINTER, GPS_POINTER, 0xA005))
    known = st.sampled_from([0x010E, 0x0132, 0x9000, ORIGINAL, 0x9004, 0x9290, SUBSECOND, 0x9292, 0x9286, 0xA301])
    fields = st.dictionaries(st.one_of(free, known), values(), max_size=5)
    thumbnail = draw(st.sampled_from([b"", jpeg((8, 8))]))
    return exif_segment(order, draw(fields), draw(st.none() | fields), draw(st.none() | fields), thumbnail)


@given(blocks(), st.lists(st.sampled_from([XMP, ICC, COMMENT]), max_size=3), st.binary(max_size=20), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_tags_stay(exif: bytes, others: list[bytes], tail: bytes, exif_first: bool) -> None:
    data = inserted(jpeg((8, 8)), *([exif, *others] if exif_first else [*others, exif])) + tail
    new = fits(data)
    assert raw_tags(exif_of(new)) == raw_tags(exif)


@given(blocks(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_broken_block_is_refused_or_undone(exif: bytes, data: st.DataObject) -> None:
    """Whatever the bytes are: the one error, or a change that can be undone."""
    at = data.draw(st.integers(10, len(exif) - 1))
    broken = inserted(jpeg((8, 8)), exif[:at] + data.draw(st.binary(min_size=1, max_size=1)) + exif[at + 1 :])
    read_capture_time(broken)
    try:
        new, old = set_capture_time(broken, TIME)
    except ExifError:
        return
    assert read_capture_time(new) == TIME
    assert restore_segment(new, old) == broken


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_cut_short_is_refused(order: str) -> None:
    payload = rich_segment(order, {})[4:]
    photo = jpeg((8, 8))
    for length in range(6, len(payload) - 1):
        data = inserted(photo, segment(0xE1, payload[:length]))
        with pytest.raises(ExifError, match="broken EXIF block"):
            set_capture_time(data, TIME)
        assert read_capture_time(data) is None


def refused(exif: bytes, message: str) -> None:
    data = inserted(jpeg((8, 8)), exif)
    with pytest.raises(ExifError, match=message):
        set_capture_time(data, TIME)


def test_broken_blocks_are_refused_by_the_name_of_what_is_wrong() -> None:
    entry = struct.pack("<HHI", 0x829A, RATIONAL, 1)
    exif = rich_segment("<", TIMES["both"])
    at = exif.index(entry) + 8
    refused(exif[:at] + b"\xf0\xff\xff\x00" + exif[at + 4 :], "value of ExposureTime lies outside")
    refused(exif[:at] + b"\x08\x00\x00\x00" + exif[at + 4 :], "value of ExposureTime overlaps a directory")
    refused(
        exif.replace(struct.pack("<HHI", EXIF_POINTER, LONG, 1), struct.pack("<HHI", EXIF_POINTER, SHORT, 1)),
        "ExifOffset",
    )
    refused(
        exif.replace(struct.pack("<H", 0x9004) + b"\2\0", struct.pack("<H", ORIGINAL) + b"\2\0"),
        "DateTimeOriginal is there 2",
    )
    refused(exif.replace(b"II*\0", b"II+\0"), "no TIFF header")
    refused(exif_segment("<", {}, {0xFDE8: (200, 1, b""), 0x9004: (ASCII, 1 << 30, BEFORE)}), "DateTimeDigitized")
    refused(exif_segment("<", {}, {0xEEEE: (ASCII, 1 << 30, BEFORE)}), "tag 0xeeee")
    pointer = exif.index(struct.pack("<HHI", GPS_POINTER, LONG, 1)) + 8
    target = exif.index(struct.pack("<HHI", EXIF_POINTER, LONG, 1)) + 8
    refused(exif[:pointer] + exif[target : target + 4] + exif[pointer + 4 :], "directories overlap")
    refused(segment(0xE1, b"Exif\0\0"), "no TIFF header")


def test_a_thumbnail_cut_short_is_refused() -> None:
    payload = exif_segment(">", {}, {}, thumbnail=jpeg((8, 8)))[4:]
    refused(segment(0xE1, payload[:-1]), "thumbnail lies outside")


def test_a_full_segment_takes_a_time_only_where_there_is_room() -> None:
    def full(times: Fields) -> bytes:
        spare = 0xFFFE - len(exif_segment("<", {}, times | {MAKER_NOTE: (UNDEFINED, 0, b"")})[2:])  # all is even
        return exif_segment("<", {}, times | {MAKER_NOTE: (UNDEFINED, spare, bytes(spare))})

    assert len(full({})) == 2 + 0xFFFE
    fits(inserted(jpeg(), full(TIMES["both"])))
    refused(full({}), "64 KB")
    refused(full(TIMES["whole seconds"]), "64 KB")


NO_JPEGS = {
    "nothing": b"",
    "a start": b"\xff\xd8",
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "only ends": b"\xff\xd8\xff\xd9",
    "no marker": b"\xff\xd8" + JFIF + b"junk",
    "a segment cut short": b"\xff\xd8" + JFIF[:-1],
    "no scan": b"\xff\xd8" + JFIF + COMMENT,
    "fill bytes only": b"\xff\xd8" + b"\xff" * 9,
    "a segment without a length": b"\xff\xd8\xff\xe1\0\0" + bytes(9),
    "a marker that has no place": b"\xff\xd8\xff\xd0" + JFIF,
}


@pytest.mark.parametrize("kind", NO_JPEGS)
def test_no_jpeg(kind: str) -> None:
    data = NO_JPEGS[kind]
    assert read_capture_time(data) is None
    with pytest.raises(ExifError, match="JPEG") as raised:
        set_capture_time(data, TIME)
    assert "\n" not in str(raised.value)
    with pytest.raises(ExifError, match="JPEG"):
        restore_segment(data, b"")


def test_a_jpeg_cut_before_its_picture() -> None:
    data = inserted(jpeg((8, 8)), rich_segment(">", TIMES["both"]), XMP)
    for length in range(0, data.index(scan(data)) + 2, 7):
        with pytest.raises(ExifError):
            set_capture_time(data[:length], TIME)


def test_what_a_former_version_changed_is_taken_back() -> None:
    """It changed the first block alone, and put a new one in front of a misspelt one."""
    one, two = exif_segment("<", {}, IN_IFD0), exif_segment(">", {}, {}, IN_IFD0)
    misspelt = segment(0xE1, b"Exif\0\xff" + two[10:])
    changed = exif_of(set_capture_time(inserted(jpeg(), one), TIME)[0])
    for others in ([two], [COMMENT, two, two], [misspelt], []):
        assert restore_segment(inserted(jpeg(), changed, *others), one) == inserted(jpeg(), one, *others)
        assert restore_segment(inserted(jpeg(), changed, *others), b"") == inserted(jpeg(), *others)
    assert restore_segment(inserted(jpeg(), misspelt, changed), one) == inserted(jpeg(), misspelt, one)
    with pytest.raises(ExifError, match="no EXIF segment"):
        restore_segment(inserted(jpeg(), changed), one + COMMENT + two)


def test_restoring_refuses_what_it_did_not_make() -> None:
    new, _ = set_capture_time(jpeg(), TIME)
    with pytest.raises(ExifError, match="no EXIF segment"):
        restore_segment(jpeg(), b"")
    for foreign in (XMP, exif_of(new)[:-1], exif_of(new) + b"\0", b"\xff\xe1"):
        with pytest.raises(ExifError, match="not an EXIF segment"):
            restore_segment(new, foreign)
