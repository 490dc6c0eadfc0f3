"""One look into a folder, for every question that is asked of it at that moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imgorder.errors import PhotoError
from imgorder.media.photos import SUFFIXES
from imgorder.names import show


@dataclass(frozen=True)
class Listing:
    """What a folder held.

    Attributes:
        names: of everything, spelt as the file system has them.
        files: names of the files and links.
        photos: names of those that are photos by their endings.
    """

    names: frozenset[str]
    files: tuple[str, ...]
    photos: frozenset[str]


Look = Callable[[Path], Listing]  # `list_folder`, or one that remembers what it has seen


def list_folder(folder: Path) -> Listing:
    """Look into a folder. Raises PhotoError if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as error:
        raise PhotoError(f"{show(folder)}: the folder cannot be read ({error.strerror})") from error
    files = tuple(each.name for each in entries if each.is_symlink() or each.is_file(follow_symlinks=False))
    photos = (
        name
        for name in files
        if not name.startswith(".")
        and os.path.splitext(name)[1].lower() in SUFFIXES
        and os.path.isfile(os.path.join(folder, name))
    )
    return Listing(frozenset(each.name for each in entries), files, frozenset(photos))
