"""The networks to compare with, OPN and DeepImSeq: shapes, what their structure implies, and export."""

from __future__ import annotations

from itertools import permutations
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from imgorder.model_format import ModelMetadata  # noqa: E402
from imgorder.networks.deepimseq import DeepImSeq, class_logits, table_entries  # noqa: E402
from imgorder.networks.encoder import Encoder  # noqa: E402
from imgorder.networks.families import build_network, family_config, settings_of, sizes_of  # noqa: E402
from imgorder.networks.opn import OPN  # noqa: E402
from imgorder.networks.weights import read_network, write_network  # noqa: E402
from imgorder.permutations import class_count, order_to_class, permutation_classes, relabel_classes  # noqa: E402

TINY: dict[str, dict[str, Any]] = {
    "opn": {"seq_len": 4, "width": 0.0625, "fc6": 12, "fc7": 6},
    "deepimseq": {"seq_len": 4, "width": 0.0625, "hidden": 12},
}


def tiny(family: str, **settings: Any) -> Any:
    """A narrow network in evaluation mode, with weights that a seed fixes."""
    torch.manual_seed(0)
    network = build_network(family, **{**TINY[family], **settings})
    with torch.no_grad():
        for weight in network.parameters():  # no scale or bias stays at one or zero
            weight.add_(0.1 * torch.randn_like(weight))
    return network.eval()


def pictures(batch: int, n: int, size: int = 64, seed: int = 0) -> Tensor:
    images: Tensor = torch.randn(batch, n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return images


def table(batch: int, n: int) -> Tensor:
    scores: Tensor = 2 * torch.randn(batch, n, n, generator=torch.Generator().manual_seed(n)).double()
    return scores


# The encoder


@pytest.mark.parametrize(("width", "grid", "size"), [(0.125, 1, 64), (0.125, 2, 256), (0.3, 2, 608)])
def test_an_image_becomes_a_vector(width: float, grid: int, size: int) -> None:
    encoder = Encoder(width, grid).eval()
    with torch.inference_mode():
        assert encoder(torch.zeros(2, 3, 112, 112)).shape == (2, size)
    assert encoder.size == size


def test_a_vector_lists_the_means_of_the_cells() -> None:
    torch.manual_seed(0)
    coarse, fine = Encoder(0.0625, grid=1).eval(), Encoder(0.0625, grid=2).eval()
    fine.load_state_dict(coarse.state_dict())
    images = pictures(2, 1, size=112)[:, 0]
    with torch.inference_mode():
        cells = fine(images).unflatten(1, (-1, 4))
        torch.testing.assert_close(cells.mean(dim=2), coarse(images))
        assert float(cells.std(dim=2).max()) > 1e-4


@pytest.mark.parametrize(("settings", "message"), [((0.001,), "no channels"), ((0.1, 0), "at least one cell")])
def test_an_encoder_of_nothing_is_refused(settings: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encoder(*settings)


# Both


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_images_to_logits_of_their_classes(family: str, n: int) -> None:
    with torch.inference_mode():
        logits = tiny(family, seq_len=n)(pictures(2, n, size=112))
    assert logits.shape == (2, class_count(n))
    assert torch.isfinite(logits).all()
    assert float(logits.std()) > 1e-3


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("opn", {"seq_len": 5, "grid": 1, "fc6": 10, "fc7": 7, "dropout": 0.25}),
        ("deepimseq", {"seq_len": 5, "grid": 1, "hidden": 9, "reverse_target": False}),
    ],
)
def test_a_file_makes_the_same_network_again(family: str, settings: dict[str, Any], tmp_path: Path) -> None:
    network = tiny(family, **settings)
    full = settings_of(network)
    assert family_config(family, full) == network.config
    assert sizes_of(family, full) == (5,)
    write_network(network, ModelMetadata("small", family, full, (5,)), tmp_path / "small.safetensors")
    again, metadata = read_network(tmp_path / "small.safetensors")
    assert (metadata.family, metadata.sizes, settings_of(again)) == (family, (5,), full)
    images = pictures(2, 5)
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), network(images))


@pytest.mark.parametrize("family", TINY)
def test_every_weight_gets_a_gradient(family: str) -> None:
    network = tiny(family).train()
    torch.manual_seed(0)
    nn.functional.cross_entropy(network(pictures(3, 4)), torch.tensor([0, 5, 11])).backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("family", TINY)
def test_logits_of_a_set_do_not_depend_on_the_batch(family: str) -> None:
    network = tiny(family)
    images = pictures(3, 4)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", TINY)
def test_another_number_of_images_is_refused(family: str) -> None:
    with pytest.raises(ValueError, match="orders 4 images, not 3"):
        tiny(family)(pictures(1, 3))
    with pytest.raises(ValueError, match="2 to 8 images"):
        build_network(family, **{**TINY[family], "seq_len": 1})


@pytest.mark.parametrize("family", TINY)
def test_eight_sets_are_learned_by_heart(family: str) -> None:
    settings = {"seq_len": 3, **({"dropout": 0.0} if family == "opn" else {})}
    network = tiny(family, **settings).train()
    images, target = pictures(8, 3, size=32), torch.arange(8) % 3
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _step in range(30):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(images), target)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("family", TINY)
def test_export_agrees_with_torch_for_any_batch(family: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from imgorder.inference.backends.onnx import OnnxBackend
    from imgorder.training.export import export_onnx

    network = tiny(family, seq_len=3)
    full = settings_of(network)
    weights, graph = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    write_network(network, ModelMetadata("small", family, full, sizes_of(family, full)), weights)
    export_onnx(*read_network(weights), weights, graph)
    backend = OnnxBackend.open(graph)
    for batch in (1, 2, 5):
        images = pictures(batch, 3, size=112, seed=batch)
        with torch.inference_mode():
            expected = network(images).numpy()
        assert expected.std() > 1e-3
        assert np.abs(backend.logits(images.numpy()) - expected).max() < 1e-4


# OPN


def opn(**settings: Any) -> OPN:
    network = tiny("opn", **settings)
    assert isinstance(network, OPN)
    return network


@pytest.mark.parametrize("n", [3, 6])
def test_pairs_are_listed_in_lexicographic_order(n: int) -> None:
    assert opn(seq_len=n).pairs == tuple((i, j) for i in range(n) for j in range(i + 1, n))


def test_features_of_a_pair_are_those_of_its_images_in_input_order() -> None:
    network = opn()
    images = pictures(2, 4)
    with torch.inference_mode():
        vectors = [network.fc6(network.encoder(images[:, i])) for i in range(4)]
        expected = [network.fc7(torch.cat([vectors[i], vectors[j]], dim=1)) for i, j in network.pairs]
        features = network.pair_features(images)
        torch.testing.assert_close(features, torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)
        by_hand = features.flatten(1) @ network.classify.weight.T + network.classify.bias
        torch.testing.assert_close(network(images), by_hand)


def test_exchanging_two_images_exchanges_features_of_pairs() -> None:
    network = opn()
    images = pictures(2, 4)
    exchanged = images[:, [0, 2, 1, 3]]
    with torch.inference_mode():
        before, after = network.pair_features(images), network.pair_features(exchanged)
    row = {pair: index for index, pair in enumerate(network.pairs)}
    # Images 1 and 2 keep their sides beside 0 and 3, so those pairs only change places.
    for old, new in (((0, 1), (0, 2)), ((0, 2), (0, 1)), ((1, 3), (2, 3)), ((2, 3), (1, 3)), ((0, 3), (0, 3))):
        torch.testing.assert_close(after[:, row[new]], before[:, row[old]], rtol=1e-4, atol=1e-5)
    # Their own pair is concatenated the other way round.
    assert (after[:, row[1, 2]] - before[:, row[1, 2]]).abs().max() > 1e-3


def test_every_pair_counts_in_every_logit() -> None:
    network = opn()
    with torch.inference_mode():
        features = network.pair_features(pictures(2, 4))
    features = features.clone().requires_grad_()
    logits = network.classify(features.flatten(1))
    for k in range(class_count(4)):
        (slope,) = torch.autograd.grad(logits[:, k].sum(), features, retain_graph=True)
        assert (slope.abs().amax(dim=(0, 2)) > 0).all()


def test_an_image_changes_the_features_of_its_pairs_only() -> None:
    network = opn()
    a, b = pictures(2, 4, seed=1), pictures(2, 4, seed=2)
    with torch.inference_mode():
        change = network.pair_features(torch.cat([a[:, :2], b[:, 2:3], a[:, 3:]], dim=1)) - network.pair_features(a)
    changed = change.abs().amax(dim=(0, 2)) > 1e-4
    assert changed.tolist() == [2 in pair for pair in network.pairs]


# DeepImSeq


def deepimseq(**settings: Any) -> DeepImSeq:
    network = tiny("deepimseq", **settings)
    assert isinstance(network, DeepImSeq)
    return network


@pytest.mark.parametrize("n", [3, 4, 5])
def test_logits_are_those_of_both_directions(n: int) -> None:
    scores = table(2, n)
    logits = class_logits(scores, table_entries(n))
    for row, found in zip(scores.tolist(), logits.tolist(), strict=True):
        for order, logit in zip(permutation_classes(n), found, strict=True):
            directions = [sum(row[t][i] for t, i in enumerate(way)) for way in (order, order[::-1])]
            assert logit == pytest.approx(log(sum(exp(score) for score in directions)), abs=1e-9)


@pytest.mark.parametrize("n", [3, 6])
def test_with_time_turned_round_the_logits_stay(n: int) -> None:
    scores, entries = table(2, n), table_entries(n)
    torch.testing.assert_close(class_logits(scores.flip(1), entries), class_logits(scores, entries))


def test_renamed_images_have_renamed_logits() -> None:
    scores, entries = table(2, 4), table_entries(4)
    names = [2, 0, 3, 1]  # image i is renamed names[i]
    renamed = torch.empty_like(scores)
    renamed[:, :, names] = scores
    moved = torch.from_numpy(relabel_classes(names))
    torch.testing.assert_close(class_logits(renamed, entries)[:, moved], class_logits(scores, entries))


def test_classes_have_the_chances_of_independent_positions() -> None:
    scores = table(1, 4)
    positions = scores.softmax(dim=1)[0]
    chances = torch.zeros(class_count(4)).double()
    for order in permutations(range(4)):
        chances[order_to_class(order)] += positions[range(4), list(order)].prod()
    found = class_logits(scores, table_entries(4)).softmax(dim=1)[0]
    torch.testing.assert_close(found, chances / chances.sum())


def test_a_table_that_names_an_order_gets_its_class() -> None:
    order = (3, 0, 2, 1)
    scores = torch.zeros(1, 4, 4)
    scores[0, range(4), list(order)] = 9.0
    assert int(class_logits(scores, table_entries(4)).argmax()) == order_to_class(order)


def test_half_precision_is_summed_in_single() -> None:
    scores = table(1, 4).to(torch.bfloat16)
    logits = class_logits(scores, table_entries(4))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, class_logits(scores.float(), table_entries(4)))


@pytest.mark.parametrize("reverse", [True, False])
def test_scores_of_every_image_depend_on_all_images(reverse: bool) -> None:
    network = deepimseq(seq_len=3, reverse_target=reverse)
    images = pictures(1, 3).requires_grad_()
    scores = network.position_scores(images)
    for image in range(3):
        (slope,) = torch.autograd.grad(scores[0, :, image].square().sum(), images, retain_graph=True)
        assert (slope.abs().amax(dim=(0, 2, 3, 4)) > 0).all()


def test_a_reversed_target_is_answered_from_the_last_image() -> None:
    images = pictures(2, 3)
    forward, backward = deepimseq(seq_len=3, reverse_target=False), deepimseq(seq_len=3)
    with torch.inference_mode():
        vectors = backward.encoder(images.flatten(0, 1)).unflatten(0, (-1, 3))
        _, state = backward.read(vectors)
        for image in (2, 1, 0):
            answer, state = backward.answer(vectors[:, image : image + 1], state)
            found = backward.position_scores(images)[:, :, image]
            torch.testing.assert_close(found, backward.score(answer[:, 0]), rtol=1e-4, atol=1e-5)
        assert (forward.position_scores(images) - backward.position_scores(images)).abs().max() > 1e-4
