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


def features(n: int) -> Tensor:
    values: Tensor = torch.randn(2, n, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    return values


def written_out(f_c: Tensor, mode: str, window: int | None) -> Tensor:
    """The equations, term by term."""
    n = f_c.shape[1]
    f_s: Tensor = torch.zeros_like(f_c)
    for i in range(n):
        for j in range(n):
            if j == i or (window is not None and abs(i - j) > window):
                continue
            difference = f_c[:, i] - f_c[:, j]
            f_s[:, i] += difference if mode == "signed" else difference.abs()
    return f_s


@pytest.mark.parametrize("mode", ["signed", "magnitude"])
@pytest.mark.parametrize(("n", "window"), CASES)
def test_is_the_sum_of_the_equations(n: int, window: int | None, mode: DABMode) -> None:
    f_c = features(n)
    torch.testing.assert_close(accumulate_differences(f_c, mode, window), written_out(f_c, mode, window))


@pytest.mark.parametrize(("n", "window"), CASES)
def test_channels_that_come_last_in_memory_stay_last(n: int, window: int | None) -> None:
    f_c = features(n)
    last = f_c.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (-1, n))
    f_s = accumulate_differences(last, "signed", window)
    torch.testing.assert_close(f_s, written_out(f_c, "signed", window), check_stride=False)
    assert f_s.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("n", range(2, 7))
def test_the_full_signed_sum_is_n_times_the_image_less_all(n: int) -> None:
    f_c = features(n)
    torch.testing.assert_close(accumulate_differences(f_c), n * f_c - f_c.sum(dim=1, keepdim=True))


@pytest.mark.parametrize("mode", ["signed", "magnitude"])
@pytest.mark.parametrize("n", range(2, 7))
def test_the_narrowest_window_is_zero_and_the_widest_is_everything(n: int, mode: DABMode) -> None:
    f_c = features(n)
    assert not accumulate_differences(f_c, mode, 0).any()
    assert torch.equal(accumulate_differences(f_c, mode, n - 1), accumulate_differences(f_c, mode))


@pytest.mark.parametrize(("n", "window"), CASES)
def test_signed_sums_cancel_over_the_images(n: int, window: int | None) -> None:
    total = accumulate_differences(features(n), "signed", window).sum(dim=1)
    torch.testing.assert_close(total, torch.zeros_like(total))


@pytest.mark.parametrize("mode", ["signed", "magnitude"])
def test_what_all_images_share_does_not_count(mode: DABMode) -> None:
    f_c = features(5)
    common = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(accumulate_differences(f_c + common, mode), accumulate_differences(f_c, mode))


@pytest.mark.parametrize("mode", ["signed", "magnitude"])
def test_without_a_window_permuted_images_give_permuted_sums(mode: DABMode) -> None:
    f_c = features(4)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(accumulate_differences(f_c[:, order], mode), accumulate_differences(f_c, mode)[:, order])


@pytest.mark.parametrize(("n", "window"), [(n, window) for n in range(3, 7) for window in range(1, n)])
def test_a_window_tells_all_listings_but_the_reversed_one_apart_where_it_is_less_than_half_the_images(
    n: int, window: int
) -> None:
    f_c = features(n)
    f_s = accumulate_differences(f_c, "signed", window)
    same = [
        order
        for order in map(list, permutations(range(n)))
        if torch.allclose(accumulate_differences(f_c[:, order], "signed", window), f_s[:, order])
    ]
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


@pytest.mark.parametrize("mode", ["signed", "magnitude"])
@pytest.mark.parametrize("window", [None, 0, 1])
def test_gradients(mode: DABMode, window: int | None) -> None:
    # Values at least 0.1 apart: |x| has no derivative at 0.
    f_c = (torch.randperm(24, generator=torch.Generator().manual_seed(0)).double() / 10).reshape(1, 4, 2, 1, 3)
    assert torch.autograd.gradcheck(lambda x: accumulate_differences(x, mode, window), f_c.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_the_sum_once(dtype: Any) -> None:
    f_c = features(4).to(dtype) + 8  # small differences of large values
    exact = accumulate_differences(f_c.double())
    torch.testing.assert_close(accumulate_differences(f_c).double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("window", [-1, 4])
@pytest.mark.parametrize("mode", ["signed", "magnitude", "off"])
def test_a_window_that_n_images_do_not_have_is_refused(mode: DABMode, window: int) -> None:
    with pytest.raises(ValueError, match="window of 4 images is 0 to 3"):
        accumulate_differences(features(4), mode, window)
    with pytest.raises(ValueError, match="window of 4 images is 0 to 3"):
        DABConv(3, 8, images=4, mode=mode, window=window)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="signed, magnitude, off"):
        accumulate_differences(features(4), "squared")  # type: ignore[arg-type]


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("mix_kernel", [1, 3])
def test_the_unit_has_the_shape_of_the_convolution_that_it_replaces(kernel: int, stride: int, mix_kernel: int) -> None:
    replaced = nn.Conv2d(3, 8, kernel, stride=stride, padding=kernel // 2)
    unit = DABConv(3, 8, kernel, stride, images=3, mix_kernel=mix_kernel)
    x = torch.randn(6, 3, 13, 12)
    assert unit(x).shape == replaced(x).shape


@pytest.mark.parametrize("mode", ["signed", "magnitude", "off"])
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
