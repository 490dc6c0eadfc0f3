"""Photos of one set that a model cannot tell apart: whatever order they get among themselves is arbitrary."""

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
    """Each photo that is like an earlier one, with that one; files of the same bytes first.

    Args:
        files: of the set.
        tensors: what a model sees of them, ``(n, 3, crop, crop)``.
    """
    twins = [Lookalike(files.index(one), files.index(other), True) for one, other in same_bytes(files)]
    copies = {twin.other for twin in twins}
    originals = [index for index in range(len(files)) if index not in copies]
    for index in originals:
        like = (earlier for earlier in originals if earlier < index and (tensors[earlier] == tensors[index]).all())
        twins += [Lookalike(earlier, index, False) for earlier in like][:1]
    return twins


def group_lookalikes(twins: Sequence[Lookalike]) -> list[set[int]]:
    """The photos that are like one another, group by group."""
    groups: list[set[int]] = []
    for twin in twins:
        joined = {twin.one, twin.other}.union(*(group for group in groups if group & {twin.one, twin.other}))
        groups = [group for group in groups if not group & joined] + [joined]
    return groups
