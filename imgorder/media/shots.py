"""Files of one shot: a HEIC and its JPEG, a photo and what was made of it. They count as one photo.

Names only say what may be; then the files have to show it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from imgorder.errors import PhotoError
from imgorder.media.metadata import read_metadata
from imgorder.media.photos import HEIF, JPEG, SUFFIXES, same_bytes
from imgorder.media.time_texts import choose, gather
from imgorder.names import fold_name

EDITED = "-edited"  # the end of a new name for what an iPhone calls IMG_E…
_OTHER_EDIT = "_edited"  # where there is an edit of that name already

_APART = timedelta(seconds=2)  # that times of one shot may be: some programs round them

_EDIT = re.compile(r"(.+)([-_]edited)", re.IGNORECASE | re.DOTALL)
_IPHONE = re.compile(r"(|.*[-_ ])IMG_E(\d{4})", re.IGNORECASE | re.DOTALL)
_COPY = re.compile(r"(.+?)( ?\(\d+\)|[-_ ]copy(?:[-_ ]?\d+)?| - copy(?: \(\d+\))?|~\d+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Version:
    """A file that shows what another one shows.

    Attributes:
        name: its name.
        original: the name of the photo that is sorted.
        tail: what comes after the original's stem in a new name, with the ending.
        proof: what the files have to show: the same ``"bytes"``, for a copy; the same capture ``"time"``, for another
            format, since two cameras may give one number; for an edit only ``"no other time"``.
    """

    name: str
    original: str
    tail: str
    proof: Literal["bytes", "time", "no other time"]


def find_versions(names: Iterable[str], first: Collection[str] = (), reads_heic: bool | None = None) -> list[Version]:
    """What by the names of one folder may be versions of other photos in it; no version is an original.

    ``IMG_1.JPG`` is one of ``IMG_1.HEIC`` (the other way round where HEIC cannot be read); ``IMG_E0001.JPG`` of
    ``IMG_0001.HEIC``; ``a-edited.jpg`` and ``a_edited.jpg`` of ``a.jpg``; ``a (1).jpg``, ``a copy.jpg``, ``a~2.jpg``
    of ``a.jpg`` if they have the same bytes. Case and Unicode form of the letters do not matter.

    Args:
        names: of the files; those that are no photos by their endings are passed over.
        first: photos that are rather originals than those that are not among them.
        reads_heic: whether HEIC can be read; by default, whether it can here.
    """
    reads = find_spec("pillow_heif") is not None if reads_heic is None else reads_heic
    stems: dict[str, list[str]] = {}  # folded stem -> its photos, that to sort before the others
    for name in sorted(names, key=lambda name: (name not in first, _is_heic(name) is not reads, name)):
        stem, ending = os.path.splitext(name)
        if ending.lower() in SUFFIXES and not name.startswith("."):
            stems.setdefault(fold_name(stem), []).append(name)
    found = {}
    for original, *others in stems.values():
        for name in (original, *others):
            stem, ending = os.path.splitext(name)
            if version := _claim(name, stem, ending, stems):
                found[name] = version
            elif name != original and _are_twins(name, original):
                found[name] = Version(name, original, ending, "time")
    return [version for version in found.values() if version.original not in found]


def keep_sure(folder: Path, versions: Iterable[Version]) -> list[Version]:
    """Those whose files show what they have to; a file that cannot be read shows nothing."""
    return [each for each in versions if _is_shown(folder / each.name, folder / each.original, each.proof)]


def drop_versions(files: Sequence[Path]) -> tuple[list[Path], dict[Path, Path]]:
    """The files of some folders without versions of others among them, and from each version to its original."""
    by_folder: dict[Path, list[str]] = {}
    for file in files:
        by_folder.setdefault(file.parent, []).append(file.name)
    originals = {
        folder / version.name: folder / version.original
        for folder, names in by_folder.items()
        for version in keep_sure(folder, find_versions(names))
    }
    return [file for file in files if file not in originals], originals


def _claim(name: str, stem: str, ending: str, stems: Mapping[str, Sequence[str]]) -> Version | None:
    """An edit or a copy, by its name; None for any other."""
    if match := _EDIT.fullmatch(stem):
        base, tail = match[1], match[2]
    elif match := _IPHONE.fullmatch(stem):
        base = f"{match[1]}IMG_{match[2]}"
        tail = next((end for end in (EDITED, _OTHER_EDIT) if fold_name(base + end) not in stems), EDITED)
    elif match := _COPY.fullmatch(stem):
        there = [each for each in stems.get(fold_name(match[1]), ()) if each.lower().endswith(ending.lower())]
        return Version(name, there[0], match[2] + ending, "bytes") if there else None
    else:
        return None
    originals = stems.get(fold_name(base))
    return Version(name, originals[0], tail + ending, "no other time") if originals else None


def _is_heic(name: str) -> bool:
    return name.lower().endswith(HEIF)


def _are_twins(one: str, other: str) -> bool:
    """Whether one name ends as a HEIC does and the other as a JPEG."""
    return any(_is_heic(a) and b.lower().endswith(JPEG) for a, b in ((one, other), (other, one)))


def _is_shown(version: Path, original: Path, proof: str) -> bool:
    if proof == "bytes":
        try:
            return same_bytes(version, original)
        except PhotoError:  # who opens it will say so
            return False
    one, other = _time_of(version), _time_of(original)
    return abs(one - other) <= _APART if one and other else proof != "time"


def _time_of(path: Path) -> datetime | None:
    try:
        return choose(time for block in read_metadata(path).exif for time in gather(block)).time
    except PhotoError:  # who opens it will say so
        return None
