"""Several TriDABs as one network, and from a run to a released ensemble."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from imgorder.cli import app  # noqa: E402
from imgorder.errors import UsageError  # noqa: E402
from imgorder.inference.predictor import load_model  # noqa: E402
from imgorder.media.preprocess import Preprocessing, normalise, to_pixels  # noqa: E402
from imgorder.model_format import ModelMetadata  # noqa: E402
from imgorder.networks.activations import activations  # noqa: E402
from imgorder.networks.ensemble import Downscaler, EnsembleConfig, TriDABEnsemble  # noqa: E402
from imgorder.networks.families import build_network, settings_of  # noqa: E402
from imgorder.networks.tridab import TriDABConfig  # noqa: E402
from imgorder.training import release as release_module  # noqa: E402
from imgorder.training.calibrate import compute_held_out_logits  # noqa: E402
from imgorder.training.checkpoint import read_config  # noqa: E402
from imgorder.training.combine import combine, read_member  # noqa: E402
from imgorder.training.config import make_config  # noqa: E402
from imgorder.training.packing import find_data, open_store  # noqa: E402
from imgorder.training.release import Release, release_run  # noqa: E402
from imgorder.training.sources import make_source  # noqa: E402
from imgorder.training.store import FrameStore  # noqa: E402
from imgorder.training.trainer import STATE, Trainer  # noqa: E402
from tests.clips import write_clips  # noqa: E402
from tests.conftest import is_one_error  # noqa: E402

TINY = TriDABConfig((4, 6, 8), (0, 1), head_width=8, match_width=4, match_radius=2, image_size=96)
WRONG = {"file": "", "bytes": 5, "sha256": "0" * 64}


def member(size: int, mirror: bool = False) -> TriDABConfig:
    return replace(TINY, image_size=size, mirror=mirror)


@pytest.fixture
def ensemble() -> TriDABEnsemble:
    torch.manual_seed(0)
    return TriDABEnsemble(EnsembleConfig((member(96), member(64, mirror=True)))).eval()


def scene(size: int, n: int = 4) -> np.ndarray:
    """A disc that moves over a pattern, uint8 ``(n, size, size, 3)``."""
    y, x = np.mgrid[:size, :size]
    pattern = np.stack([128 + 100 * np.sin(x / 9), 128 + 100 * np.cos(y / 7), x + y], axis=-1)
    disc = [(np.hypot(x - 10 - 12 * i, y - 40) < 8)[..., None] for i in range(n)]
    return np.stack([np.where(each, 250, pattern) for each in disc]).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("n", [3, 5])
def test_the_logits_are_the_mean_of_the_members_on_their_own_images(ensemble: TriDABEnsemble, n: int) -> None:
    large, small = Preprocessing(96, 96), Preprocessing(64, 64)
    frames = scene(96, n)
    as_large, as_small = (
        torch.from_numpy(normalise(np.stack([to_pixels(each, spec) for each in frames])))[None]
        for spec in (large, small)
    )
    first, second = ensemble.members
    with torch.inference_mode():
        logits, parts = ensemble(as_large), [first(as_large), second(as_small)]
    assert not torch.allclose(*parts, atol=0.01)  # else either alone would do
    # Photos are rounded to bytes when they are scaled, images inside the network are not.
    assert torch.allclose(logits, sum(parts) / 2, atol=5e-3)


def test_images_are_scaled_as_photos_are() -> None:
    frame = scene(144, 3)[2] // 2 + 60  # neither black nor white, at which Pillow cuts off what overshoots
    scaled = Downscaler(144, 96)(torch.from_numpy(frame).permute(2, 0, 1).float())
    expected = to_pixels(frame, Preprocessing(96, 96))
    assert np.abs(scaled.permute(1, 2, 0).clamp(0, 255).numpy() - expected).max() <= 1


def test_heat_maps_are_those_of_the_first_member(ensemble: TriDABEnsemble) -> None:
    images = torch.randn(1, 3, 3, 96, 96)
    with torch.inference_mode(), activations(ensemble) as seen:
        ensemble(images)
    with torch.inference_mode(), activations(ensemble.members[0]) as expected:
        ensemble.members[0](images)
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name], expected[name]) for name in seen)


def test_settings_make_the_same_network_again(ensemble: TriDABEnsemble) -> None:
    settings = json.loads(json.dumps(settings_of(ensemble)))
    again = build_network("tridab-ensemble", **settings).eval()
    again.load_state_dict(ensemble.state_dict())
    images = torch.randn(1, 3, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(again(images), ensemble(images))


@pytest.mark.parametrize(
    ("members", "message"), [((), "one member or more"), ((member(64), member(96)), "at most 64 px.*not 96")]
)
def test_what_is_no_ensemble_is_refused(members: tuple[TriDABConfig, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TriDABEnsemble(EnsembleConfig(members))


# --- from a run to a release


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FrameStore, Path]:
    """A run of two steps, its frames, and their folder."""
    clips = write_clips(tmp_path_factory.mktemp("clips"))
    data = find_data([clips])
    frames = tmp_path_factory.mktemp("frames")
    store = open_store(data, frames, warn=lambda _: None)
    network = {key: value for key, value in asdict(TINY).items() if key not in ("image_size", "mirror")}
    settings = {"seq_len": (3, 4), "steps": 2, "batch_size": 2, "max_spacing": 4, "validation_fraction": 0.34}
    machine = {"device": "cpu", "threads": 1, "tensorboard": False, "shorter_edge": 96, "image_size": 96}
    config = make_config({"recipe": "fast", "network": network, **settings, **machine})
    run = tmp_path_factory.mktemp("run")
    Trainer(config, make_source(config, data, store), run).train()
    return run, store, frames


@pytest.fixture(scope="module", autouse=True)
def no_export() -> Iterator[None]:
    """ONNX files that are no real ones: the released ensemble is compared with torch where all models are."""

    def export(_network: object, _metadata: object, _weights: Path, path: Path) -> float:
        path.write_bytes(b"graph")
        return 0.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_module, "export_onnx", export)
        yield


@pytest.fixture(scope="module")
def released(trained: tuple[Path, FrameStore, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The card of the run's model."""
    folder = tmp_path_factory.mktemp("released")
    release_run(*trained[:2], Release("one", "a network", folder), changes={"image_size": 64, "shorter_edge": 64})
    return folder / "one.json"


def test_a_released_model_is_loaded_and_tells_what_it_is(
    released: Path, trained: tuple[Path, FrameStore, Path]
) -> None:
    card = json.loads(released.read_text())
    assert card["training"]["settings"]["held_out_groups"] == list(read_config(trained[0] / STATE).held_out_groups)
    assert card["training"]["held_out_groups"] == 1
    model = load_model(str(released.parent / card["files"]["torch"]["file"]))
    assert model.preprocessing == Preprocessing(64, 64)
    assert set(card["training"]["temperatures"]) == {"3", "4", "5", "6"}


def test_members_are_combined_into_one_model(
    released: Path, trained: tuple[Path, FrameStore, Path], tmp_path: Path
) -> None:
    members = [read_member(f"{released}:96"), read_member(str(released))]
    card = combine(members, trained[1], Release("both", "two of it", tmp_path))
    assert list(card.training["members"]) == ["one at 96 px", "one at 64 px"]
    one = json.loads(released.read_text())["training"]["parameters"]
    assert card.training["parameters"] == 2 * one
    tensors = normalise(scene(96))[None]
    model = load_model(str(tmp_path / card.files["torch"].file))
    assert model.preprocessing == Preprocessing(96, 96)
    with torch.inference_mode():
        expected = sum(
            each.network(scaled(torch.from_numpy(tensors)))
            for each, scaled in zip(members, (torch.nn.Identity(), Downscaler(96, 64)), strict=True)
        )
    assert np.abs(model.networks[4].backend.logits(tensors) - expected.numpy() / 2).max() < 1e-5


def test_an_ensemble_sees_as_much_of_a_photo_as_its_first_member(
    trained: tuple[Path, FrameStore, Path], tmp_path: Path
) -> None:
    release_run(*trained[:2], Release("margin", "a network", tmp_path), changes={"image_size": 64, "shorter_edge": 80})
    card = tmp_path / "margin.json"
    both = combine(
        [read_member(f"{card}:96"), read_member(str(card))], trained[1], Release("both", "two of it", tmp_path)
    )
    assert both.preprocessing == Preprocessing(120, 96)


def test_a_clip_counts_as_held_out_if_no_member_saw_it(
    released: Path, trained: tuple[Path, FrameStore, Path], tmp_path: Path
) -> None:
    store = trained[1]
    kept = json.loads(released.read_text())["training"]["settings"]["held_out_groups"]
    other = next(clip.group for clip in store.clips if clip.group not in kept)
    first, second = read_member(str(released)), read_member(str(released))
    first.training["settings"]["held_out_groups"] = [*kept, other]
    card = combine([first, second], store, Release("both", "two of it", tmp_path))
    held_out = sum(clip.group in kept for clip in store.clips)
    counts = [card.training[key] for key in ("clips", "groups", "held_out_clips", "held_out_groups")]
    groups = len({clip.group for clip in store.clips})
    assert counts == [len(store.clips) - held_out, groups - 1, held_out, 1]


def models(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_members_that_cannot_be_are_refused_in_one_line(
    released: Path, trained: tuple[Path, FrameStore, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not the card"):
        read_member(str(tmp_path / "none.json"))
    for name, changes in {"hash": {"files": {"torch": WRONG}}, "facts": {"training": {"commit": "?"}}}.items():
        card = json.loads(released.read_text()) | changes
        card["files"]["torch"]["file"] = f"{name}.safetensors"
        shutil.copy(released.with_suffix(".safetensors"), tmp_path / f"{name}.safetensors")
        (tmp_path / f"{name}.json").write_text(json.dumps(card))
        with pytest.raises(UsageError, match="not the card"):
            read_member(str(tmp_path / f"{name}.json"))
    with pytest.raises(UsageError, match="multiple of 16"):
        read_member(f"{released}:90")
    out = tmp_path / "out"
    out.mkdir()
    arguments = ["--frames", trained[2], "--name", "x", "--about", "x", "--out", out]
    result = models("combine", released, f"{released}:96", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert is_one_error(result.stderr, "at most 64 px", "not 96")
    assert not list(out.iterdir())


def test_no_clip_that_was_kept_out_is_one_line(released: Path, trained: tuple[Path, FrameStore, Path]) -> None:
    one = read_member(str(released))
    one.training["settings"]["held_out_groups"] = ["another"]
    with pytest.raises(UsageError, match="kept out of training"):
        combine([one], trained[1], Release("both", "two of it", released.parent))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "notjson"], "--set takes a table of settings"),
        (["--set", "[1]"], "--set takes a table of settings that fit, as JSON; not [1]"),
        (["--set", '{"bogus": 1}'], "these settings do not fit the weights of the run ("),
        (["--network", '{"bogus": 1}'], "these settings do not fit the weights of the run ("),
        (["--network", '{"head_width": 16}'], "these settings do not fit the weights of the run ("),
        (["--data", "one\nanother"], "--data takes one line of text"),
    ],
)
def test_settings_that_cannot_be_are_one_line(
    trained: tuple[Path, FrameStore, Path],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    command = ["release", trained[0], "--frames", trained[2], "--name", "x", "--about", "x", "--out", tmp_path]
    result = models(*command, *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_clips_without_sets_of_a_size_are_one_line(
    trained: tuple[Path, FrameStore, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, spec = trained[1], Preprocessing(64, 64)
    far = partial(compute_held_out_logits, spacings=(40,))  # clips have 30 frames
    assert [len(each) for each in far(torch.nn.Identity(), store, [0], 5, spec)] == [0, 0]
    monkeypatch.setattr(release_module, "compute_held_out_logits", far)
    with pytest.raises(UsageError, match="no clip that was kept out of training has sets of 5"):
        release_module.fit_temperatures(torch.nn.Identity(), store, [0], ModelMetadata("x", "tridab", {}, (5,), spec))


def test_frames_that_are_not_there_are_one_line(trained: tuple[Path, FrameStore, Path], tmp_path: Path) -> None:
    frames = ["--frames", tmp_path / "none"]
    for command in (
        ["release", trained[0], *frames, "--name", "x", "--about", "x", "--out", tmp_path],
        ["held-out", trained[0], *frames, "--results", tmp_path / "x.json"],
    ):
        result = models(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        assert is_one_error(result.stderr, f"{tmp_path / 'none'}: ", "remove it")
    assert not list(tmp_path.iterdir())


def test_held_out_clips_are_measured_with_models_of_ones_choice(
    released: Path, trained: tuple[Path, FrameStore, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    weights = released.with_suffix(".safetensors")
    command = ["held-out", trained[0], "--frames", trained[2], "--seq-len", "3-4", "--spacing", "6"]
    result = models(*command, "--results", out, "--model", "path", "--model", weights)
    assert result.exit_code == 0, result.output
    rows = json.loads(out.read_text())["rows"]
    assert [(row["model"], row["seq_len"], row["spacing"]) for row in rows] == [
        (model, n, 6) for model in ("path", "one") for n in (3, 4)
    ]
    assert "| held-out clips | 3 | 6 | one |" in result.stdout
    lost = models(*command, "--results", tmp_path / "none" / "out.json")
    assert (lost.exit_code, lost.stdout, lost.stderr.count("\n")) == (2, "", 1)
    assert "there is no folder for" in lost.stderr


@pytest.mark.parametrize("name", ["release", "combine", "grow", "held-out"])
def test_the_tools_are_found_from_help_and_name_what_they_need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name in models("--help").stdout
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for module in ("release", "combine", "grow", "held_out", "checkpoint", "warm_start"):
        monkeypatch.delitem(sys.modules, f"imgorder.training.{module}", raising=False)
    new = ["--frames", "x", "--name", "x", "--about", "x"]
    arguments = {
        "release": ["x", *new],
        "combine": ["x", *new],
        "grow": ["x", "--network", "{}", "--out", "x"],
        "held-out": ["x", "--frames", "x", "--results", "x"],
    }
    result = models(name, *arguments[name])
    assert (result.exit_code, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "safetensors", "pip install 'imgorder[train]'")
