"""A process that dies at one of the calls by which a run changes a folder.

Every such call of the package is counted. At the k-th one the process dies: just before it, just after it,
or, for a write, in the middle. In a test the death is an exception that no `except` of the package
catches, after which every further call of that kind raises it again: nothing more reaches the disk, as
with a killed process, and only locks and descriptors are closed, as the system would do.

Tests that need a certain state of the folder say so: `reached` is true once files have hidden or new names.

As a script it is a process that really ends there: `killing.py FOLDER ACTION CALL WHEN`.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from imgorder.changes import exclusive

# fmt: off
CALLS = (  # of `os`
    "open", "write", "fsync", "ftruncate", "rename", "link", "unlink", "replace", "utime", "chmod", "chown", "mkdir",
    "rmdir", "setxattr",
)
# fmt: on
WHEN = ("before", "after", "torn")


class Killed(BaseException):
    """The process is dead."""


class Kill:
    """Dies at a certain call.

    Args:
        at: counted from 1; 0 for never.
        when: ``before`` the call, ``after`` it, or ``torn``: in the middle of a write.
        die: what dying is.
        until: dies instead after the first call after which this is true.
    """

    def __init__(
        self,
        at: int = 0,
        when: str = "after",
        die: Callable[[], NoReturn] | None = None,
        until: Callable[[], bool] | None = None,
    ) -> None:
        self.at = at
        self.when = when
        self.calls = 0
        self.dead = False
        self._die = die
        self._until = until

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **named)  # changes nothing
            if self.dead:
                raise Killed
            self.calls += 1
            if self._until is not None:
                done = real(*arguments, **named)
                if not self._until():
                    return done
                self.dead = True
                raise Killed
            if self.calls != self.at:
                return real(*arguments, **named)
            self.dead = True
            if self.when == "after":
                real(*arguments, **named)
            elif self.when == "torn" and name == "write":
                descriptor, data = arguments
                real(descriptor, bytes(data)[: len(data) // 2])
            if self._die is not None:
                self._die()
            raise Killed

        return call


def hidden(folder: Path) -> list[str]:
    """The hidden names that files of a run have."""
    return [name for name in os.listdir(folder) if re.fullmatch(r"\.imgorder-.*-\d{6}", name)]


def reached(folder: Path, hidden_files: int, new_names: int = 0) -> Callable[[], bool]:
    """Whether a run has begun, and has given files hidden names, and then as many of them new names."""
    most = 0

    def is_reached() -> bool:
        nonlocal most
        now = len(hidden(folder))
        most = max(most, now)
        begun = any(re.fullmatch(r"\.imgorder-[0-9a-f-]*\.jsonl", name) for name in os.listdir(folder))
        return begun and most >= hidden_files and most - now >= new_names

    return is_reached


def refusing(code: int) -> Callable[..., NoReturn]:
    """A call that the system does not have, or does not grant."""

    def call(*arguments: Any, **named: Any) -> NoReturn:
        raise OSError(code, os.strerror(code), *arguments[:1])

    return call


@contextmanager
def killed(kill: Kill, way: str = "renameat2", sync: bool = False) -> Iterator[Kill]:
    """Run the body as a process that dies as told.

    Args:
        kill: when.
        way: how files are renamed: ``renameat2``, ``link`` (and unlink), or ``checked`` (plain rename).
        sync: whether `fsync` really waits for the disk. A dying process loses nothing either way.
    """
    real = {name: getattr(os, name) for name in CALLS if hasattr(os, name)}
    renameat2 = exclusive.renameat2
    try:
        for name, function in real.items():
            setattr(os, name, kill.around(name, function if name != "fsync" or sync else lambda descriptor: None))
        if way == "renameat2":
            exclusive.renameat2 = kill.around("renameat2", renameat2)
        else:
            exclusive.renameat2 = refusing(errno.ENOSYS)
        if way == "checked":
            os.link = refusing(errno.EPERM)  # type: ignore[assignment]
        yield kill
    except Killed:
        assert kill.dead
    finally:
        for name, function in real.items():
            setattr(os, name, function)
        exclusive.renameat2 = renameat2


def act(folder: Path, action: str) -> None:
    """What is interrupted: the rename in ``plan.json`` beside the folder, the stamp of it, or an undo."""
    if action == "rename":
        from imgorder.changes.apply import apply_plan
        from imgorder.changes.plan import read_plan

        apply_plan(read_plan(folder.parent / "plan.json"))
    elif action == "stamp":
        from imgorder.changes.stamp import apply_stamps
        from tests.renaming import stamp_plan

        apply_stamps(stamp_plan(folder))
    elif action == "undo":
        from imgorder.changes.undo import undo

        undo(folder)
    else:
        from imgorder.changes.undo import recover

        recover(folder)


def main() -> None:
    """Act, and really die on the way."""
    folder, action, at, when = sys.argv[1:]
    with killed(Kill(int(at), when, lambda: os._exit(9)), sync=True):
        act(Path(folder), action)


if __name__ == "__main__":
    main()
