"""What the names that cameras, phones and messengers give to photos tell: counters, bursts, times."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone

from imgorder.evidence.facts import NameFacts, Taken

# What file managers and editors put behind a name; the photo stays the same one.
_COPY = re.compile(r"(?:\s*\(\d+\)|~\d+|[-_ ]edited|[-_ ]copy(?:[-_ ]?\d+)?)+\Z", re.IGNORECASE)
_INDEX = re.compile(r"\d{1,5}_(?=.*[A-Za-z]|\d{8}_\d{6})")  # as `rename` puts it in front

# IMG_20230501_123456, PXL_20230501_123456789, 20230501_123456, 2023-05-01 12.34.56, WP_20230501_12_34_56_Pro,
# Screenshot_2023-05-01-12-34-56-123. Programs that write when a photo was sent or saved are not among them.
_TIMED = re.compile(
    r"(?:(IMG|MVIMG|PXL|PANO|PIC|P|WP|Screen ?shot(?: from)?)[-_ ]|)"
    r"((?:19|20)\d\d)([-.]?)(\d\d)\3(\d\d)(?:[-_ T]| at )(\d\d)([-._]?)(\d\d)\7(\d\d)((?:(?<=[-._]\d\d)-)?\d{3})?"
    r"(?![0-9])(.*)",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
# IMG_20230501_123456_1, …_BURST001_COVER, and 20230501_123456_001 as Samsung names the frames of a burst.
_FRAME = re.compile(r"_(BURST)?_?(\d{1,3})(?:_COVER)?", re.ASCII | re.IGNORECASE)
_BURST = re.compile(r"(\d{5})IMG_\d{5}_BURST(\d{14,17})(?:_COVER)?", re.ASCII | re.IGNORECASE)
_MESSENGER = re.compile(r"IMG-((?:19|20)\d{6})-WA(\d{4})", re.ASCII | re.IGNORECASE)
_DRONE = re.compile(r"DJI_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_(\d{4})(?:_.*)?", re.ASCII | re.IGNORECASE)

# IMG_0012, DSC01234, DSC_0012, GOPR0012, 100_0012: by the standard for cameras, four characters and four digits.
_COUNTED = re.compile(r"(|.*[-_ ])([A-Z_][A-Z0-9_]{3}|1\d\d_)(\d{4})", re.ASCII | re.DOTALL | re.IGNORECASE)
_NUMBERED = re.compile(r"(|.*[-_ ])(P)([1-9A-C]\d{6})", re.ASCII | re.DOTALL | re.IGNORECASE)  # a folder or day as well
_EDIT = re.compile(r"IMG_E(?=\d{4}$)", re.ASCII | re.IGNORECASE)  # as iPhones name an edit beside IMG_…
_SAME = {"_MG_": "IMG_", "_DSC": "DSC_"}  # in another colour space, but counted on


def read_name(name: str) -> NameFacts:
    """What a photo's name tells. A name in which nothing is recognised gives empty facts.

    Args:
        name: of the file, with its ending.
    """
    stem = os.path.splitext(name)[0]
    if copied := _COPY.search(stem):
        stem = stem[: copied.start()]
    if index := _INDEX.match(stem):
        stem = stem[index.end() :]
    if found := _BURST.fullmatch(stem):
        return NameFacts(burst=found[2], frame=int(found[1]))
    if found := _MESSENGER.fullmatch(stem):
        return NameFacts(family="WA", counter=int(found[1] + found[2]))
    if found := _DRONE.fullmatch(stem):
        time = _time(found.groups()[:6], "", None)
        return NameFacts("DJI_", int(found[7]), True, style="DJI" if time else "", time=time)
    if found := _TIMED.fullmatch(stem):
        return _read_timed(*found.groups(default=""))
    stem = _EDIT.sub("IMG_", stem)
    if found := _NUMBERED.fullmatch(stem):
        return NameFacts(found[1].upper() + "P", int(found[3], 16))  # Olympus writes October as A
    if found := _COUNTED.fullmatch(stem):
        start = found[2].upper()
        return NameFacts(found[1].upper() + _SAME.get(start, start), int(found[3]), wraps=True)
    return NameFacts()


def _read_timed(
    style: str,
    year: str,
    _: str,
    month: str,
    day: str,
    hour: str,
    __: str,
    minute: str,
    second: str,
    ms: str,
    rest: str,
) -> NameFacts:
    style = style.upper()
    zone = timezone.utc if style == "PXL" else None
    digits = ms.removeprefix("-")
    time = _time((year, month, day, hour, minute, second), digits, zone)
    if time is None:
        return NameFacts()
    burst = f"{style}{year}{month}{day}{hour}{minute}{second}"
    if found := _FRAME.fullmatch(rest):
        # A burst has the time of its start in all its names; a number alone tells photos of one second apart.
        within = found[1] is None and len(found[2]) < 3
        return NameFacts(burst=burst, frame=int(found[2]), style=style or "TIME", time=time if within else None)
    # Without a number it is the first of its second.
    return NameFacts(burst="" if rest or digits else burst, style=style or "TIME", time=time)


def _time(parts: tuple[str, ...], digits: str, zone: timezone | None) -> Taken | None:
    year, month, day, hour, minute, second = map(int, parts)
    try:
        clock = datetime(year, month, day, hour, minute, second, int(digits.ljust(6, "0") or "0"))
    except ValueError:
        return None
    return Taken(clock, "name", digits, zone)
