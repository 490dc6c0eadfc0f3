"""What a folder holds: its photos, and the files that move with them: RAW files, Live Photo videos, edits, versions."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imgorder.errors import PhotoError
from imgorder.media.leftovers import AFTER_NAME, ENDINGS, RAW
from imgorder.media.photos import SUFFIXES
from imgorder.media.shots import Version, find_versions, keep_sure
from imgorder.media.sidecars import TAKEOUT, TAKEOUT_ROOM
from imgorder.names import fold_name, show

_NUMBERED = re.compile(r"(.+)(\(\d+\))(\.[^.]+)", re.DOTALL)
_LIVE = re.compile(r"(.+)(_HEVC\.MOV)", re.IGNORECASE | re.DOTALL)  # as iCloud's downloader names a Live Photo's video
_VERSION = re.compile(r"(.+)(_\d\d)(\.[^.]+)(\.xmp)", re.IGNORECASE | re.DOTALL)  # darktable's further edits

# What iOS keeps of a photo's first edit: IMG_1234.HEIC has IMG_O1234.AAE, which becomes NEW_O.AAE.
_FIRST_EDIT = re.compile(r"(.*IMG_)O(\d+)(\.AAE)", re.IGNORECASE | re.DOTALL)
_FIRST_EDIT_MOVED = re.compile(r"(.+)(_O\.AAE)", re.IGNORECASE | re.DOTALL)
_DOUBLE = "._"  # before a file's whole name: what macOS keeps of it on cards and shares; macOS moves it by itself


@dataclass(frozen=True)
class Companion:
    """A file that moves with a photo.

    Attributes:
        name: its name.
        photos: the photos that claim it; more than one is a problem.
        after_stem: whether its name is the photo's stem and a tail, else the photo's whole name and a tail.
        tail: its ending or endings, spelt as they are.
        sure: whether only this photo can be meant by the rule that found it; where it is not, any other claim wins.
        head: what stands before all that: ``._`` or nothing.
    """

    name: str
    photos: tuple[str, ...]
    after_stem: bool
    tail: str
    sure: bool = True
    head: str = ""

    def new_name(self, new_photo: str) -> str:
        """What it is called when its photo is called something new."""
        stem = cut_ending(new_photo, os.path.splitext(self.photos[0])[1])
        if self.tail.lower() == ".mp":  # PXL_1.MP.jpg has PXL_1.MP
            stem = re.sub(r"\.mp$", "", stem, flags=re.IGNORECASE)
        return self.head + (stem if self.after_stem else new_photo) + self.tail


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
        # Some file systems do not list what is a file: then each is asked, which may fail, too.
        files = tuple(each.name for each in entries if each.is_symlink() or each.is_file(follow_symlinks=False))
    except OSError as error:
        raise PhotoError(f"{show(folder)}: the folder cannot be read ({error.strerror})") from error
    photos = (name for name in files if _is_photo(name) and os.path.isfile(os.path.join(folder, name)))
    return Listing(frozenset(each.name for each in entries), files, frozenset(photos))


def find_belonging(folder: Path, names: Sequence[str], look: Look, problems: list[str]) -> dict[str, list[Companion]]:
    """The companions of each photo that has some; one that two photos share, in the set or not, is a problem."""
    belonging: dict[str, list[Companion]] = {}
    inside_of: dict[str, dict[str, None]] = {}  # the photos of each folder, each once
    for name in names:
        inside_of.setdefault(os.path.dirname(name), {})[os.path.basename(name)] = None
    for inside, photos in inside_of.items():
        there = look(folder / inside)
        versions = find_versions({*there.photos, *photos}, photos)
        leaving = [each for each in versions if each.original in photos and each.name not in photos]
        sure = keep_sure(folder / inside, leaving)
        for companion in find_companions(tuple(photos), there.files, sure):
            photo = next(each for each in companion.photos if each in photos)
            belonging.setdefault(os.path.join(inside, photo), []).append(companion)
            if len(companion.photos) > 1:
                problems.append(
                    f"{show(folder / inside / companion.name)}: belongs to "
                    f"{' and '.join(map(show, companion.photos))}; leave one of them out, or give --no-companions"
                )
    return belonging


def find_companions(photos: Sequence[str], names: Iterable[str], versions: Sequence[Version] = ()) -> list[Companion]:
    """The companions of photos among the names of their folder, whatever the case and Unicode form of the letters.

    ``IMG_1.jpg`` has ``IMG_1.CR3``, ``img_1.mov``, ``IMG_1.xmp``, ``IMG_1.jpg.xmp`` and, since the RAW file
    moves along, ``IMG_1.CR3.xmp``. A photo is no companion, but for the versions that are given, whose own companions
    move along as well. Other photos of the folder claim theirs, too. Where a file is spelt exactly as one photo, photos
    of another spelling have no claim to it.
    """
    taken = set(photos)
    others = [name for name in names if name not in taken]
    found = _Folder([*photos, *filter(_is_photo, others)], others)
    known = {each.name: each for each in versions}
    along = {each.name: Companion(each.name, (each.original,), True, each.tail) for each in versions}
    claimed = {name: [_pass_on(claim, known) for claim in found.claims(name)] for name in others if name not in along}
    merged = [*along.values(), *(_merge(claims) for claims in claimed.values() if claims)]
    merged.sort(key=lambda companion: companion.name)
    return [companion for companion in merged if taken.intersection(companion.photos)]


def find_unclaimed(photos: Sequence[str], names: Iterable[str]) -> list[str]:
    """Files that have a photo's stem and something after it, but are no companions, among the names of a folder.

    A file belongs to the photo with the longest such stem: ``a-1.txt`` not to ``a.jpg`` where ``a-1.jpg`` is there.
    """
    taken = set(photos)
    others = [name for name in names if name not in taken]
    found = _Folder([*photos, *filter(_is_photo, others)], others)
    left = []
    for name in sorted(others):
        if _is_photo(name) or next(found.claims(name), None):
            continue
        folded = fold_name(name)
        ends = (end for end in range(len(folded), 0, -1) if not folded[end : end + 1].isalnum())
        nearest = next((found.by_stem[folded[:end]] for end in ends if folded[:end] in found.by_stem), ())
        if taken.intersection(nearest):
            left.append(name)
    return left


class _Folder:
    """Photos by their folded stems and names, RAW files by their folded names, and who claims a file."""

    def __init__(self, photos: Sequence[str], others: Sequence[str]) -> None:
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.by_cut: dict[tuple[str, str], list[str]] = defaultdict(list)  # by what Takeout leaves, and number
        for photo in photos:
            self.by_stem[fold_name(os.path.splitext(photo)[0])].append(photo)
            self.by_name[fold_name(photo)].append(photo)
            numbered = _NUMBERED.fullmatch(photo)
            for title, number in ((photo, ""), *([(numbered[1] + numbered[3], numbered[2])] if numbered else [])):
                for cut in _cut_for_takeout(title):
                    self.by_cut[cut, number].append(photo)
        self.others = set(map(fold_name, others))

    def claims(self, name: str) -> Iterator[Companion]:
        """A companion for each photo that a file may belong to."""
        if name.startswith(_DOUBLE):
            whole = name.removeprefix(_DOUBLE)
            if sys.platform != "darwin" and not whole.startswith("."):
                photos = (Companion(whole, (photo,), False, "") for photo in self.by_name.get(fold_name(whole), ()))
                for each in (*photos, *(self.claims(whole) if fold_name(whole) in self.others else ())):
                    yield replace(each, name=name, head=_DOUBLE)
            return
        stem, ending = os.path.splitext(name)
        if ending.lower() in ENDINGS:
            yield from self._of_stem(name, stem, ending, sure=ending.lower() != ".mp")
        if ending.lower() == ".mp":
            yield from self._of_stem(name, name, ending)
        if match := _LIVE.fullmatch(name):
            yield from self._of_stem(name, match[1], match[2], sure=False)
        if match := AFTER_NAME.fullmatch(name):
            yield from self._of_name(name, match[1], match[2])
        if match := TAKEOUT.fullmatch(name):
            whole, facts, number, json = match.groups(default="")
            stem, ending = os.path.splitext(whole)
            yield from self._of_name(name, stem + number + ending, facts + json)
            for photo in self.by_cut.get((fold_name(match[1] + facts), number), ()):
                yield Companion(name, (photo,), False, json, sure=False)
        if match := _FIRST_EDIT.fullmatch(name):
            yield from self._of_stem(name, match[1] + match[2], f"_O{match[3]}", sure=False)
        if match := _FIRST_EDIT_MOVED.fullmatch(name):
            yield from self._of_stem(name, match[1], match[2], sure=False)
        if match := _VERSION.fullmatch(name):
            stem, version, ending, xmp = match.groups()
            if fold_name(stem + version + ending) not in self.others:  # else it is that RAW file's own
                for each in self._of_name(name, stem + ending, xmp):
                    yield replace(each, after_stem=True, tail=version + ending + xmp, sure=False)

    def _of_stem(self, name: str, stem: str, tail: str, sure: bool = True) -> Iterator[Companion]:
        for photo in self.by_stem.get(fold_name(stem), ()):
            yield Companion(name, (photo,), True, tail, sure)

    def _of_name(self, name: str, whole: str, tail: str) -> Iterator[Companion]:
        """Of a photo with this whole name, or of one whose RAW file has it."""
        for photo in self.by_name.get(fold_name(whole), ()):
            yield Companion(name, (photo,), False, tail)
        stem, ending = os.path.splitext(whole)
        if ending.lower() in RAW and fold_name(whole) in self.others:
            yield from self._of_stem(name, stem, ending + tail)


def _cut_for_takeout(title: str) -> set[str]:
    """What Takeout may leave of a photo's name, folded: it is not known in which units it counts. Empty if it fits."""
    title = unicodedata.normalize("NFC", title)
    if len(title) <= TAKEOUT_ROOM // 4:
        return set()
    cuts = {title[:TAKEOUT_ROOM]}
    for code, size in (("utf-8", 1), ("utf-16-le", 2)):
        cuts.add(title.encode(code, "surrogatepass")[: TAKEOUT_ROOM * size].decode(code, "ignore"))
    return {fold_name(cut) for cut in cuts if cut != title}


def _is_photo(name: str) -> bool:
    """By its ending, and not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def cut_ending(name: str, ending: str) -> str:
    """A new name without its ending. ``2024.05.01`` has none: only the photo's own ending and known ones count."""
    stem, last = os.path.splitext(name)
    return stem if last == ending or last.lower() in (*SUFFIXES, *ENDINGS) else name


def _pass_on(claim: Companion, versions: Mapping[str, Version]) -> Companion:
    """What a version claims is claimed by its original."""
    version = versions.get(claim.photos[0])
    if version is None:
        return claim
    start = os.path.splitext(version.tail)[0] if claim.after_stem else version.tail
    return replace(claim, photos=(version.original,), after_stem=True, tail=start + claim.tail)


def _merge(claims: Sequence[Companion]) -> Companion:
    """One companion of all photos that claim a file; of those that spell it exactly, if there are any."""
    sure = [each for each in claims if each.sure] or claims
    exact = [each for each in sure if each.new_name(each.photos[0]) == each.name]
    first, *_ = kept = exact or sure
    return replace(first, photos=tuple(dict.fromkeys(each.photos[0] for each in kept)))
