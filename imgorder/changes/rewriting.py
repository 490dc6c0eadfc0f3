"""Changing the EXIF block of many JPEGs at once, and back to the last byte.

The new content is written beside the file, checked, and then takes its place in one step: under a
file's name there is always one whole content or the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import datetime

from imgorder.changes.folder import Folder, create_new, write_all
from imgorder.changes.journal import Rewrite
from imgorder.changes.records import FileState
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.names import show


def sha256(data: bytes) -> str:
    """Of a file's content, in hex."""
    return hashlib.sha256(data).hexdigest()


def perform(folder: Folder, rewrites: Sequence[Rewrite]) -> None:
    """Give all files their new content.

    Raises:
        OSError: if one cannot be written.
        ImgorderError: if one is not what the journal says.
    """
    for rewrite in rewrites:
        _put(folder, rewrite, back=False)
    folder.sync()


def possible(folder: Folder, rewrites: Sequence[Rewrite], *, back: bool) -> bool:
    """Whether all files that were not changed by others can get the content that they had, or were to get."""
    for rewrite in rewrites:
        source, target = _ends(rewrite, back)
        try:
            if _content(folder, rewrite) != source or source == target:
                continue
            if sha256(converted(rewrite, folder.read(rewrite.name), back=back)) != target:
                return False
        except ImgorderError:
            return False
    return True


def settle(folder: Folder, rewrites: Sequence[Rewrite], *, back: bool) -> list[str]:
    """Give all files the content that they had (or were to get), from any state in between.

    Returns:
        One line for each file that somebody else has changed or removed since; it is left alone.

    Raises:
        ProblemsError: if a file is changed or gone, and there still is a new content beside it.
        OSError: if one cannot be written.
    """
    contents = [_content(folder, rewrite) for rewrite in rewrites]
    others = [
        rewrite
        for rewrite, content in zip(rewrites, contents, strict=True)
        if content not in (rewrite.before, rewrite.after)
    ]
    stuck = [rewrite for rewrite in others if folder.status(rewrite.stage) is not None]
    if stuck:
        raise ProblemsError(
            f"{show(folder.at(each.name))}: changed or gone since; a copy made by this run is {show(each.stage)}: "
            "keep the one you want, remove the other, and try again"
            for each in stuck
        )
    for rewrite, content in zip(rewrites, contents, strict=True):
        source, target = _ends(rewrite, back)
        if folder.status(rewrite.stage) is not None:
            folder.remove(rewrite.stage)
        if content == source != target:
            _put(folder, rewrite, back=back, lenient=True)
    folder.sync()
    return [f"{show(each.name)}: changed or gone since; left alone" for each in others]


def report(folder: Folder, rewrites: Sequence[Rewrite]) -> list[str]:
    """File by file: which content each has."""
    lines = []
    for rewrite in rewrites:
        known = {rewrite.after: "has its new content", rewrite.before: "has its old content"}
        lines.append(f"{show(rewrite.name)}: {known.get(_content(folder, rewrite) or '', 'changed or gone since')}")
    return lines


def converted(rewrite: Rewrite, data: bytes, *, back: bool) -> bytes:
    """The other content of a file, from one of the two.

    Raises:
        ImgorderError: if that cannot be done.
    """
    from imgorder.media import exif

    try:
        if rewrite.stamps != back:
            return exif.with_capture_time(data, datetime.fromisoformat(rewrite.time))[0]
        return exif.restored(data, base64.b64decode(rewrite.segment, validate=True))
    except (ValueError, binascii.Error) as error:
        raise ImgorderError(f"{show(rewrite.name)}: its EXIF block cannot be changed ({error})") from error


def _put(folder: Folder, rewrite: Rewrite, *, back: bool, lenient: bool = False) -> None:
    source, target = _ends(rewrite, back)
    path, stage = folder.at(rewrite.name), folder.at(rewrite.stage)
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImgorderError(f"{show(path)}: no longer a file of its own")
    data = folder.read(rewrite.name)
    if sha256(data) != source:
        raise ImgorderError(f"{show(path)}: changed since the plan was made; make a new one")
    content = converted(rewrite, data, back=back)
    if sha256(content) != target:
        raise ImgorderError(f"{show(path)}: its new content is not as planned; was imgorder updated meanwhile?")
    try:
        _write_beside(path, stage, status, content, rewrite.state.mtime_ns, owned=not lenient)
    except OSError as error:  # calls on a descriptor do not know the name
        raise OSError(error.errno, error.strerror or str(error), path) from error
    if sha256(folder.read(rewrite.stage)) != target:
        raise ImgorderError(f"{show(path)}: what was written reads back otherwise; check the disk")
    # What an editor saved since the photo was read must not be lost. A window remains: from here to the next line.
    if FileState.of(os.lstat(path)) != FileState.of(status):
        folder.remove(rewrite.stage)
        raise ImgorderError(f"{show(path)}: changed in the meantime by another program; close it and try again")
    folder.replace(rewrite.stage, rewrite.name)


def _write_beside(path: str, stage: str, status: os.stat_result, content: bytes, mtime_ns: int, *, owned: bool) -> None:
    """A hidden file with the content, on disk, with the original's mode, owner, attributes and times.

    The group is kept where the system grants it, and so is the owner, unless it has to be (``owned``).
    """
    descriptor = create_new(stage)
    try:
        write_all(descriptor, content)
        made = os.fstat(descriptor)
        if hasattr(os, "chown"):
            # One by one: a user may keep his file but not the group of a folder that was shared with him.
            if made.st_gid != status.st_gid:
                with suppress(OSError):
                    os.chown(descriptor, -1, status.st_gid)
            if made.st_uid != status.st_uid:
                with nullcontext() if owned else suppress(OSError):
                    os.chown(descriptor, status.st_uid, -1)
        shutil.copystat(path, stage)
        _drop_other_attributes(path, stage)
        os.utime(stage, ns=(status.st_atime_ns, mtime_ns))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drop_other_attributes(path: str, stage: str) -> None:
    """Attributes that a folder gives new files are not the photo's, above all a list of who else may read them."""
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):  # a file system without them
        for name in set(os.listxattr(stage)) - set(os.listxattr(path)):
            with suppress(OSError):  # a label of the system's
                os.removexattr(stage, name)
        os.chmod(stage, stat.S_IMODE(os.stat(path).st_mode))


def _content(folder: Folder, rewrite: Rewrite) -> str | None:
    """The hash of what is under a file's name; None if that is no file."""
    status = folder.status(rewrite.name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    return sha256(folder.read(rewrite.name))


def _ends(rewrite: Rewrite, back: bool) -> tuple[str, str]:
    """The hashes of the content that is changed, and of what it becomes."""
    return (rewrite.after, rewrite.before) if back else (rewrite.before, rewrite.after)
