"""Give a file another name, never that of a file that is there."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import NoReturn

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1  # of Linux
_RENAME_EXCL = 4  # of macOS

# The kernel or the file system knows no rename that refuses a target that exists.
_NO_FLAG = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
# The file system has no hard links (FAT, many network shares), or the kernel grants none for this file.
_NO_LINK = {*_NO_FLAG, errno.EPERM, errno.EMLINK, errno.EACCES}


def rename_exclusive(source: str, target: str) -> None:
    """Give a file with a hidden name of ours another name in its folder.

    Where no system call does that in one step, the new name is linked and then the hidden one removed, under which no
    other program saves anything. Where there are no links either, the file is renamed after a look whether the new
    name is free.

    Raises:
        FileExistsError: if the new name is taken. What has it is left as it is.
        OSError: for any other reason; the file then has its old name (or, after a link, both).
    """
    if _rename_in_one_step(source, target):
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except NotImplementedError:  # this system links what a symbolic link points to, not the link
        pass
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        os.unlink(source)
        return
    _rename_after_look(source, target)


def hide(source: str, target: str) -> None:
    """Take whatever has a name away from it, under a hidden name of ours, which no other program uses.

    That is one step everywhere. A link and a removal of the old name are two, and what another program saved under it
    between them would be removed, its only copy.

    Raises:
        FileExistsError: if the hidden name is taken.
        OSError: for any other reason; the file then has its old name.
    """
    if not _rename_in_one_step(source, target):
        _rename_after_look(source, target)


def _rename_in_one_step(source: str, target: str) -> bool:
    """Whether the system has a call for that, by which the file has its new name now."""
    if sys.platform == "win32":
        os.rename(source, target)  # Windows refuses a target that exists
        return True
    for rename in (renameat2, renamex_np):
        try:
            rename(source, target)
            return True
        except OSError as error:
            if error.errno not in _NO_FLAG:
                raise
    return False


def _rename_after_look(source: str, target: str) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)


def renameat2(source: str, target: str) -> None:
    """Linux's system call, which refuses a target that exists. Raises OSError, ENOSYS where there is no such call."""
    function = _find_renameat2()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) != 0:
        _raise_error(source, target)


def renamex_np(source: str, target: str) -> None:
    """The same of macOS."""
    function = _find_renamex_np()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(os.fsencode(source), os.fsencode(target), _RENAME_EXCL) != 0:
        _raise_error(source, target)


def _raise_error(source: str, target: str) -> NoReturn:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), source, None, target)


@cache
def _find_renameat2() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


@cache
def _find_renamex_np() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renamex_np", None) if sys.platform == "darwin" else None
    if function is not None:
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint]
    return function
