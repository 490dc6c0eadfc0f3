"""The residual networks of DAB units: shapes, settings, and what they can and cannot compare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from imgorder.networks.activations import record_outputs  # noqa: E402
from imgorder.networks.dab import DABConv, DifferenceAccumulator  # noqa: E402
from imgorder.networks.dab_resnet import DABResNet, DABResNet18Config  # noqa: E402
from imgorder.networks.families import build_network, family_config, settings_of, sizes_of  # noqa: E402

FAMILIES = ["dab-resnet18", "dab-resnet50"]


def tiny(family: str = "dab-resnet18", **settings: Any) -> DABResNet:
    """A narrow network in evaluation mode, with weights that a seed fixes."""
    torch.manual_seed(0)
    network = build_network(family, **{"seq_len": 3, "width": 0.125, **settings})
    assert isinstance(network, DABResNet)
    return network.eval()


def accumulators(network: nn.Module) -> list[DifferenceAccumulator]:
    """All difference accumulators, from the input to the output; a shortcut's follows its block's."""
    return [module for module in network.modules() if isinstance(module, DifferenceAccumulator)]


def pictures(batch: int, n: int, size: int = 32, seed: int = 0) -> Tensor:
    images: Tensor = torch.randn(batch, n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return images


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "classes"), [(3, 3), (4, 12), (6, 360)])
def test_images_to_logits_of_their_classes(family: str, n: int, classes: int) -> None:
    network = tiny(family, seq_len=n)
    with torch.inference_mode():
        logits = network(pictures(2, n, size=112))
    assert logits.shape == (2, classes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("dab-resnet18", [(8, 56), (8, 28), (16, 14), (32, 7), (64, 4)]),
        ("dab-resnet50", [(8, 56), (32, 28), (64, 14), (128, 7), (256, 4)]),
    ],
)
def test_stages_have_the_sizes_of_a_residual_network(family: str, shapes: list[tuple[int, int]]) -> None:
    network = tiny(family)
    seen: list[tuple[int, ...]] = []
    for module in (network.stem, *network.stages):
        module.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape)))
    with torch.inference_mode():
        network(pictures(2, 3, size=112))
    assert seen == [(6, channels, side, side) for channels, side in shapes]


# conv1 and the convolutions of the blocks, which is the depth less the classifier; 3 (18) or 4 (50)
# shortcuts change shape.
@pytest.mark.parametrize(
    ("family", "dab_shortcut", "units"),
    [("dab-resnet18", False, 17), ("dab-resnet18", True, 20), ("dab-resnet50", False, 49), ("dab-resnet50", True, 53)],
)
def test_a_unit_stands_for_every_convolution(family: str, dab_shortcut: bool, units: int) -> None:
    network = tiny(family, dab_shortcut=dab_shortcut)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    plain_shortcuts = 0 if dab_shortcut else {"dab-resnet18": 3, "dab-resnet50": 4}[family]
    assert sum(isinstance(module, DABConv) for module in network.modules()) == units
    assert len(accumulators(network)) == units
    assert len(convolutions) == 2 * units + plain_shortcuts


@pytest.mark.parametrize(("width", "channels"), [(0.125, 8), (0.25, 16), (0.3, 19)])
def test_width_scales_every_stage(width: float, channels: int) -> None:
    network = tiny(width=width)
    unit = network.stem[0]
    assert isinstance(unit, DABConv)
    assert unit.mix.out_channels == channels
    assert network.classify.in_features == 3 * 8 * channels


def test_settings_reach_every_unit() -> None:
    network = tiny(dab="magnitude", window=1, mix_kernel=3, inner_norm=True)
    units = [module for module in network.modules() if isinstance(module, DABConv)]
    assert {(unit.accumulate.mode, unit.accumulate.window, unit.images) for unit in units} == {("magnitude", 1, 3)}
    assert {unit.mix.kernel_size for unit in units} == {(3, 3)}
    assert all(isinstance(unit.norm, nn.BatchNorm2d) for unit in units)
    assert network(pictures(1, 3)).shape == (1, 3)


def test_without_dab_logits_are_a_sum_of_terms_of_one_image_each() -> None:
    network = tiny(dab="off").double()
    a, b = pictures(1, 3, seed=1).double(), pictures(1, 3, seed=2).double()
    with torch.inference_mode():
        logits = {
            (first, second): network(torch.cat([first_set[:, :1], second_set[:, 1:2], a[:, 2:]], dim=1))
            for first, first_set in (("a", a), ("b", b))
            for second, second_set in (("a", a), ("b", b))
        }
    change = logits["b", "a"] - logits["a", "a"]
    assert change.abs().max() > 1e-4
    torch.testing.assert_close(change, logits["b", "b"] - logits["a", "b"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("mode", ["signed", "magnitude", "symmetric", "symmetric-magnitude"])
def test_with_dab_what_one_image_changes_depends_on_the_others(mode: str) -> None:
    network = tiny(dab=mode).double()
    a, b = pictures(1, 3, seed=1).double(), pictures(1, 3, seed=2).double()
    with torch.inference_mode():
        change_beside_a = network(torch.cat([b[:, :1], a[:, 1:]], dim=1)) - network(a)
        beside_b = torch.cat([b[:, 1:2], a[:, 2:]], dim=1)
        change_beside_b = network(torch.cat([b[:, :1], beside_b], dim=1)) - network(
            torch.cat([a[:, :1], beside_b], dim=1)
        )
    assert (change_beside_a - change_beside_b).abs().max() > 1e-4


@pytest.mark.parametrize("dab", ["off", "symmetric"])
def test_pooled_over_the_set_the_logits_of_a_symmetric_network_do_not_know_the_order(dab: str) -> None:
    network = tiny(seq_len=4, dab=dab, pool="set")
    images = pictures(2, 4)
    with torch.inference_mode():
        torch.testing.assert_close(network(images[:, [2, 0, 3, 1]]), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dab", ["signed", "magnitude"])
def test_pooled_over_the_set_the_papers_sum_tells_orders_apart(dab: str) -> None:
    network = tiny(seq_len=4, dab=dab, pool="set")
    images = pictures(2, 4)
    with torch.inference_mode():
        assert (network(images[:, [2, 0, 3, 1]]) - network(images)).abs().max() > 1e-4


def test_a_set_is_pooled_into_the_mean_of_its_images_vectors() -> None:
    apart, together = tiny(), tiny(pool="set")
    together.load_state_dict({name: each for name, each in apart.state_dict().items() if "classify" not in name}, False)
    vectors: list[Tensor] = []
    for network in (apart, together):
        network.classify.register_forward_pre_hook(lambda _, inputs: vectors.append(inputs[0]))
        with torch.inference_mode():
            network(pictures(2, 3))
    torch.testing.assert_close(vectors[1], vectors[0].unflatten(1, (3, 64)).mean(dim=1))


@pytest.mark.parametrize("window", [None, 1])
def test_an_image_meets_only_those_after_it(window: int | None) -> None:
    network = tiny(seq_len=4, window=window).double()
    images, others = pictures(1, 4).double(), pictures(1, 4, seed=1).double()
    vectors: list[Tensor] = []
    network.classify.register_forward_pre_hook(lambda _, inputs: vectors.append(inputs[0].unflatten(1, (4, -1))[0]))
    with torch.inference_mode():
        network(images)
        for changed in range(4):
            network(torch.cat([images[:, :changed], others[:, changed : changed + 1], images[:, changed + 1 :]], dim=1))
    for changed, found in enumerate(vectors[1:]):
        moved = (found - vectors[0]).abs().amax(dim=1) > 1e-9
        assert moved.tolist() == [place <= changed for place in range(4)]


def test_a_symmetric_window_of_nothing_is_dab_off() -> None:
    empty, off, signed = tiny(dab="symmetric", window=0), tiny(dab="off"), tiny()
    off.load_state_dict(empty.state_dict())
    signed.load_state_dict(empty.state_dict())
    images = pictures(2, 3)
    with torch.inference_mode():
        torch.testing.assert_close(empty(images), off(images))
        assert (signed(images) - off(images)).abs().max() > 1e-4


def test_logits_of_a_set_do_not_depend_on_the_batch() -> None:
    network = tiny()
    images = pictures(3, 3)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_gets_a_gradient(family: str) -> None:
    network = tiny(family, dab_shortcut=True, inner_norm=True).train()
    network(pictures(2, 3, size=64)).square().sum().backward()
    without = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_make_the_same_network_again(family: str) -> None:
    network = tiny(family, seq_len=5, dab="magnitude", window=2, mix_kernel=3, inner_norm=True, dab_shortcut=True)
    settings = settings_of(network)
    assert family_config(family, settings) == network.config
    again = build_network(family, **settings)
    again.load_state_dict(network.state_dict())
    assert sizes_of(family, settings) == (5,)


def test_the_family_fixes_the_depth() -> None:
    assert [family_config(family, {}).depth for family in FAMILIES] == [18, 50]
    with pytest.raises(ValueError, match="depth"):
        family_config("dab-resnet18", {"depth": 50})


def dab_maps(network: DABResNet, images: Tensor, layers: Iterable[int]) -> list[Tensor]:
    """F_s of chosen accumulators."""
    every = accumulators(network)
    with record_outputs({str(layer): every[layer] for layer in layers}) as seen:
        network(images)
    return list(seen.values())


def test_dab_maps_are_the_differences_inside_the_forward_pass() -> None:
    network = tiny()
    images = pictures(2, 3, size=112)
    with torch.inference_mode():
        before = network(images)
        first, last = dab_maps(network, images, layers=(0, -1))
        unit = network.stem[0]
        assert isinstance(unit, DABConv)
        f_c = unit.spatial(images.flatten(0, 1)).unflatten(0, (2, 3))
        expected = torch.stack([2 * f_c[:, 0] - f_c[:, 1] - f_c[:, 2], f_c[:, 1] - f_c[:, 2], f_c[:, 2]], dim=1)
        torch.testing.assert_close(first, expected, rtol=1e-4, atol=1e-5)
        assert last.shape == (2, 3, 64, 4, 4)
        assert torch.equal(network(images), before)
    assert not any(module._forward_hooks for module in network.modules())


def test_dab_maps_of_one_photo_taken_n_times_are_empty_where_sums_go_over_both_sides() -> None:
    network = tiny("dab-resnet50", dab="symmetric-magnitude")
    images = pictures(1, 1).expand(-1, 3, -1, -1, -1)
    with torch.inference_mode():
        maps = dab_maps(network, images, range(49))
    assert all(float(f_s.abs().max()) < 1e-5 for f_s in maps)


def test_of_one_photo_taken_n_times_the_papers_first_map_shows_the_last_image_alone() -> None:
    images = pictures(1, 1).expand(-1, 3, -1, -1, -1)
    with torch.inference_mode():
        (first,) = dab_maps(tiny(), images, [0])
    assert float(first[:, :-1].abs().max()) < 1e-5
    assert float(first[:, -1].abs().mean()) > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seq_len": 1}, "2 to 8 images"),
        ({"seq_len": 3, "window": 3}, "window of 3 images is 0 to 2"),
        ({"width": 0.001}, "no channels"),
        ({"mix_kernel": 2}, "odd"),
        ({"dab": "squared"}, "signed, magnitude, off"),
        ({"pool": "time"}, "each image or the set, not 'time'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DABResNet(DABResNet18Config(**settings))


def test_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="orders 3 images, not 4"):
        tiny()(pictures(1, 4))
