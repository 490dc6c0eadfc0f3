"""Look-alikes: photos of one set that a model cannot tell apart, so their order among themselves is arbitrary."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
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


_NAMED = 2  # photos that are like one are named up to so many, and counted above


def word_warnings(lookalikes: Sequence[Lookalike], files: Sequence[Path]) -> Iterator[str]:
    """For people, with the files' names: a line for each two photos, or one for many that are like the same one."""
    alike: dict[tuple[int, bool], list[int]] = {}
    for each in lookalikes:
        alike.setdefault((each.one, each.same_bytes), []).append(each.other)
    for (one, same), others in alike.items():
        what = "have the same bytes" if same else "look the same"
        names = [show(files[other]) for other in others] if len(others) <= _NAMED else [f"{len(others)} others"]
        yield from (f"{show(files[one])} and {name} {what}; their order is arbitrary" for name in names)


def find_lookalikes(files: Sequence[Path], tensors: Tensor) -> list[Lookalike]:
    """Each photo that is like an earlier one, with that one; first those with the same bytes.

    Args:
        files: of the set.
        tensors: what a model sees of them, ``(n, 3, crop, crop)``.
    """
    found = []
    seen: dict[bytes, list[int]] = {}  # digest -> photos
    for other in range(len(files)):
        earlier = seen.setdefault(blake2b(tensors[other].tobytes()).digest(), [])
        alike = list(earlier)
        earlier.append(other)
        if alike:
            same = next((one for one in alike if same_bytes(files[one], files[other])), None)
            found.append(Lookalike(alike[0] if same is None else same, other, same is not None))
    return sorted(found, key=lambda each: not each.same_bytes)


def leave_out_known(lookalikes: Sequence[Lookalike], before: Collection[tuple[int, int]]) -> list[Lookalike]:
    """Those whose order among themselves is not known from elsewhere, as from capture times.

    Args:
        lookalikes: of a set.
        before: all pairs of photos of which the first is known to be before the second.
    """
    known: set[int] = set()
    for group in group_lookalikes(lookalikes):
        if all(pair in before or pair[::-1] in before for pair in combinations(group, 2)):
            known |= group
    return [each for each in lookalikes if each.one not in known]


def group_lookalikes(lookalikes: Sequence[Lookalike]) -> list[set[int]]:
    """The photos that are like one another, group by group."""
    groups: list[set[int]] = []
    for each in lookalikes:
        pair = {each.one, each.other}
        merged = pair.union(*(group for group in groups if group & pair))
        groups = [group for group in groups if not group & merged] + [merged]
    return groups
