"""How journals and plans describe a file: by its name, and by a state that shows whether it is still the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from imgorder.fields import Check
from imgorder.names import fold_name

MAX_BYTES = 255  # of a name, on nearly every file system

# What is kept of a time, in ns: FAT and zip keep two seconds; tar, some file systems and many syncs one; exFAT 10 ms;
# other syncs a ms or a µs; NTFS 100 ns.
_GRAINS = (2_000_000_000, 1_000_000_000, 10_000_000, 1_000_000, 1_000, 100)
COARSEST = _GRAINS[0]


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

    @property
    def size_and_time(self) -> tuple[int, int]:
        """What can be compared where inodes are not kept, as on a FAT card."""
        return self.size, self.mtime_ns

    def like(self, now: FileState, *, copied: bool = False) -> bool:
        """Whether size and time agree with those that a file has now.

        The time may have been cut since: by a sync, or on exFAT when a new file's time leaves the kernel's memory.

        Args:
            now: the same file's, or another's.
            copied: whether it may lie in a copy. There a time may have been cut or rounded, or both may be cut ones.
        """
        passed = now.mtime_ns - self.mtime_ns
        if copied:
            passed = -abs(passed)
        most = max(find_grain(now.mtime_ns), find_grain(self.mtime_ns) if copied else 1)
        return self.size == now.size and -most < passed <= 0

    def same(self, now: FileState) -> bool:
        """Whether a file is still the one that it was, and unchanged."""
        return self.inode == now.inode and self.like(now)


def find_grain(time_ns: int) -> int:
    """How coarse a time may be, in ns, by how round it is; 1 for one that is exact."""
    return next((grain for grain in _GRAINS if time_ns % grain == 0), 1)


def find_spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """The names that a folder lists, together with those that some file system takes for the same."""
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(fold_name(name), []).append(name)
    return spellings


def is_other_spelling(
    name: str, inode: int, spellings: Mapping[str, Sequence[str]], leaving: Mapping[str, int]
) -> bool:
    """Whether a name by which a file is found is one of a file that gets another name, only spelt in another way.

    So ``a.JPG`` finds ``a.jpg`` where case does not count.

    Args:
        name: by which it is found.
        inode: of what is found. On some FUSE file systems each spelling has another one, so the listing comes first.
        spellings: all that the folder lists, as `find_spellings` has it.
        leaving: the files that get another name, and their inodes.
    """
    same = spellings.get(fold_name(name), [])
    return name not in same and ((bool(same) and all(each in leaving for each in same)) or inode in leaving.values())


def is_bare_name(name: str) -> bool:
    """Whether a name means a file in the folder itself."""
    separators = {"/", os.sep, os.altsep or "/"}
    return name not in ("", ".", "..") and "\0" not in name and not any(each in name for each in separators)


# What a record that may be foreign calls a file: nothing outside its own folder can be reached by it. A name that
# cannot be encoded raises a ValueError, which counts as no name.
BareName = Annotated[str, Check(lambda name: is_bare_name(name) and len(os.fsencode(name)) <= MAX_BYTES, "a file name")]
