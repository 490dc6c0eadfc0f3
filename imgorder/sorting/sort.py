"""Photos to ordered sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np

from imgorder.errors import ImgorderError, PhotoError, SetSizeError, UsageError
from imgorder.evidence.weigh import Evidence
from imgorder.inference.options import ModelOptions
from imgorder.known import Known
from imgorder.media.lookalikes import (
    Lookalike,
    find_lookalikes,
    group_lookalikes,
    leave_out_known,
    word_warnings,
)
from imgorder.media.photos import PhotoSet, check_photo, find_sets, refuse
from imgorder.media.preprocess import DEFAULT, preprocess_readable
from imgorder.media.shots import drop_versions
from imgorder.media.strays import MIXED, NO_SCENE, Strays, find_strays
from imgorder.names import show
from imgorder.ordering import Ordering, Pairs
from imgorder.permutations import SIZES
from imgorder.search.constraints import close_pairs
from imgorder.sorting.clocks import decide_order, find_missing_cameras, refuse_missing
from imgorder.sorting.sorted_set import SortedSet
from imgorder.sorting.told import Told, weigh_set

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel
    from imgorder.media.preprocess import Tensor

P = ParamSpec("P")
Warn = Callable[[str], None]
Apart = Callable[[ImgorderError], None]


@dataclass(frozen=True)
class Sorting:
    """One sorted set, and what its order was made from.

    Attributes:
        result: the set in its order.
        ordering: all that the model said.
        model: what gave the order.
        tensors: the set, preprocessed for the model, ``(n, 3, crop, crop)``.
        start, end: index of the photo that a person calls first, or last, or None.
        lookalikes: photos that the model cannot tell apart, and nothing else either.
        found: the set as it was given; that of ``result`` has the same photos without those that were set apart.
        evidence: what is known beside the pictures; None where that does not count.
    """

    result: SortedSet
    ordering: Ordering
    model: OrderingModel
    tensors: Tensor
    start: int | None
    lookalikes: list[Lookalike]
    found: PhotoSet
    evidence: Evidence | None = None
    end: int | None = None


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
    *,
    all_cameras: bool = True,
) -> Iterator[Sorting]:
    """As `sort_photos`, for sets that are found already, one after the other.

    Before the first set, everything is checked that can be checked without decoding a photo.

    Args:
        all_cameras: whether these are all sets, so that each camera of an offset has to be in one of them.
    """
    from imgorder.inference.cards import known_card, preprocessing_of

    left = [_leave_originals(photos, warn) for photos in sets]
    kept = [pair for pair in zip(sets, left, strict=True) if _passes(apart, _check_size, pair[1])]
    files = [photos.files for _, photos in kept]
    ends = zip(known.starts(files), known.ends(files), strict=True)
    weighed = [(found, weigh_set(photos, *each, known)) for (found, photos), each in zip(kept, ends, strict=True)]
    if not weighed:
        return
    missing = find_missing_cameras((told for _, told in weighed), known) if all_cameras else set()
    cameras: dict[str, None] = {}  # of all sets, by name
    with ThreadPoolExecutor(1) as pool:
        # Photos are decoded while the model's runtime is imported, and the next set while one is sorted.
        card = known_card(options.model)
        likely = preprocessing_of(card) if card else DEFAULT  # as the file will say, unless it is foreign
        ahead = pool.submit(preprocess_readable, weighed[0][1].photos.files, likely, options.threads)
        model = options.load(card)
        listed = [each for each in weighed if _passes(apart, model.check_size, each[1].size, each[1].photos.folder)]
        spec = model.preprocessing
        if listed and (spec != likely or listed[0] is not weighed[0]):
            ahead = pool.submit(preprocess_readable, listed[0][1].photos.files, spec, options.threads)
        for (found, told), after in zip(listed, (*listed, None)[1:], strict=True):  # no set may be left
            tensors, bad = ahead.result()
            if after is not None:
                ahead = pool.submit(preprocess_readable, after[1].photos.files, spec, options.threads)
            for error in bad.values() if len(bad) < told.size else [_none_is_readable(bad)]:
                apart(error)
            readable = _leave_out(told, bad, model, known, apart)
            if readable is None:
                continue
            strays = _find_strays(readable, tensors, model, known, warn)
            chosen = _leave_out(readable, strays.apart, model, known, apart)
            if chosen is not None:
                stay = [index for index in range(readable.size) if index not in strays.apart]
                files_apart = tuple(readable.photos.files[index] for index in strays.apart)
                sorting = _sort_set(found, chosen, tensors[stay], model, known, strays, warn)
                if sorting.evidence:
                    missing -= sorting.evidence.named
                    cameras |= dict.fromkeys(camera.name for camera in sorting.evidence.cameras)
                yield replace(sorting, result=replace(sorting.result, apart=files_apart))
        refuse_missing(missing, cameras)


def _leave_out(told: Told, gone: Collection[int], model: OrderingModel, known: Known, apart: Apart) -> Told | None:
    """A set without some of its photos; None if it cannot be sorted then, which has been told."""
    if not gone:
        return told
    left = [index for index in range(told.size) if index not in gone]
    if len(left) < 2 or not _passes(apart, model.check_size, len(left), told.photos.folder):
        return None
    photos = replace(told.photos, files=tuple(told.photos.files[index] for index in left))
    start, end = (left.index(each) if each in left else None for each in (told.start, told.end))
    return weigh_set(photos, start, end, known, [told.facts[index] for index in left] if told.facts else None)


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


def _find_strays(told: Told, tensors: Tensor, model: OrderingModel, known: Known, warn: Warn) -> Strays:
    """The photos to set apart, and whether the others are of one scene; of what is not, a warning tells.

    A photo stays whose place is known among most of those of the scene: nothing has to be guessed for it.
    """
    n = told.size
    if known.keep_strays or told.complete or n < SIZES[0]:
        return Strays((), (tuple(range(n)),), "")
    strays = find_strays(tensors, model.preprocessing)
    names = [told.photos.name(file) for file in told.photos.files]
    before = close_pairs(n, told.before)
    fixed = np.zeros((n, n), dtype=bool) if before is None else before | before.T
    scene = list(strays.scenes[0])
    stay = {*told.given, told.start, told.end, *np.flatnonzero(2 * fixed[:, scene].sum(axis=1) > len(scene)).tolist()}
    found = replace(strays, apart=tuple(image for image in strays.apart if image not in stay))
    if found.apart and n - len(found.apart) < SIZES[0]:  # two photos have no order, so all are kept, as a guess
        found = replace(found, apart=(), kind=NO_SCENE)
    where = show(told.photos.folder)
    for stray in strays.apart:
        if stray in stay:
            warn(f"{where}: {replace(strays, apart=(stray,)).word(names)}; it stays, since its place is known")
    if (found.apart or found.kind in MIXED) and (said := found.warning(names)):
        warn(f"{where}: {said}")
    return found


def _sort_set(
    found: PhotoSet, told: Told, tensors: Tensor, model: OrderingModel, known: Known, strays: Strays, warn: Warn
) -> Sorting:
    photos = told.photos
    for conflict in told.evidence.conflicts if told.evidence else ():
        warn(f"{show(photos.folder)}: {conflict}")
    decision = decide_order(told, tensors, model, known)
    if decision.warning:
        warn(f"{show(photos.folder)}: {decision.warning}")
    told, ordering, before = decision.told, decision.ordering, decision.before
    lookalikes = leave_out_known(find_lookalikes(photos.files, tensors), before)
    for warning in word_warnings(lookalikes, photos.files):
        warn(warning)
    if told.reverse:
        ordering = ordering.reversed()
    ordering = ordering.merged(group_lookalikes(lookalikes))
    if told.complete:
        _require_known(photos, ordering, before)
    reasons = _find_reasons(told, known)
    doubts = []
    if strays.kind in MIXED and not is_known(ordering.order, before):  # else nothing was guessed
        doubts.append(strays.word([photos.name(file) for file in photos.files]))
    if decision.odd:
        doubts.append(f"{decision.odd.name} is only by the pictures a camera of its own")
    result = SortedSet(
        photos,
        ordering.order,
        0.0 if doubts else round(ordering.confidence, 6),
        told.direction,
        model.name,
        model.backend,
        model.votes(len(photos.files)),
        ordering,
        tuple(reasons[image] for image in ordering.order),
        tuple(image for image in ordering.order if image in told.given),
        strays.kind or None,
        doubt="; ".join(doubts),
        clocks=decision.clocks,
    )
    return Sorting(result, ordering, model, tensors, told.start, lookalikes, found, told.evidence, told.end)


def _find_reasons(told: Told, known: Known) -> list[str]:
    """For each photo what fixes its place."""
    evidence = told.evidence
    reasons = [text or "content" for text in evidence.reasons] if evidence else ["content"] * told.size
    if evidence and known.earliest_first:
        for image in evidence.earliest:
            time = evidence.times[image]
            reasons[image] = time.words if reasons[image] == "content" and time else reasons[image]
    for image in told.given:
        reasons[image] = "given"
    return reasons


def is_known(order: Sequence[int], before: Pairs) -> bool:
    """Whether nothing of an order comes from the pictures."""
    return all(pair in before for pair in pairwise(order))


def _require_known(photos: PhotoSet, ordering: Ordering, before: Pairs) -> None:
    """Raise UsageError unless metadata alone fixes the whole order."""
    for one, other in pairwise(ordering.order):
        if (one, other) not in before:
            names = " and ".join(show(photos.files[image]) for image in (one, other))
            raise UsageError(f"--metadata only: nothing but the pictures says which of {names} was first; leave it out")


def _leave_originals(photos: PhotoSet, warn: Warn) -> PhotoSet:
    """A set without further versions of its photos, each of which is named."""
    files, originals = drop_versions(photos.files)
    for version, original in originals.items():
        warn(f"{show(version)}: another version of {show(original.name)}, not sorted by itself")
    return replace(photos, files=tuple(files)) if originals else photos


def _check_size(photos: PhotoSet) -> None:
    n = len(photos.files)
    if n == 1:
        check_photo(photos.files[0])  # a video, or a text, is not even that
        raise SetSizeError(
            f"{show(photos.files[0])}: a single photo has no order; give {SIZES[0]} photos of one scene, or more"
        )
