"""The order that `rename` and `stamp` go by: sorted now, or read from a file (`order_file.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgorder.photos import PhotoSet


@dataclass(frozen=True)
class OrderedSet:
    """Photos of one scene in temporal order.

    Attributes:
        photos: the set; ``files`` in natural order of the names, as found.
        files: in temporal order.
        confidence: probability of the order, 0 to 1.
        direction: ``given`` or ``unknown``.
        model, backend: what decided.
    """

    photos: PhotoSet
    files: tuple[Path, ...]
    confidence: float
    direction: str
    model: str
    backend: str


def sort_now(
    paths: Sequence[Path],
    *,
    model: str = "default",
    backend: str = "auto",
    threads: int | None = None,
    votes: int = 1,
    first: Sequence[Path] = (),
    reverse: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> list[OrderedSet]:
    """Sort as `imgorder sort` does; raises as `sort_photos` does."""
    from imgorder.sorting import sort_photos

    results = sort_photos(
        paths, model=model, backend=backend, threads=threads, votes=votes, first=first, reverse=reverse, warn=warn
    )
    return [
        OrderedSet(
            result.photos,
            tuple(result.photos.files[index] for index in result.ordering.order),
            result.confidence,
            result.direction,
            result.model,
            result.backend,
        )
        for result in results
    ]
