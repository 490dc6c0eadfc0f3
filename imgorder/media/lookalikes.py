"""Look-alikes: photos of one set that a model cannot tell apart, so their order among themselves is arbitrary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgorder.media.photos import same_bytes
from imgorder.names import show

if TYPE_CHECKING:
    from imgorder.media.preprocess import Tensor


@dataclass(frozen=True)
class Lookalike:
    """A photo that is like an earlier one of its set.

    Attributes:
        one, other: places in the set's listing, the earlier one first.
        same_bytes: whether the files are the same; else only what a model sees of them is.
    """

    one: int
    other: int
    same_bytes: bool

    def warning(self, files: Sequence[Path]) -> str:
        """For people, with the files' names."""
        what = "have the same bytes" if self.same_bytes else "look the same"
        return f"{show(files[self.one])} and {show(files[self.other])} {what}; their order is arbitrary"


def find_lookalikes(files: Sequence[Path], tensors: Tensor) -> list[Lookalike]:
    """Each photo that is like an earlier one, with that one; first those with the same bytes.

    Args:
        files: of the set.
        tensors: what a model sees of them, ``(n, 3, crop, crop)``.
    """
    found = []
    for other in range(len(files)):
        alike = [one for one in range(other) if (tensors[one] == tensors[other]).all()]
        if alike:
            same = next((one for one in alike if same_bytes(files[one], files[other])), None)
            found.append(Lookalike(alike[0] if same is None else same, other, same is not None))
    return sorted(found, key=lambda each: not each.same_bytes)


def group_lookalikes(lookalikes: Sequence[Lookalike]) -> list[set[int]]:
    """The photos that are like one another, group by group."""
    groups: list[set[int]] = []
    for each in lookalikes:
        pair = {each.one, each.other}
        merged = pair.union(*(group for group in groups if group & pair))
        groups = [group for group in groups if not group & merged] + [merged]
    return groups
