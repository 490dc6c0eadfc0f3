"""How journals and plans describe a file: by its name, and by a state that shows whether it is still the same."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from typing import Annotated

from imgorder.fields import Check

MAX_BYTES = 255  # of a name, on nearly every file system


@dataclass(frozen=True)
class FileState:
    """Whether a file is still the same shows by its inode, its size in bytes and its time of change in ns."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """The state in a file's status, or in that of a link itself."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)

    def like(self, other: FileState) -> bool:
        """Whether size and time agree; nothing else can be compared where inodes are not kept, as on a FAT card."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def fold_name(name: str) -> str:
    """Equal for names that some file system takes for the same: names that differ in case or Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_bare_name(name: str) -> bool:
    """Whether a name means a file in the folder itself."""
    separators = {"/", os.sep, os.altsep or "/"}
    return name not in ("", ".", "..") and "\0" not in name and not any(each in name for each in separators)


# What a record that may be foreign calls a file: nothing outside its own folder can be reached by it. A name that
# cannot be encoded raises a ValueError, which counts as no name.
BareName = Annotated[str, Check(lambda name: is_bare_name(name) and len(os.fsencode(name)) <= MAX_BYTES, "a file name")]
