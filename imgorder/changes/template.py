"""New names from a template such as ``{index:03d}_{stem}{ext}``: plain fields and their format, nothing else."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from imgorder.errors import UsageError

DEFAULT = "{index:03d}_{stem}{ext}"
DATE_FORMAT = "%Y%m%d_%H%M%S"

# A value of each field's type, to try a format on.
_SAMPLES: dict[str, object] = {
    "index": 1,
    "stem": "IMG_1",
    "ext": ".jpg",
    "date": datetime(2024, 5, 1, 12, 0, 0),
    "folder": "photos",
    "n": 4,
}


@dataclass(frozen=True)
class Template:
    """A template that was checked.

    Attributes:
        text: as it was typed.
        parts: literal text, and after it a field and its format; no field at the end.
    """

    text: str
    parts: tuple[tuple[str, str, str], ...]

    @property
    def uses_date(self) -> bool:
        """Whether the photos' capture times are needed."""
        return any(field == "date" for _, field, _ in self.parts)

    def fill(self, values: Mapping[str, object]) -> str:
        """A name from a value for each field that the template uses.

        The index has as many digits as the number of photos, so that sorted names are in order: ``{index}`` is 7 among
        9 photos, 07 among 10, and ``{index:03d}`` 0007 among 1,000. Other formats, such as ``{index:d}``, stay.
        """
        n = values.get("n")
        return "".join(
            literal + (_formatted(values[field], _widened(form, n) if field == "index" else form) if field else "")
            for literal, field, form in self.parts
        )


def parse_template(
    text: str, option: str = "--template", samples: Mapping[str, object] = _SAMPLES, limit: str = "no file name"
) -> Template:
    """Check a template.

    Args:
        text: as it was typed.
        option: that it was typed for.
        samples: the fields that are known, each with a value to try a format on.
        limit: what is not as long as a field may get by its format.

    Raises:
        UsageError: for unknown fields, attributes, conversions, and formats that do not fit.
    """
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}; a brace in a name is written {{{{ or }}}}") from error
    for _, name, spec, conversion in parsed:
        if name is None:
            continue
        if name not in samples or conversion:
            known = ", ".join(f"{{{field}}}" for field in samples)
            wrong = f"{name}!{conversion}" if conversion else name
            raise UsageError(f"{option} {text!r}: {{{wrong}}} is not known; known are {known}")
        reason = _misfit(name, samples[name], spec or "", f"{limit} is that long")
        if reason:
            raise UsageError(f"{option} {text!r}: the format {spec!r} does not fit {{{name}}} ({reason})")
    return Template(text, tuple((literal, name or "", spec or "") for literal, name, spec, _ in parsed))


def _misfit(name: str, sample: object, spec: str, too_long: str) -> str:
    """Why a format does not fit a field; empty if it does."""
    if "{" in spec:
        return "fields in a format are not known here"
    if any(len(number.lstrip("0")) > 3 or int(number.lstrip("0") or "0") > 255 for number in _widths(name, spec)):
        return too_long
    try:
        _formatted(sample, spec)
    except (ValueError, OverflowError, MemoryError) as error:
        return str(error) or too_long
    return ""


def _widths(name: str, spec: str) -> list[str]:
    """The numbers of a format that say how long a text gets; in a date, those that are not text themselves."""
    return re.findall(r"%[^%A-Za-z]*?(\d+)" if name == "date" else r"\d+", spec)


def _widened(spec: str, n: object) -> str:
    """The format of an index among n photos."""
    padded = re.fullmatch(r"0(\d*)d?", spec or "00")
    return f"0{max(int(padded[1] or 0), len(str(n)))}d" if padded else spec


def _formatted(value: object, spec: str) -> str:
    if isinstance(value, datetime):
        return value.strftime(spec or DATE_FORMAT)
    return format(value, spec)
