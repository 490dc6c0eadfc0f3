"""The files in ``models/`` are what their cards say."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgorder.inference import cards as registry
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.model_files import usable_file
from imgorder.media.preprocess import preprocess_set, to_pixels
from tests.conftest import EXAMPLE, ROOT, load_script

CARDS = [card for card in registry.cards() if card.files]
GROUPS = [card for card in registry.cards() if card.members]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_files_have_the_bytes_and_hashes_of_their_card(card: registry.Card) -> None:
    for backend, entry in card.files.items():
        content = usable_file(card, backend).read_bytes()
        assert len(content) == entry.bytes <= 10_000_000
        assert hashlib.sha256(content).hexdigest() == entry.sha256


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_onnx_file_was_made_from_the_checkpoint_beside_it(card: registry.Card) -> None:
    metadata = OnnxBackend.open(usable_file(card, "onnx")).metadata
    assert metadata.weights_sha256 == card.files["torch"].sha256
    assert (metadata.name, metadata.family, metadata.sizes) == (card.name, card.family, card.sizes)
    assert len(metadata.training_commit) == 40
    assert set(metadata.temperatures) == set(card.sizes)


@pytest.mark.parametrize("group", GROUPS, ids=lambda card: card.name)
def test_members_of_one_name_take_one_size_each_and_the_same_photos(group: registry.Card) -> None:
    for n, card in zip(group.sizes, registry.networks(group), strict=True):
        assert card.name == group.members[n]
        assert card.sizes == (n,)
        assert card.family == group.family
        assert card.preprocessing == group.preprocessing


def test_the_default_model_is_there() -> None:
    assert registry.cards()[0].name == registry.DEFAULT_MODEL


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_training_torch_and_onnx_see_and_say_the_same(card: registry.Card, scene: list[Image.Image]) -> None:
    torch = pytest.importorskip("torch")
    from imgorder.inference.backends.torch import TorchBackend
    from imgorder.training.pixels import normalise

    spec = registry.preprocessing_of(card)
    tensors = preprocess_set(scene, spec)
    in_training = normalise(torch.from_numpy(np.stack([to_pixels(image, spec) for image in scene]))[None])[0]
    assert np.abs(in_training.numpy() - tensors).max() < 1e-4
    for n in card.sizes:
        onnx = OnnxBackend.open(usable_file(card, "onnx")).logits(tensors[None, :n])
        pytorch = TorchBackend.open(usable_file(card, "torch")).logits(tensors[None, :n])
        assert np.abs(onnx - pytorch).max() < 1e-4


def test_the_figures_of_a_card_are_those_of_the_results_file_with_the_baseline_beside_them() -> None:
    results = json.loads((ROOT / "docs" / "results" / "davis-dev.json").read_text("utf-8"))["rows"]
    by_case = {(row["model"], row["seq_len"], row["spacing"]): row["accuracy"] for row in results}
    groups = {name: group.name for group in GROUPS for name in group.members.values()}
    for card in CARDS:
        names = (card.name, groups.get(card.name))
        own = [row for row in results if row["model"] in names and row["seq_len"] in card.sizes]
        assert own, card.name
        assert [row.accuracy for row in card.figures] == [row["accuracy"] for row in own]
        for row in card.figures:
            assert row.baseline == by_case["path", row.seq_len, row.spacing]


def test_every_figure_in_the_documents_comes_from_the_results() -> None:
    assert load_script(ROOT / "docs" / "update.py").stale_documents() == []


def build_wheel(project: Path, folder: Path) -> Path:
    """The unpacked wheel of a project, in this folder."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size <= (5_000_000 if project == ROOT else 100_000_000)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install imgorder` puts among the installed packages."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install ./models` adds to it."""
    return build_wheel(ROOT / "models", tmp_path_factory.mktemp("separate"))


def imgorder(*arguments: str, installed: list[Path], gpu: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command with these installed packages, and torch as if it were installed, on a machine with a GPU or not.

    It fails if the folder of the models is imported.
    """
    code = (
        "import sys, imgorder.inference.predictor as predictor\n"
        f"predictor._gpu_in_sight = lambda: {gpu}\n"
        "predictor._torch_is_installed = lambda: True\n"
        "from imgorder.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: assert 'imgorder_models' not in sys.modules\n"
    )
    path = os.pathsep.join(map(str, installed))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=installed[0],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_the_default_model_for_onnx_runtime_and_no_other(base: Path) -> None:
    names = {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}
    assert {"imgorder/report/report.html", "imgorder/report/report.css"} <= names
    assert {name for name in names if name.startswith("imgorder/models/")} == {
        f"imgorder/models/{registry.DEFAULT_MODEL}.{ending}" for ending in ("json", "onnx")
    }
    assert {name.split("/")[0].split("-")[0] for name in names} == {"imgorder"}


def test_the_distribution_of_the_models_holds_all_cards_and_files(separate: Path) -> None:
    names = {path.name for path in (separate / registry.SEPARATE_PACKAGE).iterdir()}
    files = {entry.file for card in CARDS for entry in card.files.values()}
    assert names == files | {f"{card.name}.json" for card in (*CARDS, *GROUPS)}


def test_the_package_knows_the_names_of_the_models_that_it_leaves_out() -> None:
    assert {*registry.SEPARATE, registry.DEFAULT_MODEL} == {card.name for card in (*CARDS, *GROUPS)}


def test_a_base_install_sorts_and_says_what_brings_the_other_models(base: Path) -> None:
    assert imgorder("sort", str(EXAMPLE), installed=[base]).returncode == 0
    for options in (("--model", "dab-resnet18"), ("--backend", "torch")):
        result = imgorder("sort", str(EXAMPLE), *options, installed=[base])
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert "pip install 'imgorder[models]' (from a checkout: pip install ./models)" in result.stderr
    listed = imgorder("models", installed=[base])
    assert listed.returncode == 0
    assert "Not installed: dab-resnet18, dab-resnet50; run: pip install 'imgorder[models]'" in listed.stdout
    verified = imgorder("models", "verify", installed=[base])
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "tridab-s torch: not installed\n" in verified.stdout


def test_onnx_runs_where_a_gpu_is_in_sight_and_the_file_for_torch_is_not_here(base: Path) -> None:
    result = imgorder("sort", str(EXAMPLE), "--json", installed=[base], gpu=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["sets"][0]["backend"] == "onnx"


def test_the_separate_models_are_found_once_they_are_installed(base: Path, separate: Path) -> None:
    installed = [base, separate]
    result = imgorder("sort", str(EXAMPLE), "--model", "dab-resnet18", "--json", installed=installed)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["sets"][0]["model"] == "dab-resnet18"
    verified = imgorder("models", "verify", installed=installed)
    assert (verified.returncode, verified.stderr) == (0, "")
    folder = separate / registry.SEPARATE_PACKAGE
    assert f"tridab-s onnx: right, {base / 'imgorder' / 'models' / 'tridab-s.onnx'}\n" in verified.stdout
    assert f"tridab-s torch: right, {folder / 'tridab-s.safetensors'}\n" in verified.stdout
    assert "not installed" not in verified.stdout + imgorder("models", installed=installed).stdout.lower()
    for cure, spoil in (("is not there", lambda path: path.unlink()), ("bytes instead of", lambda path: path.touch())):
        spoil(folder / "tridab-s.safetensors")
        broken = imgorder("models", "verify", "tridab-s", installed=installed)
        assert (broken.returncode, broken.stdout) == (1, "")
        assert cure in broken.stderr
        assert "install imgorder-models again" in broken.stderr
