"""Change the EXIF block of many JPEGs, and from any state in between give them back their old bytes, or their new ones.

The new content is written beside the file, checked, and then takes its place in one step. So a file's name always
has one whole content or the other.
"""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime

from imgorder.changes.attributes import copy_attributes, describe_refused
from imgorder.changes.folder import Folder, create_new, synced, write_all
from imgorder.changes.journal import Rewrite
from imgorder.changes.records import FileState
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.names import show


def sha256(data: bytes) -> str:
    """The hash of a file's content, in hex."""
    return hashlib.sha256(data).hexdigest()


def rewrite_all(folder: Folder, rewrites: Sequence[Rewrite]) -> list[str]:
    """Give all files their new content.

    Returns:
        One line for each kind of attribute that they could not keep.

    Raises:
        OSError: if one cannot be written.
        ImgorderError: if one is not what the journal says.
    """
    refused = {rewrite.name: _rewrite(folder, rewrite) for rewrite in rewrites}
    folder.sync()
    return describe_refused(refused, folder.path)


class RewriteRecovery:
    """Which content the files of an interrupted run have, and how to give them their old one, or their new one."""

    def __init__(self, folder: Folder, rewrites: Sequence[Rewrite]) -> None:
        self._folder = folder
        self._rewrites = rewrites
        self.refused: list[str] = []  # after `settle`, as `rewrite_all` returns it

    def is_possible(self, *, back: bool) -> bool:
        """Whether all files that nobody else has changed can have their old content (or their new one)."""
        try:
            for rewrite in _find_steps(self._look(), back):
                _convert(self._folder, rewrite, self._folder.read(rewrite.name))
        except ImgorderError:
            return False
        return True

    def settle(self, *, back: bool) -> list[str]:
        """Give every file its old content (or its new one).

        Returns:
            One line for each file that somebody has changed or removed; it is left alone.

        Raises:
            ProblemsError: if there is still a new content beside such a file.
            OSError: if one cannot be written.
        """
        files = list(self._look())
        others = [rewrite for rewrite, content in files if content not in (rewrite.before, rewrite.after)]
        stuck = [rewrite for rewrite in others if self._folder.status(rewrite.stage) is not None]
        if stuck:
            raise ProblemsError(
                f"{show(self._folder.at(each.name))}: changed or gone since; a copy made by this run is "
                f"{show(each.stage)}: keep the one you want, remove the other, and try again"
                for each in stuck
            )
        for rewrite, _ in files:
            if self._folder.status(rewrite.stage) is not None:
                self._folder.remove(rewrite.stage)
        refused = {
            rewrite.name: _rewrite(self._folder, rewrite, keep_owner=False) for rewrite in _find_steps(files, back)
        }
        self._folder.sync()
        self.refused = describe_refused(refused, self._folder.path)
        return [f"{show(each.name)}: changed or gone since; left alone" for each in others]

    def report(self) -> list[str]:
        """What a person can do if neither way is possible; then, file by file, which content each has."""
        lines = ["Try the version of imgorder that began it"]
        for rewrite, content in self._look():
            known = {rewrite.after: "has its new content", rewrite.before: "has its old content"}
            lines.append(f"{show(rewrite.name)}: {known.get(content or '', 'changed or gone since')}")
        return lines

    def _look(self) -> Iterator[tuple[Rewrite, str | None]]:
        """Each file with the hash of its content at this moment: other programs may be changing them."""
        for rewrite in self._rewrites:
            yield rewrite, _hash_content(self._folder, rewrite)


def _find_steps(files: Iterable[tuple[Rewrite, str | None]], back: bool) -> Iterator[Rewrite]:
    """What is still to be done to give every file its old content (or its new one)."""
    for rewrite, content in files:
        step = rewrite.reversed() if back else rewrite
        if content == step.before != step.after:
            yield step


def _convert(folder: Folder, rewrite: Rewrite, data: bytes) -> bytes:
    """The content that a file is to get, from the one that it has.

    Raises:
        ImgorderError: if that cannot be done, or is not what the journal says.
    """
    from imgorder.media import exif

    path = folder.at(rewrite.name)
    try:
        if rewrite.stamps:
            content = exif.set_capture_time(data, datetime.fromisoformat(rewrite.time), rewrite.digits)[0]
        else:
            content = exif.restore_segment(data, base64.b64decode(rewrite.segment, validate=True))
    except ValueError as error:
        raise ImgorderError(f"{show(path)}: its EXIF block cannot be changed ({error})") from error
    if sha256(content) != rewrite.after:
        raise ImgorderError(f"{show(path)}: its new content is not as planned; was imgorder updated meanwhile?")
    return content


def _rewrite(folder: Folder, rewrite: Rewrite, *, keep_owner: bool = True) -> dict[str, str]:
    """Give one file its new content; gives what it could not keep, as `copy_attributes`."""
    path, stage = folder.at(rewrite.name), folder.at(rewrite.stage)
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImgorderError(f"{show(path)}: no longer a file of its own")
    data = folder.read(rewrite.name)
    if sha256(data) != rewrite.before:
        raise ImgorderError(f"{show(path)}: changed since the plan was made; make a new one")
    content = _convert(folder, rewrite, data)
    try:
        ns = (status.st_atime_ns, rewrite.state.mtime_ns)
        refused = _write_beside(path, stage, status, content, ns, keep_owner=keep_owner)
        if "mode" in refused:  # made with it, it has it from the start, except for what the umask takes
            os.unlink(stage)
            mode = stat.S_IMODE(status.st_mode) & 0o777
            refused = _write_beside(path, stage, status, content, ns, mode, keep_owner=keep_owner)
    except OSError as error:  # calls on a descriptor do not know the name
        raise OSError(error.errno, error.strerror or str(error), path) from error
    if sha256(folder.read(rewrite.stage)) != rewrite.after:
        raise ImgorderError(f"{show(path)}: what was written reads back otherwise; check the disk")
    # What an editor saved since the photo was read must not be lost. A short time remains: from here to the next line.
    if not FileState.of(status).same(FileState.of(os.lstat(path))):
        folder.remove(rewrite.stage)
        raise ImgorderError(f"{show(path)}: changed in the meantime by another program; close it and try again")
    folder.replace(rewrite.stage, rewrite.name)
    return refused


def _write_beside(
    path: str,
    stage: str,
    status: os.stat_result,
    content: bytes,
    ns: tuple[int, int],
    mode: int = 0o600,
    *,
    keep_owner: bool,
) -> dict[str, str]:
    """Write the content into a hidden file, on disk, with the original's mode, owner, attributes and times.

    The group is kept where the system allows that; so is the owner, and with ``keep_owner`` it is an error if not.
    """
    with synced(create_new(stage, mode)) as descriptor:
        write_all(descriptor, content)
        made = os.fstat(descriptor)
        if hasattr(os, "chown"):
            # One by one: a user may keep his file but not the group of a folder that was shared with him.
            if made.st_gid != status.st_gid:
                with suppress(OSError):
                    os.chown(descriptor, -1, status.st_gid)
            if made.st_uid != status.st_uid:
                with nullcontext() if keep_owner else suppress(OSError):
                    os.chown(descriptor, status.st_uid, -1)
        _drop_other_attributes(path, stage)
        return copy_attributes(path, stage, ns)


def _drop_other_attributes(path: str, stage: str) -> None:
    """Remove the attributes that the folder gives to new files, above all a list of who else may read them."""
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):  # a file system without them
        for name in set(os.listxattr(stage)) - set(os.listxattr(path)):
            with suppress(OSError):  # a label of the system's
                os.removexattr(stage, name)


def _hash_content(folder: Folder, rewrite: Rewrite) -> str | None:
    """The hash of what has a file's name; None if that is no file."""
    status = folder.status(rewrite.name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return sha256(folder.read(rewrite.name))
