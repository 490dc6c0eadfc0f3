"""A set of photos and its order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgorder.evidence.offsets import Offset
from imgorder.media.photos import PhotoSet
from imgorder.names import show
from imgorder.ordering import Ordering


@dataclass(frozen=True)
class SortedSet:
    """A set of photos and its order: sorted now, or read from a file.

    Attributes:
        photos: the set, as it was found.
        order: indices into ``photos.files``, in temporal order.
        confidence: as in `Ordering`, rounded as it is shown and compared.
        direction: ``"given"`` by the user, ``"known"`` from what is known beside the pictures, or ``"unknown"``.
        model, backend: what gave the order.
        votes: in how many listings the network saw the set.
        ordering: all that the model said, with indices into ``photos.files``; None for an order from a file.
        reasons: what fixes the place of each photo, in temporal order: such as ``"DateTimeOriginal"``, or
            ``"content"``; empty for an order from a file.
        given: indices of the photos whose order among themselves a person has fixed.
        scene: what the photos are, as `Strays` has it; None where that was not asked.
        apart: photos of the set that belong to another scene, and have no place in the order.
        doubt: why the order is no more than a guess, though the model may be sure: the photos are not of one scene, or
            a camera is one only by the pictures. The confidence is 0 then. Empty if there is no such reason.
        clocks: how far the clocks of several cameras are apart.
    """

    photos: PhotoSet
    order: tuple[int, ...]
    confidence: float
    direction: str
    model: str
    backend: str
    votes: int = 1
    ordering: Ordering | None = None
    reasons: tuple[str, ...] = ()
    given: tuple[int, ...] = ()
    scene: str | None = None
    apart: tuple[Path, ...] = ()
    doubt: str = ""
    clocks: tuple[Offset, ...] = ()

    @property
    def words(self) -> str:
        """How sure the order is, for people; empty for an order from a file."""
        return f"a guess: {self.doubt}" if self.doubt else self.ordering.words if self.ordering else ""

    @property
    def guessed(self) -> bool:
        """Whether the order is no more than a guess."""
        return bool(self.doubt) or (self.ordering is not None and self.ordering.guessed)

    @property
    def files(self) -> tuple[Path, ...]:
        """The photos in temporal order."""
        return tuple(self.photos.files[index] for index in self.order)

    @property
    def title(self) -> str:
        """The folder, for people."""
        return show(self.photos.folder)

    @property
    def folder_name(self) -> str:
        """The folder's own name, for what is passed on: it does not show where its owner keeps photos."""
        folder = Path(os.path.abspath(self.photos.folder))
        return show(folder.name or folder)

    def names(self, order: Sequence[int]) -> list[str]:
        """File names in an order."""
        return [self.photos.name(self.photos.files[i]) for i in order]
