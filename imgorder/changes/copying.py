"""Copy files under new names. The originals are only read; all copies get their names, or none does."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from imgorder.changes.attributes import copy_attributes, describe_refused
from imgorder.changes.folder import (
    PREFIX,
    Folder,
    FolderMovedError,
    create_new,
    describe_error,
    locked,
    sync_folder,
    synced,
    write_all,
)
from imgorder.changes.journal import new_run_id, refuse_unfinished
from imgorder.changes.records import FileState
from imgorder.errors import ImgorderError
from imgorder.names import show

_CHUNK = 1 << 20


def copy_all(files: Sequence[tuple[Path, str]], target: Path) -> list[str]:
    """Copy files into a folder, which is made if it is missing.

    Args:
        files: source and bare new name of each; a link is copied as the file that it leads to.
        target: the folder.

    Returns:
        One line for each kind of attribute that the folder's file system does not take.

    Raises:
        ImgorderError: if one cannot be copied; what was copied is removed again.
    """
    made = not os.path.isdir(target)
    try:
        if made:
            os.mkdir(target)
            sync_folder(target.parent)
        with locked(target) as folder:
            refuse_unfinished(target)
            return _copy_all(folder, files)
    except FolderMovedError as error:
        raise ImgorderError(
            f"{show(target)}: this folder was moved or replaced while photos were copied into it; remove what was "
            "copied where it is now, and try again"
        ) from error
    except OSError as error:
        raise ImgorderError(f"{describe_error(error, target)}; nothing was copied") from error
    finally:
        if made:
            with suppress(OSError):  # it has copies in it, or was never made
                os.rmdir(target)


def _copy_all(folder: Folder, files: Sequence[tuple[Path, str]]) -> list[str]:
    run = new_run_id()
    # Other hidden names than those of a rename: those are photos, but these are copies, which can be removed.
    stages = [f"{PREFIX}{run}.copy-{index:06d}" for index in range(len(files))]
    inodes: dict[str, int] = {}  # of copies that are whole
    refused: dict[str, dict[str, str]] = {}
    try:
        for stage, (source, new) in zip(stages, files, strict=True):
            try:
                inodes[stage], refused[new] = _copy(source, folder.at(stage))
            except OSError as error:  # the hidden name means nothing to anybody, and goes with the copy
                name = str(source) if str(error.filename) == str(source) else folder.at(new)
                raise OSError(error.errno, error.strerror or str(error), name) from error
        folder.sync()
        for stage, (_, new) in zip(stages, files, strict=True):
            folder.rename(stage, new)
        folder.sync()
        return describe_refused(refused, folder.path)
    except BaseException:
        for index, (stage, (_, new)) in enumerate(zip(stages, files, strict=True)):
            if folder.status(stage) is not None:  # a link that was cut short leaves both names
                folder.remove(stage)
            if stage in inodes and _is_copy(folder, new, inodes[stage]):
                taken = f"{PREFIX}{run}-{index:06d}"  # so is a photo named, which it is if it was saved there just now
                folder.hide(new, taken)
                if _is_copy(folder, taken, inodes[stage]):
                    folder.hide(taken, stage)
                    folder.remove(stage)
                else:
                    folder.rename(taken, new)
        raise


def _is_copy(folder: Folder, name: str, inode: int) -> bool:
    status = folder.status(name)
    return status is not None and status.st_ino == inode


def _copy(source: Path, target: str) -> tuple[int, dict[str, str]]:
    """Copy one file with its times and mode, onto the disk; gives the copy's inode, and which of these it cannot have.

    Where the mode cannot be changed later, the copy has the one with which it was made.
    """
    with source.open("rb") as original:
        status = os.fstat(original.fileno())
        before, mode = FileState.of(status), stat.S_IMODE(status.st_mode) & 0o777
        with synced(create_new(target, mode | stat.S_IRUSR | stat.S_IWUSR)) as descriptor:
            while chunk := original.read(_CHUNK):
                write_all(descriptor, chunk)
            refused = copy_attributes(str(source), target)
            made = os.fstat(descriptor)
        if not before.same(FileState.of(os.fstat(original.fileno()))) or made.st_size != before.size:
            raise ImgorderError(f"{show(source)}: changed while it was copied; nothing was copied, try again")
    return made.st_ino, refused
