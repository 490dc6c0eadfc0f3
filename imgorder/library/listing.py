"""The photos below some folders, one after the other, always in the same order; links are not followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgorder.errors import ImgorderError, PhotoError
from imgorder.library.remote import Address, is_address, list_remote
from imgorder.media.photos import SUFFIXES, Exclusion, check_there
from imgorder.media.sidecars import Sidecars
from imgorder.names import natural_key, show

Apart = Callable[[ImgorderError], None]
State = tuple[int, ...]
Key = tuple[tuple[int, tuple[tuple[int, int, str], ...]], ...]


@dataclass(frozen=True)
class Listed:
    """A photo as it was found.

    Attributes:
        folder: absolute, as text; names may have bytes that are not UTF-8.
        name: of the file.
        state: device, inode, size, and times of change of content and of the file in ns. As long as all are the same,
            so are the bytes: what changes a photo and puts its time back still leaves another last one.
        beside: names and states of the files beside it that tell when it was taken.
    """

    folder: str
    name: str
    state: State
    beside: tuple[tuple[str, State], ...] = ()

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.folder, self.name)


def list_tree(roots: Sequence[Path], exclusion: Exclusion, apart: Apart) -> Iterator[Listed]:
    """The photos of each folder by their names as people count, then those of the folders in it.

    Hidden names and links are passed over. No more than one folder is in memory.

    Args:
        roots: folders; one that lies in another one counts once.
        exclusion: photos to leave out.
        apart: called with the error of what cannot be read.

    Raises:
        PhotoError: for a root that is no folder.
    """
    for root in find_roots(roots):
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            try:
                photos, folders = _list_folder(folder, exclusion, apart)
            except PhotoError as error:  # of a place beyond this machine
                apart(error)
                continue
            except OSError as error:
                apart(PhotoError(f"{show(folder)}: the folder cannot be read ({error.strerror})"))
                continue
            yield from photos
            waiting += reversed(folders)


def listing_key(path: str) -> Key:
    """By this the photos below a folder are in order: those of a folder before those of the folders in it."""
    *folders, name = path.split(os.sep)
    return (*((1, natural_key(each)) for each in folders), (0, natural_key(name)))


def count_photos(roots: Sequence[Path]) -> int:
    """About how many photos there are, without a look at the files."""
    count = 0
    waiting = find_roots(roots)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.name.lower().endswith(SUFFIXES):
                        count += 1
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:  # whoever lists it says so
            continue
    return count


def find_roots(roots: Sequence[Path]) -> list[str]:
    """The folders as absolute paths, each once, without those that lie in another one.

    Raises:
        PhotoError: for what is no folder.
    """
    found: list[str] = []
    for root in roots:
        if isinstance(root, Address):
            found.append(str(root))
            continue
        check_there(root)
        if not os.path.isdir(root):
            raise PhotoError(f"{show(root)}: not a folder; give folders, whose photos are searched for in all below")
        found.append(os.path.abspath(root))
    return [
        each
        for place, each in enumerate(found)
        if each not in found[:place] and not any(each != other and Path(each).is_relative_to(other) for other in found)
    ]


def _list_folder(folder: str, exclusion: Exclusion, apart: Apart) -> tuple[list[Listed], list[str]]:
    states: dict[str, State] = {}
    if is_address(folder):
        states, folders = list_remote(folder)
        states = {name: state for name, state in states.items() if not name.startswith(".")}
        folders = [name for name in folders if not name.startswith(".")]
        files = list(states)
    else:
        files, folders = _scan(folder)
    beside = Sidecars(files)
    photos = []
    for name in sorted((each for each in files if each.lower().endswith(SUFFIXES)), key=natural_key):
        path = os.path.join(folder, name)
        if exclusion.covers(Path(path)):
            continue
        try:
            state = states.get(name) or state_of(path)
        except OSError as error:
            apart(PhotoError(f"{show(path)}: cannot be reached ({error.strerror}); try again"))
            continue
        told = []
        for other in dict.fromkeys((*beside.xmp_of(name), *beside.facts_of(name))):
            try:
                told.append((other, states.get(other) or state_of(os.path.join(folder, other))))
            except OSError:  # it is gone; a photo's facts are no reason to fail
                continue
        photos.append(Listed(folder, name, state, tuple(told)))
    return photos, [os.path.join(folder, name) for name in sorted(folders, key=natural_key)]


def _scan(folder: str) -> tuple[list[str], list[str]]:
    """The names of files and of folders that are neither hidden nor links; raises OSError."""
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
    return files, folders


def state_of(path: str) -> State:
    """What tells a file from any other, and from itself before a change; raises OSError."""
    status = os.stat(path, follow_symlinks=False)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
