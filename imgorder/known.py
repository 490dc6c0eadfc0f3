"""What a person says of the order: which photo was first or last, that it runs the other way, or what to heed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from imgorder.errors import UsageError
from imgorder.files import same_file
from imgorder.names import show

METADATA = ("auto", "ignore", "only")
EARLIEST = Path("exif")
"""Instead of a first photo: the one with the earliest time."""

_OFFSET = re.compile(r"([+-])(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)


@dataclass(frozen=True)
class Kept:
    """Photos of one set whose order a person has fixed earlier.

    Attributes:
        files: the photos, in that order.
        directed: whether its direction is given, too; else it may as well be the reverse.
    """

    files: tuple[Path, ...]
    directed: bool = True


@dataclass(frozen=True)
class Known:
    """What a person says of the order.

    Attributes:
        first: photos that are the first of their sets; or `EARLIEST`.
        reverse: every set runs in the direction opposite to the usual one.
        last: photos that are the last of their sets.
        metadata: ``"auto"``: what is known beside the pictures, such as capture times, decides where it can, and the
            pictures all else; ``"ignore"``: the pictures alone; ``"only"``: the pictures decide nothing.
        trust_mtime: whether a file's time of change counts as capture time where a photo has no other.
        kept: photos that keep their order among themselves.
        keep_strays: whether photos that look like another scene are sorted with the others.
        offsets: what has to be added to the times of a camera, as ``"Pixel 7=+00:03:12"``.

    Raises:
        UsageError: if the direction is fixed twice, for another ``metadata``, or an offset that is not understood.
    """

    first: tuple[Path, ...] = ()
    reverse: bool = False
    last: tuple[Path, ...] = ()
    metadata: str = "auto"
    trust_mtime: bool = False
    kept: tuple[Kept, ...] = ()
    keep_strays: bool = False
    offsets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.first or self.last) and self.reverse:
            option = "--first" if self.first else "--last"
            raise UsageError(f"{option} and --reverse both fix the direction; give one of them")
        if self.metadata not in METADATA:
            raise UsageError(f"--metadata is {', '.join(METADATA[:-1])} or {METADATA[-1]}; not {self.metadata!r}")
        if self.metadata == "ignore" and (self.offsets or self.earliest_first):
            option = "--offset" if self.offsets else f"--first {EARLIEST}"
            raise UsageError(f"{option} needs the capture times that --metadata ignore leaves out; leave one out")
        _ = self.shifts

    @property
    def earliest_first(self) -> bool:
        """Whether the photo with the earliest time is the first of its set."""
        return EARLIEST in self.first

    @property
    def shifts(self) -> dict[str, timedelta]:
        """What has to be added to the times of each camera that `offsets` names; raises UsageError."""
        found: dict[str, timedelta] = {}
        for text in self.offsets:
            camera, _, said = text.rpartition("=")
            match = _OFFSET.fullmatch(said.strip())
            if not (camera.strip() and match):
                raise UsageError(f"--offset takes a camera and hours, as 'Pixel 7=+00:03:12'; not {show(text)!r}")
            sign, hours, minutes, seconds = match.groups()
            shift = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)) * int(f"{sign}1")
            if found.setdefault(camera.strip(), shift) != shift:
                raise UsageError(f"--offset: {show(camera.strip())} has two; give one of them")
        return found

    def direction(self, start: int | None, end: int | None = None) -> str:
        """``"given"`` or ``"unknown"``, for a set with this first and this last photo."""
        return "unknown" if start is end is None and not self.reverse else "given"

    def starts(
        self, sets: Sequence[Sequence[Path]], otherwise: str = "not one of the photos to sort"
    ) -> list[int | None]:
        """For each set, the index of the photo that is known to be first, or None; see `ends`."""
        named = [photo for photo in self.first if photo != EARLIEST]
        return _find_each(named, "--first", sets, otherwise)

    def ends(
        self, sets: Sequence[Sequence[Path]], otherwise: str = "not one of the photos to sort"
    ) -> list[int | None]:
        """For each set, the index of the photo that is known to be last, or None.

        Args:
            sets: the photos that may be first, set by set.
            otherwise: for the error about a photo that is not among them.

        Raises:
            UsageError: if a photo of `last` is in no set, if several photos have its name, or if a set has two last
                photos.
        """
        return _find_each(self.last, "--last", sets, otherwise)

    def kept_in(self, files: Sequence[Path]) -> list[tuple[list[int], bool]]:
        """The chains of indices into a set's photos that are kept, and whether the direction of each is given."""
        index = {file: place for place, file in enumerate(files)}
        chains = [([index[file] for file in kept.files if file in index], kept.directed) for kept in self.kept]
        return [(chain, directed) for chain, directed in chains if len(chain) > 1]


def _find_each(photos: Sequence[Path], option: str, sets: Sequence[Sequence[Path]], otherwise: str) -> list[int | None]:
    """For each set, the index of the one of these photos that is in it, or None."""
    found: list[int | None] = [None] * len(sets)
    everywhere = [(number, index, file) for number, files in enumerate(sets) for index, file in enumerate(files)]
    for wanted in photos:
        places: list[tuple[int, int]] = []
        for matches in (_same_path, same_file, _same_bare_name):  # the surest way first
            places = places or [(number, index) for number, index, file in everywhere if matches(wanted, file)]
        if not places:
            raise UsageError(f"{option} {show(wanted)}: {otherwise}")
        if len({number for number, _ in places}) < len(places):
            raise UsageError(f"{option} {show(wanted)}: several photos of one set have this name; give the path")
        for number, index in places:
            if found[number] not in (None, index):
                raise UsageError(f"{option} {show(wanted)}: its set has another {option[2:]} photo already")
            found[number] = index
    return found


def _same_path(wanted: Path, file: Path) -> bool:
    return file.absolute() == wanted.absolute()


def _same_bare_name(wanted: Path, file: Path) -> bool:
    return wanted.parent == Path() and file.name == wanted.name
