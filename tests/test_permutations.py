from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgorder.permutations import (
    class_count,
    class_to_order,
    order_to_class,
    permutation_classes,
    relabel_classes,
    representative,
)

SIZES = st.integers(2, 8)
ORDERS = SIZES.flatmap(lambda n: st.permutations(range(n)))


@pytest.mark.parametrize("n", range(2, 9))
def test_classes_are_half_of_all_orders_in_lexicographic_order(n: int) -> None:
    classes = permutation_classes(n)
    assert len(classes) == class_count(n) == factorial(n) // 2
    assert list(classes) == sorted(classes)
    assert all(order[0] < order[-1] for order in classes)
    if n <= 6:
        both = {*classes, *(order[::-1] for order in classes)}
        assert both == set(permutations(range(n)))


def test_the_fixed_list_of_three_and_four() -> None:
    assert permutation_classes(3) == ((0, 1, 2), (0, 2, 1), (1, 0, 2))
    assert ["".join(map(str, order)) for order in permutation_classes(4)] == (
        ["0123", "0132", "0213", "0231", "0312", "0321", "1023", "1032", "1203", "1302", "2013", "2103"]
    )


@given(ORDERS)
def test_an_order_and_its_reverse_are_one_class(order: list[int]) -> None:
    assert order_to_class(order) == order_to_class(order[::-1])
    assert class_to_order(len(order), order_to_class(order)) == representative(order)
    assert representative(order) in (tuple(order), tuple(order[::-1]))


@given(SIZES.flatmap(lambda n: st.tuples(st.just(n), st.integers(0, factorial(n) // 2 - 1))))
def test_class_to_order_and_back(case: tuple[int, int]) -> None:
    n, index = case
    assert order_to_class(class_to_order(n, index)) == index


@given(st.integers(2, 7).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))))
def test_relabelling_moves_every_order_to_the_order_of_the_new_names(case: tuple[list[int], list[int]]) -> None:
    order, names = case
    moved = relabel_classes(names)
    assert moved[order_to_class(order)] == order_to_class([names[i] for i in order])
    assert sorted(moved) == list(range(class_count(len(order))))


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))))
def test_relabelling_twice_is_relabelling_by_the_composition(case: tuple[list[int], list[int]]) -> None:
    first, second = case
    composed = [second[i] for i in first]
    assert np.array_equal(relabel_classes(composed), relabel_classes(second)[relabel_classes(first)])


@pytest.mark.parametrize("wrong", [(0,), (0, 0, 1), (1, 2, 3), tuple(range(9))])
def test_what_is_no_order_is_refused(wrong: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images|permutation"):
        order_to_class(wrong)


def test_an_index_out_of_range_is_refused() -> None:
    with pytest.raises(IndexError, match="0 to 11"):
        class_to_order(4, 12)
