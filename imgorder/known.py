"""What a person knows of the order: which photo was first, or that it runs the other way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgorder.errors import UsageError
from imgorder.files import same_file
from imgorder.names import show


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
        first: photos that are the first of their sets.
        reverse: every set runs in the direction opposite to the usual one.
        kept: photos that keep their order among themselves.

    Raises:
        UsageError: if both are given.
    """

    first: tuple[Path, ...] = ()
    reverse: bool = False
    kept: tuple[Kept, ...] = ()

    def __post_init__(self) -> None:
        if self.first and self.reverse:
            raise UsageError("--first and --reverse both fix the direction; give one of them")

    def direction(self, start: int | None) -> str:
        """``"given"`` or ``"unknown"``, for a set with this start."""
        return "unknown" if start is None and not self.reverse else "given"

    def starts(
        self, sets: Sequence[Sequence[Path]], otherwise: str = "not one of the photos to sort"
    ) -> list[int | None]:
        """For each set, the index of the photo that is known to be first, or None.

        Args:
            sets: the photos that may be first, set by set.
            otherwise: for the error about a photo that is not among them.

        Raises:
            UsageError: if a photo of `first` is in no set, if several photos have its name, or if a set has two
                first photos.
        """
        starts: list[int | None] = [None] * len(sets)
        everywhere = [(number, index, file) for number, files in enumerate(sets) for index, file in enumerate(files)]
        for wanted in self.first:
            places: list[tuple[int, int]] = []
            for matches in (_same_path, same_file, _same_bare_name):  # the surest way first
                places = places or [(number, index) for number, index, file in everywhere if matches(wanted, file)]
            if not places:
                raise UsageError(f"--first {show(wanted)}: {otherwise}")
            if len({number for number, _ in places}) < len(places):
                raise UsageError(f"--first {show(wanted)}: several photos of one set have this name; give the path")
            for number, index in places:
                if starts[number] not in (None, index):
                    raise UsageError(f"--first {show(wanted)}: its set has another first photo already")
                starts[number] = index
        return starts

    def kept_in(self, files: Sequence[Path], start: int | None = None) -> list[tuple[list[int], bool]]:
        """The chains of indices into a set's photos that are kept, and whether the direction of each is given.

        Args:
            files: the set.
            start: index of the photo that is known to be first. Where it is the last of a chain without a direction,
                the chain is turned.

        Raises:
            UsageError: if a chain says that another photo is before the first, or has the other direction.
        """
        index = {file: place for place, file in enumerate(files)}
        chains = []
        for kept in self.kept:
            chain, directed = [index[file] for file in kept.files if file in index], kept.directed
            if len(chain) > 1:
                if start in chain:
                    if not directed and chain[-1] == start:
                        chain.reverse()
                    if chain[0] != start:
                        raise UsageError(
                            f"--first {show(files[start])}: {show(files[chain[0]])} is before it in the order to keep; "
                            "give one of them"
                        )
                    directed = True
                if directed and self.reverse:
                    raise UsageError("--reverse turns the order to keep, whose direction is given; give one of them")
                chains.append((chain, directed))
        return chains


def _same_path(wanted: Path, file: Path) -> bool:
    return file.absolute() == wanted.absolute()


def _same_bare_name(wanted: Path, file: Path) -> bool:
    return wanted.parent == Path() and file.name == wanted.name
