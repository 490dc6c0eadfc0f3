"""An order that fits the pictures, all that is known, and the clocks of several cameras."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from imgorder.errors import UsageError
from imgorder.evidence.cameras import UNKNOWN, Camera, part_by_file
from imgorder.evidence.offsets import Chances, Offset, estimate_offsets, find_odd_clock
from imgorder.evidence.weigh import Evidence
from imgorder.known import Known
from imgorder.media.casts import even_casts, part_by_cast
from imgorder.names import show
from imgorder.ordering import Ordering, Pairs
from imgorder.search.constraints import agree
from imgorder.sorting.told import Told, weigh_set

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel
    from imgorder.media.preprocess import Tensor

_FEWEST = 4  # photos with a time; of fewer none says that they are of two cameras
_NO_CAMERA = "no photo is of that camera"


@dataclass(frozen=True)
class Decision:
    """An order, and what decided it.

    Attributes:
        told: what is known of the set, its cameras told apart as far as the pictures ask for it.
        ordering: the order.
        before: the pairs that the order obeys.
        chances: how probable it is by all of that that one photo was taken before another, ``(n, n)``.
        clocks: how far the clocks of several cameras are apart.
        odd: a camera that is one only by the pictures, or None.
        warning: a sentence about that camera; else empty.
    """

    told: Told
    ordering: Ordering
    before: Pairs
    chances: Chances
    clocks: tuple[Offset, ...] = ()
    odd: Camera | None = None
    warning: str = ""


def decide_order(told: Told, tensors: Tensor, model: OrderingModel, known: Known) -> Decision:
    """Order a set, ``(n, 3, crop, crop)``, by its pictures and all that is known.

    Photos of unknown camera are taken to be of several where that is hinted at and either the pictures contradict one
    clock plainly or the person gives an offset for one of them.
    """
    decision = _find_order(told, tensors, model)
    parted = _part_cameras(told, tensors, model, known)
    if parted is None:
        return decision
    other = _find_order(*parted, model)
    found = _find_odd_camera(told, other)
    if not found:
        return other if other.told.named > told.named else decision
    whole, odd = found
    # Where there are further cameras, to say that this one is one takes an offset to their clock.
    alone = told.evidence is not None and len(told.evidence.cameras) == 1
    option = f"--offset {shlex.quote(whole.name + ('=+00:00:00' if alone else '=TIME'))}"
    warning = (
        f"{odd.name} counts as a camera of its own, since its photos look different, and the pictures contradict its "
        f"times; if it is none, add {option}"
    )
    return replace(other, odd=odd, warning=warning)


def _find_order(told: Told, tensors: Tensor, model: OrderingModel) -> Decision:
    """The order if the cameras are those that `told` has."""
    before = told.before
    for chain in told.loose:
        order = model.order_tensors([tensors], [before])[0].order
        falls = sum(order.index(a) > order.index(b) for a, b in combinations(chain, 2))
        backward = falls * 4 > len(chain) * (len(chain) - 1)
        before |= frozenset(combinations(chain[::-1] if backward else chain, 2))
    ordering = model.order_tensors([tensors], [before])[0]
    chances = ordering.chances() if before else np.full((len(tensors),) * 2, 0.5)
    clocks: tuple[Offset, ...] = ()
    if told.evidence and not told.complete:
        ordering, clocks = _heed_clocks(ordering, tensors, model, told.evidence, before, chances)
    return Decision(told, ordering, before, chances, clocks)


def _heed_clocks(
    ordering: Ordering, tensors: Tensor, model: OrderingModel, evidence: Evidence, before: Pairs, chances: Chances
) -> tuple[Ordering, tuple[Offset, ...]]:
    """An order that fits the clocks of several cameras as well, and how far these are apart."""
    guidance = estimate_offsets(evidence.cameras, evidence.times, chances, evidence.shifts)
    wanted = before | guidance.pairs
    if wanted > before and agree(len(tensors), wanted):
        place = {image: index for index, image in enumerate(ordering.order)}
        if ordering.classes:
            ordering = ordering.constrained(wanted)
        elif any(place[a] > place[b] for a, b in wanted):
            ordering = model.order_tensors([tensors], [wanted])[0]
    return ordering, guidance.offsets


def _part_cameras(told: Told, tensors: Tensor, model: OrderingModel, known: Known) -> tuple[Told, Tensor] | None:
    """What is known of a set if photos of one unknown camera are of several, as size and coding hint, or else colours;
    and the photos, with even colours in the second case. None if nothing hints at it.

    Who gives an offset for a camera says that it is one.
    """
    evidence = told.evidence
    if not evidence or told.complete:
        return None
    facts = list(told.facts)
    hints: list[Sequence[int]] = []
    for index, camera in enumerate(evidence.cameras):
        timed = [image for image in camera.photos if evidence.times[image]]
        if camera.known or index in evidence.shifts or len(timed) < _FEWEST:
            continue
        groups = part_by_file(facts, camera.photos, evidence.times)
        if len(groups) < 2 and (found := part_by_cast(tensors[timed], model.preprocessing)):
            groups = [[timed[place] for place in places] for places in found]
            tensors = even_casts(tensors, groups)
        hints += groups if len(groups) > 1 else []
    for look, group in enumerate(hints, 1):
        for image in group:
            facts[image] = replace(facts[image], look=look)
    part = weigh_set(told.photos, told.start, told.end, known, facts) if hints else None
    if part and part.evidence and part.named >= told.named and part.evidence.cameras != evidence.cameras:
        return part, tensors
    return None


def _find_odd_camera(told: Told, parted: Decision) -> tuple[Camera, Camera] | None:
    """A camera that was parted, and the part of it whose clock is another one; None if there is none."""
    one, several = told.evidence, parted.told.evidence
    if not (one and several):
        return None
    for whole in one.cameras:
        parts = [index for index, each in enumerate(several.cameras) if {*each.photos} < {*whole.photos}]
        given = {place: several.shifts[index] for place, index in enumerate(parts) if index in several.shifts}
        odd = parts and find_odd_clock(
            [several.cameras[index] for index in parts], several.times, parted.chances, given
        )
        if odd:
            return whole, odd
    return None


def find_missing_cameras(sets: Iterable[Told], known: Known) -> set[str]:
    """The cameras for which an offset is given that are in no set, but may be found by the pictures.

    Raises:
        UsageError: if they cannot show one of that name.
    """
    sets = list(sets)
    missing = {text for text in known.shifts if not any(text in told.named for told in sets)}
    files = {show(file.name).casefold() for told in sets for file in told.photos.files}
    for text in missing:
        first, _, name = text.casefold().partition(", ")
        if known.metadata == "only" or not (first.startswith(UNKNOWN) and (name in files or first != UNKNOWN)):
            cameras = dict.fromkeys(camera.name for told in sets if told.evidence for camera in told.evidence.cameras)
            raise UsageError(f"--offset {show(text)}: {_NO_CAMERA}; there are {', '.join(cameras)}")
    return missing


def refuse_missing(missing: Iterable[str], cameras: Iterable[str]) -> None:
    """Raise UsageError if the pictures have not shown some camera either; `cameras` are those of all sets."""
    for text in missing:
        there = ", ".join(cameras)
        raise UsageError(f"--offset {show(text)}: {_NO_CAMERA}, nor do the pictures show one; there are {there}")
