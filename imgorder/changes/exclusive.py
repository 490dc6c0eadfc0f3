"""Give a file another name, never that of a file that is there."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

# The kernel or the file system does not know RENAME_NOREPLACE.
_NO_FLAG = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
# The file system has no hard links (FAT, many network shares), or the kernel grants none for this file.
_NO_LINK = {*_NO_FLAG, errno.EPERM, errno.EMLINK, errno.EACCES}


def rename_exclusive(source: str, target: str) -> None:
    """Give a file another name in its folder.

    Where no system call does that in one step, the new name is linked and then the old one removed. Where there are
    no links either, the file is renamed after a look whether the new name is free.

    Raises:
        FileExistsError: if the new name is taken. What has it is left as it is.
        OSError: for any other reason; the file then has its old name (or, after a link, both).
    """
    if sys.platform == "win32":
        os.rename(source, target)  # Windows refuses a target that exists
        return
    try:
        renameat2(source, target)
        return
    except OSError as error:
        if error.errno not in _NO_FLAG:
            raise
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
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)


def renameat2(source: str, target: str) -> None:
    """Linux's system call, which refuses a target that exists. Raises OSError, ENOSYS where there is no such call."""
    function = _find_renameat2()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


@cache
def _find_renameat2() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function
