from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from torch import Tensor, nn  # noqa: E402

from imgorder.inference.backends.onnx import OnnxBackend  # noqa: E402
from imgorder.inference.backends.torch import TorchBackend  # noqa: E402
from imgorder.media.preprocess import DEFAULT, Preprocessing  # noqa: E402
from imgorder.model_format import CLASS_ORDER, ModelMetadata  # noqa: E402
from imgorder.networks.families import build_network, settings_of, sizes_of  # noqa: E402
from imgorder.networks.weights import fold_norms, read_network, round_kernels, write_network  # noqa: E402
from imgorder.permutations import class_count  # noqa: E402
from imgorder.training.export import export_onnx  # noqa: E402

TRIDAB: dict[str, Any] = {
    "trunk_widths": [4, 6, 8],
    "trunk_blocks": [1, 1],
    "head_width": 8,
    "match_width": 4,
    "match_radius": 2,
}


def drawn(family: str, **settings: Any) -> nn.Module:
    """A network in evaluation mode with weights that a seed fixes; no scale or bias stays at one or zero."""
    torch.manual_seed(0)
    network = build_network(family, **settings)
    for parameter in network.parameters():
        if parameter.ndim < 2:
            parameter.data += 0.1 * torch.randn_like(parameter)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean += 0.1 * torch.randn_like(part.running_mean)
            part.running_var *= torch.exp(0.3 * torch.randn_like(part.running_var))
    return network.eval()


def exported(
    folder: Path, family: str, spec: Preprocessing = DEFAULT, rounded: bool = False, **settings: Any
) -> tuple[Path, Path]:
    network = drawn(family, **settings)
    if rounded:
        fold_norms(network)
        round_kernels(network)
    full = settings_of(network)
    metadata = ModelMetadata(
        "small", family, full, sizes_of(family, full), spec, temperatures={4: 1.5}, training_commit="abc"
    )
    weights, graph = folder / "small.safetensors", folder / "small.onnx"
    write_network(network, metadata, weights)
    export_onnx(*read_network(weights), weights, graph)
    return weights, graph


# An export takes a while, so tests share them: one of larger images than usual, one of the usual ones. Mirrored
# passes, which double it, are in the released TriDABs (`test_released_models.py`).
SIDE = 144


@pytest.fixture(scope="module")
def tridab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    spec = Preprocessing(SIDE, SIDE)
    folder = tmp_path_factory.mktemp("tridab")
    return exported(folder, "tridab", spec, rounded=True, image_size=SIDE, match_levels=2, head_blocks=2, **TRIDAB)


@pytest.fixture(scope="module")
def dab_resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """With kernels that half precision holds."""
    return exported(tmp_path_factory.mktemp("dab"), "dab-resnet18", rounded=True, seq_len=3, width=0.25)


@pytest.fixture(scope="module")
def opened(tridab: tuple[Path, Path]) -> tuple[TorchBackend, OnnxBackend]:
    weights, graph = tridab
    return TorchBackend.open(weights), OnnxBackend.open(graph)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_file_takes_every_size_and_agrees_with_torch(
    opened: tuple[TorchBackend, OnnxBackend], n: int, batch: int
) -> None:
    images = np.random.default_rng(n).normal(size=(batch, n, 3, SIDE, SIDE)).astype(np.float32)
    expected, found = (backend.logits(images) for backend in opened)
    assert found.shape == (batch, class_count(n))
    assert expected.std() > 1e-3
    assert np.abs(found - expected).max() < 1e-4


def test_rounded_kernels_take_half_the_bytes_and_nothing_else_changes(dab_resnet: tuple[Path, Path]) -> None:
    network, metadata = read_network(dab_resnet[0])
    for file in dab_resnet:
        assert file.stat().st_size < 0.65 * 4 * sum(each.numel() for each in network.state_dict().values())
    same = drawn("dab-resnet18", **metadata.settings)
    fold_norms(same)
    exact = same.state_dict()
    for name, value in network.state_dict().items():
        assert value.dtype == exact[name].dtype
        wanted = exact[name].half().float() if exact[name].ndim > 1 else exact[name]
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize("family", ["tridab", "dab_resnet"])
def test_folded_and_rounded_kernels_are_halves_in_onnx_too(family: str, request: pytest.FixtureRequest) -> None:
    constants = onnx.load(request.getfixturevalue(family)[1]).graph.initializer
    kernels = [each for each in constants if np.prod(each.dims) >= 256 and len(each.dims) > 1]
    assert len(kernels) > 5
    assert {each.data_type for each in kernels} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(("family", "settings"), [("tridab", TRIDAB), ("dab-resnet18", {"seq_len": 3, "width": 0.1})])
def test_folding_changes_no_answer(family: str, settings: dict[str, Any]) -> None:
    network = drawn(family, **settings)
    images = torch.randn(2, 3, 3, 112, 112)
    with torch.inference_mode():
        expected = network(images)
        fold_norms(network)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)
    folded = [name for name, value in network.named_buffers() if name.endswith("running_mean") and not value.any()]
    assert folded


def test_the_file_says_what_it_is(tridab: tuple[Path, Path]) -> None:
    weights, graph = tridab
    model = onnx.load(graph)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["class_order"] == CLASS_ORDER
    assert properties["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    metadata = ModelMetadata.from_properties(properties)
    assert (metadata.family, metadata.sizes, metadata.temperatures) == ("tridab", (3, 4, 5, 6), {4: 1.5})
    assert metadata.opset == model.opset_import[0].version
    assert metadata.training_commit == "abc"
    assert [value.name for value in model.graph.input] == ["images", "features", "triples", "pairs"]
    outputs = [value.name for value in model.graph.output]
    assert outputs == ["encoded", "t_adj", "t_all", "p", "features.stride2", "features.stride4", "features.stride8"]


def test_nothing_of_the_machine_is_in_the_file(tridab: tuple[Path, Path]) -> None:
    content = tridab[1].read_bytes()
    assert b"site-packages" not in content
    assert str(Path(__file__).parent.parent).encode() not in content


def test_a_dab_resnet_is_exported_for_its_n(dab_resnet: tuple[Path, Path]) -> None:
    weights, graph = dab_resnet
    backend = OnnxBackend.open(graph)
    assert backend.metadata.sizes == (3,)
    images = np.random.default_rng(0).normal(size=(2, 3, 3, 112, 112)).astype(np.float32)
    assert np.abs(backend.logits(images) - TorchBackend.open(weights).logits(images)).max() < 1e-4


class Noise(nn.Module):
    """Never says the same twice."""

    def forward(self, images: Tensor) -> Tensor:
        noise: Tensor = torch.rand(3)
        return images.mean((1, 2, 3, 4))[:, None] + noise


class NoNumber(nn.Module):
    """Says what is no number."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3, 4))[:, None].expand(-1, 3) * float("nan")


@pytest.mark.parametrize(("network", "by"), [(Noise(), "[0-9]"), (NoNumber(), "nan")])
def test_an_export_that_differs_is_not_left_behind(network: nn.Module, by: str, tmp_path: Path) -> None:
    weights = tmp_path / "noise.safetensors"
    weights.write_bytes(b"weights")
    with pytest.raises(ValueError, match=f"the ONNX logits of noise differ from torch by {by}"):
        export_onnx(network, ModelMetadata("noise", "none", {}, (3,)), weights, tmp_path / "noise.onnx")
    assert list(tmp_path.iterdir()) == [weights]
