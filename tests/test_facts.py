"""What is known of a photo beside its picture: times and their sources, camera, counters in names."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin, features

from imgorder.errors import PhotoError
from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.evidence.photo_names import read_name
from imgorder.media.facts import read_all_facts, read_facts
from tests.test_exif import ORIGINAL, SUBSECOND, exif_segment, inserted, jpeg, segment, standing

ZONE, MAKE, MODEL, SERIAL = 0x9011, 0x010F, 0x0110, 0xA431
NOON = datetime(2024, 5, 1, 12, 0, 0)
TEXT = b"2024:05:01 12:00:00\0"
PICTURE = Image.new("RGB", (32, 24), "teal")
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
SPACES = f'{RDF} xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'


def standing_texts(**texts: tuple[int, str]) -> dict[int, tuple[int, int, bytes]]:
    fields: dict[int, tuple[int, int, bytes]] = {}
    for tag, text in texts.values():
        fields |= standing(tag, text.encode() + b"\0")
    return fields


EXIF = exif_segment(
    "<",
    standing_texts(make=(MAKE, "Acme"), model=(MODEL, "Acme One")),
    standing_texts(
        time=(ORIGINAL, "2024:05:01 12:00:00"), part=(SUBSECOND, "12"), zone=(ZONE, "+02:00"), body=(SERIAL, "0042")
    ),
)
BLOCK = EXIF[10:]  # without marker, length and head


def packet(inner: str = 'exif:DateTimeOriginal="2024-05-01T12:00:00.12+02:00"', elements: str = "") -> bytes:
    """An XMP packet as programs write it: a head, the properties, and blanks behind."""
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {SPACES}><rdf:Description rdf:about="" {inner}>{elements}</rdf:Description></rdf:RDF>'
        f"</x:xmpmeta>\n{' ' * 50}\n<?xpacket end='w'?>"
    )
    return text.encode()


def xmp_segment(data: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + data)


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, behind: bool = False) -> bytes:
    """A PNG with further chunks: before its pixels, or behind them."""
    data = saved("PNG")
    at = len(data) - 12 if behind else data.index(b"IDAT") - 4
    return data[:at] + b"".join(chunks) + data[at:]


def box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + name + data


def heif(exif: bytes | None, xmp: bytes | None = None, *, inside: bool = False, version: int = 1) -> bytes:
    """The boxes of a HEIC without a picture. ``inside``: the items are in the box ``idat``."""
    items = [(kind, data) for kind, data in ((b"Exif", exif), (b"mime", xmp)) if data is not None]
    wide = ">I" if version == 2 else ">H"
    infos = [
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), kind, b"\0application/rdf+xml\0" * (kind == b"mime"))
        for number, (kind, _) in enumerate(items, 1)
    ]
    iinf = box(b"iinf", bytes(4), struct.pack(">H", len(items)), *infos)

    def meta(start: int) -> bytes:
        places = bytes([version, 0, 0, 0, 0x44, 0x00]) + struct.pack(wide, len(items))
        for number, (_, data) in enumerate(items, 1):
            places += struct.pack(wide, number) + (struct.pack(">H", int(inside)) if version else b"")
            places += struct.pack(">HHII", 0, 1, start, len(data))
            start += len(data)
        content = [data for _, data in items] if inside else []
        hdlr = box(b"hdlr", bytes(4), bytes(4), b"pict", bytes(13))
        return box(b"meta", bytes(4), hdlr, iinf, box(b"iloc", places), *([box(b"idat", *content)] * inside))

    front = box(b"ftyp", b"heic", bytes(4), b"mif1", b"heic")
    length = len(front) + len(meta(0))
    return front + meta(0 if inside else length + 8) + (b"" if inside else box(b"mdat", *(data for _, data in items)))


HEIC_EXIF = bytes(4) + BLOCK
# Each the bytes of a file with the same EXIF block.
WITH_EXIF: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: inserted(jpeg(), EXIF),
    "PNG": lambda: png(chunk(b"eXIf", BLOCK)),
    "PNG, behind the pixels": lambda: png(chunk(b"eXIf", BLOCK), behind=True),
    "PNG, as a text": lambda: png(
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  99\n" + (b"Exif\0\0" + BLOCK).hex().encode()),
        )
    ),
    "WebP": lambda: saved("WEBP", exif=b"Exif\0\0" + BLOCK),
    "TIFF": lambda: saved("TIFF", exif=tiff_tags()),
    "HEIC": lambda: heif(HEIC_EXIF),
    "HEIC, with a head before the block": lambda: heif(b"\0\0\0\6Exif\0\0" + BLOCK),
    "HEIC, without the offset": lambda: heif(BLOCK),
    "HEIC, inside the box": lambda: heif(HEIC_EXIF, packet(), inside=True),
    "HEIC, oldest places": lambda: heif(HEIC_EXIF, version=0),
    "HEIC, widest places": lambda: heif(HEIC_EXIF, version=2),
}
if features.check("avif"):
    WITH_EXIF["AVIF"] = lambda: saved("AVIF", exif=BLOCK)


def tiff_tags() -> Image.Exif:
    exif = Image.Exif()
    exif.load(BLOCK)
    return exif


@pytest.fixture
def facts_of(tmp_path: Path) -> Callable[..., PhotoFacts]:
    """The facts of a photo with these bytes, and with these files beside it."""

    def read(data: bytes, name: str = "photo.jpg", **beside: bytes) -> PhotoFacts:
        (tmp_path / name).write_bytes(data)
        for other, content in beside.items():
            (tmp_path / other).write_bytes(content)
        return read_facts(tmp_path / name)

    return read


@pytest.mark.parametrize("where", WITH_EXIF)
def test_time_and_camera_are_read_from_exif_wherever_a_format_has_it(
    where: str, facts_of: Callable[..., PhotoFacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = WITH_EXIF[where]()
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("the photo was decoded"))
    facts = facts_of(data)
    time = facts.times[0]
    assert time.zoned == datetime.fromisoformat("2024-05-01T12:00:00.120000+02:00")
    assert (time.source, time.digits, time.words, time.resolution.microseconds) == (
        "EXIF",
        "12",
        "SubSecTime .12",
        10_000,
    )
    assert (facts.make, facts.model, facts.serial) == ("Acme", "Acme One", "0042")


@pytest.mark.skipif(find_spec("pillow_heif") is None, reason="no pillow-heif")
def test_a_heic_as_its_library_writes_it_is_read(facts_of: Callable[..., PhotoFacts]) -> None:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(file, exif=b"Exif\0\0" + BLOCK, xmp=packet())
    facts = facts_of(file.getvalue(), "photo.heic")
    assert [each.words for each in facts.times] == ["SubSecTime .12", "XMP .12"]
    assert facts.serial == "0042"


# Each the bytes of a file with one XMP packet and no EXIF.
WITH_XMP: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": lambda data: inserted(jpeg(), xmp_segment(data)),
    "PNG": lambda data: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + data)),
    "PNG, packed": lambda data: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(data))),
    "WebP": lambda data: saved("WEBP", xmp=data),
    "TIFF": lambda data: saved("TIFF", tiffinfo={700: data}),
    "HEIC": lambda data: heif(None, data),
}


@pytest.mark.parametrize("where", WITH_XMP)
def test_a_time_is_read_from_xmp_in_a_photo(where: str, facts_of: Callable[..., PhotoFacts]) -> None:
    facts = facts_of(WITH_XMP[where](packet()))
    assert [each.words for each in facts.times] == ["XMP .12"]
    assert facts.times[0].zoned == datetime.fromisoformat("2024-05-01T12:00:00.120000+02:00")


@pytest.mark.parametrize(
    ("data", "clock"),
    [
        (packet("", "<exif:DateTimeOriginal>2024-05-01T12:00:00</exif:DateTimeOriginal>"), NOON),
        (packet('photoshop:DateCreated="2024-05-01T12:00:00"'), NOON),
        (packet()[:-20] + b"rubbish", NOON.replace(microsecond=120_000)),
        (packet("xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:CreateDate='2024-05-01T12:00:00'"), None),
        # The photos that went into this one have packets of their own.
        (
            packet(
                "",
                "<exif:Pantry><rdf:Bag><rdf:li exif:DateTimeOriginal='2024-05-01T12:00:00'/></rdf:Bag></exif:Pantry>",
            ),
            None,
        ),
        (packet()[:200], None),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + packet(), None),
        (b"", None),
    ],
)
def test_xmp_is_read_for_the_photo_itself(
    data: bytes, clock: datetime | None, facts_of: Callable[..., PhotoFacts]
) -> None:
    facts = facts_of(jpeg(), **{"photo.xmp": data})
    assert [each.clock for each in facts.times] == [clock] * (clock is not None)
    assert facts.not_understood == ""


@pytest.mark.parametrize("name", ["photo.xmp", "photo.jpg.xmp", "PHOTO.XMP", "photo.JPG.xmp"])
def test_an_xmp_file_beside_a_photo_is_read(name: str, facts_of: Callable[..., PhotoFacts]) -> None:
    facts = facts_of(jpeg(), **{name: packet('tiff:Model="One" exif:DateTimeOriginal="2024-05-01T12:00:00"')})
    assert [(each.clock, each.words) for each in facts.times] == [(NOON, "XMP file")]
    assert facts.model == "One"


def test_an_xmp_file_that_two_photos_may_have_is_left_out(facts_of: Callable[..., PhotoFacts]) -> None:
    assert facts_of(jpeg(), **{"photo.xmp": packet(), "photo.png": png()}).times == ()
    assert facts_of(jpeg(), **{"photo.jpg.xmp": packet()}).times != ()


def takeout(seconds: object = "1714564800") -> bytes:
    uploaded = {"timestamp": "1700000000"}
    return json.dumps({"photoTakenTime": {"timestamp": seconds}, "creationTime": uploaded}).encode()


LONG = "a_name_of_which_google_leaves_the_first_letters_alone.jpg"


@pytest.mark.parametrize(
    ("photo", "beside"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-me.json"),
        ("IMG_1(2).jpg", "IMG_1.jpg(2).json"),
        ("IMG_1(2).jpg", "IMG_1.jpg.supplemental-metadata(2).json"),
        ("IMG_1-edited.jpg", "IMG_1.jpg.json"),
        (LONG, f"{LONG[:46]}.json"),
        ("003_IMG_1.jpg", "003_IMG_1.jpg.json"),
    ],
)
def test_what_takeout_writes_beside_a_photo_is_read(
    photo: str, beside: str, facts_of: Callable[..., PhotoFacts]
) -> None:
    (time,) = facts_of(jpeg(), photo, **{beside: takeout()}).times
    assert (time.words, time.zoned) == ("Takeout", NOON.replace(tzinfo=timezone.utc))


@pytest.mark.parametrize(
    ("data", "unread"),
    [
        (takeout("soon"), "soon"),
        (takeout(10**30), str(10**30)),
        (b"{}", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (json.dumps({"photoTakenTime": 5}).encode(), ""),
    ],
)
def test_other_json_beside_a_photo_is_no_time(data: bytes, unread: str, facts_of: Callable[..., PhotoFacts]) -> None:
    facts = facts_of(jpeg(), **{"photo.jpg.json": data})
    assert (facts.times, facts.not_understood) == ((), unread)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Wed, 01 May 2024 12:00:00 +0200", "2024-05-01T12:00:00+02:00"),
        ("Wed, 01 May 2024 12:00:00 -0000", "2024-05-01T12:00:00"),
        ("2024:05:01 12:00:00", "2024-05-01T12:00:00"),
        ("on a Wednesday", None),
    ],
)
def test_a_pngs_creation_time_is_read(text: str, time: str | None, facts_of: Callable[..., PhotoFacts]) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Creation Time", text)
    facts = facts_of(saved("PNG", pnginfo=texts), "photo.png")
    assert [each.zoned.isoformat() for each in facts.times] == [time] * (time is not None)
    assert facts.not_understood == ("" if time else text)


def test_when_a_png_was_last_changed_is_no_time(facts_of: Callable[..., PhotoFacts]) -> None:
    changed = chunk(b"tIME", struct.pack(">H5B", 2024, 5, 1, 12, 0, 0))
    assert facts_of(png(changed, chunk(b"tEXt", b"date:create\0" + b"2024-05-01T12:00:00")), "photo.png").times == ()


def test_no_time_is_told_from_one_that_is_not_understood(facts_of: Callable[..., PhotoFacts]) -> None:
    blank = facts_of(inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, b" " * 19 + b"\0"))))
    assert (blank.taken, blank.not_understood) == (None, "")
    odd = inserted(jpeg(), exif_segment("<", {}, standing(ORIGINAL, b"yesterday\0")))
    assert (facts_of(odd).taken, facts_of(odd).not_understood) == (None, "yesterday")
    known = facts_of(odd, **{"photo.xmp": packet()})
    assert known.taken is not None
    assert (known.taken.source, known.not_understood, known.unread) == ("XMP file", "", "yesterday")
    day = facts_of(jpeg(), **{"photo.xmp": packet('photoshop:DateCreated="2024-05-01"')})
    assert (day.taken, day.not_understood) == (None, "2024-05-01")


def test_the_most_trusted_time_is_the_first(facts_of: Callable[..., PhotoFacts]) -> None:
    data = inserted(jpeg(), EXIF, xmp_segment(packet('exif:DateTimeOriginal="2024-05-01T12:00:01"')))
    files = {"photo.xmp": packet('exif:DateTimeOriginal="2024-05-01T12:00:02"'), "photo.jpg.json": takeout()}
    facts = facts_of(data, **files)
    assert [each.source for each in facts.times] == ["EXIF", "XMP", "XMP file", "Takeout"]
    assert facts.taken == facts.times[0]


def test_a_camera_that_says_nothing_is_none(facts_of: Callable[..., PhotoFacts]) -> None:
    blank = exif_segment("<", standing(MAKE, b"   \0"), standing(SERIAL, b"0000000\0"))
    facts = facts_of(inserted(jpeg(), blank))
    assert (facts.make, facts.model, facts.serial) == (None, None, None)


def test_the_folder_and_the_time_of_change_are_known(tmp_path: Path) -> None:
    for name, time_ns in (("a.jpg", 1_714_564_800_123_456_789), ("b.jpg", 1_714_564_800_000_000_000)):
        (tmp_path / name).write_bytes(jpeg())
        os.utime(tmp_path / name, ns=(time_ns, time_ns))
    exact, whole = read_all_facts([tmp_path / "a.jpg", tmp_path / "b.jpg"])
    assert exact.folder == whole.folder == str(tmp_path)
    assert exact.modified == Taken(NOON.replace(microsecond=123_456), "file", "123456", timezone.utc)
    assert whole.modified is not None
    assert whole.modified.resolution.total_seconds() == 2


def test_a_jpeg_with_much_before_its_exif_is_read(facts_of: Callable[..., PhotoFacts]) -> None:
    filled = [segment(0xE2, b"ICC_PROFILE\0" + bytes(65_000))] * 12
    assert facts_of(inserted(jpeg(), *filled, EXIF)).serial == "0042"


def test_a_file_that_cannot_be_read_is_an_error_and_one_without_facts_is_none(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"gone\.jpg"):
        read_facts(tmp_path / "gone.jpg")
    for data in (b"", b"text", jpeg()[:30], b"\0\0\0\x18ftypmp42" + bytes(40)):
        (tmp_path / "IMG_0012.jpg").write_bytes(data)
        facts = read_facts(tmp_path / "IMG_0012.jpg")
        assert (facts.times, facts.make, facts.unread) == ((), None, "")
        assert facts.named.counter == 12


BROKEN = [WITH_EXIF[name]() for name in WITH_EXIF if name != "TIFF"] + [
    WITH_XMP[name](packet()) for name in WITH_XMP if name != "TIFF"
]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(BROKEN), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), st.floats(0, 1))
def test_broken_metadata_is_left_out_and_never_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, changes: list[tuple[float, int]], keep: float
) -> None:
    broken = bytearray(data)
    for place, value in changes:
        broken[int(place * (len(broken) - 1))] = value
    file = tmp_path_factory.getbasetemp() / "broken"
    file.write_bytes(bytes(broken[: int(keep * len(broken)) if keep < 0.5 else None]))
    facts = read_facts(file)
    assert len(facts.times) < 3


@pytest.mark.parametrize(
    ("name", "family", "counter"),
    [
        ("IMG_0012.JPG", "IMG_", 12),
        ("img_0012.jpg", "IMG_", 12),
        ("IMG_E0012.HEIC", "IMG_", 12),
        ("IMG_0012(1).jpg", "IMG_", 12),
        ("IMG_0012 (2).jpg", "IMG_", 12),
        ("IMG_0012-edited.jpg", "IMG_", 12),
        ("IMG_0012 copy 2.jpg", "IMG_", 12),
        ("003_IMG_0012.jpg", "IMG_", 12),
        ("_MG_0012.JPG", "IMG_", 12),
        ("DSC01234.JPG", "DSC0", 1234),
        ("_DSC1234.NEF.jpg", "", None),
        ("_DSC1234.jpg", "DSC_", 1234),
        ("GOPR0123.JPG", "GOPR", 123),
        ("DJI_0123.JPG", "DJI_", 123),
        ("100_0123.JPG", "100_", 123),
        ("anna-IMG_0012.jpg", "ANNA-IMG_", 12),
        ("DJI_20230501123456_0012_D.JPG", "DJI_", 12),
        ("IMG-20230501-WA0004.jpg", "WA", 202305010004),
        *(("a.jpg", "", None), ("img10.jpg", "", None), ("1.jpg", "", None), ("003.jpg", "", None)),
        *(("balloon-0012.jpg", "", None), ("frame_0012.jpg", "", None), ("2023_0501.jpg", "", None)),
    ],
)
def test_counters_are_read_from_names(name: str, family: str, counter: int | None) -> None:
    named = read_name(name)
    assert (named.family, named.counter) == (family, counter)
    assert named.wraps == (counter is not None and family != "WA")


def test_names_with_folder_or_day_in_their_number_ascend() -> None:
    names = ["P1000998.JPG", "P1000999.JPG", "P1010001.JPG", "P9300002.JPG", "PA010001.JPG"]
    numbers = [read_name(name).counter or 0 for name in names]
    assert sorted(set(numbers)) == numbers
    assert {read_name(name).family for name in names} == {"P"}


@pytest.mark.parametrize(
    ("name", "time", "digits"),
    [
        ("IMG_20230501_123456.jpg", "2023-05-01T12:34:56", ""),
        ("IMG_20230501_123456789.jpg", "2023-05-01T12:34:56.789000", "789"),
        ("IMG_20230501_123456_1.jpg", "2023-05-01T12:34:56", ""),
        ("MVIMG_20230501_123456.jpg", "2023-05-01T12:34:56", ""),
        ("PXL_20230501_123456789.jpg", "2023-05-01T12:34:56.789000+00:00", "789"),
        ("PXL_20230501_123456789.MP.jpg", "2023-05-01T12:34:56.789000+00:00", "789"),
        ("PXL_20230501_123456789~2.jpg", "2023-05-01T12:34:56.789000+00:00", "789"),
        ("20230501_123456.jpg", "2023-05-01T12:34:56", ""),
        ("003_20230501_123456.jpg", "2023-05-01T12:34:56", ""),
        ("20230501_123456(0).jpg", "2023-05-01T12:34:56", ""),
        ("2023-05-01 12.34.56.jpg", "2023-05-01T12:34:56", ""),
        ("2023-05-01 12.34.56-1.jpg", "2023-05-01T12:34:56", ""),
        ("WP_20230501_12_34_56_Pro.jpg", "2023-05-01T12:34:56", ""),
        ("Screenshot_20230501-123456.png", "2023-05-01T12:34:56", ""),
        ("Screenshot_2023-05-01-12-34-56-789_com.app.jpg", "2023-05-01T12:34:56.789000", "789"),
        ("Screenshot 2023-05-01 at 12.34.56.png", "2023-05-01T12:34:56", ""),
        ("Screenshot from 2023-05-01 12-34-56.png", "2023-05-01T12:34:56", ""),
        ("DJI_20230501123456_0012_D.JPG", "2023-05-01T12:34:56", ""),
        # The time at which a burst began is not that of its frames.
        *(("20230501_123456_003.jpg", None, ""), ("IMG_20230501_123456_BURST003.jpg", None, "")),
        ("00000IMG_00000_BURST20200101120000123_COVER.jpg", None, ""),
        # When it was sent or saved.
        *(("WhatsApp Image 2023-05-01 at 12.34.56.jpeg", None, ""), ("signal-2023-05-01-12-34-56.jpg", None, "")),
        *(("photo_2023-05-01_12-34-56.jpg", None, ""), ("FB_IMG_1682937296123.jpg", None, "")),
        *(("IMG-20230501-WA0004.jpg", None, ""), ("IMG_20231301_123456.jpg", None, "")),
        *(("IMG_20230501_1234567.jpg", None, ""), ("20230501.jpg", None, "")),
    ],
)
def test_times_are_read_from_names_that_cameras_give(name: str, time: str | None, digits: str) -> None:
    found = read_name(name).time
    assert (found.zoned.isoformat() if found else None) == time
    assert (found.digits if found else "") == digits
    assert found is None or found.words == "time in the name" + f" .{digits}" * bool(digits)


@pytest.mark.parametrize(
    "names",
    [
        ["00000IMG_00000_BURST20200101120000123_COVER.jpg", "00001IMG_00001_BURST20200101120000123.jpg"],
        ["IMG_20200101_120000.jpg", "IMG_20200101_120000_1.jpg", "IMG_20200101_120000_2.jpg"],
        ["IMG_20200101_120000_BURST001_COVER.jpg", "IMG_20200101_120000_BURST002.jpg"],
        ["20200101_120000_001.jpg", "20200101_120000_002.jpg", "20200101_120000_010.jpg"],
    ],
)
def test_the_frames_of_a_burst_are_numbered_in_names(names: list[str]) -> None:
    frames = [read_name(name) for name in names]
    assert len({each.burst for each in frames}) == 1
    assert frames[0].burst
    numbers = [each.frame for each in frames]
    assert sorted(set(numbers)) == numbers


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_name_can_be_read(name: str) -> None:
    named = read_name(name)
    assert (named.counter is None) == (named.family == "")
