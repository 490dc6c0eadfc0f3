"""Read what is known of a photo beside its picture: times, camera, name. Nothing is decoded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from PIL.JpegImagePlugin import JpegImageFile

from imgorder.errors import PhotoError
from imgorder.evidence.facts import PhotoFacts, Source, Taken
from imgorder.evidence.photo_names import read_name
from imgorder.media import xmp
from imgorder.media.metadata import LONGEST, Metadata, read_metadata
from imgorder.media.photos import photo_header
from imgorder.media.sidecars import Sidecars, list_names
from imgorder.media.time_texts import MAKE, MODEL, SERIAL, Written, clean_text, gather

_EPOCH = datetime(1970, 1, 1)


def read_facts(path: Path, beside: Sidecars | None = None) -> PhotoFacts:
    """What is known of a photo beside its picture.

    Args:
        path: the file; its content decides the format, not its name.
        beside: the files of its folder, for who asks for several photos; by default the folder is listed.

    Raises:
        PhotoError: if the file cannot be read. A file without facts, or with broken ones, is no error.
    """
    beside = beside or Sidecars(list_names(path.parent))
    metadata = read_metadata(path)
    packets = [xmp.read_packet(packet) for packet in metadata.xmp]
    sidecars = [xmp.read_packet(_read(path.parent / name)) for name in beside.xmp_of(path.name)]
    found = [
        *((_understand(written, "EXIF"), written.whole) for block in metadata.exif for written in gather(block)),
        *(each for said in packets for each in _find_in_xmp(said, "XMP")),
        *(each for said in sidecars for each in _find_in_xmp(said, "XMP file")),
        *((_understand_created(text), text) for text in metadata.created),
        *(each for name in beside.facts_of(path.name) for each in _find_in_takeout(_read(path.parent / name))),
    ]
    make, model, serial = _find_camera(metadata, [*packets, *sidecars])
    return PhotoFacts(
        name=path.name,
        folder=os.path.abspath(path.parent),
        times=tuple(dict.fromkeys(time for time, _ in found if time)),
        unread=next((text for time, text in found if time is None), ""),
        make=make,
        model=model,
        serial=serial,
        named=read_name(path.name),
        modified=_find_change(path),
    )


def read_all_facts(files: Sequence[Path], *, making: bool = False) -> list[PhotoFacts]:
    """The facts of several photos; each folder is listed once.

    Of a file that cannot be read nothing is known: what wants its picture will say so.

    Args:
        files: the photos.
        making: whether size and coding are asked for of those whose camera is not known.
    """
    beside = {folder: Sidecars(list_names(folder)) for folder in dict.fromkeys(file.parent for file in files)}
    found = []
    for file in files:
        try:
            facts = read_facts(file, beside[file.parent])
        except PhotoError:
            facts = PhotoFacts(name=file.name, folder=os.path.abspath(file.parent))
        found.append(_add_making(facts, file) if making and not (facts.make or facts.model) else facts)
    return found


def _add_making(facts: PhotoFacts, file: Path) -> PhotoFacts:
    """The facts with what else may tell cameras apart. It is the same for a photo that was turned without loss."""
    try:
        with photo_header(file) as image:
            short, long = sorted(image.size)
            coding = image.format or ""
            if isinstance(image, JpegImageFile):
                coding = min(_describe_coding(image, turned=turned) for turned in (False, True))
    except PhotoError:
        return facts
    return replace(facts, edges=(short, long), coding=coding)


def _describe_coding(image: JpegImageFile, *, turned: bool) -> str:
    """The quantisation tables of a JPEG, and how finely its components are sampled, as a text."""
    tables = [
        [table[8 * (place % 8) + place // 8] for place in range(64)] if turned else list(table)
        for _, table in sorted(image.quantization.items())
    ]
    return f"JPEG {tables} {[(tall, wide) if turned else (wide, tall) for _, wide, tall, _ in image.layer]}"


def _understand(written: Written, source: Source) -> Taken | None:
    time = written.time
    return Taken(time, source, written.digits, written.offset) if time else None


def _find_in_xmp(said: dict[str, str], source: Source) -> Iterator[tuple[Taken | None, str]]:
    for name in xmp.TIMES:
        written = Written(said.get(name, ""))
        time = _understand(written, source)
        if time or written.unread:
            yield time, written.unread


def _understand_created(text: str) -> Taken | None:
    """A PNG's text: as e-mails have their dates, or as EXIF or XMP have them."""
    time = _understand(Written(clean_text(text)), "PNG text")
    if time:
        return time
    from email.utils import parsedate_to_datetime  # only for photos that have such a text

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    zone = date.tzinfo.utcoffset(date) if date.tzinfo else None
    return Taken(date.replace(tzinfo=None), "PNG text", zone=None if zone is None else timezone(zone))


def _find_in_takeout(data: bytes) -> Iterator[tuple[Taken | None, str]]:
    """``photoTakenTime``, in seconds of UTC; ``creationTime`` is that of the upload."""
    try:
        text = json.loads(data)["photoTakenTime"]["timestamp"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    try:
        yield Taken(_EPOCH + timedelta(seconds=int(text)), "Takeout", zone=timezone.utc), ""
    except (ValueError, TypeError, OverflowError):
        yield None, str(text)[:100]


def _find_camera(metadata: Metadata, packets: Sequence[dict[str, str]]) -> tuple[str | None, str | None, str | None]:
    """Make, model and serial number of the camera, each where it is first found."""
    places = [directory for block in metadata.exif for directory in block]
    found = []
    for tag, names in ((MAKE, xmp.MAKE), (MODEL, xmp.MODEL), (SERIAL, xmp.SERIAL)):
        texts = [*(clean_text(place.get(tag)) for place in places), *(xmp.first(said, names) for said in packets)]
        # Some cameras write zeros where they have no number.
        found.append(next((text for text in texts if text.strip("0")), None))
    make, model, serial = found
    return make, model, serial


def _find_change(path: Path) -> Taken | None:
    try:
        time_ns = path.stat().st_mtime_ns
        clock = _EPOCH + timedelta(microseconds=time_ns // 1000)
    except (OSError, OverflowError):
        return None
    return Taken(clock, "file", f"{clock.microsecond:06}" if time_ns % 10**9 else "", timezone.utc)


def _read(path: Path) -> bytes:
    """A file beside a photo; nothing if it cannot be read, or is too long to be what it seems."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except OSError:
        return b""
    return data if len(data) <= LONGEST else b""
