"""Scores to an order: what a model says about one set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from imgorder.permutations import Order, class_table, permutation_classes, relabel_classes

Item = TypeVar("Item")
Pairs = frozenset[tuple[int, int]]

SURE, LIKELY = 0.9, 0.6  # confidences from which on an order is called so
_NAMED_PLACES = 3  # that `Ordering.words` lists


@dataclass(frozen=True, eq=False, repr=False)
class Ordering:
    """The order of a set of n images, and how sure it is.

    Attributes:
        order: indices into the input in temporal order. Which end is the start is not known from
            the pictures; of the two directions this is the one that ``before`` allows, else the one that
            `canonical_ranks` fixes, so it depends on the pictures alone and not on how they were listed.
        confidence: up to `MAX_EXACT` images, probability of the winning class, 0…1; of more, that of the weakest place.
        places: n−1 probabilities, 0…1: that nothing is missing or swapped between ``order[i]`` and ``order[i + 1]``.
        ranks: of the images; they fix the direction, and which of several classes that are equally probable wins.
        probabilities: float64 ``(n!/2,)``, in the order of `classes`; ``(0,)`` of more than `MAX_EXACT` images.
        classes: the representatives of all classes, as `permutation_classes(n)` lists them; none of more.
        before: pairs (a, b) of images of which a is known to be before b. No order breaks one.
        backwards: whether all orders are shown in the other direction.
        search: how the order was found: "exact", or for larger sets "landmarks", "windows" or "path".
        proven: whether no order can be better by the model's own scores.
    """

    order: Order
    confidence: float
    places: tuple[float, ...]
    ranks: Order
    probabilities: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    classes: tuple[Order, ...] = ()
    before: Pairs = frozenset()
    backwards: bool = False
    search: str = "exact"
    proven: bool = True

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.order[:12])) + (", …" if len(self.order) > 12 else "")
        return f"Ordering(({shown}), confidence={self.confidence:.3g}, {self.words!r})"

    @property
    def words(self) -> str:
        """How sure the order is, for people; photos are counted from 1, in the order.

        ``"sure"``, ``"likely"``, or ``"a guess: photos 4 and 5 could be swapped"``.
        """
        if self.confidence >= SURE or len(self.order) < 3:
            return "sure"
        return f"a guess: {self._doubt()}" if self.guessed else "likely"

    @property
    def guessed(self) -> bool:
        """Whether the order is no more than a guess. Two photos have one class, so theirs is none."""
        return len(self.order) > 2 and self.confidence < LIKELY

    def _doubt(self) -> str:
        if self.classes:
            other = self.ranking()[1][0]
            moved = [place for place, image in enumerate(self.order, start=1) if other[place - 1] != image]
            if len(moved) == 2:
                return f"photos {moved[0]} and {moved[1]} could be swapped"
            return f"photos {moved[0]} to {moved[-1]} could be in another order"
        weak = sorted(range(len(self.places)), key=lambda place: self.places[place])
        weak = [place for place in weak if self.places[place] < LIKELY]
        named = ", ".join(f"{place + 1} and {place + 2}" for place in sorted(weak[:_NAMED_PLACES]))
        more = f", and {len(weak) - _NAMED_PLACES} more" if len(weak) > _NAMED_PLACES else ""
        return f"photos {named}{more} could be swapped, or have others between them"

    def apply(self, items: Sequence[Item]) -> list[Item]:
        """What belongs to the images, such as their paths, in temporal order.

        Raises:
            ValueError: if there are more or fewer than images.
        """
        if len(items) != len(self.order):
            raise ValueError(f"{len(items)} items for {len(self.order)} images; give one for each")
        return [items[image] for image in self.order]

    def ranking(self) -> list[tuple[Order, float]]:
        """All classes with their probabilities, the most probable first, each in its fixed direction.

        Of more than `MAX_EXACT` images there is one row, with the confidence.
        """
        if not self.classes:
            return [(self.order, self.confidence)]
        ranks = self.ranks
        orders = [_direct(order, ranks, self.before) for order in self.classes]
        rows = zip(orders, self.probabilities.tolist(), strict=True)
        by_probability = sorted(rows, key=lambda row: (-row[1], _rank_of_class(row[0], ranks)))
        return [(order[::-1] if self.backwards else order, p) for order, p in by_probability]

    def restricted(self, allowed: npt.NDArray[np.bool_]) -> Ordering:
        """The same set, of `MAX_EXACT` images at most, when only some of its classes are possible.

        Args:
            allowed: ``(n!/2,)``, in the order of `classes`; at least one is true.

        Returns:
            The probabilities of the other classes are 0; those of the allowed ones are scaled to a sum of one.
        """
        return _from_probabilities(restrict(self.probabilities, allowed), self.ranks, self.before, self.backwards)

    def constrained(self, before: Collection[tuple[int, int]]) -> Ordering:
        """The same set, of `MAX_EXACT` images at most, when each of these pairs is known to be in this order.

        Raises:
            IndexError: if there is no such image.
            ValueError: if no order fits, or there are more images: a search has to be told what is known.
        """
        if not before:
            return self
        for image in {image for pair in before for image in pair}:
            if image not in range(len(self.ranks)):
                raise IndexError(f"no image {image} in a set of {len(self.ranks)}; they are counted from 0")
        if not self.classes:
            raise ValueError(f"{len(self.order)} images: what is known has to be given to the search")
        known = self.before | frozenset(before)
        allowed = fitting_classes(len(self.ranks), known)
        if not allowed.any():
            raise ValueError("no order fits what is known")
        return replace(self, before=known, backwards=False).restricted(allowed)

    def with_end(self, image: int) -> Ordering:
        """The same set when ``image`` is known to be first: only orders that begin with it are possible.

        Raises:
            IndexError: if there is no such image.
            ValueError: as `constrained`.
        """
        if image not in range(len(self.ranks)):
            raise IndexError(f"no image {image} in a set of {len(self.ranks)}; they are counted from 0")
        return self.constrained(first_of(len(self.ranks), image))

    def merged(self, alike: Sequence[Collection[int]]) -> Ordering:
        """The same set when it does not matter in which order images of one group come, since they look the same.

        Of the classes that differ in nothing else, the one nearest to the winner has the probability of all, the others
        have none. So the confidence and the places do not count what nobody could tell. Of more than `MAX_EXACT` images
        all stays as it is.
        """
        if not alike or not self.classes:
            return self
        n = len(self.order)
        name = np.arange(n)
        for group in alike:
            name[list(group)] = min(group)
        listed, digits = name[class_table(n)], n ** np.arange(n)
        _, same = np.unique(np.minimum(listed @ digits, listed[:, ::-1] @ digits), return_inverse=True)
        total = np.bincount(same, self.probabilities).round(12)  # else a sum would depend on the listing
        among = np.where(total[same] == total.max(), self.probabilities, 0.0)
        winner = _from_probabilities(among, self.ranks, self.before).order
        near = np.abs(_agreement(winner, np.argsort(class_table(n), axis=1)))
        # The last of each group in this order is the one that stands for all.
        by_group = np.lexsort((self.probabilities, near, fitting_classes(n, self.before), same))
        kept = np.zeros(len(same))
        kept[by_group[np.searchsorted(same[by_group], np.arange(len(total)), "right") - 1]] = np.minimum(total, 1.0)
        return _from_probabilities(kept, self.ranks, self.before, self.backwards)

    def chances(self) -> npt.NDArray[np.float64]:
        """How probable it is that image a was taken before image b, ``(n, n)``.

        Where the direction is not known, it is taken to be that of `order`. Of more than `MAX_EXACT` images, `places`
        tell: two images may have changed their places only if each place between them is wrong.
        """
        n = len(self.order)
        found = np.empty((n, n))
        if not self.classes:
            wrong = 1 - np.array(self.places)
            for first, image in enumerate(self.order):
                after = list(self.order[first + 1 :])
                found[image, after] = 1 - np.cumprod(wrong[first:]) / 2
                found[after, image] = 1 - found[image, after]
            np.fill_diagonal(found, 0.5)
            return found
        place = np.argsort(class_table(n), axis=1)
        forward = np.asarray(_fits(n, self.before)[0] if self.before else _agree(self.order, place), dtype=np.float64)
        if self.backwards and self.before:
            forward = 1 - forward
        earlier = place[:, :, None] < place[:, None, :]
        kept, turned = self.probabilities * forward, self.probabilities * (1 - forward)
        return np.asarray(np.tensordot(kept, earlier, 1) + np.tensordot(turned, earlier.transpose(0, 2, 1), 1))

    def reversed(self) -> Ordering:
        """The same classes, shown in the opposite direction."""
        return replace(self, order=self.order[::-1], places=self.places[::-1], backwards=not self.backwards)


def first_of(n: int, image: int) -> Pairs:
    """What is known where one image of n is the first: it is before each other one."""
    return frozenset((image, other) for other in range(n) if other != image)


def canonical_ranks(tensors: npt.NDArray[np.float32]) -> Order:
    """Rank of each image of ``(n, 3, H, W)`` among its set, decided by the pixels alone.

    Models see a set in this order, so the answer cannot depend on file names or on the order of
    listing, down to the last bit.
    """
    digests = [blake2b(np.ascontiguousarray(tensor).tobytes()).digest() for tensor in tensors]
    by_digest = sorted(range(len(digests)), key=lambda i: digests[i])
    ranks = [0] * len(digests)
    for rank, image in enumerate(by_digest):
        ranks[image] = rank
    return tuple(ranks)


def from_probabilities(by_rank: npt.NDArray[np.float64], ranks: Order) -> Ordering:
    """An `Ordering` from the class probabilities ``(n!/2,)`` of the set as listed by rank."""
    image_at_rank = np.argsort(ranks)
    probabilities = np.empty_like(by_rank)
    probabilities[relabel_classes([int(i) for i in image_at_rank])] = by_rank
    return _from_probabilities(probabilities, ranks)


def from_search(
    by_rank: Sequence[int], places: Sequence[float], ranks: Order, before: Pairs = frozenset(), *, search: str
) -> Ordering:
    """An `Ordering` of more than `MAX_EXACT` images, from an order of their ranks and the probabilities of its places.

    Args:
        before: of images, not ranks; the order, or its reverse, fits them.
        search: how it was found.
    """
    image_at_rank = [int(i) for i in np.argsort(ranks)]
    found = tuple(image_at_rank[rank] for rank in by_rank)
    order = _direct(found, ranks, before)
    probabilities = tuple(map(float, places if order == found else reversed(places)))
    return Ordering(order, min(probabilities), probabilities, ranks, before=before, search=search, proven=False)


def _from_probabilities(
    probabilities: npt.NDArray[np.float64], ranks: Order, before: Pairs = frozenset(), backwards: bool = False
) -> Ordering:
    classes = permutation_classes(len(ranks))
    best = probabilities.max()
    equal = (classes[k] for k in np.flatnonzero(probabilities == best))
    winner = min(equal, key=lambda order: _rank_of_class(order, ranks))
    order = _direct(winner, ranks, before)
    places = place_probabilities(order, probabilities, before)
    found = Ordering(order, float(best), places, ranks, probabilities, classes, before)
    return found.reversed() if backwards else found


def _rank_of_class(order: Order, ranks: Order) -> list[list[int]]:
    """Tells classes of equal probability apart: by rank, never by direction or by the place in the listing."""
    return sorted([[ranks[i] for i in order], [ranks[i] for i in order[::-1]]])


def _direct(order: Order, ranks: Order, before: Pairs) -> Order:
    """An order or its reverse: the one that fits what is known; where nothing is, as the ranks fix it."""
    if before:
        a, b = next(iter(before))
        forward = order.index(a) < order.index(b)
    else:
        forward = ranks[order[0]] < ranks[order[-1]]
    return order if forward else order[::-1]


def fitting_classes(n: int, before: Pairs) -> npt.NDArray[np.bool_]:
    """Which classes of n images have an order that fits what is known, ``(n!/2,)``."""
    return np.logical_or(*_fits(n, before))


def restrict(probabilities: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Probabilities of classes when only some are possible; they add up to one again."""
    kept = np.where(allowed, probabilities, 0.0)
    total = kept.sum()
    return np.asarray(kept / total if total > 0 else allowed / allowed.sum())


def _fits(n: int, before: Pairs) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which representatives of the classes of n fit what is known, ``(n!/2,)``, and which of their reverses do."""
    place = np.argsort(class_table(n), axis=1)
    earlier = [a for a, _ in before]
    later = [b for _, b in before]
    forward, backward = place[:, earlier] < place[:, later], place[:, earlier] > place[:, later]
    return np.all(forward, axis=1), np.all(backward, axis=1)


def place_probabilities(
    order: Sequence[int], probabilities: npt.NDArray[np.float64], before: Pairs = frozenset()
) -> tuple[float, ...]:
    """For each two neighbours of an order, the probability of the orders that have them so, one right after the other.

    Of each class, that direction counts which fits what is known, else the one that agrees with the order in more
    pairs; where both agree alike, each counts half.

    Args:
        order: of n images, `MAX_EXACT` at most.
        probabilities: of all classes, ``(n!/2,)``.
        before: pairs of images that are known to be in this order.
    """
    n = len(order)
    place = np.argsort(class_table(n), axis=1)
    forward = np.asarray(_fits(n, before)[0], dtype=np.float64) if before else _agree(order, place)
    place = place[:, list(order)]  # of the order's i-th image in each class
    step = place[:, 1:] - place[:, :-1]
    right = (step == 1) * forward[:, None] + (step == -1) * (1 - forward[:, None])
    return tuple(np.minimum(probabilities @ right, 1.0).tolist())


def _agree(order: Sequence[int], place: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """For each class, 1 if more pairs of images are in it as in an order, 0 if fewer are, else a half.

    Args:
        place: of each image in each class, ``(n!/2, n)``.
    """
    return np.asarray((np.sign(_agreement(order, place)) + 1) / 2, dtype=np.float64)


def _agreement(order: Sequence[int], place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each class, how many pairs of images are in it as in an order, less those that are not."""
    own = place[:, list(order)]
    pairs = np.array(list(combinations(range(len(order)), 2)))
    return np.asarray(np.sign(own[:, pairs[:, 1]] - own[:, pairs[:, 0]]).sum(axis=1))
