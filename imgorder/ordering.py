"""Scores to an order: what a model's logits say about one set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from imgorder.permutations import Order, permutation_classes, relabel_classes


@dataclass(frozen=True, eq=False)
class Ordering:
    """The order of a set of n images, and how sure it is.

    Attributes:
        order: indices into the input in temporal order. Which end is the start is not known from
            the pictures; of the two directions this is the one that `canonical_ranks` fixes, so it
            depends on the pictures alone and not on how they were listed.
        confidence: probability of the winning class, 0…1.
        probabilities: float64 ``(n!/2,)``, in the order of `classes`.
        classes: the representatives of all classes, as `permutation_classes(n)` lists them.
        ranks: of the images; they fix the direction, and which of several classes that are equally probable wins.
        backwards: whether all orders are shown in the other direction.
    """

    order: Order
    confidence: float
    probabilities: npt.NDArray[np.float64] = field(repr=False)
    classes: tuple[Order, ...] = field(repr=False)
    ranks: Order = field(repr=False)
    backwards: bool = field(default=False, repr=False)

    def ranking(self) -> list[tuple[Order, float]]:
        """All classes with their probabilities, the most probable first, each in its fixed direction."""
        ranks = self.ranks
        orders = [order if ranks[order[0]] < ranks[order[-1]] else order[::-1] for order in self.classes]
        rows = zip(orders, self.probabilities.tolist(), strict=True)
        by_probability = sorted(rows, key=lambda row: (-row[1], [ranks[i] for i in row[0]]))
        return [(order[::-1] if self.backwards else order, p) for order, p in by_probability]

    def restricted(self, allowed: npt.NDArray[np.bool_]) -> Ordering:
        """The same set when only some of its classes are possible.

        Args:
            allowed: ``(n!/2,)``, in the order of `classes`; at least one is true.

        Returns:
            The probabilities of the other classes are 0; those of the allowed ones are scaled to a sum of one.
        """
        kept = np.where(allowed, self.probabilities, 0.0)
        total = kept.sum()
        probabilities = kept / total if total > 0 else allowed / allowed.sum()
        return _from_probabilities(probabilities, self.ranks, self.backwards)

    def with_end(self, image: int) -> Ordering:
        """The same set when ``image`` is known to be first: only orders that begin with it are possible.

        Raises:
            IndexError: if there is no such image.
        """
        if image not in range(len(self.ranks)):
            raise IndexError(f"no image {image} in a set of {len(self.ranks)}; they are counted from 0")
        ends = np.array([image in (order[0], order[-1]) for order in self.classes])
        # The first image gets the lowest rank, which also fixes the direction.
        ranks = tuple(-1 if i == image else rank for i, rank in enumerate(self.ranks))
        return replace(self, ranks=ranks, backwards=False).restricted(ends)

    def reversed(self) -> Ordering:
        """The same classes, shown in the opposite direction."""
        return replace(self, order=self.order[::-1], backwards=not self.backwards)


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


def _from_probabilities(probabilities: npt.NDArray[np.float64], ranks: Order, backwards: bool = False) -> Ordering:
    classes = permutation_classes(len(ranks))
    best = probabilities.max()
    # Equal probabilities are told apart by rank, never by the place in the listing.
    winner = min(
        (classes[k] for k in np.flatnonzero(probabilities == best)),
        key=lambda order: sorted([[ranks[i] for i in order], [ranks[i] for i in order[::-1]]]),
    )
    forward = ranks[winner[0]] < ranks[winner[-1]]
    order = winner if forward != backwards else winner[::-1]
    return Ordering(order, float(best), probabilities, classes, ranks, backwards)
