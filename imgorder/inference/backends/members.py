"""Several networks that take sets of one size each, as one backend.

The paper's DAB-ResNet has other weights for every n. A member is opened when it is asked for: each is
tens of megabytes, and a job rarely has sets of all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from imgorder.inference.predictor import OrderingModel


class Members:
    """Answers are those of the member that takes the size of the sets.

    Args:
        name: of the backend that runs every member.
        openers: set size -> what opens its member; called once at most.
    """

    def __init__(self, name: str, openers: Mapping[int, Callable[[], OrderingModel]]) -> None:
        self.name = name
        self._openers = openers
        self._open: dict[int, OrderingModel] = {}

    def of(self, n: int) -> OrderingModel:
        """The member for sets of n.

        Raises:
            KeyError: if there is none.
            ModelError: if it cannot be had.
        """
        if n not in self._open:
            self._open[n] = self._openers[n]()
        return self._open[n]

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        return self.of(tensors.shape[1]).backend.logits(tensors)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Backend`."""
        return self.of(tensors.shape[1]).backend.activations(tensors)

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """See `Backend`."""
        return self.of(tensors.shape[1]).backend.decision(tensors, winner, other)


class MemberTemperatures(Mapping[int, float]):
    """Set size -> the temperature in the file of its member, which is opened to read it."""

    def __init__(self, members: Members, sizes: Sequence[int]) -> None:
        self._members = members
        self._sizes = tuple(sizes)

    def __getitem__(self, n: int) -> float:
        return self._members.of(n).temperatures.get(n, 1.0)

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)
