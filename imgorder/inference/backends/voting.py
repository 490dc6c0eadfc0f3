"""Order averaging: a network is shown each set in several listings, and its answers are averaged.

A network such as DAB-ResNet answers a little differently when the same photos are listed in another
way. The mean over listings depends less on the one that happened to be first; over all n! it does not
depend on it at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations
from math import factorial

import numpy as np
import numpy.typing as npt

from imgorder.inference.backends import Backend
from imgorder.permutations import Order, class_count, relabel_classes


class Voting:
    """Logits are the means of another backend's over several listings of each set.

    Maps and decisions are those of the other backend, for the set as it is listed: of them there is no
    mean that says anything.

    Attributes:
        backend: gives the answers.

    Args:
        votes: in how many listings a set is shown, at most n!.
    """

    def __init__(self, backend: Backend, votes: int) -> None:
        self.name = backend.name
        self.backend = backend
        self._votes = votes

    def listings_of(self, n: int) -> int:
        """In how many listings a set of n is shown: there are n! at most, and two photos need but one."""
        return 1 if n == 2 else min(self._votes, factorial(n))

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``, of the classes of the set as it is listed."""
        chosen = listings(tensors.shape[1], self._votes)
        # One listing after the other, so that no more is in memory than without votes.
        total = np.zeros((len(tensors), class_count(tensors.shape[1])))
        for listing in chosen:
            # What the network calls image i is image listing[i].
            total[:, relabel_classes(listing)] += self.backend.logits(tensors[:, list(listing)])
        return np.asarray(total / len(chosen), dtype=np.float32)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Backend`."""
        return self.backend.activations(tensors)

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """See `Backend`."""
        return self.backend.decision(tensors, winner, other)


@cache
def listings(n: int, count: int) -> tuple[Order, ...]:
    """Different listings of n images, always the same ones: as they are, then drawn ones.

    Args:
        n: of a set.
        count: how many; all n! if there are fewer. Those for a smaller count are the first of those for a larger one.
    """
    drawn = np.random.default_rng(0).permutation(factorial(n) - 1)[: count - 1] + 1  # 0 is the set as it is
    every = list(permutations(range(n)))
    return (every[0], *(every[index] for index in drawn))
