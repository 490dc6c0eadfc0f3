"""The files beside a photo that tell when it was taken: XMP files, and Google Takeout's facts in JSON."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from imgorder.media.photos import SUFFIXES
from imgorder.names import fold_name

_FACTS = "supplemental-metadata"
TAKEOUT = re.compile(
    rf"(.+?)(\.(?:{'|'.join(_FACTS[:length] for length in range(len(_FACTS), -1, -1))}))?(\(\d+\))?(\.json)",
    re.IGNORECASE | re.DOTALL,
)
"""The name of Takeout's facts: the photo's name, what says that it is facts, a number, the ending. A long name is cut
short, and the second of two photos of one name has its number elsewhere: IMG_1(2).jpg has
IMG_1.jpg.supplemental-metadata(2).json.
"""

TAKEOUT_ROOM = 46
"""Letters that Takeout leaves of such a name, without its ending."""


def list_names(folder: Path) -> list[str]:
    """The names in a folder; none if it cannot be read, since a photo's facts are no reason to fail."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


class Sidecars:
    """Which files of a folder tell something of which photo, whatever the case and Unicode form of the letters."""

    def __init__(self, names: Iterable[str]) -> None:
        self._xmp: dict[str, list[str]] = defaultdict(list)
        self._facts: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, int] = defaultdict(int)
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() == ".xmp":
                self._xmp[fold_name(stem)].append(name)
            elif ending.lower() == ".json" and (found := TAKEOUT.fullmatch(name)):
                whole, _, number, _ = found.groups(default="")
                start, end = os.path.splitext(whole)
                self._facts[fold_name(start + number + end)].append(name)
                if len(stem) == TAKEOUT_ROOM:
                    self._facts[fold_name(stem)].append(name)
            elif ending.lower() in SUFFIXES:
                self._stems[fold_name(stem)] += 1

    def xmp_of(self, photo: str) -> Sequence[str]:
        """``IMG_1.jpg.xmp``, and ``IMG_1.xmp`` unless ``IMG_1.png`` may be meant as well."""
        stem = fold_name(os.path.splitext(photo)[0])
        return [*self._xmp.get(fold_name(photo), ()), *(self._xmp.get(stem, ()) if self._stems[stem] < 2 else ())]

    def facts_of(self, photo: str) -> Sequence[str]:
        """Takeout's facts; those of ``IMG_1.jpg`` are of ``IMG_1-edited.jpg``, too."""
        stem, ending = os.path.splitext(photo)
        original = re.sub(r"-edited$", "", stem, flags=re.IGNORECASE) + ending
        names = dict.fromkeys(map(fold_name, (photo, original, photo[:TAKEOUT_ROOM])))
        return [file for name in names for file in self._facts.get(name, ())]
