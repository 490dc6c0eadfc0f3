"""From a run to a released model, and what is measured on the clips that it held out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from imgorder.cli import app  # noqa: E402
from imgorder.errors import UsageError  # noqa: E402
from imgorder.inference.predictor import load_model  # noqa: E402
from imgorder.media.preprocess import Preprocessing  # noqa: E402
from imgorder.model_format import ModelMetadata  # noqa: E402
from imgorder.networks.tridab import TriDABConfig  # noqa: E402
from imgorder.training import release as release_module  # noqa: E402
from imgorder.training.calibrate import compute_held_out_logits  # noqa: E402
from imgorder.training.checkpoint import read_config  # noqa: E402
from imgorder.training.config import make_config  # noqa: E402
from imgorder.training.packing import find_data, open_store  # noqa: E402
from imgorder.training.release import Release, release_run  # noqa: E402
from imgorder.training.sources import make_source  # noqa: E402
from imgorder.training.store import FrameStore  # noqa: E402
from imgorder.training.trainer import STATE, Trainer  # noqa: E402
from tests.clips import write_clips  # noqa: E402
from tests.conftest import is_one_error  # noqa: E402

TINY = TriDABConfig((4, 6, 8), (0, 1), head_width=8, match_width=4, match_radius=2, image_size=96)


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
    """ONNX files that are no real ones: those of released models are compared with torch elsewhere."""

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
    store = trained[1]
    kept = card["training"]["settings"]["held_out_groups"]
    held_out = sum(clip.group in kept for clip in store.clips)
    counts = [card["training"][key] for key in ("clips", "groups", "held_out_clips", "held_out_groups")]
    groups = len({clip.group for clip in store.clips})
    assert counts == [len(store.clips) - held_out, groups - 1, held_out, 1]
    model = load_model(str(released.parent / card["files"]["torch"]["file"]))
    assert model.preprocessing == Preprocessing(64, 64)
    assert set(card["training"]["temperatures"]) == {"3", "4", "5", "6"}


def models(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


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


def test_no_clip_that_was_kept_out_is_one_line(
    trained: tuple[Path, FrameStore, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_module, "find_clips", lambda _store, _groups: [])
    with pytest.raises(UsageError, match="kept out of training"):
        release_run(*trained[:2], Release("x", "x", tmp_path))
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


@pytest.mark.parametrize("name", ["release", "grow", "held-out"])
def test_the_tools_are_found_from_help_and_name_what_they_need(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert name in models("--help").stdout
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for module in ("release", "grow", "held_out", "checkpoint", "warm_start"):
        monkeypatch.delitem(sys.modules, f"imgorder.training.{module}", raising=False)
    new = ["--frames", "x", "--name", "x", "--about", "x"]
    arguments = {
        "release": ["x", *new],
        "grow": ["x", "--network", "{}", "--out", "x"],
        "held-out": ["x", "--frames", "x", "--results", "x"],
    }
    result = models(name, *arguments[name])
    assert (result.exit_code, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "safetensors", "pip install 'imgorder[train]'")
