"""What is read back from files that may be foreign or damaged is checked field by field."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


def integer(record: Record, key: str) -> int:
    """A whole number; raises ValueError."""
    value = record.get(key)
    if type(value) is not int:
        raise ValueError(f"{key} is no whole number")
    return value


def text(record: Record, key: str) -> str:
    """A string; raises ValueError."""
    value = record.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is no text")
    return value


def optional_text(record: Record, key: str) -> str | None:
    """A string or null; raises ValueError."""
    return None if record.get(key) is None else text(record, key)


def path_text(record: Record, key: str) -> str:
    """A string that can be a path on this system; raises ValueError."""
    path = text(record, key)
    if b"\0" in os.fsencode(path):  # and characters that cannot be encoded raise a ValueError themselves
        raise ValueError(f"{key} is no path")
    return path


def boolean(record: Record, key: str) -> bool:
    """True or false; raises ValueError."""
    value = record.get(key)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def probability(record: Record, key: str) -> float:
    """A number from 0 to 1; raises ValueError."""
    return _number_within(record, key, 0, 1, "no number from 0 to 1")


def number(record: Record, key: str) -> float:
    """A finite number; raises ValueError."""
    return _number_within(record, key, -sys.float_info.max, sys.float_info.max, "no number")


def _number_within(record: Record, key: str, least: float, most: float, otherwise: str) -> float:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:  # NaN is outside
        raise ValueError(f"{key} is {otherwise}")
    return float(value)


def integers(record: Record, key: str) -> tuple[int, ...]:
    """A list of whole numbers; raises ValueError."""
    values = record.get(key)
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError(f"{key} is no list of whole numbers")
    return tuple(values)
