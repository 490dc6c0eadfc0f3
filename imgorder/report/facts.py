"""What a report tells, before it is a page."""

from __future__ import annotations

from dataclasses import dataclass

from imgorder.heatmaps.overlay import Look
from imgorder.preprocess import Preprocessing
from imgorder.report.times import Times

Numbers = tuple[int, ...]
"""Photos by their place in the predicted order, from 1."""


@dataclass(frozen=True)
class Picture:
    """A picture to be shown.

    Attributes:
        jpeg: the file, without metadata.
        width, height: in px.
    """

    jpeg: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Photo:
    """One photo.

    Attributes:
        name: as people may see it, on one line.
        picture: upright and small.
        heat: the same with its heat map; None if the model has none.
    """

    name: str
    picture: Picture
    heat: Picture | None


@dataclass(frozen=True)
class Candidate:
    """An order that the network considered.

    Attributes:
        numbers: the photos in this order.
        probability: of this order or its reverse, 0…1.
    """

    numbers: Numbers
    probability: float


@dataclass(frozen=True)
class Maker:
    """What made the report.

    Attributes:
        model, backend: what decided.
        sha256: of the model's file, in hexadecimal digits; empty if it has none.
        preprocessing: how photos became the model's input.
        version: of imgorder.
    """

    model: str
    backend: str
    sha256: str
    preprocessing: Preprocessing
    version: str


@dataclass(frozen=True)
class Report:
    """A set in its order, and what speaks for and against it.

    Attributes:
        title: the folder's own name.
        photos: in the predicted order.
        direction_given: whether the user told which way time runs.
        candidates: the most probable orders, the winner first.
        classes: how many orders there are.
        baseline: the order of the shortest path; None if that is the model itself.
        times: the photos' capture times against the order.
        look: of the heat maps.
        maker: what made it.
    """

    title: str
    photos: tuple[Photo, ...]
    direction_given: bool
    candidates: tuple[Candidate, ...]
    classes: int
    baseline: Numbers | None
    times: Times
    look: Look
    maker: Maker

    @property
    def baseline_agrees(self) -> bool:
        """Whether the shortest path is the predicted order, in either direction."""
        return self.baseline is not None and list(self.baseline) in (
            sorted(self.baseline),
            sorted(self.baseline, reverse=True),
        )
