from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from imgorder.errors import UsageError  # noqa: E402
from imgorder.networks.families import build_network, family_config, settings_of  # noqa: E402
from imgorder.networks.matching import Matcher  # noqa: E402
from imgorder.networks.scoring import couple_rows  # noqa: E402
from imgorder.networks.tridab import TriDAB, TriDABConfig  # noqa: E402
from imgorder.permutations import permutation_classes, relabel_classes  # noqa: E402
from imgorder.search import triples as tables  # noqa: E402
from imgorder.training.grow import grow_network  # noqa: E402

SMALL = TriDABConfig(trunk_widths=(4, 6, 8), trunk_blocks=(1, 1), head_width=8, match_width=4, match_radius=2)
DEEP = replace(SMALL, match_levels=2, head_blocks=2)


@pytest.fixture(scope="module", params=[SMALL, DEEP], ids=["plain", "two levels"])
def network(request: pytest.FixtureRequest) -> TriDAB:
    torch.manual_seed(0)
    network = TriDAB(request.param).double()
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
        expected += sum(p[min(i, j), max(i, j)] for i, j in pairwise(order))
        assert logit == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7])
def test_tables_of_fewer_images_are_the_first_rows_of_those_of_more(n: int) -> None:
    assert tables.triples(8)[: tables.triple_count(n)] == tables.triples(n)
    assert tables.pairs(8)[: tables.pair_count(n)] == tables.pairs(n)
    assert len(tables.triples(n)) == n * (n - 1) * (n - 2) / 2


def test_a_couple_is_found_among_the_pairs_in_either_direction() -> None:
    listed = torch.tensor([(3, 1), (0, 2), (0, 3)])
    rows, couples = couple_rows(4, listed)
    there_and_back = torch.cat([listed, listed.flip(1)]).tolist()
    for row, (a, b) in enumerate(listed.tolist()):
        assert int(rows[a * 4 + b]) == int(rows[b * 4 + a]) == row
        assert there_and_back[int(couples[a * 4 + b])] == [a, b]
        assert there_and_back[int(couples[b * 4 + a])] == [b, a]


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, mirror=True)], ids=["plain", "mirror"])
def test_photos_that_were_encoded_before_get_the_same_scores(config: TriDABConfig) -> None:
    torch.manual_seed(0)
    network = TriDAB(config).eval()
    images = torch.randn(2, 4, 3, config.image_size, config.image_size)
    with torch.inference_mode():
        features = network.encode(images.flatten(0, 1))
        # Of the second set, some triples only, and the pairs that they need, listed the other way.
        picked, pairs = torch.tensor([(5, 7, 4), (7, 5, 6)]), torch.tensor([(7, 5), (4, 5), (7, 4), (6, 5), (6, 7)])
        few = network.score(features, picked, pairs)
        every = network.score(features[4:], torch.tensor(tables.triples(4)), torch.tensor(tables.pairs(4)))
    rows = [tables.triples(4).index((1, 0, 3)), tables.triples(4).index((3, 1, 2))]
    assert torch.allclose(few[0], every[0][rows], atol=1e-5)
    assert torch.allclose(few[1], every[1][rows], atol=1e-5)
    assert torch.allclose(few[2][0], every[2][tables.pairs(4).index((1, 3))], atol=1e-5)


def test_settings_build_the_same_network() -> None:
    settings = settings_of(TriDAB(SMALL))
    assert family_config("tridab", settings) == SMALL
    again = build_network("tridab", **settings)
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in TriDAB(SMALL).state_dict().items()
    }


def test_matching_can_be_left_out() -> None:
    network = build_network("tridab", trunk_widths=[4, 6, 8], trunk_blocks=[0, 1], head_width=8, match_width=0)
    assert network(torch.zeros(1, 3, 3, 112, 112)).shape == (1, 3)


def test_an_unknown_family_or_setting_is_refused() -> None:
    with pytest.raises(KeyError, match="no network family"):
        family_config("resnet", {})
    with pytest.raises(ValueError, match="depth"):
        family_config("tridab", {"depth": 3})


def test_only_the_second_level_of_matches_sees_what_moved_further_than_the_first_one_reaches() -> None:
    cells, radius = 14, 2
    features = torch.zeros(2, cells, cells, 4)
    features[..., 0] = 1.0  # the ground
    for image, left in ((0, 2), (1, 10)):  # a thing that moved 8 cells to the right
        features[image, 6:8, left : left + 2] = torch.tensor([0.0, 1.0, 0.0, 0.0])

    def best_match(matcher: Matcher, maps: Tensor, y: int, x: int) -> tuple[float, float]:
        matcher.project.weight.data, matcher.project.bias.data = torch.eye(4), torch.zeros(4)
        matcher.log_sharpness.data.fill_(5.0)
        cosine, flow = matcher(maps, torch.tensor([0]), torch.tensor([1]))
        spread = cosine[0, :, y, x].max() - cosine[0, :, y, x].min()
        return spread.item(), flow[0, 1, y, x].item()

    near = best_match(Matcher(4, 4, radius, cells), features, 3, 1)
    pooled = features.reshape(2, 7, 2, 7, 2, 4).mean(dim=(2, 4))
    far_still = best_match(Matcher(4, 4, radius, cells // 2, step=1), pooled, 3, 1)
    assert near[0] < 1e-6  # no cell in reach is more like it than any other
    assert far_still[0] < 1e-6  # 4 of the larger cells: still further than 2
    far = best_match(Matcher(4, 4, 2 * radius, cells // 2, step=1), pooled, 3, 1)
    assert far[0] > 0.9
    assert far[1] == pytest.approx(1.0, abs=0.05)  # the whole radius to the right


@pytest.mark.parametrize("setting", [{"match_levels": 3}, {"match_levels": 0}, {"head_blocks": 0}, {"image_size": 100}])
def test_a_network_that_cannot_be_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        TriDAB(replace(SMALL, **setting))


def test_a_grown_network_answers_as_the_small_one_did_and_learns_with_all_of_its_weights() -> None:
    torch.manual_seed(2)
    small = TriDAB(SMALL).eval()
    larger = replace(DEEP, trunk_widths=(5, 6, 12), trunk_blocks=(1, 3))
    large = grow_network(small, larger)
    assert large.config == larger
    images = torch.randn(2, 5, 3, 112, 112)
    with torch.inference_mode():
        assert torch.allclose(large(images), small(images), atol=1e-5)
        assert torch.allclose(large.train()(images), small.train()(images), atol=1e-4)

    before = [parameter.detach().clone() for parameter in large.parameters()]
    optimizer = torch.optim.SGD(large.parameters(), lr=0.1)
    for _ in range(3):  # weights behind a block that adds nothing move once the block does
        optimizer.zero_grad()
        large(images).square().mean().backward()
        optimizer.step()
    assert all((now != then).any() for now, then in zip(large.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"trunk_widths": (4, 5, 8)}, "trunk_widths"),
        ({"trunk_blocks": (2, 1)}, "trunk_blocks"),
        ({"head_width": 16}, "head_width"),
        ({"match_radius": 3}, "match_radius"),
    ],
)
def test_what_cannot_grow_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        grow_network(TriDAB(SMALL), replace(SMALL, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [SMALL, DEEP], ids=["plain", "two levels"])
@pytest.mark.parametrize("n", [3, 5])
def test_gradients_reach_every_parameter(n: int, config: TriDABConfig) -> None:
    torch.manual_seed(1)
    network = TriDAB(config)
    network(torch.randn(2, n, 3, 112, 112)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
