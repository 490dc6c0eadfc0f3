"""What exiftool and exiv2 say of stamped photos: another time, nothing else, and no new complaint.

And whether facts are read as exiftool writes and reads them. A check for those who work on either. It is left out where
the programs are missing; in Debian they are in `libimage-exiftool-perl` and `exiv2`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from imgorder.changes.stamp import apply_stamps, make_stamps
from imgorder.media.exif import set_capture_time
from imgorder.media.facts import read_facts
from tests.renaming import ordered
from tests.test_exif import (
    COMMENT,
    FORMER,
    FRONTS,
    PLACES,
    PLAIN,
    TIME,
    TIMES,
    XMP,
    exif_segment,
    inserted,
    jpeg,
    rich_segment,
    segment,
    without_jfif,
)


def corpus() -> dict[str, bytes]:
    """JPEGs with and without EXIF, as cameras, editors and messengers leave them."""
    plain = without_jfif(jpeg())
    photos = {"none": jpeg(), "progressive": jpeg(progressive=True), "piexif": inserted(jpeg(), segment(0xE1, FORMER))}
    for front, (ahead, behind) in FRONTS.items():
        # The MPF segment is cut short; and exiftool minds fill bytes only behind a segment, such as the new one.
        if front not in ("MPF", "fill bytes"):
            photos[f"front {front}"] = plain[:2] + ahead + behind + plain[2:]
    for order in "<>":
        for before, fields in TIMES.items():
            photos[f"rich {before} {order}"] = inserted(jpeg(), XMP, rich_segment(order, fields))
        photos[f"no directory {order}"] = inserted(
            jpeg(), exif_segment(order, PLAIN, thumbnail=jpeg((8, 8))), b"\0\0", COMMENT
        )
    for place, (segments, _) in PLACES.items():
        photos[f"place {place}"] = inserted(jpeg(), *segments)
    return photos


def exiftool(folder: Path) -> dict[str, dict[str, str]]:
    """File -> all that exiftool says of it, warnings of its check included."""
    arguments = ("exiftool", "-q", "-j", "-a", "-u", "-G1:4", "-validate", "-all", "-ThumbnailImage", "-b")
    said = subprocess.run([*arguments, folder], capture_output=True, check=True, text=True).stdout
    found = json.loads(re.sub(r"(?<= entry )\d+", "N", said))  # which place a tag has in its directory may change
    return {
        Path(each.pop("SourceFile")).name: {
            name: str(value)
            for name, value in each.items()
            # It asks for more tags of a block than a time, which a photo without EXIF does not have to give.
            if not (name.startswith("System:") or "Validate" in name or "Missing required" in str(value))
        }
        for each in found
    }


def exiv2(file: Path) -> tuple[set[str], set[str]]:
    """What exiv2 says of a photo on stdout and on stderr, line by line; without the pointer that may move."""
    done = subprocess.run(["exiv2", "-PEkt", "print", file], capture_output=True, text=True, errors="replace")
    assert done.returncode in (0, 253), done  # 253: no metadata
    said = {" ".join(line.split()) for line in done.stdout.splitlines()}
    return {line for line in said if not line.startswith("Exif.Image.ExifTag ")}, set(done.stderr.splitlines())


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool")
def test_exiftool_sees_another_time_and_nothing_else(tmp_path: Path) -> None:
    before, after = stamped_corpus(tmp_path)
    was, now = exiftool(before), exiftool(after)
    assert set(was) == set(now) == {file.name for file in after.iterdir()}
    for name in was:
        old, new = was[name], now[name]
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        times = {key for key in (*old, *new) if key.endswith(":DateTimeOriginal")}
        decimals = {key for key in (*old, *new) if key.endswith(":SubSecTimeOriginal")}
        assert {new[key] for key in times if key in new} == {"2024:02:29 13:05:09"}, name
        assert {new[key] for key in decimals if key in new} == {"12"}, name
        others = {key for key in changed - times - decimals if "Warning" not in key}
        others = {key for key in others if not key.endswith("SubSecDateTimeOriginal")}  # made of the two
        fresh = {"ExifIFD:ExifVersion", "ExifIFD:Copy1:ExifVersion"} if "ExifIFD:ExifVersion" not in old else set()
        if not any(key.startswith(("IFD0:", "ExifIFD:")) for key in old):
            fresh |= {"File:ExifByteOrder"}
        assert others <= fresh, name
        warnings = [{each[key] for key in each if "Warning" in key} for each in (old, new)]
        assert warnings[1] <= warnings[0], name


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool")
def test_exiftool_sees_fractions_in_the_order_and_nothing_else(tmp_path: Path) -> None:
    before, after = stamped_corpus(tmp_path, TIME.replace(microsecond=0))
    names = sorted((file.name for file in after.iterdir()), key=lambda name: name[::-1])
    apply_stamps(make_stamps([ordered(after, names)], None, timedelta(seconds=1), keep_seconds=True))
    was, now = exiftool(before), exiftool(after)
    for name in names:
        old, new = was[name], now[name]
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        assert {key.rpartition(":")[2] for key in changed} <= {"SubSecTimeOriginal", "SubSecDateTimeOriginal"}, name
    tags = ("ExifIFD:DateTimeOriginal", "ExifIFD:SubSecTimeOriginal")
    taken = {name: tuple(now[name].get(tag, "") for tag in tags) for name in names if tags[0] in now[name]}
    assert len(set(taken.values())) == len(taken) > 10
    assert sorted(taken, key=lambda name: taken[name]) == list(taken)


@pytest.mark.skipif(shutil.which("exiv2") is None, reason="no exiv2")
def test_exiv2_sees_another_time_and_nothing_else(tmp_path: Path) -> None:
    before, after = stamped_corpus(tmp_path)
    for file in sorted(after.iterdir()):
        (was, complaints), (now, new_complaints) = exiv2(before / file.name), exiv2(file)
        assert "Exif.Photo.DateTimeOriginal 2024:02:29 13:05:09" in now, file.name
        assert "Exif.Photo.SubSecTimeOriginal 12" in now, file.name
        tags = {line.split()[0].rpartition(".")[2] for line in was ^ now}
        assert tags <= {"DateTimeOriginal", "SubSecTimeOriginal", "ExifVersion"}, file.name
        assert {line.replace(str(after), "") for line in new_complaints} <= {
            line.replace(str(before), "") for line in complaints
        }, file.name


FACTS = {
    "EXIF:DateTimeOriginal": "2024:05:01 12:00:00",
    "EXIF:SubSecTimeOriginal": "045",
    "EXIF:OffsetTimeOriginal": "+02:00",
    "EXIF:Make": "Acme",
    "EXIF:Model": "Acme One",
    "EXIF:SerialNumber": "0042",
    "XMP-exif:DateTimeOriginal": "2024:05:01 12:00:01.5+02:00",
    "XMP-photoshop:DateCreated": "2024:05:01 12:00:02",
    "XMP-xmp:CreateDate": "2024:05:01 12:00:09",
}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_facts_are_read_as_exiftool_writes_them(kind: str, tmp_path: Path) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    file = tmp_path / f"photo.{'heic' if kind == 'HEIF' else kind.lower()}"
    try:
        Image.new("RGB", (64, 48), "teal").save(file, kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    png = {"PNG:CreationTime": "2024:05:01 12:00:03"} if kind == "PNG" else {}
    tags = [f"-{name}={value}" for name, value in (FACTS | png).items()]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, file], check=True)
    sidecar = ["exiftool", "-q", "-XMP-exif:DateTimeOriginal=2024:05:01 12:00:04", "-o", f"{file}.xmp"]
    subprocess.run([*sidecar, "-XMP-aux:SerialNumber=77"], check=True)
    facts = read_facts(file)
    assert [(each.clock.isoformat(" ")[11:], each.source, each.zone and str(each.zone)) for each in facts.times] == [
        ("12:00:00.045000", "EXIF", "UTC+02:00"),
        ("12:00:01.500000", "XMP", "UTC+02:00"),
        ("12:00:02", "XMP", None),
        ("12:00:04", "XMP file", None),
        *([("12:00:03", "PNG text", None)] * bool(png)),
    ]
    assert (facts.make, facts.model, facts.serial) == ("Acme", "Acme One", "0042")
    assert facts.unread == ""


def stamped_corpus(home: Path, former: datetime | None = None) -> tuple[Path, Path]:
    """The photos before, and with another time; with ``former``, both with that time."""
    folders = home / "before", home / "after"
    for folder in folders:
        folder.mkdir()
    for name, data in corpus().items():
        stamped = set_capture_time(data, former or TIME)[0]
        for folder, content in zip(folders, (stamped if former else data, stamped), strict=True):
            (folder / f"{name.translate({ord('<'): 'little', ord('>'): 'big'})}.jpg").write_bytes(content)
    return folders
