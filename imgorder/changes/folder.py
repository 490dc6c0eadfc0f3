"""A folder that only this process changes: locked, and with the few operations that a run is made of."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imgorder.errors import ImgorderError
from imgorder.names import show

PREFIX = ".imgorder-"  # of every hidden name that is ours
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_LOCK_FILE = ".imgorder.lock"  # on Windows only, where a folder itself cannot be locked


@dataclass(frozen=True)
class Readers:
    """Who may read a file: its mode, and the group that the mode speaks of."""

    mode: int
    group: int


class Folder:
    """One folder under a lock. Names are names in it; nothing in here ever replaces a file but `replace`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def at(self, name: str) -> str:
        """The path of a name."""
        return os.path.join(self.path, name)

    def names(self) -> set[str]:
        """What is in the folder, spelt as the file system has it: ``a.JPG`` and ``a.jpg`` are never confused."""
        return set(os.listdir(self.path))

    def status(self, name: str) -> os.stat_result | None:
        """Of a file, or of a link itself; None if there is none."""
        try:
            return os.lstat(self.at(name))
        except FileNotFoundError:
            return None

    def rename(self, old: str, new: str) -> None:
        """Raises FileExistsError if the new name is taken."""
        rename_exclusive(self.at(old), self.at(new))

    def replace(self, new: str, name: str) -> None:
        """Put one file in the place of another in one step."""
        os.replace(self.at(new), self.at(name))

    def remove(self, name: str) -> None:
        """Remove a file of our own."""
        os.unlink(self.at(name))

    def remove_second_name(self, name: str, kept: str) -> None:
        """Remove one of two names of one file, which a rename by link leaves when it is cut short.

        Raises:
            ImgorderError: if they are not two names of one file; removing one might then lose it.
        """
        one, other = os.lstat(self.at(name)), os.lstat(self.at(kept))
        if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino) or one.st_nlink < 2:
            raise ImgorderError(f"{show(self.at(name))}: not the same file as {show(kept)}; look at both by hand")
        os.unlink(self.at(name))

    def write_new(self, name: str, *parts: bytes, readers: Readers | None = None) -> None:
        """A new file, on disk when this returns; each part is on disk before the next is written.

        Args:
            readers: who may read it, before anything is in it; else whoever may read new files here.
        """
        descriptor = create_new(self.at(name), 0o644 if readers is None else 0o600)
        try:
            if readers is not None:
                _admit(descriptor, readers)
            for part in parts:
                write_all(descriptor, part)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def append(self, name: str, data: bytes) -> None:
        """Add to a file of our own, on disk when this returns."""
        descriptor = os.open(self.at(name), os.O_WRONLY | os.O_APPEND | _BINARY)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def cut(self, name: str, size: int) -> None:
        """Shorten a file of our own to a size in bytes, on disk when this returns."""
        descriptor = os.open(self.at(name), os.O_WRONLY | _BINARY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        with open(self.at(name), "rb") as file:
            return file.read()

    def sync(self) -> None:
        """All names are on disk when this returns. (Windows has no such call for folders.)"""
        if sys.platform != "win32":
            _bring_to_disk(self._descriptor)


def _bring_to_disk(folder: int) -> None:
    """`os.fsync` of a folder's descriptor, as far as its file system has that: some that are shared refuse it."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise


def _admit(descriptor: int, readers: Readers) -> None:
    if not hasattr(os, "fchown"):
        return
    mode = readers.mode
    if hasattr(os, "removexattr"):
        with suppress(OSError):  # what the folder grants new files, where it does
            os.removexattr(descriptor, "system.posix_acl_access")
    if os.fstat(descriptor).st_gid != readers.group:
        try:
            os.fchown(descriptor, -1, readers.group)
        except OSError:  # not one of ours: no group then
            mode &= ~0o070
    os.fchmod(descriptor, mode)


def reason_of(error: OSError, folder: Path) -> str:
    """The file's name and the reason, the name rather one that a user knows than a hidden one of ours."""
    names = [str(name) for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    known = [name for name in names if not os.path.basename(name).startswith(PREFIX)]
    return f"{show((known or names or [str(folder)])[0])}: {error.strerror or error}"


_BINARY: int = getattr(os, "O_BINARY", 0)  # without it, Windows would change line ends


def create_new(path: str, mode: int = 0o600) -> int:
    """A descriptor of a file that was not there before; raises FileExistsError if it was."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)


def sync_folder(path: Path) -> None:
    """The names in a folder are on disk when this returns."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _bring_to_disk(descriptor)
        finally:
            os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """`os.write` until everything is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def present(names: set[str], folder: Folder, name: str) -> bool:
    """Whether a name is in a listing; also as another Unicode form of it where the file system changes forms."""
    if name in names:
        return True
    if name.isascii() or folder.status(name) is None:
        return False
    form = unicodedata.normalize("NFC", name)
    return any(unicodedata.normalize("NFC", each) == form for each in names)


@contextmanager
def locked(path: Path) -> Iterator[Folder]:
    """Hold a folder's lock. The lock goes with the process, however it ends.

    Raises:
        ImgorderError: if another process holds it, or the folder cannot be opened or locked.
    """
    if sys.platform == "win32":
        with _locked_by_file(path) as descriptor:
            yield Folder(path, descriptor)
        return
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be opened as a folder ({error.strerror}); check the path") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(path) from error
        except OSError as error:
            raise ImgorderError(
                f"{show(path)}: this file system has no locks ({error.strerror}); copy the photos to another one "
                "(rename: --copy-to)"
            ) from error
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def _busy(path: Path) -> ImgorderError:
    return ImgorderError(f"{show(path)}: another imgorder is changing this folder; wait until it has finished")


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _locked_by_file(path: Path) -> Iterator[int]:
        file = path / _LOCK_FILE
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | _BINARY)
        except OSError as error:
            raise ImgorderError(f"{show(path)}: cannot be locked ({error.strerror}); check its permissions") from error
        try:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                raise _busy(path) from error
            yield descriptor
        finally:
            os.close(descriptor)
            with suppress(OSError):  # another process has it open already and will remove it
                os.unlink(file)


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
