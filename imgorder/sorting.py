"""The main job: photos to ordered sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from imgorder.errors import ImgorderError, PhotoError, SetSizeError
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.lookalikes import Lookalike, find_lookalikes, word_warnings
from imgorder.media.photos import PhotoSet, check_photo, find_sets, refuse
from imgorder.media.preprocess import DEFAULT, preprocess_readable
from imgorder.names import show
from imgorder.ordering import Ordering, Pairs, first_of
from imgorder.permutations import SIZES

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel
    from imgorder.media.preprocess import Tensor

P = ParamSpec("P")
Warn = Callable[[str], None]
Apart = Callable[[ImgorderError], None]


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
        given: indices of the photos whose order among themselves a person has fixed.
    """

    photos: PhotoSet
    order: tuple[int, ...]
    confidence: float
    direction: str
    model: str
    backend: str
    votes: int = 1
    ordering: Ordering | None = None
    given: tuple[int, ...] = ()

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
        found: the set as it was given; that of ``result`` has the same photos without those that were set apart.
    """

    result: SortedSet
    ordering: Ordering
    model: OrderingModel
    tensors: Tensor
    start: int | None
    lookalikes: list[Lookalike]
    found: PhotoSet


def sort_photos(
    paths: Sequence[Path],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
    exclude: Sequence[str] = (),
    apart: Apart = refuse,
) -> list[SortedSet]:
    """Find the sets under ``paths`` and order each. Reads only.

    Args:
        options: how the model is asked.
        known: what is known of the orders.
        warn: called with each warning.
        exclude: names and patterns of photos to leave out, as `find_sets` takes them.
        apart: called with the error of each photo and set that cannot be sorted; the rest is.

    Raises:
        ImgorderError: with one line that names the file and the cure, for what is not set apart.
    """
    sets = find_sets(paths, exclude, warn, apart)
    return [sorting.result for sorting in sort_sets(sets, options, known, warn, apart)]


def sort_sets(
    sets: Sequence[PhotoSet],
    options: ModelOptions = ModelOptions(),
    known: Known = Known(),
    warn: Warn = lambda message: None,
    apart: Apart = refuse,
) -> Iterator[Sorting]:
    """As `sort_photos`, for sets that are found already, one after the other.

    Before the first set, everything is checked that can be checked without decoding a photo.
    """
    from imgorder.inference.cards import known_card, preprocessing_of

    sets = [photos for photos in sets if _passes(apart, _check_size, photos)]
    starts = known.starts([photos.files for photos in sets])
    for photos, start in zip(sets, starts, strict=True):
        known.kept_in(photos.files, start)
    if not sets:
        return
    with ThreadPoolExecutor(1) as pool:
        # Photos are decoded while the model's runtime is imported, and the next set while one is sorted.
        card = known_card(options.model)
        likely = preprocessing_of(card) if card else DEFAULT  # as the file will say, unless it is foreign
        ahead = pool.submit(preprocess_readable, sets[0].files, likely, options.threads)
        model = options.load(card)
        listed = [
            (photos, start)
            for photos, start in zip(sets, starts, strict=True)
            if _passes(apart, model.check_size, len(photos.files), photos.folder)
        ]
        spec = model.preprocessing
        if listed and (spec != likely or listed[0][0] is not sets[0]):
            ahead = pool.submit(preprocess_readable, listed[0][0].files, spec, options.threads)
        for (photos, start), after in zip(listed, (*listed[1:], None), strict=True):
            tensors, bad = ahead.result()
            if after is not None:
                ahead = pool.submit(preprocess_readable, after[0].files, spec, options.threads)
            for error in bad.values() if len(bad) < len(photos.files) else [_none_is_readable(bad)]:
                apart(error)
            left = [index for index in range(len(photos.files)) if index not in bad]
            if bad and (len(left) < 2 or not _passes(apart, model.check_size, len(left), photos.folder)):
                continue
            readable = replace(photos, files=tuple(photos.files[index] for index in left))
            first = left.index(start) if start in left else None
            yield replace(_sort_set(readable, tensors, model, known, first, warn), found=photos)


def _none_is_readable(bad: Mapping[int, PhotoError]) -> PhotoError:
    """One error for a whole set: mostly all its photos have the same one."""
    return PhotoError(
        f"{bad[0]}; none of the {len(bad)} photos of this set can be read" if len(bad) > 1 else str(bad[0])
    )


def _passes(apart: Apart, check: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> bool:
    """Whether a set passes a check; if not, it is set apart."""
    try:
        check(*arguments, **named)
    except (PhotoError, SetSizeError) as error:
        apart(error)
        return False
    return True


def _sort_set(
    photos: PhotoSet, tensors: Tensor, model: OrderingModel, known: Known, start: int | None, warn: Warn
) -> Sorting:
    lookalikes = find_lookalikes(photos.files, tensors)
    for warning in word_warnings(lookalikes, photos.files):
        warn(warning)
    before = frozenset() if start is None else first_of(len(tensors), start)
    chains = known.kept_in(photos.files, start)
    kept = _link_chains(chains, before, lambda known: model.order_tensors([tensors], [known])[0])
    ordering = model.order_tensors([tensors], [before | kept])[0]
    if known.reverse:
        ordering = ordering.reversed()
    result = SortedSet(
        photos,
        ordering.order,
        round(ordering.confidence, 6),
        "given" if any(directed for _, directed in chains) else known.direction(start),
        model.name,
        model.backend,
        model.votes(len(photos.files)),
        ordering,
        tuple(image for image in ordering.order if any(image in chain for chain, _ in chains)),
    )
    return Sorting(result, ordering, model, tensors, start, lookalikes, photos)


def _link_chains(chains: Sequence[tuple[list[int], bool]], before: Pairs, order: Callable[[Pairs], Ordering]) -> Pairs:
    """All pairs of each chain.

    Where one chain without a direction stands alone, it is taken as it runs. Beside others, or a known first photo,
    its direction is that in which most of it runs in the order by content.
    """
    pairs = {pair for chain, directed in chains if directed for pair in combinations(chain, 2)}
    loose = [chain for chain, directed in chains if not directed]
    if loose and not (before or pairs):
        pairs.update(combinations(loose.pop(0), 2))
    if loose:
        found = order(before | pairs).order
        for chain in loose:
            places = [found.index(image) for image in chain]
            backward = sum(a > b for a, b in combinations(places, 2)) * 4 > len(chain) * (len(chain) - 1)
            pairs.update(combinations(chain[::-1] if backward else chain, 2))
    return frozenset(pairs)


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        check_photo(photos.files[0])  # a video, or a text, is not even that
        raise SetSizeError(
            f"{show(photos.files[0])}: a single photo has no order; give {SIZES[0]} photos of one scene, or more"
        )
