"""Orders of any number of images: paths, windows, triples, and what is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgorder.inference.backends.triples import TripleBackend
from imgorder.inference.predictor import Network, OrderingModel
from imgorder.media.preprocess import DEFAULT, Tensor
from imgorder.ordering import Ordering, first_of, from_probabilities, from_search
from imgorder.permutations import class_count, order_to_class, permutation_classes
from imgorder.search.agreement import Agreement
from imgorder.search.albums import ALL_TRIPLES
from imgorder.search.constraints import close_pairs, fits, obey
from imgorder.search.paths import improve_path, path_length, shortest_path
from imgorder.search.triples import class_matrix, pair_count, pairs, triple_count, triples
from imgorder.search.windows import improve_by_windows, window_places


class Line(TripleBackend):
    """Stands in for a network: images are moments on a line, and each triple is judged rightly, or nearly so.

    The moment of an image is its first value.
    """

    name = "made"

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.encoded = 0
        self.scored: list[int] = []

    def encode(self, images: Any) -> Any:
        self.encoded += len(images)
        return images[:, 0, 0, :1].astype(np.float32)

    def score(self, features: Any, triples: Any, pairs: Any) -> Any:
        self.scored.append(len(triples))
        b, a, c = features[triples].transpose(1, 0, 2)[..., 0]
        # As sure as the gaps are uneven; the same triple gets the same noise in each listing.
        inside = (np.minimum(a, c) < b) & (b < np.maximum(a, c))
        wobble = np.sin(1e3 * (a + c) + 7e3 * b) * self.noise
        t = np.where(inside, 2.0, -2.0) + wobble
        gap = np.abs(features[pairs[:, 0], 0] - features[pairs[:, 1], 0])
        return t.astype(np.float32), t.astype(np.float32), (-gap).astype(np.float32)

    def logits(self, tensors: Any) -> Any:
        rows = []
        for images in tensors:
            n = len(images)
            scores = self.score(self.encode(images), np.array(triples(n)), np.array(pairs(n)))
            rows.append(np.concatenate(scores) @ class_matrix(n).T)
        return np.array(rows)

    def activations(self, tensors: Any) -> Any:
        return {}

    def decision(self, *arguments: Any) -> Any:
        raise AssertionError


def model_of(backend: Any) -> OrderingModel:
    return OrderingModel("made", "numpy", (3, 4, 5, 6), DEFAULT, dict.fromkeys((3, 4, 5, 6), Network(backend)))


def images_at(moments: Iterable[float]) -> Tensor:
    """Images that a `Line` judges; they are as unlike as their moments are far apart, so that thumbnails tell."""
    return np.stack([np.full((3, 14, 14), moment, dtype=np.float32) for moment in moments])


def shuffled(n: int, seed: int = 0) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).permutation(n)]


def brute_force(score: Any, n: int) -> float:
    return float(max(score(order) for order in permutations(range(n)) if order[0] < order[-1]))


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_class_with_the_highest_score_is_the_optimum_of_all_orders(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t_adj, t_all = rng.normal(size=(2, n, n, n))
    t_adj, t_all = t_adj + t_adj.swapaxes(1, 2), t_all + t_all.swapaxes(1, 2)
    p = rng.normal(size=(n, n))
    p = p + p.T
    listed = [t_adj[row] for row in triples(n)] + [t_all[row] for row in triples(n)] + [p[row] for row in pairs(n)]
    logits = class_matrix(n) @ np.array(listed, dtype=np.float32)

    def score(order: Sequence[int]) -> float:
        near = sum(t_adj[b, a, c] for a, b, c in zip(order, order[1:], order[2:], strict=False))
        wide = np.mean([t_all[b, a, c] for a, b, c in combinations(order, 3)])
        return float(near + wide + sum(p[a, b] for a, b in pairwise(order)))

    best = permutation_classes(n)[int(logits.argmax())]
    assert score(best) == pytest.approx(brute_force(score, n), rel=1e-5)
    found = from_probabilities(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(), tuple(range(n)))
    assert found.order in (best, best[::-1])
    assert (found.search, found.proven) == ("exact", True)


@given(st.integers(3, 8), st.integers(0, 10**6), st.data())
@settings(max_examples=30, deadline=None)
def test_short_paths_are_the_shortest_of_all_that_fit_what_is_known(n: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.random((n, n))
    distances = distances + distances.T
    before = close_pairs(n, data.draw(known_pairs(shuffled(n, seed))))
    found = shortest_path(distances, before)
    assert fits(found, before)
    least = min(path_length(order, distances) for order in permutations(range(n)) if fits(order, before))
    assert path_length(found, distances) == pytest.approx(least)


def known_pairs(truth: list[int]) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Some pairs that an order has so."""
    return st.lists(st.sampled_from(list(combinations(truth, 2))), max_size=8)


@given(st.integers(9, 14), st.integers(0, 10**6), st.data())
@settings(max_examples=40, deadline=None)
def test_no_search_breaks_what_is_known(n: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.random((n, n))
    distances = distances + distances.T
    middle = rng.random((n, n, n))
    before = close_pairs(n, data.draw(known_pairs(shuffled(n, seed))))
    start = obey(shuffled(n, seed + 1), before)
    assert sorted(start) == list(range(n))

    def ask(windows: Sequence[Sequence[int]]) -> Any:
        return rng.random((len(windows), class_count(len(windows[0]))))

    for found in (
        start,
        improve_path(start, distances, before),
        shortest_path(distances, before),
        improve_by_windows(start, 6, ask, before),
        Agreement(middle).improve(start, before),
    ):
        assert sorted(found) == list(range(n))
        assert fits(found, before)


def test_a_path_is_improved_until_no_turn_and_no_move_of_an_image_shortens_it() -> None:
    rng = np.random.default_rng(3)
    distances = rng.random((12, 12))
    distances = distances + distances.T
    found = improve_path(shuffled(12), distances)
    length = path_length(found, distances)
    for i, j in combinations(range(12), 2):
        turned = found[:i] + found[i : j + 1][::-1] + found[j + 1 :]
        carried = found[:i] + found[i + 1 : j + 1] + [found[i]] + found[j + 1 :]
        assert min(path_length(turned, distances), path_length(carried, distances)) >= length - 1e-9


def test_known_pairs_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="contradicts itself"):
        close_pairs(3, [(0, 1), (1, 2), (2, 0)])


@pytest.mark.parametrize("n", [7, 9, ALL_TRIPLES, ALL_TRIPLES + 1, 70])
def test_moments_on_a_line_are_put_in_order(n: int) -> None:
    truth = shuffled(n)
    moments = np.sort(np.random.default_rng(n).random(n))
    network = Line(noise=0.5)
    ordering = model_of(network).order_tensors([images_at(moments[np.argsort(truth)])])[0]
    assert list(ordering.order) in (truth, truth[::-1])
    assert len(ordering.places) == n - 1
    assert ordering.proven is (n <= 8)
    assert network.encoded == n  # each image went through the trunk once
    if n > ALL_TRIPLES:
        assert sum(network.scored) < triple_count(n) / 3  # far from all


@pytest.mark.parametrize(("noise", "search"), [(0.0, "windows"), (3.0, "triples")])
def test_all_triples_of_a_few_dozen_photos_are_looked_at_where_windows_leave_a_doubt(noise: float, search: str) -> None:
    network = Line(noise)
    moments = np.random.default_rng(2).permutation(ALL_TRIPLES) / ALL_TRIPLES
    ordering = model_of(network).order_tensors([images_at(moments)])[0]
    assert ordering.search == search
    if search == "windows":
        assert sum(network.scored) < triple_count(ALL_TRIPLES) / 5
    else:
        assert sum(network.scored) == triple_count(ALL_TRIPLES)  # each of them once


def test_the_answer_does_not_depend_on_the_listing() -> None:
    moments = np.random.default_rng(1).random(12)
    tensors = images_at(moments)
    model = model_of(Line(noise=3.0))  # wrong about many triples
    first = model.order_tensors([tensors])[0]
    for seed in range(3):
        listing = shuffled(12, seed)
        again = model.order_tensors([tensors[listing]])[0]
        assert tuple(listing[i] for i in again.order) == first.order
        assert again.places == pytest.approx(first.places)


@pytest.mark.parametrize("n", [5, 12, 40])
def test_what_is_known_fixes_the_order_and_its_direction(n: int) -> None:
    tensors = images_at(np.linspace(0, 1, n))
    model = model_of(Line())
    assert model.order_tensors([tensors], [[(0, 1)]])[0].order == tuple(range(n))
    assert model.order_tensors([tensors], [[(1, 0)]])[0].order == tuple(range(n))[::-1]
    # Against the pictures: the third image is known to be first.
    found = model.order_tensors([tensors], [first_of(n, 2)])[0]
    assert found.order[0] == 2
    with pytest.raises(ValueError, match=r"contradicts itself|no order fits"):
        model.order_tensors([tensors], [[(0, 1), (1, 0)]])


def test_windows_correct_what_a_path_has_wrong() -> None:
    truth = list(range(20))

    def ask(windows: Sequence[Sequence[int]]) -> Any:
        rows = np.full((len(windows), class_count(6)), 1e-4)
        for row, window in zip(rows, windows, strict=True):
            row[order_to_class([int(i) for i in np.argsort(window)])] = 1.0
        return rows / rows.sum(axis=1, keepdims=True)

    start = [1, 0, *range(2, 9), 12, 10, 11, 9, *range(13, 20)]
    found = improve_by_windows(start, 6, ask)
    assert found in (truth, truth[::-1])
    assert min(window_places(found, 6, ask)) > 0.9
    swapped = [0, 1, 2, 4, 3, *range(5, 20)]
    places = window_places(swapped, 6, ask)
    assert [place for place, chance in enumerate(places) if chance < 0.5] == [2, 3, 4]


def test_a_place_of_many_that_is_known_is_sure() -> None:
    n = 20

    def ask(windows: Sequence[Sequence[int]]) -> Any:
        return np.full((len(windows), class_count(6)), 1 / class_count(6))

    assert max(window_places(range(n), 6, ask)) < 0.5
    chain = close_pairs(n, list(pairwise(range(n))))
    assert window_places(range(n), 6, ask, chain) == pytest.approx([1] * (n - 1))
    some = window_places(range(n), 6, ask, close_pairs(n, list(pairwise(range(8)))))
    assert some[:5] == pytest.approx([1] * 5)
    assert max(some[12:]) < 0.5
    found = model_of(Line(noise=9.0)).order_tensors([images_at(np.linspace(0, 1, n))], [list(pairwise(range(n)))])[0]
    assert found.order == tuple(range(n))
    assert found.words == "sure"


@given(st.integers(3, 6), st.integers(0, 10**6), st.data())
@settings(max_examples=30, deadline=None)
def test_chances_of_two_images_are_sums_over_the_orders(n: int, seed: int, data: st.DataObject) -> None:
    row = np.random.default_rng(seed).dirichlet(np.full(class_count(n), 0.3))
    known = data.draw(known_pairs(shuffled(n, seed)))
    found = from_probabilities(row, tuple(range(n))).constrained(known)
    expected = np.zeros((n, n))
    for order, chance in zip(permutation_classes(n), found.probabilities, strict=True):
        for way in (order, order[::-1]):
            fit = all(way.index(a) < way.index(b) for a, b in known)
            for a, b in combinations(way, 2):
                expected[a, b] += chance * fit
    if known:
        assert found.chances() == pytest.approx(expected)
    np.fill_diagonal(chances := found.chances().copy(), 0)
    assert chances + chances.T == pytest.approx(1 - np.eye(n))


def test_chances_of_many_images_are_those_of_their_places() -> None:
    found = from_search(range(10), [0.8] * 9, tuple(range(10)), search="path").chances()
    assert found[0, 1] == pytest.approx(0.9)
    assert found[1, 0] == pytest.approx(0.1)
    assert found[0, 3] == pytest.approx(1 - 0.2**3 / 2)


def probabilities(orders: dict[tuple[int, ...], float]) -> Ordering:
    n = len(next(iter(orders)))
    row = np.full(class_count(n), (1 - sum(orders.values())) / class_count(n))
    for order, chance in orders.items():
        row[order_to_class(order)] += chance
    return from_probabilities(row, tuple(range(n)))


def test_a_place_is_as_probable_as_the_orders_that_have_it_so() -> None:
    found = probabilities({(0, 1, 2, 3): 0.7, (0, 1, 3, 2): 0.3})
    assert found.places == pytest.approx((1.0, 0.7, 0.7))
    # The middle pair turned round has the same neighbours, but not in this direction.
    found = probabilities({(0, 1, 2, 3): 0.6, (0, 2, 1, 3): 0.4})
    assert found.places == pytest.approx((0.6, 0.6, 0.6))
    assert found.reversed().places == found.places[::-1]


def test_photos_that_look_the_same_may_change_places() -> None:
    found = probabilities({(0, 1, 2, 3): 0.55, (0, 2, 1, 3): 0.45})
    assert found.merged([{1, 2}]).confidence == pytest.approx(1)
    assert found.merged([{1, 2}]).words == "sure"
    assert found.merged([{0, 1}]).confidence == pytest.approx(0.55)
    assert found.merged([]) is found
    assert found.merged([{0, 1, 2, 3}]).confidence == pytest.approx(1)
    # Their places are as sure as the order, and the runner-up differs in more than them.
    found = probabilities({(0, 1, 2, 3): 0.45, (0, 2, 1, 3): 0.45, (1, 2, 0, 3): 0.05, (2, 1, 0, 3): 0.05})
    merged = found.merged([{1, 2}])
    assert merged.places == pytest.approx((0.9, 1.0, 0.9))
    assert [(order, round(p, 6)) for order, p in merged.ranking()[:3]] == [
        ((0, 1, 2, 3), 0.9),
        ((1, 2, 0, 3), 0.1),
        ((0, 1, 3, 2), 0),
    ]
    assert merged.reversed().order == found.reversed().merged([{1, 2}]).order == (3, 2, 1, 0)


def test_photos_that_look_the_same_are_no_two_candidates() -> None:
    found = probabilities({(0, 1, 2, 3): 0.4, (0, 3, 1, 2): 0.3, (0, 3, 2, 1): 0.3})
    assert (found.order, found.merged([{1, 2}]).order) == ((0, 1, 2, 3), (0, 3, 1, 2))
    # What is known of them holds all the same.
    known = found.constrained([(2, 1), (0, 3)])
    (order, probability), *_ = known.merged([{1, 2}]).ranking()
    assert order == (0, 3, 2, 1)
    assert probability == pytest.approx(1)


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ({(0, 1, 2, 3): 0.99}, "sure"),
        ({(0, 1, 2, 3): 0.7}, "likely"),
        ({(0, 1, 2, 3): 0.5, (0, 1, 3, 2): 0.45}, "a guess: photos 3 and 4 could be swapped"),
        ({(0, 1, 2, 3, 4): 0.4, (0, 2, 3, 1, 4): 0.3}, "a guess: photos 2 to 4 could be in another order"),
    ],
)
def test_words_say_how_sure_an_order_is(orders: dict[tuple[int, ...], float], words: str) -> None:
    found = probabilities(orders)
    assert found.order == next(iter(orders))
    assert found.words == words
    assert words in repr(found)


def test_words_about_many_photos_name_the_weakest_places() -> None:
    n = 40
    places = [0.95] * (n - 1)
    ranks = tuple(range(n))
    assert from_search(range(n), places, ranks, search="windows").words == "sure"
    places[3] = 0.7
    assert from_search(range(n), places, ranks, search="windows").words == "likely"
    places[3] = 0.3
    found = from_search(range(n), places, ranks, search="windows")
    assert found.words == "a guess: photos 4 and 5 could be swapped, or have others between them"
    assert found.reversed().words == "a guess: photos 36 and 37 could be swapped, or have others between them"
    assert found.confidence == 0.3
    assert found.ranking() == [(found.order, 0.3)]
    assert len(repr(found)) < 200
    for place in (10, 20, 30):
        places[place] = 0.4
    assert "and 1 more" in from_search(range(n), places, ranks, search="windows").words


def test_an_order_is_applied_to_what_belongs_to_the_images() -> None:
    found = from_search([2, 0, *range(3, 12), 1], [0.9] * 11, tuple(range(12)), search="windows")
    names = [f"photo{i}" for i in range(12)]
    assert found.apply(names) == [names[image] for image in found.order]
    with pytest.raises(ValueError, match="3 items for 12 images"):
        found.apply(names[:3])


def test_counts_of_triples_and_pairs_are_those_of_the_lists() -> None:
    for n in range(3, 9):
        assert (len(triples(n)), len(pairs(n))) == (triple_count(n), pair_count(n))
