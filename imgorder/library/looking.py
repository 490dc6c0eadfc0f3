"""A look at one photo: what is known beside its picture, and what it is compared by; as a line of JSON."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.errors import PhotoError
from imgorder.evidence.facts import PhotoFacts, Taken
from imgorder.evidence.photo_names import read_name
from imgorder.library.listing import Listed, state_of
from imgorder.library.remote import is_address, local_copies
from imgorder.media.facts import read_facts
from imgorder.media.likeness import Rows, describe_pixels
from imgorder.media.preprocess import Preprocessing, to_pixels
from imgorder.media.sidecars import Sidecars
from imgorder.names import show

VERSION = 1
"""Of what a look finds. It is raised with any change of that, as in likeness.py, so that nothing old is used."""

_SPEC = Preprocessing(shorter_edge=128, crop=128, squeeze=1.8)  # as the default model sees photos
_SIZES = (384, 33, 256)  # of the rows
_ZERO = timedelta(0)

Record = dict[str, Any]


def look_at(photo: Listed) -> Record:
    """All that grouping has to know of a photo.

    Raises:
        PhotoError: if it cannot be read, or was changed since it was listed.
    """
    beside = [name for name, _ in photo.beside]
    with local_copies(photo.folder, [photo.name, *beside]) as folder:
        facts = read_facts(folder / photo.name, Sidecars([photo.name, *beside]))
        rows = describe_pixels(to_pixels(folder / photo.name, _SPEC))
    if not is_address(photo.folder) and not _is_unchanged(photo):
        raise PhotoError(f"{show(photo.path)}: was changed while it was read; run this again")
    return {
        "folder": photo.folder,
        "name": photo.name,
        "state": list(photo.state),
        "beside": [[name, list(state)] for name, state in photo.beside],
        "times": [_write_time(time) for time in facts.times],
        "unread": facts.unread,
        "camera": [facts.make, facts.model, facts.serial],
        "look": base64.b64encode(_pack(rows)).decode("ascii"),
    }


def _is_unchanged(photo: Listed) -> bool:
    try:
        # Not its device and inode: another machine of a cluster may number them in its own way.
        return state_of(photo.path)[2:4] == photo.state[2:4]
    except OSError:
        return False


def as_listed(record: Record) -> Listed:
    """The photo of a line, as it was found."""
    beside = tuple((name, tuple(state)) for name, state in record["beside"])
    return Listed(record["folder"], record["name"], tuple(record["state"]), beside)


def as_facts(record: Record) -> PhotoFacts:
    """What `read_facts` had found."""
    make, model, serial = record["camera"]
    return PhotoFacts(
        name=record["name"],
        folder=record["folder"],
        times=tuple(_read_time(*each) for each in record["times"]),
        unread=record["unread"],
        make=make,
        model=model,
        serial=serial,
        named=read_name(record["name"]),
        modified=_changed(record["state"][3]),
    )


def as_rows(records: list[Record]) -> Rows:
    """What the photos are compared by; a little rounded."""
    packed = b"".join(base64.b64decode(record["look"]) for record in records)
    whole = np.frombuffer(packed, dtype=np.uint8).reshape(len(records), sum(_SIZES))
    colours, edges, greys = np.split(whole, np.cumsum(_SIZES)[:-1], axis=1)
    return _unit(colours), _unit(edges), _unit(greys.view(np.int8))


def _pack(rows: Rows) -> bytes:
    """A byte for each number; rows have a known length, so their scale need not be kept."""
    colours, edges, greys = rows
    positive = [np.rint(each / each.max() * 255).astype(np.uint8).tobytes() for each in (colours, edges)]
    flat = float(np.linalg.norm(greys)) < 0.5  # a photo of nearly one colour
    signed = np.zeros(len(greys), np.int8) if flat else np.rint(greys / np.abs(greys).max() * 127).astype(np.int8)
    return b"".join((*positive, signed.tobytes()))


def _unit(rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    whole = rows.astype(np.float32)
    return np.asarray(whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _write_time(time: Taken) -> list[Any]:
    zone = None if time.zone is None else int((time.zone.utcoffset(None) or _ZERO).total_seconds())
    return [time.clock.isoformat(), time.source, time.digits, zone]


def _read_time(clock: str, source: Any, digits: str, zone: int | None) -> Taken:
    known = None if zone is None else timezone(timedelta(seconds=zone))
    return Taken(datetime.fromisoformat(clock), source, digits, known)


def _changed(time_ns: int) -> Taken | None:
    if not time_ns:  # beyond this machine
        return None
    try:
        clock = datetime(1970, 1, 1) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None
    return Taken(clock, "file", f"{clock.microsecond:06}" if time_ns % 10**9 else "", timezone.utc)
