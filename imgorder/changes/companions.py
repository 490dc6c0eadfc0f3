"""What a folder holds: its photos, and the files that move with them: RAW files, Live Photo videos, edits."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgorder.changes.records import fold_name
from imgorder.errors import PhotoError
from imgorder.media.photos import SUFFIXES
from imgorder.names import show

# fmt: off
RAW = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr",
    ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori",
    ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)
# fmt: on
MOVING = (".mov", ".mp4")  # Live Photos and motion photos
XMP = ".xmp"
ENDINGS = (*RAW, *MOVING, ".aae", XMP)


@dataclass(frozen=True)
class Companion:
    """A file that moves with a photo.

    Attributes:
        name: its name.
        photos: the photos that claim it; more than one is a problem.
        after_stem: whether its name is the photo's stem and a tail, else the photo's whole name and a tail.
        tail: its ending or endings, spelt as they are.
    """

    name: str
    photos: tuple[str, ...]
    after_stem: bool
    tail: str

    def new_name(self, new_photo: str) -> str:
        """What it is called when its photo is called something new."""
        stem = cut_ending(new_photo, os.path.splitext(self.photos[0])[1])
        return (stem if self.after_stem else new_photo) + self.tail


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


def find_belonging(folder: Path, names: Sequence[str], look: Look, problems: list[str]) -> dict[str, list[Companion]]:
    """The companions of each photo that has some; one that two photos share, in the set or not, is a problem."""
    belonging: dict[str, list[Companion]] = {}
    inside_of: dict[str, dict[str, None]] = {}  # the photos of each folder, each once
    for name in names:
        inside_of.setdefault(os.path.dirname(name), {})[os.path.basename(name)] = None
    for inside, photos in inside_of.items():
        for companion in find_companions(tuple(photos), look(folder / inside).files):
            photo = next(each for each in companion.photos if each in photos)
            belonging.setdefault(os.path.join(inside, photo), []).append(companion)
            if len(companion.photos) > 1:
                problems.append(
                    f"{show(folder / inside / companion.name)}: belongs to "
                    f"{' and '.join(map(show, companion.photos))}; leave one of them out, or give --no-companions"
                )
    return belonging


def find_companions(photos: Sequence[str], names: Iterable[str]) -> list[Companion]:
    """The companions of photos among the names of their folder, whatever the case and Unicode form of the letters.

    ``IMG_1.jpg`` has ``IMG_1.CR3``, ``img_1.mov``, ``IMG_1.xmp``, ``IMG_1.jpg.xmp`` and, since the RAW file
    moves along, ``IMG_1.CR3.xmp``. A photo is never a companion. Other photos of the folder claim theirs, too. Where
    a file is spelt exactly as one photo, photos of another spelling have no claim to it.
    """
    taken = set(photos)
    by_name: dict[str, list[str]] = defaultdict(list)
    others = []
    for name in names:
        if name in taken:
            continue
        by_name[fold_name(name)].append(name)
        if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
            others.append(name)
    claims: dict[str, list[Companion]] = defaultdict(list)
    for photo in (*photos, *others):
        stem = fold_name(os.path.splitext(photo)[0])
        for ending in ENDINGS:
            for name in by_name.get(stem + ending, ()):
                own = os.path.splitext(name)[1]
                claims[name].append(Companion(name, (photo,), True, own))
                if ending in RAW:
                    for edits in by_name.get(fold_name(name) + XMP, ()):
                        claims[edits].append(Companion(edits, (photo,), True, own + os.path.splitext(edits)[1]))
        for name in by_name.get(fold_name(photo) + XMP, ()):
            claims[name].append(Companion(name, (photo,), False, os.path.splitext(name)[1]))
    merged = (_merge(claims[name]) for name in sorted(claims))
    return [companion for companion in merged if taken.intersection(companion.photos)]


def cut_ending(name: str, ending: str) -> str:
    """A new name without its ending. ``2024.05.01`` has none: only the photo's own ending and known ones count."""
    stem, last = os.path.splitext(name)
    return stem if last == ending or last.lower() in (*SUFFIXES, *ENDINGS) else name


def _merge(claims: Sequence[Companion]) -> Companion:
    """One companion of all photos that claim a file; of those that spell it exactly, if there are any."""
    exact = [each for each in claims if _is_spelt_as_photo(each)]
    first, *_ = kept = exact or claims
    return replace(first, photos=tuple(dict.fromkeys(each.photos[0] for each in kept)))


def _is_spelt_as_photo(companion: Companion) -> bool:
    (photo,) = companion.photos
    return companion.name == (os.path.splitext(photo)[0] if companion.after_stem else photo) + companion.tail
