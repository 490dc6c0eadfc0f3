"""Renaming one file in a way that never replaces another, on every system."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100

# The kernel or the file system does not know RENAME_NOREPLACE.
_NO_FLAG = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
# The file system has no hard links (FAT, many network shares), or the kernel grants none for this file.
_NO_LINK = {errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES}


def rename_exclusive(source: str, target: str) -> None:
    """Give a file another name in its folder.

    Where no system call does it in one step, the new name is linked first and the old one removed then;
    where there are no links either, it is looked whether the target is there, then renamed.

    Raises:
        FileExistsError: if there is something under the target's name. It is left as it is.
        OSError: for any other reason; the file then has its old name (or, after a link, both).
    """
    if sys.platform == "win32":
        os.rename(source, target)  # on Windows this refuses a target that exists
        return
    try:
        _renameat2(source, target)
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


def _renameat2(source: str, target: str) -> None:
    function = _find_renameat2()
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


def _find_renameat2() -> ctypes._NamedFuncPointer | None:
    global _function, _sought
    if not _sought:
        _sought = True
        if sys.platform == "linux":
            function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
            if function is not None:
                function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
                _function = function
    return _function


_function: ctypes._NamedFuncPointer | None = None
_sought = False
