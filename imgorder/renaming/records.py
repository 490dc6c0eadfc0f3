"""What is read back from journals and plans is checked field by field: such files may be foreign or damaged."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

MAX_BYTES = 255  # of a name, on nearly every file system


@dataclass(frozen=True)
class FileState:
    """What tells that a file is still the same one: inode, size in bytes, time of change in ns."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """From the status of a file, or of a link itself."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)

    @classmethod
    def read(cls, record: Record) -> FileState:
        """From a record; raises ValueError."""
        return cls(integer(record, "inode"), integer(record, "size"), integer(record, "mtime_ns"))

    def record(self) -> dict[str, int]:
        """The three as fields."""
        return {"inode": self.inode, "size": self.size, "mtime_ns": self.mtime_ns}

    def like(self, other: FileState) -> bool:
        """Whether size and time agree: all there is to go by where inodes are not kept, as on a FAT card."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


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


def bare_name(record: Record, key: str) -> str:
    """A file name without a folder, so that a foreign record reaches nothing outside its own; raises ValueError."""
    name = text(record, key)
    if not is_bare_name(name) or len(os.fsencode(name)) > MAX_BYTES:  # what cannot be encoded is a ValueError, too
        raise ValueError(f"{key} is no file name")
    return name


def boolean(record: Record, key: str) -> bool:
    """True or false; raises ValueError."""
    value = record.get(key)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value


def probability(record: Record, key: str) -> float:
    """A number from 0 to 1; raises ValueError."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:  # NaN is outside, too
        raise ValueError(f"{key} is no number from 0 to 1")
    return float(value)


def same_name(name: str) -> str:
    """Equal for names that some file system takes for one: whatever their case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_bare_name(name: str) -> bool:
    """Whether a name means a file in the folder itself."""
    separators = {"/", os.sep, os.altsep or "/"}
    return name not in ("", ".", "..") and "\0" not in name and not any(each in name for each in separators)
