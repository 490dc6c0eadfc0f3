"""The facts of one photo: when it was taken, by which camera, and what its name tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Literal

Source = Literal["EXIF", "XMP", "XMP file", "PNG text", "Takeout", "name", "file"]
"""Where a time stands: in the photo; in a file beside it; in its name; or with the file (its time of change)."""

ZERO = datetime(1, 1, 1)
"""From here times are counted."""

_WORDS: dict[Source, str] = {
    "EXIF": "DateTimeOriginal",
    "PNG text": "PNG Creation Time",
    "name": "time in the name",
    "file": "time of change",
}


@dataclass(frozen=True)
class Taken:
    """A time at which a photo was taken, by one source.

    Attributes:
        clock: as it is written, without its zone, to the microsecond.
        source: where it stands.
        digits: of the fraction of the second, as they are written; empty for whole seconds.
        zone: of the clock; None if that is not known.
    """

    clock: datetime
    source: Source
    digits: str = ""
    zone: timezone | None = None

    @property
    def zoned(self) -> datetime:
        """The clock's time with its zone where that is known."""
        return self.clock.replace(tzinfo=self.zone)

    @property
    def resolution(self) -> timedelta:
        """How long after `clock` the photo may have been taken. A file system that has no fractions may keep 2 s."""
        if self.digits:
            return timedelta(microseconds=10 ** (6 - min(len(self.digits), 6)))
        return timedelta(seconds=2 if self.source == "file" else 1)

    @property
    def words(self) -> str:
        """The source for people: ``DateTimeOriginal``, ``SubSecTime .12``, ``XMP``, ``Takeout``."""
        if self.digits:
            return f"{'SubSecTime' if self.source == 'EXIF' else _WORDS.get(self.source, self.source)} .{self.digits}"
        return _WORDS.get(self.source, self.source)


@dataclass(frozen=True)
class NameFacts:
    """What the name of a photo tells.

    Attributes:
        family: what stands before the counter; empty if there is no counter. Counters of one family can be compared.
        counter: the number of the photo, by its camera or messenger; None if there is none.
        wraps: whether 9999 is followed by 1.
        burst: what names the burst, or the second, of which this is a frame; empty if there is none.
        frame: the number of the frame in it.
        style: how the program spells times in names; empty if there is no time.
        time: the time in the name; None if there is none, or only the start of a burst.
    """

    family: str = ""
    counter: int | None = None
    wraps: bool = False
    burst: str = ""
    frame: int = 0
    style: str = ""
    time: Taken | None = None


@dataclass(frozen=True)
class PhotoFacts:
    """What is known of one photo beside its picture.

    Attributes:
        name: of the file.
        folder: in which it lies.
        times: that are written in it or beside it, the most trusted source first; those that are understood.
        unread: the text of the first time that is there but not understood; empty if there is none.
        make, model, serial: of the camera; None where it is not known.
        edges: of the picture in pixels, the shorter one first; None where that is not known, or the camera is.
        coding: the format and, for a JPEG, its tables, only to be compared; empty where ``edges`` is None.
        look: which group of photos it belongs to that may be of one camera, from 1; 0 where there are no groups.
        named: what the name tells.
        modified: the file's time of change; None if it is not known.
    """

    name: str
    folder: str = ""
    times: tuple[Taken, ...] = ()
    unread: str = ""
    make: str | None = None
    model: str | None = None
    serial: str | None = None
    edges: tuple[int, int] | None = None
    coding: str = ""
    look: int = 0
    named: NameFacts = field(default_factory=NameFacts)
    modified: Taken | None = None

    @property
    def taken(self) -> Taken | None:
        """The time that counts of those that are written; None if there is none that is understood."""
        return self.times[0] if self.times else None

    @property
    def not_understood(self) -> str:
        """The text of a time where no time is understood; else empty: there is one, or none at all."""
        return "" if self.times else self.unread
