"""The main job: paths to ordered sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgorder.errors import SetSizeError, UsageError
from imgorder.files import same_file
from imgorder.names import show
from imgorder.ordering import Ordering
from imgorder.photos import PhotoSet, find_sets
from imgorder.twins import Twin, find_twins

if TYPE_CHECKING:
    from imgorder.predictor import OrderingModel
    from imgorder.preprocess import Preprocessing, Tensor


@dataclass(frozen=True)
class SortedSet:
    """A set of photos and its order.

    Attributes:
        photos: the set, as it was found.
        ordering: indices refer to ``photos.files``.
        direction: ``"given"`` by the user or ``"unknown"``.
        model, backend: what decided.
        votes: in how many listings the network was shown the set.
    """

    photos: PhotoSet
    ordering: Ordering
    direction: str
    model: str
    backend: str
    votes: int = 1

    @property
    def title(self) -> str:
        """The folder, for people."""
        return show(self.photos.folder)

    @property
    def folder_name(self) -> str:
        """The folder's own name: what is passed on need not tell where its owner keeps photos."""
        folder = Path(os.path.abspath(self.photos.folder))
        return show(folder.name or folder)

    @property
    def confidence(self) -> float:
        """Probability of the order, rounded as it is shown and compared."""
        return round(self.ordering.confidence, 6)

    def names(self, order: Sequence[int]) -> list[str]:
        """File names in an order."""
        return [self.photos.name(self.photos.files[i]) for i in order]


@dataclass(frozen=True)
class Sorting:
    """All that sorting came by, for what goes on from there.

    Attributes:
        model: what decided.
        results: the sets in their order.
        tensors: of each set, preprocessed for the model, ``(n, 3, crop, crop)``.
        starts: for each set, the index of the photo that is known to be first, if one is.
        twins: for each set, photos that the model cannot tell apart.
    """

    model: OrderingModel
    results: list[SortedSet]
    tensors: list[Tensor]
    starts: list[int | None]
    twins: list[list[Twin]]


def sort_photos(
    paths: Sequence[Path],
    *,
    model: str = "default",
    backend: str = "auto",
    threads: int | None = None,
    votes: int = 1,
    first: Sequence[Path] = (),
    reverse: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> list[SortedSet]:
    """Find the sets under ``paths`` and order each. Reads only.

    Args:
        votes: in how many listings the network is shown each set, see `OrderingModel.with_votes`.
        first: photos known to be the first of their sets.
        reverse: show every set in the direction opposite to the usual one.
        warn: is told what is odd but does not stop the job.

    Raises:
        ImgorderError: with one line that names the file and the cure.
    """
    sorting = sort_sets(
        find_sets(paths),
        model=model,
        backend=backend,
        threads=threads,
        votes=votes,
        first=first,
        reverse=reverse,
        warn=warn,
    )
    return sorting.results


def sort_sets(
    sets: Sequence[PhotoSet],
    *,
    model: str = "default",
    backend: str = "auto",
    threads: int | None = None,
    votes: int = 1,
    first: Sequence[Path] = (),
    reverse: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> Sorting:
    """As `sort_photos`, of sets that are found already; model and tensors are kept."""
    for photos in sets:
        _check_size(photos)
    starts = _find_starts(sets, first)
    loaded, tensors = _load_both(sets, model, backend, threads)
    twins: list[list[Twin]] = []
    for photos, each in zip(sets, tensors, strict=True):
        loaded.check_size(len(photos.files), photos.folder)
        twins.append(find_twins(photos.files, each))
        for twin in twins[-1]:
            warn(twin.warning(photos.files))
    loaded = loaded.with_votes(votes)
    orderings = [loaded.order_tensors([each])[0] for each in tensors]
    results = []
    for photos, ordering, start in zip(sets, orderings, starts, strict=True):
        if start is not None:
            ordering = ordering.with_end(start)
        elif reverse:
            ordering = ordering.reversed()
        direction = "unknown" if start is None and not reverse else "given"
        shown = loaded.votes(len(photos.files))
        results.append(SortedSet(photos, ordering, direction, loaded.name, loaded.backend.name, shown))
    return Sorting(loaded, results, tensors, starts, twins)


def _load_both(
    sets: Sequence[PhotoSet], model: str, backend: str, threads: int | None
) -> tuple[OrderingModel, list[Tensor]]:
    """The model and the sets' tensors; photos are decoded while the model's runtime is imported."""
    from imgorder.predictor import load_model, preprocessing_of
    from imgorder.preprocess import DEFAULT, preprocess_set
    from imgorder.registry import known_card

    def read(spec: Preprocessing) -> list[Tensor]:
        return [preprocess_set(photos.files, spec, threads) for photos in sets]

    card = known_card(model)
    likely = preprocessing_of(card) if card else DEFAULT
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, likely)
        loaded = load_model(model, backend, threads)
        tensors = ahead.result()
    return loaded, tensors if loaded.preprocessing == likely else read(loaded.preprocessing)


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        raise SetSizeError(f"{show(photos.files[0])}: a single photo has no order; give 3 to 6 photos of one scene")
    if n > 6:
        raise SetSizeError(f"{show(photos.folder)}: {n} photos; at most 6 can be ordered at once, give fewer of them")


def _find_starts(sets: Sequence[PhotoSet], first: Sequence[Path]) -> list[int | None]:
    """For each set, the index of the photo that is known to be first."""
    starts: list[int | None] = [None] * len(sets)
    for wanted in first:
        everywhere = [
            (number, index, file) for number, photos in enumerate(sets) for index, file in enumerate(photos.files)
        ]
        matches: tuple[Callable[[Path], bool], ...] = (
            lambda file, wanted=wanted: file.absolute() == wanted.absolute(),  # type: ignore[misc]
            lambda file, wanted=wanted: same_file(file, wanted),  # type: ignore[misc]
            lambda file, wanted=wanted: wanted.parent == Path() and file.name == wanted.name,  # type: ignore[misc]
        )
        places: list[tuple[int, int]] = []
        for match in matches:  # by path, by file, by the bare name that the listing shows
            places = places or [(number, index) for number, index, file in everywhere if match(file)]
        if not places:
            raise UsageError(f"--first {show(wanted)}: not one of the photos to sort")
        if len({number for number, _ in places}) < len(places):
            raise UsageError(f"--first {show(wanted)}: several photos of one set have this name; give the path")
        for number, index in places:
            if starts[number] not in (None, index):
                raise UsageError(f"--first {show(wanted)}: its set has another first photo already")
            starts[number] = index
    return starts
