"""Files that belong to a photo and move with it: its RAW file, its Live Photo video, its edits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgorder.photos import SUFFIXES

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
        stem = stem_of(new_photo, os.path.splitext(self.photos[0])[1])
        return (stem if self.after_stem else new_photo) + self.tail


def find_companions(photos: Sequence[str], names: Iterable[str]) -> list[Companion]:
    """The companions of photos among the names of their folder, whatever the case of the letters.

    ``IMG_1.jpg`` has ``IMG_1.CR3``, ``img_1.mov``, ``IMG_1.xmp``, ``IMG_1.jpg.xmp`` and, since the RAW file
    moves along, ``IMG_1.CR3.xmp``. A photo of the set is never a companion.
    """
    taken = set(photos)
    by_name: dict[str, list[str]] = {}
    for name in names:
        if name not in taken:
            by_name.setdefault(name.casefold(), []).append(name)
    found: dict[str, Companion] = {}
    for photo in photos:
        stem = os.path.splitext(photo)[0].casefold()
        for ending in ENDINGS:
            for name in by_name.get(stem + ending, ()):
                own = os.path.splitext(name)[1]
                _claim(found, Companion(name, (photo,), True, own))
                if ending in RAW:
                    for edits in by_name.get(name.casefold() + XMP, ()):
                        _claim(found, Companion(edits, (photo,), True, own + os.path.splitext(edits)[1]))
        for name in by_name.get(photo.casefold() + XMP, ()):
            _claim(found, Companion(name, (photo,), False, os.path.splitext(name)[1]))
    return [found[name] for name in sorted(found)]


def stem_of(name: str, ending: str) -> str:
    """A new name without its ending. ``2024.05.01`` has none: only the photo's own ending and known ones count."""
    stem, last = os.path.splitext(name)
    return stem if last == ending or last.lower() in (*SUFFIXES, *ENDINGS) else name


def _claim(found: dict[str, Companion], companion: Companion) -> None:
    known = found.setdefault(companion.name, companion)
    if companion.photos[0] not in known.photos:
        found[companion.name] = Companion(known.name, known.photos + companion.photos, known.after_stem, known.tail)
