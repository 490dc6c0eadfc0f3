from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imgorder.networks import triples as tables  # noqa: E402
from imgorder.networks.registry import build_network, make_config, settings_of  # noqa: E402
from imgorder.networks.tridab import TriDAB, TriDABConfig, pair_row  # noqa: E402
from imgorder.permutations import permutation_classes, relabel_classes  # noqa: E402

SMALL = TriDABConfig(trunk_widths=(4, 6, 8), trunk_blocks=(1, 1), head_width=8, match_width=4, match_radius=2)


@pytest.fixture(scope="module")
def network() -> TriDAB:
    torch.manual_seed(0)
    network = TriDAB(SMALL).double()
    for parameter in network.parameters():  # away from the initial values, so that logits differ
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval()


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_permuting_the_inputs_permutes_the_logits(network: TriDAB, n: int) -> None:
    images = torch.randn(2, n, 3, 112, 112, dtype=torch.float64)
    names = np.random.default_rng(n).permutation(n)  # image i is renamed names[i]
    renamed = torch.empty_like(images)
    renamed[:, names] = images
    with torch.inference_mode():
        logits, moved = network(images), network(renamed)
    assert logits.shape == (2, len(permutation_classes(n)))
    assert logits.std(1).min() > 1e-3  # the test could not fail if all classes scored the same
    assert torch.allclose(moved[:, relabel_classes(names.tolist())], logits, atol=1e-5)


def test_a_mirrored_set_has_the_same_logits_where_that_is_asked_for() -> None:
    torch.manual_seed(0)
    plain = TriDAB(SMALL).double().eval()
    mirrored = TriDAB(replace(SMALL, mirror=True)).double().eval()
    mirrored.load_state_dict(plain.state_dict())
    images = torch.randn(2, 4, 3, 112, 112, dtype=torch.float64)
    with torch.inference_mode():
        one, other = plain(images), plain(images.flip(-1))
        assert not torch.allclose(one, other)
        assert torch.allclose(mirrored(images), (one + other) / 2, atol=1e-6)
        assert torch.allclose(mirrored(images), mirrored(images.flip(-1)), atol=1e-6)


def test_a_set_listed_backwards_has_the_same_classes(network: TriDAB) -> None:
    images = torch.randn(1, 4, 3, 112, 112, dtype=torch.float64)
    with torch.inference_mode():
        logits, backwards = network(images), network(images.flip(1))
    by_order = dict(zip(permutation_classes(4), logits[0].tolist(), strict=True))
    for order, logit in zip(permutation_classes(4), backwards[0].tolist(), strict=True):
        original = tuple(3 - i for i in order)  # the same images, named as in the first listing
        assert logit == pytest.approx(by_order.get(original, by_order.get(original[::-1])), abs=1e-5)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_class_matrix_is_the_formula_written_out(n: int) -> None:
    rng = np.random.default_rng(n)
    t_adj = {row: rng.normal() for row in tables.triples(n)}
    t_all = {row: rng.normal() for row in tables.triples(n)}
    p = {row: rng.normal() for row in tables.pairs(n)}
    scores = np.array([*t_adj.values(), *t_all.values(), *p.values()])
    logits = tables.class_matrix(n) @ scores
    for order, logit in zip(permutation_classes(n), logits, strict=True):
        expected = 0.0
        for i in range(1, n - 1):
            expected += t_adj[order[i], min(order[i - 1], order[i + 1]), max(order[i - 1], order[i + 1])]
        ordered = list(combinations(range(n), 3))
        ends = [(order[j], min(order[i], order[k]), max(order[i], order[k])) for i, j, k in ordered]
        expected += sum(t_all[triple] for triple in ends) / len(ordered)
        expected += sum(p[tuple(sorted((order[i], order[i + 1])))] for i in range(n - 1))
        assert logit == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_tables_of_fewer_images_are_the_first_rows_of_those_of_more(n: int) -> None:
    assert tables.triples(8)[: tables.triple_count(n)] == tables.triples(n)
    assert tables.pairs(8)[: tables.pair_count(n)] == tables.pairs(n)
    assert len(tables.triples(n)) == n * (n - 1) * (n - 2) / 2


def test_pair_rows_are_rows_of_the_pair_table() -> None:
    for a, b in combinations(range(6), 2):
        row = int(pair_row(torch.tensor(b), torch.tensor(a)))
        assert tables.pairs(6)[row] == (a, b)


def test_settings_build_the_same_network() -> None:
    settings = settings_of(TriDAB(SMALL))
    assert make_config("tridab", **settings) == SMALL
    again = build_network("tridab", **settings)
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in TriDAB(SMALL).state_dict().items()
    }


def test_matching_can_be_left_out() -> None:
    network = build_network("tridab", trunk_widths=[4, 6, 8], trunk_blocks=[0, 1], head_width=8, match_width=0)
    assert network(torch.zeros(1, 3, 3, 112, 112)).shape == (1, 3)


def test_an_unknown_family_or_setting_is_refused() -> None:
    with pytest.raises(KeyError, match="no network family"):
        make_config("resnet")
    with pytest.raises(TypeError, match="depth"):
        make_config("tridab", depth=3)


@pytest.mark.parametrize("n", [3, 5])
def test_gradients_reach_every_parameter(n: int) -> None:
    torch.manual_seed(1)
    network = TriDAB(SMALL)
    network(torch.randn(2, n, 3, 112, 112)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
