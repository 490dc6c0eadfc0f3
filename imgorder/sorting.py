"""The main job: photos to ordered sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from imgorder.errors import SetSizeError, UsageError
from imgorder.evidence.weigh import Evidence, weigh_facts
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.facts import read_all_facts
from imgorder.media.lookalikes import Lookalike, find_lookalikes, word_warnings
from imgorder.media.photos import PhotoSet, check_photo, find_sets
from imgorder.media.preprocess import DEFAULT, preprocess_set
from imgorder.names import show
from imgorder.ordering import Ordering, Pairs, first_of
from imgorder.permutations import SIZES
from imgorder.search.constraints import close_pairs

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
        direction: ``"given"`` by the user, ``"known"`` from what is known beside the pictures, or ``"unknown"``.
        model, backend: what gave the order.
        votes: in how many listings the network saw the set.
        ordering: all that the model said, with indices into ``photos.files``; None for an order from a file.
        reasons: what fixes the place of each photo, in temporal order: such as ``"DateTimeOriginal"``, or
            ``"content"``; empty for an order from a file.
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

    for photos in sets:
        _check_size(photos)
    files = [photos.files for photos in sets]
    starts, ends = known.starts(files), known.ends(files)
    told = [_weigh(*each, known) for each in zip(sets, starts, ends, strict=True)]
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
        for photos, start, own, after in zip(sets, starts, told, (*sets[1:], None), strict=True):
            tensors = ahead.result()
            if after is not None:
                ahead = pool.submit(preprocess_set, after.files, spec, options.threads)
            yield _sort_set(photos, tensors, model, own, start, warn)


@dataclass(frozen=True)
class _Told:
    """What is known of one set before its pictures are looked at.

    Attributes:
        before: pairs (a, b) of photos of which a was taken before b.
        direction: see `SortedSet`.
        reverse: whether the person wants the direction opposite to the usual one.
        evidence: where metadata counts.
        complete: whether the pictures may decide nothing.
    """

    before: Pairs
    direction: str
    reverse: bool
    evidence: Evidence | None
    complete: bool


def _weigh(photos: PhotoSet, start: int | None, end: int | None, known: Known) -> _Told:
    """Put together what metadata and the person say.

    Raises:
        UsageError: if they contradict each other.
    """
    n = len(photos.files)
    said = frozenset().union(
        () if start is None else first_of(n, start), () if end is None else {(b, a) for a, b in first_of(n, end)}
    )
    evidence = (
        None if known.metadata == "ignore" else weigh_facts(read_all_facts(photos.files), trust_mtime=known.trust_mtime)
    )
    before = said | (evidence.before if evidence else frozenset())
    cure = "the capture times say otherwise; add --metadata ignore, or leave it out"
    if known.reverse and evidence and evidence.directed:
        raise UsageError(f"--reverse: {show(photos.folder)}: {cure}")
    try:
        close_pairs(n, before)
    except ValueError as error:
        if start is not None and start == end:
            raise UsageError(f"{show(photos.files[start])}: cannot be both first and last") from error
        named = "--last" if start is None else "--first"
        photo = photos.files[end if start is None else start]  # type: ignore[index]
        raise UsageError(f"{named} {show(photo)}: {cure}") from error
    direction = known.direction(start, end)
    if direction == "unknown" and evidence and evidence.directed:
        direction = "known"
    return _Told(before, direction, known.reverse, evidence, known.metadata == "only")


def _sort_set(
    photos: PhotoSet, tensors: Tensor, model: OrderingModel, told: _Told, start: int | None, warn: Warn
) -> Sorting:
    lookalikes = find_lookalikes(photos.files, tensors)
    for warning in word_warnings(lookalikes, photos.files):
        warn(warning)
    for conflict in told.evidence.conflicts if told.evidence else ():
        warn(f"{show(photos.folder)}: {conflict}")
    ordering = model.order_tensors([tensors], [told.before])[0]
    if told.reverse:
        ordering = ordering.reversed()
    if told.complete:
        _require_known(photos, ordering, told.before)
    reasons = [text or "content" for text in told.evidence.reasons] if told.evidence else ["content"] * len(tensors)
    result = SortedSet(
        photos,
        ordering.order,
        round(ordering.confidence, 6),
        told.direction,
        model.name,
        model.backend,
        model.votes(len(photos.files)),
        ordering,
        tuple(reasons[image] for image in ordering.order),
    )
    return Sorting(result, ordering, model, tensors, start, lookalikes)


def _require_known(photos: PhotoSet, ordering: Ordering, before: Pairs) -> None:
    """Raise UsageError unless metadata alone fixes the whole order."""
    for one, other in pairwise(ordering.order):
        if (one, other) not in before:
            names = " and ".join(show(photos.files[image]) for image in (one, other))
            raise UsageError(f"--metadata only: nothing but the pictures says which of {names} was first; leave it out")


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        check_photo(photos.files[0])  # a video, or a text, is not even that
        raise SetSizeError(
            f"{show(photos.files[0])}: a single photo has no order; give {SIZES[0]} photos of one scene, or more"
        )
