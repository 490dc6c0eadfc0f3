"""Files below a folder, in one order on every machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from imgorder.errors import ImgorderError
from imgorder.names import natural_key, show


def find_files(root: Path, suffixes: Iterable[str]) -> list[str]:
    """Files with one of the suffixes, at any depth; linked folders are followed once, hidden names left out.

    Returns:
        Names relative to the root with forward slashes, naturally sorted.

    Raises:
        ImgorderError: if the root is no folder, or a folder cannot be listed.
    """
    if not os.path.isdir(root):
        raise ImgorderError(f"{show(root)}: no such folder; check the path")
    known = tuple(suffixes)
    seen: set[str] = set()
    found = []
    for place, folders, files in os.walk(root, onerror=_cannot_be_listed, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # reached by two links, or by a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if not name.startswith(".") and name.lower().endswith(known):
                found.append(Path(os.path.relpath(os.path.join(place, name), root)).as_posix())
    return sorted(found, key=natural_key)


def _cannot_be_listed(error: OSError) -> None:
    raise ImgorderError(f"{show(error.filename)}: the folder cannot be read ({error.strerror})") from error
