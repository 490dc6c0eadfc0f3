"""Permutation classes: the n!/2 orders of n images when an order and its reverse are one.

Pictures alone do not tell which way time runs, so the paper (Kanojia & Raman 2020) counts an order
and its reverse as a single class. Of the two, the *representative* here is the one whose first
element is smaller than its last; the classes of one n are listed in lexicographic order of their
representatives. Models, checkpoints and the JSON output all rely on this list: it must never change.

An order is a tuple of indices in temporal order: ``(2, 0, 1)`` says that image 2 was taken first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations
from math import factorial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Order = tuple[int, ...]

SIZES = (3, 4, 5, 6)
"""The set sizes that networks are made for, and that commands take; the baseline takes them too."""

SIZES_TEXT = f"{SIZES[0]} to {SIZES[-1]}"
"""The same for people: ``3 to 6``."""

MIN_IMAGES = 2
MAX_EXACT = 8
"""The largest set whose classes are all looked at: 20,160. Orders of larger ones are searched for."""


def class_count(n: int) -> int:
    """Number of permutation classes of ``n`` images: n!/2."""
    _check_size(n)
    return factorial(n) // 2


@cache
def permutation_classes(n: int) -> tuple[Order, ...]:
    """Representatives of all classes of ``n`` images, in the fixed order, ``n!/2`` tuples."""
    _check_size(n)
    return tuple(order for order in permutations(range(n)) if order[0] < order[-1])


@cache
def class_table(n: int) -> npt.NDArray[np.int64]:
    """`permutation_classes` as an array ``(n!/2, n)``."""
    import numpy as np  # only now: the help texts of commands need the sizes, and start without NumPy

    return np.array(permutation_classes(n), dtype=np.int64)


def representative(order: Sequence[int]) -> Order:
    """The one of ``order`` and its reverse whose first element is smaller than its last."""
    forward = tuple(order)
    _check_order(forward)
    return forward if forward[0] < forward[-1] else forward[::-1]


def order_to_class(order: Sequence[int]) -> int:
    """Class index of an order; an order and its reverse give the same index.

    Raises:
        ValueError: if ``order`` is not a permutation of ``0 … n−1`` with n in 2…8.
    """
    _check_order(order)
    return _class_indices(len(order))[tuple(order)]


def class_to_order(n: int, index: int) -> Order:
    """Representative order of class ``index`` among those of ``n`` images.

    Raises:
        IndexError: if ``index`` is not in ``0 … n!/2−1``.
    """
    if not 0 <= index < class_count(n):
        raise IndexError(f"{n} images have classes 0 to {class_count(n) - 1}, not {index}")
    return permutation_classes(n)[index]


def relabel_classes(relabelling: Sequence[int]) -> npt.NDArray[np.int64]:
    """Where each class goes when image ``i`` is renamed ``relabelling[i]``.

    Returns:
        int64 ``(n!/2,)``: entry k is the class of ``relabelling`` applied to the order of class k.
        With ``moved = relabel_classes(r)``, scores of the renamed images are ``renamed[moved] = scores``.
    """
    import numpy as np  # only now: the help texts of commands need the sizes, and start without NumPy

    names = tuple(relabelling)
    _check_order(names)
    index = _class_indices(len(names))
    moved = [index[tuple([names[i] for i in order])] for order in permutation_classes(len(names))]
    return np.array(moved, dtype=np.int64)


@cache
def _class_indices(n: int) -> dict[Order, int]:
    """The class of every order: an order and its reverse have the same one."""
    return {each: index for index, order in enumerate(permutation_classes(n)) for each in (order, order[::-1])}


def _check_size(n: int) -> None:
    if not MIN_IMAGES <= n <= MAX_EXACT:
        raise ValueError(f"permutation classes are listed for {MIN_IMAGES} to {MAX_EXACT} images, not {n}")


def _check_order(order: Sequence[int]) -> None:
    _check_size(len(order))
    if sorted(order) != list(range(len(order))):
        raise ValueError(f"not a permutation of 0 to {len(order) - 1}: {tuple(order)}")
