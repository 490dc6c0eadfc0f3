"""Give a new file the mode, the times and the attributes of another one, as far as its file system takes them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from imgorder.changes.records import COARSEST
from imgorder.names import show

# Shares, phones and cards refuse a change of mode or times, or have no such call.
_NOT_TAKEN = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


def copy_attributes(source: str, target: str, ns: tuple[int, int] | None = None) -> dict[str, str]:
    """Give a file the mode, the times and the extended attributes of another one.

    What is right already needs no call. Extended attributes are left out where the file system does not take them.

    Args:
        source: whose they are; a link stands for what it leads to.
        target: the new file.
        ns: time of access and time of change, in ns, if not the source's.

    Returns:
        What the file system does not take, "mode" or "times", with the reason.

    Raises:
        OSError: for any other reason.
    """
    status = os.stat(source)
    wanted = (status.st_atime_ns, status.st_mtime_ns) if ns is None else ns
    refused: dict[str, str] = {}
    _copy_extended(source, target)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_IMODE(os.stat(target).st_mode) != mode:
        _try(lambda: os.chmod(target, mode), "mode", refused)
    _try(lambda: os.utime(target, ns=wanted), "times", refused)
    made = os.stat(target)
    kept = {"mode": stat.S_IMODE(made.st_mode) == mode, "times": abs(made.st_mtime_ns - wanted[1]) < COARSEST}
    refused = {kind: refused.get(kind, "it does not say why") for kind in kept if not kept[kind]}
    flags: int | None = getattr(status, "st_flags", None)
    if flags and hasattr(os, "chflags"):  # last: one of them may forbid all other changes
        with suppress(OSError):
            os.chflags(target, flags)
    return refused


def describe_refused(refused: Mapping[str, Mapping[str, str]], folder: Path) -> list[str]:
    """One line for each kind of attribute that a file system does not take.

    Args:
        refused: for each name in the folder, what `copy_attributes` returned.
        folder: where the files are.
    """
    lines = []
    for kind in ("mode", "times"):
        names = [name for name, kinds in refused.items() if kind in kinds]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(
                f"{show(folder / names[0])}{more}: the {kind} could not be kept, since this file system takes none "
                f"({refused[names[0]][kind]})"
            )
    return lines


def _try(change: Callable[[], None], kind: str, refused: dict[str, str]) -> None:
    try:
        change()
    except OSError as error:
        if error.errno not in _NOT_TAKEN:
            raise
        refused[kind] = error.strerror or str(error)


def _copy_extended(source: str, target: str) -> None:
    """Copy extended attributes: each that can be copied, as `shutil.copystat` does."""
    if not hasattr(os, "listxattr"):
        return
    names: Sequence[str] = ()
    with suppress(OSError):  # a file system without them
        names = os.listxattr(source)
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in (*_NOT_TAKEN, errno.ENODATA):
                raise
