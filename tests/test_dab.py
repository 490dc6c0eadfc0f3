"""The difference accumulator against Eq. 2, 3 and 4 written out, and the unit around it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from imgorder.networks.dab import DABConv, DABMode, accumulate_differences, convolution  # noqa: E402

# Every n that imgorder sorts, with no window and with every window that it has.
CASES = [(n, window) for n in range(2, 7) for window in (None, *range(n))]
PAPER: tuple[DABMode, ...] = ("signed", "magnitude")
SIGNED: tuple[DABMode, ...] = ("signed", "symmetric")
SYMMETRIC: tuple[DABMode, ...] = ("symmetric", "symmetric-magnitude")
SUMS = PAPER + SYMMETRIC


def features(n: int) -> Tensor:
    values: Tensor = torch.randn(2, n, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    return values


def written_out(f_c: Tensor, mode: str, m: int | None) -> Tensor:
    """The equations, term by term, with the paper's indices, which begin at 1.

    Eq. 2 and Eq. 3 where there is no m, else Eq. 4; and beside them the sums over the images on both sides.
    """
    n = f_c.shape[1]
    maps = {i: f_c[:, i - 1] for i in range(1, n + 1)}
    sums = []
    for i in range(1, n + 1):
        if mode.startswith("symmetric"):
            images = [k for k in range(1, n + 1) if m is None or abs(k - i) <= m]
        elif i == n:
            sums.append(maps[n])
            continue
        else:
            images = list(range(i + 1, n + 1)) if m is None else list(range(i, min(i + m, n) + 1))
        terms = [maps[i] - maps[k] for k in images]
        sums.append(sum((t.abs() if mode.endswith("magnitude") else t for t in terms), torch.zeros_like(maps[i])))
    f_s: Tensor = torch.stack(sums, dim=1)
    return f_s


def listings_alike(n: int, mode: DABMode, window: int | None) -> list[list[int]]:
    """The listings of n images in which each image has the sum that it has in the first one."""
    f_c = features(n)
    f_s = accumulate_differences(f_c, mode, window)
    return [
        order
        for order in map(list, permutations(range(n)))
        if torch.allclose(accumulate_differences(f_c[:, order], mode, window), f_s[:, order])
    ]


@pytest.mark.parametrize("mode", SUMS)
@pytest.mark.parametrize(("n", "window"), CASES)
def test_is_the_sum_of_the_equations_and_has_its_gradient(n: int, window: int | None, mode: DABMode) -> None:
    one, two = features(n).requires_grad_(), features(n).requires_grad_()
    found, expected = accumulate_differences(one, mode, window), written_out(two, mode, window)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("mode", PAPER)
@pytest.mark.parametrize(("n", "window"), CASES)
def test_the_last_image_keeps_its_own_map(n: int, window: int | None, mode: DABMode) -> None:
    f_c = features(n)
    assert torch.equal(accumulate_differences(f_c, mode, window)[:, -1], f_c[:, -1])


def test_signed_is_the_default() -> None:
    f_c = features(5)
    assert torch.equal(accumulate_differences(f_c), accumulate_differences(f_c, "signed"))


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize(("n", "window"), CASES)
def test_channels_that_come_last_in_memory_stay_last(n: int, window: int | None, mode: DABMode) -> None:
    f_c = features(n)
    last = f_c.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (-1, n))
    f_s = accumulate_differences(last, mode, window)
    torch.testing.assert_close(f_s, written_out(f_c, mode, window), check_stride=False)
    assert f_s.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", SUMS)
@pytest.mark.parametrize("n", range(2, 7))
def test_the_narrowest_window_has_no_difference_and_the_widest_has_all(n: int, mode: DABMode) -> None:
    f_c = features(n)
    narrowest = accumulate_differences(f_c, mode, 0)
    assert not narrowest[:, :-1].any()
    assert narrowest[:, -1].any() == (mode in PAPER)
    assert torch.equal(accumulate_differences(f_c, mode, n - 1), accumulate_differences(f_c, mode))


@pytest.mark.parametrize("mode", SUMS)
def test_what_all_images_share_does_not_count_but_in_the_map_that_the_last_one_keeps(mode: DABMode) -> None:
    f_c = features(5)
    common = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    change = accumulate_differences(f_c + common, mode) - accumulate_differences(f_c, mode)
    expected = torch.zeros_like(change)
    if mode in PAPER:
        expected[:, -1:] = common
    torch.testing.assert_close(change, expected)


@pytest.mark.parametrize(("n", "window"), [(n, window) for n in range(3, 7) for window in (None, *range(1, n))])
def test_tells_every_two_listings_apart(n: int, window: int | None) -> None:
    assert listings_alike(n, "signed", window) == [list(range(n))]


@pytest.mark.parametrize("mode", SYMMETRIC)
def test_a_symmetric_sum_without_a_window_tells_no_listings_apart(mode: DABMode) -> None:
    f_c = features(4)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(accumulate_differences(f_c[:, order], mode), accumulate_differences(f_c, mode)[:, order])


@pytest.mark.parametrize(("n", "window"), [(n, window) for n in range(3, 7) for window in range(1, n)])
def test_a_symmetric_sum_tells_listings_apart_where_its_window_is_less_than_half_the_images(
    n: int, window: int
) -> None:
    same = listings_alike(n, "symmetric", window)
    straight = list(range(n))
    assert straight in same
    assert straight[::-1] in same
    assert (len(same) == 2) == (2 * window < n)


def test_off_is_zero_and_passes_no_gradient() -> None:
    f_c = features(3).requires_grad_()
    f_s = accumulate_differences(f_c, "off")
    assert f_s.shape == f_c.shape
    assert not f_s.any()
    assert not f_s.requires_grad


@pytest.mark.parametrize("mode", SUMS)
@pytest.mark.parametrize("window", [None, 0, 1])
def test_gradients(mode: DABMode, window: int | None) -> None:
    # Values at least 0.1 apart: |x| has no derivative at 0.
    f_c = (torch.randperm(24, generator=torch.Generator().manual_seed(0)).double() / 10).reshape(1, 4, 2, 1, 3)
    assert torch.autograd.gradcheck(lambda x: accumulate_differences(x, mode, window), f_c.requires_grad_())


@pytest.mark.parametrize("mode", SIGNED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_the_sum_once(dtype: Any, mode: DABMode) -> None:
    f_c = features(4).to(dtype) + 8  # small differences of large values
    exact = accumulate_differences(f_c.double(), mode)
    found = accumulate_differences(f_c, mode).double()
    torch.testing.assert_close(found, exact, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("window", [-1, 4])
@pytest.mark.parametrize("mode", [*SUMS, "off"])
def test_a_window_that_n_images_do_not_have_is_refused(mode: DABMode, window: int) -> None:
    with pytest.raises(ValueError, match="window of 4 images is 0 to 3"):
        accumulate_differences(features(4), mode, window)
    with pytest.raises(ValueError, match="window of 4 images is 0 to 3"):
        DABConv(3, 8, images=4, mode=mode, window=window)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="signed, magnitude, off, symmetric"):
        accumulate_differences(features(4), "squared")  # type: ignore[arg-type]


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("mix_kernel", [1, 3])
def test_the_unit_has_the_shape_of_the_convolution_that_it_replaces(kernel: int, stride: int, mix_kernel: int) -> None:
    replaced = nn.Conv2d(3, 8, kernel, stride=stride, padding=kernel // 2)
    unit = DABConv(3, 8, kernel, stride, images=3, mix_kernel=mix_kernel)
    x = torch.randn(6, 3, 13, 12)
    assert unit(x).shape == replaced(x).shape


@pytest.mark.parametrize("mode", [*SUMS, "off"])
def test_the_unit_convolves_both_halves(mode: DABMode) -> None:
    unit = DABConv(3, 4, images=5, mode=mode, window=2).double()
    x = torch.randn(10, 3, 6, 6, dtype=torch.float64)
    f_c = nn.functional.conv2d(x, unit.spatial.weight, padding=1)
    f_s = accumulate_differences(f_c.reshape(2, 5, 4, 6, 6), mode, 2).reshape(10, 4, 6, 6)
    by_image, by_differences = unit.mix.weight[:, :4], unit.mix.weight[:, 4:]
    expected = nn.functional.conv2d(f_c, by_image) + nn.functional.conv2d(f_s, by_differences)
    torch.testing.assert_close(unit(x), expected)


@pytest.mark.parametrize("channels", [4, 32])
def test_a_narrow_convolution_that_skips_pixels_has_the_right_gradient(channels: int) -> None:
    # Few channels that come last: where oneDNN's own gradient writes past its memory.
    conv = convolution(channels, 8, kernel=1, stride=2).to(memory_format=torch.channels_last)
    images = torch.randn(16, channels, 28, 28).contiguous(memory_format=torch.channels_last)
    result = conv(images)
    result.square().sum().backward()
    kept = images[..., ::2, ::2].double()
    matrix = conv.weight.detach()[..., 0, 0].double()
    assert torch.allclose(result.double(), torch.einsum("oc,bchw->bohw", matrix, kept), atol=1e-5)
    gradient = 2 * torch.einsum("bohw,bchw->oc", torch.einsum("oc,bchw->bohw", matrix, kept), kept)
    assert conv.weight.grad is not None
    assert torch.allclose(conv.weight.grad[..., 0, 0].double(), gradient, rtol=1e-4, atol=1e-2)


def test_sets_in_a_batch_do_not_mix() -> None:
    unit = DABConv(3, 4, images=3)
    x = torch.randn(2, 3, 3, 6, 6)
    together = unit(x.flatten(0, 1)).reshape(2, 3, 4, 6, 6)
    torch.testing.assert_close(together[1], unit(x[1]))


def test_inner_normalisation_comes_before_the_accumulator() -> None:
    unit = DABConv(3, 4, images=3, inner_norm=True)
    seen: list[Tensor] = []
    unit.accumulate.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    unit(torch.randn(6, 3, 9, 9) * 5 + 2)
    torch.testing.assert_close(seen[0].mean(dim=(0, 1, 3, 4)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen[0].var(dim=(0, 1, 3, 4), unbiased=False), torch.ones(4), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("kernel", "mix_kernel"), [(2, 1), (3, 2)])
def test_even_kernels_are_refused(kernel: int, mix_kernel: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        DABConv(3, 4, kernel, images=3, mix_kernel=mix_kernel)


def test_onnx_takes_any_batch(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    units = nn.Sequential(
        DABConv(3, 4, images=4, window=1),
        nn.ReLU(),
        DABConv(4, 4, images=4, mode="magnitude", window=2),
    ).eval()
    path = tmp_path / "units.onnx"
    batch = 4 * torch.export.Dim("sets", min=1, max=64)
    torch.onnx.export(units, (torch.randn(8, 3, 6, 6),), path, dynamic_shapes=({0: batch},), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = torch.randn(20, 3, 6, 6)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, units(x).detach().numpy(), rtol=1e-5, atol=1e-6)
