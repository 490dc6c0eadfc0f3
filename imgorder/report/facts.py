"""The facts of a report, before they become a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgorder.heatmaps.overlay import Look
from imgorder.media.preprocess import Preprocessing
from imgorder.permutations import MAX_EXACT
from imgorder.report.times import Times
from imgorder.sorting.sorted_set import SortedSet

Numbers = tuple[int, ...]
"""Photos by their place in the predicted order, from 1."""

Given = Literal["nothing", "first", "last", "ends", "direction", "times"]
"""What fixed the direction: nothing, the user with the first photo, the last, both, or in another way, or the capture
times."""


@dataclass(frozen=True)
class Picture:
    """A picture.

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
        name: safe to show, on one line.
        picture: upright and small.
        heat: the same with its heat map; None if the model has none.
    """

    name: str
    picture: Picture
    heat: Picture | None


@dataclass(frozen=True)
class Candidate:
    """An order that the network considered, or a part of one.

    Attributes:
        numbers: the photos in this order.
        probability: of this order or its reverse, 0…1; with a given first photo, of this order alone.
    """

    numbers: Numbers
    probability: float


@dataclass(frozen=True)
class Report:
    """A set in its order, and how sure the order is.

    Attributes:
        result: the sorted set.
        photos: in the predicted order.
        given: what fixed the direction.
        known: whether the order of each two neighbours is known without the pictures.
        lookalikes: groups of photos that the model cannot tell apart.
        candidates: the most probable orders, the winner first; only the winner of more than `MAX_EXACT` photos.
        classes: how many orders are possible; 0 of more photos.
        places: the probability that photo i + 2 is the next after photo i + 1, for each two neighbours.
        words: how sure the order is, as in `Ordering`.
        baseline: the order of the shortest path; None if that is the model itself.
        baseline_tied: whether other orders are as short.
        times: the photos' capture times, compared with the order.
        look: of the heat maps.
        preprocessing: how photos became the model's input.
        sha256: of the model's file, in hexadecimal digits; empty if it has none.
    """

    result: SortedSet
    photos: tuple[Photo, ...]
    given: Given
    known: bool
    lookalikes: tuple[Numbers, ...]
    candidates: tuple[Candidate, ...]
    classes: int
    places: tuple[float, ...]
    words: str
    baseline: Numbers | None
    baseline_tied: bool
    times: Times
    look: Look
    preprocessing: Preprocessing
    sha256: str

    @property
    def large(self) -> bool:
        """Whether the orders are too many to be listed, so that the places say how sure this one is."""
        return len(self.photos) > MAX_EXACT

    @property
    def weakest(self) -> list[Candidate]:
        """Each two neighbours with the probability of their place, the least sure first."""
        places = [Candidate((number, number + 1), each) for number, each in enumerate(self.places, start=1)]
        return sorted(places, key=lambda place: place.probability)

    @property
    def baseline_agrees(self) -> bool:
        """Whether the shortest path is the predicted order, in either direction."""
        return self.baseline is not None and sorted(self.baseline) in ([*self.baseline], [*self.baseline[::-1]])
