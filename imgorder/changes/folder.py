"""A folder that only this process changes: its lock, and the few steps that every change is made of."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imgorder.changes import exclusive
from imgorder.errors import ImgorderError
from imgorder.names import show

PREFIX = ".imgorder-"  # of every hidden name that is ours
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_OPEN_ANYWAY = 100  # files besides the folders: libraries, a journal
_LOCK_FILE = ".imgorder.lock"  # on Windows only, where a folder itself cannot be locked


class FolderMovedError(ImgorderError):
    """A folder is not where it was when it was locked: another one may be there, with other files of these names."""


class Folder:
    """One folder under a lock. All names are names in it. Only `replace` ever replaces a file.

    Whatever gives or takes a name raises a `FolderMovedError` if the folder was moved meanwhile.

    Args:
        path: where it is.
        status: its status when it was locked.
    """

    def __init__(self, path: Path, status: os.stat_result | None = None) -> None:
        self.path = path
        self._status = os.stat(path) if status is None else status

    def refuse_moved(self) -> None:
        """Raise a `FolderMovedError` unless the folder is still there."""
        try:
            if os.path.samestat(os.stat(self.path), self._status):
                return
        except FileNotFoundError:
            pass
        raise FolderMovedError(
            f"{show(self.path)}: this folder was moved or replaced while it was being changed; run "
            "`imgorder undo --recover` in it, where it is now"
        )

    def at(self, name: str) -> str:
        """The path of a name."""
        return os.path.join(self.path, name)

    def names(self) -> set[str]:
        """Everything in the folder, spelt as the file system has it, where ``a.JPG`` may mean ``a.jpg``."""
        return set(os.listdir(self.path))

    def status(self, name: str) -> os.stat_result | None:
        """The status of a file, or of a link itself; None if there is no such name."""
        try:
            return os.lstat(self.at(name))
        except FileNotFoundError:
            return None

    def rename(self, old: str, new: str) -> None:
        """Give a file with a hidden name another name. Raises FileExistsError if that is taken."""
        self.refuse_moved()
        exclusive.rename_exclusive(self.at(old), self.at(new))

    def hide(self, name: str, hidden: str) -> None:
        """Give whatever has a name a hidden one of ours, in one step. So nothing is removed that others save there."""
        self.refuse_moved()
        exclusive.hide(self.at(name), self.at(hidden))

    def replace(self, new: str, name: str) -> None:
        """Put one file in the place of another in one step."""
        self.refuse_moved()
        os.replace(self.at(new), self.at(name))

    def remove(self, name: str) -> None:
        """Remove a file of our own, which has a hidden name."""
        self.refuse_moved()
        os.unlink(self.at(name))

    def remove_second_name(self, name: str, kept: str, hidden: str) -> None:
        """Remove one of two names of one file. A rename by link leaves both when it is cut short.

        Args:
            name: the one to be removed.
            kept: the other one.
            hidden: the file's hidden name, which it gets first unless it is this one; nobody saves anything there.

        Raises:
            ImgorderError: if they are two files; removing one would lose it.
        """
        if name != hidden:
            self.hide(name, hidden)
        self.refuse_moved()
        one, other = os.lstat(self.at(hidden)), os.lstat(self.at(kept))
        if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino) or one.st_nlink < 2:
            if name != hidden:
                self.rename(hidden, name)
            raise ImgorderError(f"{show(self.at(name))}: not the same file as {show(kept)}; look at both by hand")
        os.unlink(self.at(hidden))

    def write_new(self, name: str, data: bytes, mode: int = 0o644, group: int | None = None) -> None:
        """Write a new file; it is on disk when this returns.

        Args:
            mode: who may read it.
            group: of which the mode speaks, from before anything is in the file; None where the folder decides both.
        """
        self.refuse_moved()
        with synced(create_new(self.at(name), mode if group is None else 0o600)) as descriptor:
            if group is not None:
                _limit_readers(descriptor, mode, group)
            write_all(descriptor, data)

    def append(self, name: str, data: bytes) -> None:
        """Add to a file of our own, on disk when this returns."""
        with synced(os.open(self.at(name), os.O_WRONLY | os.O_APPEND | _BINARY)) as descriptor:
            write_all(descriptor, data)

    def cut(self, name: str, size: int) -> None:
        """Shorten a file of our own to a size in bytes, on disk when this returns."""
        with synced(os.open(self.at(name), os.O_WRONLY | _BINARY)) as descriptor:
            os.ftruncate(descriptor, size)

    def read(self, name: str) -> bytes:
        """A file's bytes."""
        with open(self.at(name), "rb") as file:
            return file.read()

    def sync(self) -> None:
        """All names are on disk when this returns."""
        sync_folder(self.path)


def _limit_readers(descriptor: int, mode: int, group: int) -> None:
    if not hasattr(os, "fchown"):
        return
    if hasattr(os, "removexattr"):
        with suppress(OSError):  # rights that the folder gives to new files; there may be none
            os.removexattr(descriptor, "system.posix_acl_access")
    if os.fstat(descriptor).st_gid != group:
        try:
            os.fchown(descriptor, -1, group)
        except OSError:  # this user is not in that group: then no group may read it
            mode &= ~0o070
    with suppress(OSError):  # where there are no modes to change, the file is as open as the photos are
        os.fchmod(descriptor, mode)


def describe_error(error: OSError, folder: Path) -> str:
    """The file's name and the reason. A name that the user knows goes before a hidden one of ours."""
    names = [str(name) for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    known = [name for name in names if not os.path.basename(name).startswith(PREFIX)]
    return f"{show((known or names or [str(folder)])[0])}: {error.strerror or error}"


_BINARY: int = getattr(os, "O_BINARY", 0)  # without it, Windows would change line ends


def create_new(path: str, mode: int = 0o600) -> int:
    """A descriptor of a file that was not there before; raises FileExistsError if it was."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)


@contextmanager
def synced(descriptor: int) -> Iterator[int]:
    """Close a descriptor in the end; what was written is on disk then."""
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """The names in a folder are on disk when this returns, except where there is no such call.

    There is none on Windows and on some file systems, above all shared ones.
    """
    if sys.platform == "win32":
        return
    try:
        with synced(os.open(path, os.O_RDONLY)):
            pass
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise


def write_all(descriptor: int, data: bytes) -> None:
    """`os.write` until everything is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def find_room(count: int) -> int:
    """Of how many folders this process may hold the locks at once, at most ``count``; each is a file it has open.

    The system's limit for this process is raised for that, as far as it may be.
    """
    if sys.platform == "win32":  # has no such limit
        return count
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or count + _OPEN_ANYWAY <= soft:
        return count
    raised = count + _OPEN_ANYWAY if hard == resource.RLIM_INFINITY else min(count + _OPEN_ANYWAY, hard)
    with suppress(OSError, ValueError):  # macOS has another limit besides
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(0, min(count, soft - _OPEN_ANYWAY))


@contextmanager
def locked(path: Path) -> Iterator[Folder]:
    """Hold a folder's lock. The lock goes with the process, however it ends.

    Raises:
        ImgorderError: if another process holds it, or the folder cannot be opened or locked.
    """
    if sys.platform == "win32":
        with _locked_by_file(path):
            yield Folder(path)
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
        yield Folder(path, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _busy(path: Path) -> ImgorderError:
    return ImgorderError(f"{show(path)}: another imgorder is changing this folder; wait until it has finished")


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _locked_by_file(path: Path) -> Iterator[None]:
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
            yield
        finally:
            os.close(descriptor)
            with suppress(OSError):  # another process has it open already and will remove it
                os.unlink(file)
