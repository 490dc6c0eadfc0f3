"""The main job: photos to ordered sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgorder.errors import SetSizeError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.lookalikes import Lookalike, find_lookalikes, word_warnings
from imgorder.media.photos import PhotoSet, check_photo, find_sets
from imgorder.media.preprocess import DEFAULT, preprocess_set
from imgorder.media.shots import drop_versions
from imgorder.names import show
from imgorder.ordering import Ordering, first_of
from imgorder.permutations import SIZES

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel
    from imgorder.media.preprocess import Tensor

Warn = Callable[[str], None]


@dataclass(frozen=True)
class SortedSet:
    """A set of photos and its order: sorted now, or read from a file.

    Attributes:
        photos: the set, as it was found.
        order: indices into ``photos.files``, in temporal order.
        confidence: as in `Ordering`, rounded as it is shown and compared.
        direction: ``"given"`` by the user or ``"unknown"``.
        model, backend: what gave the order.
        votes: in how many listings the network saw the set.
        ordering: all that the model said, with indices into ``photos.files``; None for an order from a file.
    """

    photos: PhotoSet
    order: tuple[int, ...]
    confidence: float
    direction: str
    model: str
    backend: str
    votes: int = 1
    ordering: Ordering | None = None

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


@dataclass(frozen=True)
class Sorting:
    """One sorted set, and what its order was made from.

    Attributes:
        result: the set in its order.
        ordering: all that the model said.
        model: what gave the order.
        tensors: the set, preprocessed for the model, ``(n, 3, crop, crop)``.
        start: index of the photo that is known to be first, or None.
        lookalikes: photos that the model cannot tell apart.
    """

    result: SortedSet
    ordering: Ordering
    model: OrderingModel
    tensors: Tensor
    start: int | None
    lookalikes: list[Lookalike]


def sort_photos(
    paths: Sequence[Path],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
) -> list[SortedSet]:
    """Find the sets under ``paths`` and order each. Reads only.

    Args:
        options: how the model is asked.
        known: what is known of the orders.
        warn: called with each warning.

    Raises:
        ImgorderError: with one line that names the file and the cure.
    """
    return [sorting.result for sorting in sort_sets(find_sets(paths), options, known, warn)]


def sort_sets(
    sets: Sequence[PhotoSet],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
) -> Iterator[Sorting]:
    """As `sort_photos`, for sets that are found already, one after the other.

    Before the first set, everything is checked that can be checked without decoding a photo.
    """
    from imgorder.inference.cards import known_card, preprocessing_of

    sets = [_leave_originals(photos, warn) for photos in sets]
    for photos in sets:
        _check_size(photos)
    starts = known.starts([photos.files for photos in sets])
    with ThreadPoolExecutor(1) as pool:
        # Photos are decoded while the model's runtime is imported, and the next set while one is sorted.
        card = known_card(options.model)
        likely = preprocessing_of(card) if card else DEFAULT  # as the file will say, unless it is foreign
        ahead = pool.submit(preprocess_set, sets[0].files, likely, options.threads)
        model = options.load(card)
        for photos in sets:
            model.check_size(len(photos.files), photos.folder)
        spec = model.preprocessing
        if spec != likely:
            ahead = pool.submit(preprocess_set, sets[0].files, spec, options.threads)
        for photos, start, after in zip(sets, starts, (*sets[1:], None), strict=True):
            tensors = ahead.result()
            if after is not None:
                ahead = pool.submit(preprocess_set, after.files, spec, options.threads)
            yield _sort_set(photos, tensors, model, known, start, warn)


def _sort_set(
    photos: PhotoSet, tensors: Tensor, model: OrderingModel, known: Known, start: int | None, warn: Warn
) -> Sorting:
    lookalikes = find_lookalikes(photos.files, tensors)
    for warning in word_warnings(lookalikes, photos.files):
        warn(warning)
    before = [] if start is None else first_of(len(tensors), start)
    ordering = model.order_tensors([tensors], [before])[0]
    if known.reverse:
        ordering = ordering.reversed()
    result = SortedSet(
        photos,
        ordering.order,
        round(ordering.confidence, 6),
        known.direction(start),
        model.name,
        model.backend,
        model.votes(len(photos.files)),
        ordering,
    )
    return Sorting(result, ordering, model, tensors, start, lookalikes)


def _leave_originals(photos: PhotoSet, warn: Warn) -> PhotoSet:
    """A set without further versions of its photos, each of which is named."""
    files, originals = drop_versions(photos.files)
    for version, original in originals.items():
        warn(f"{show(version)}: another version of {show(original.name)}, not sorted; rename lets it go along")
    return PhotoSet(photos.folder, tuple(files)) if originals else photos


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        check_photo(photos.files[0])  # a video, or a text, is not even that
        raise SetSizeError(
            f"{show(photos.files[0])}: a single photo has no order; give {SIZES[0]} photos of one scene, or more"
        )
