from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from imgorder.backends.onnx import OnnxBackend  # noqa: E402
from imgorder.backends.torch import TorchBackend  # noqa: E402
from imgorder.export import export_onnx  # noqa: E402
from imgorder.metadata import CLASS_ORDER, ModelMetadata  # noqa: E402
from imgorder.networks.registry import build_network, settings_of, sizes_of  # noqa: E402
from imgorder.networks.weights import read_network, round_kernels, write_network  # noqa: E402
from imgorder.permutations import class_count  # noqa: E402
from imgorder.preprocess import DEFAULT, Preprocessing  # noqa: E402

TRIDAB = {
    "trunk_widths": [4, 6, 8],
    "trunk_blocks": [1, 1],
    "head_width": 8,
    "match_width": 4,
    "match_radius": 2,
    "mirror": True,
}


def exported(
    folder: Path,
    family: str,
    spec: Preprocessing = DEFAULT,
    noise: float = 0.1,
    rounded: bool = False,
    **settings: object,
) -> tuple[Path, Path]:
    torch.manual_seed(0)
    network = build_network(family, **settings)
    for parameter in network.parameters():
        parameter.data += noise * torch.randn_like(parameter)
    if rounded:
        round_kernels(network)
    network.eval()
    full = settings_of(network)
    metadata = ModelMetadata(
        "small", family, full, sizes_of(family, full), spec, temperatures={4: 1.5}, training_commit="abc"
    )
    weights, graph = folder / "small.safetensors", folder / "small.onnx"
    write_network(network, metadata, weights)
    export_onnx(*read_network(weights), weights, graph)
    return weights, graph


@pytest.fixture(scope="module")
def tridab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return exported(tmp_path_factory.mktemp("tridab"), "tridab", match_levels=2, head_blocks=2, **TRIDAB)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
@pytest.mark.parametrize("batch", [1, 2])
def test_one_file_takes_every_size_and_agrees_with_torch(tridab: tuple[Path, Path], n: int, batch: int) -> None:
    weights, graph = tridab
    images = np.random.default_rng(n).normal(size=(batch, n, 3, 112, 112)).astype(np.float32)
    expected = TorchBackend.open(weights).logits(images)
    found = OnnxBackend.open(graph).logits(images)
    assert found.shape == (batch, class_count(n))
    assert expected.std() > 1e-3
    assert np.abs(found - expected).max() < 1e-4


def test_larger_images(tmp_path: Path) -> None:
    weights, graph = exported(tmp_path, "tridab", Preprocessing(144, 144), image_size=144, **TRIDAB)
    images = np.random.default_rng(0).normal(size=(2, 4, 3, 144, 144)).astype(np.float32)
    expected = TorchBackend.open(weights).logits(images)
    assert expected.std() > 1e-3
    assert np.abs(OnnxBackend.open(graph).logits(images) - expected).max() < 1e-4


def test_rounded_kernels_take_half_the_bytes_and_nothing_else_changes(tmp_path: Path) -> None:
    settings: dict[str, object] = {"seq_len": 3, "width": 0.25}
    (tmp_path / "exact").mkdir()
    (tmp_path / "rounded").mkdir()
    exact = exported(tmp_path / "exact", "dab-resnet18", noise=0.0, **settings)
    rounded = exported(tmp_path / "rounded", "dab-resnet18", noise=0.0, rounded=True, **settings)
    for large, small in zip(exact, rounded, strict=True):
        assert small.stat().st_size < 0.65 * large.stat().st_size
    before, after = (read_network(weights)[0].state_dict() for weights in (exact[0], rounded[0]))
    for name, value in after.items():
        assert value.dtype == before[name].dtype
        wanted = before[name].half().float() if before[name].ndim > 1 else before[name]
        assert torch.equal(value, wanted), name


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
    assert [value.name for value in model.graph.input] == ["images"]
    outputs = [value.name for value in model.graph.output]
    assert outputs == ["logits", "features.stride2", "features.stride4", "features.stride8"]


def test_nothing_of_the_machine_is_in_the_file(tridab: tuple[Path, Path]) -> None:
    content = tridab[1].read_bytes()
    assert b"site-packages" not in content
    assert str(Path(__file__).parent.parent).encode() not in content


def test_a_dab_resnet_is_exported_for_its_n(tmp_path: Path) -> None:
    weights, graph = exported(tmp_path, "dab-resnet18", seq_len=3, width=0.0625)
    backend = OnnxBackend.open(graph)
    assert backend.metadata.sizes == (3,)
    images = np.random.default_rng(0).normal(size=(2, 3, 3, 112, 112)).astype(np.float32)
    assert np.abs(backend.logits(images) - TorchBackend.open(weights).logits(images)).max() < 1e-4


def test_an_export_that_differs_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgorder.export.compare", lambda *args: 1e-3)
    with pytest.raises(ValueError, match="differ"):
        exported(tmp_path, "tridab", **TRIDAB)
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]
