"""Files that lie beside photos and are none: RAW files, videos, edits, notes. No folder is searched for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imgorder.media import kinds
from imgorder.names import show, word_count

# fmt: off
RAW = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr",
    ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".ori",
    ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)
# fmt: on
MOVING = (".mov", ".mp4", ".mp")  # Live Photos and motion photos
# After a photo's stem come also edits of phones, XMP files, small pictures, spoken notes, and edits of Photoshop,
# Canon's DPP, exiv2 and ON1.
ENDINGS = (*RAW, *MOVING, ".aae", ".xmp", ".thm", ".wav", ".acr", ".vrd", ".dr4", ".exv", ".on1")
# After the whole name of a photo or of its RAW file come XMP files, edits of RawTherapee, ART, DxO, Nikon's NX Studio
# and ON1, and the original that ExifTool keeps.
AFTER_NAME = re.compile(r"(.+)(\.(?:xmp|pp3|arp|dop|nksc|on1)|_original)", re.IGNORECASE | re.DOTALL)

_FOLDER, _RAW, _VIDEO, _BELONGING, _OTHER = range(5)
_WORDS = (
    ("folder without photos", "folders without photos"),
    ("RAW file", "RAW files"),
    ("video", "videos"),
    ("file that belongs to a photo", "files that belong to photos"),
    ("other file", "other files"),
)


def belongs_by_name(name: str) -> bool:
    """Whether a file has the name of one that belongs to a photo, even if its content is a picture."""
    return Path(name).suffix.lower() in ENDINGS or AFTER_NAME.fullmatch(name) is not None


def word_leftovers(files: Sequence[tuple[Path, str | None]], folders: Sequence[Path], photos: int) -> str:
    """One line for people: what is no photo among what was named one by one, and so is left out.

    Args:
        files: those that are no photos, each with its kind, as `kinds.name_kind` tells it.
        folders: those without photos.
        photos: how many photos there were beside them.
    """
    found = Counter([_FOLDER] * len(folders) + [_sort_out(file.name, kind) for file, kind in files])
    counted = [f"{count} {_WORDS[each][count > 1]}" for each, count in sorted(found.items())]
    left = len(files) + len(folders)
    where = show((*(file for file, _ in files), *folders)[0].parent)
    are = "is no photo and is" if left == 1 else "are no photos and are"
    return f"{where}: {left} of {word_count(left + photos, 'name')} {are} left out: {', '.join(counted)}"


def _sort_out(name: str, kind: str | None) -> int:
    ending = Path(name).suffix.lower()
    if ending in RAW:
        return _RAW
    if kind == kinds.VIDEO or ending in MOVING:
        return _VIDEO
    return _BELONGING if belongs_by_name(name) else _OTHER
