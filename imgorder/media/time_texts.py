"""What the texts of a capture time say. Cameras spell them in many ways; what can mean one thing only is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

# Tags of EXIF.
TIME = 0x9003  # DateTimeOriginal: whole seconds
SUBSECOND = 0x9291  # SubSecTimeOriginal: the decimals
ZONE = 0x9011  # OffsetTimeOriginal
MAKE, MODEL, SERIAL = 0x010F, 0x0110, 0xA431  # of the camera; the last one is BodySerialNumber

_SPELLING = re.compile(
    # A blank may stand for a leading zero. Some cameras write NUL between date and time, or rubbish behind a NUL.
    r"(\d{4})[-:/.]\s?(\d{1,2})[-:/.]\s?(\d{1,2})(?:T|[\s\0]+)"
    r"(\d{1,2})([-:])\s?(\d{1,2})(?:\5\s?(\d{1,2})(?:[.,](\d+)|:(\d{3}))?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?(?:\0.*)?",
    re.ASCII | re.DOTALL,
)
_BLANK = " \0:-/.,+0TZ"  # of these a text consists that stands in the place of an unknown time


class Spelt(NamedTuple):
    """A text that is a time.

    Attributes:
        time: on the camera's clock, without a zone.
        zone: None if the text names none.
        decimals: digits of a fraction that the text has; None if it has none.
        to_the_minute: whether the seconds are missing.
        hour_24: whether it says 24 for the hour.
    """

    time: datetime
    zone: timezone | None
    decimals: str | None
    to_the_minute: bool
    hour_24: bool


class Written(NamedTuple):
    """A capture time as it stands in one place, outer blanks removed; a text is empty where its tag is missing."""

    whole: str = ""
    decimals: str = ""
    zone: str = ""

    @property
    def time(self) -> datetime | None:
        """On the camera's clock, to the microsecond, without its zone; None if there is none that is understood."""
        return parse_time(self.whole, self.decimals)

    @property
    def digits(self) -> str:
        """Of the second's fraction, at most six; empty for a whole second."""
        spelt = spell(self.whole)
        return find_digits(self.decimals, spelt.decimals if spelt else None)

    @property
    def offset(self) -> timezone | None:
        """The zone of the camera's clock where that is written."""
        spelt = spell(self.whole)
        return parse_offset(self.zone) or (spelt.zone if spelt else None)

    @property
    def zoned(self) -> datetime | None:
        """The time with that zone."""
        return self.time.replace(tzinfo=self.offset) if self.time else None

    @property
    def unread(self) -> str:
        """The text, if it is there but not understood; else empty."""
        return "" if self.time or not self.whole.strip(_BLANK) else self.whole


def gather(directories: Iterable[Mapping[int, object]]) -> list[Written]:
    """The times in the directories of one EXIF block, in their order; blanks and zeros are none.

    It is one fact, so that decimals and zone that are missing beside a time count from the other directories.
    """
    tags = (TIME, SUBSECOND, ZONE)
    texts = [{tag: clean_text(directory.get(tag)) for tag in tags} for directory in directories]
    shared = {tag: next((each[tag] for each in texts if each[tag]), "") for tag in tags}
    return [
        Written(own[TIME], own[SUBSECOND] or shared[SUBSECOND], own[ZONE] or shared[ZONE])
        for own in texts
        if own[TIME].strip(_BLANK)
    ]


def choose(places: Iterable[Written]) -> Written:
    """The one that counts: the first that is understood, or else the first; empty if there is none."""
    places = list(places)
    return next((each for each in places if each.time), places[0] if places else Written())


def parse_time(whole: str, decimals: str) -> datetime | None:
    """The time in the texts of DateTimeOriginal and SubSecTimeOriginal; None if the first is not a time.

    The decimals are the leading digits of their text, at most six: ``5`` is half a second and ``050`` a twentieth.
    """
    spelt = spell(whole)
    if spelt is None or spelt.to_the_minute:
        return None
    return spelt.time.replace(microsecond=int(find_digits(decimals, spelt.decimals).ljust(6, "0")))


def find_digits(decimals: str, spelt: str | None) -> str:
    """The digits of a fraction, at most six: those of the decimals' text, or else those that the time itself has."""
    digits = re.match(r"\d{1,6}", decimals, re.ASCII)
    return digits[0] if digits else (spelt or "")[:6]


def spell(text: str) -> Spelt | None:
    """What a text says that is a time: ``2024:05:01 12:00:00`` or another spelling of it; None if it is none.

    24 for the hour is 0 of the same day, as some Android phones write it, and second 60 is the next minute.
    """
    found = _SPELLING.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, _, minute, second, fraction, thousandths, zone = found.groups()
    offset = None
    if zone is not None:
        offset = timezone.utc if zone == "Z" else parse_offset(f"{zone[:3]}:{zone[-2:]}")
        if offset is None:
            return None
    leap = second == "60"
    try:
        time = datetime(int(year), int(month), int(day), int(hour) % 24, int(minute), 59 if leap else int(second or 0))
        time += timedelta(seconds=leap)
    except (ValueError, OverflowError):
        return None
    if int(hour) > 24:
        return None
    return Spelt(time, offset, fraction or thousandths, second is None, hour == "24")


def parse_offset(text: str) -> timezone | None:
    """The zone in the text of OffsetTimeOriginal, such as ``+02:00``; None if it is not a zone."""
    found = re.fullmatch(r"([+-])([01]\d|2[0-3]):([0-5]\d)", text, re.ASCII)
    if found is None:
        return None
    east = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-east if found[1] == "-" else east)


def clean_text(value: object) -> str:
    """The text of a tag without outer NULs and blanks."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return str(value or "").strip("\0 \t\r\n")
