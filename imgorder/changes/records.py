"""What journals and plans know files by: a state that tells whether one is still the same, and names."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass

from imgorder.fields import Record, integer, text

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


def bare_name(record: Record, key: str) -> str:
    """A file name without a folder, so that a foreign record reaches nothing outside its own; raises ValueError."""
    name = text(record, key)
    if not is_bare_name(name) or len(os.fsencode(name)) > MAX_BYTES:  # what cannot be encoded is a ValueError, too
        raise ValueError(f"{key} is no file name")
    return name


def same_name(name: str) -> str:
    """Equal for names that some file system takes for one: whatever their case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_bare_name(name: str) -> bool:
    """Whether a name means a file in the folder itself."""
    separators = {"/", os.sep, os.altsep or "/"}
    return name not in ("", ".", "..") and "\0" not in name and not any(each in name for each in separators)
