"""The files in ``models/`` are what their cards say."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgorder.inference import cards as registry
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.predictor import preprocessing_of
from imgorder.media.preprocess import preprocess_set, to_pixels
from tests.conftest import ROOT, load_script

CARDS = [card for card in registry.cards() if card.files]
GROUPS = [card for card in registry.cards() if card.members]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_files_have_the_bytes_and_hashes_of_their_card(card: registry.Card) -> None:
    for backend, entry in card.files.items():
        content = registry.model_file(card, backend).read_bytes()
        assert len(content) == entry["bytes"] <= 10_000_000
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_the_onnx_file_was_made_from_the_checkpoint_beside_it(card: registry.Card) -> None:
    metadata = OnnxBackend.open(registry.model_file(card, "onnx")).metadata
    assert metadata.weights_sha256 == card.files["torch"]["sha256"]
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

    spec = preprocessing_of(card)
    tensors = preprocess_set(scene, spec)
    in_training = normalise(torch.from_numpy(np.stack([to_pixels(image, spec) for image in scene]))[None])[0]
    assert np.abs(in_training.numpy() - tensors).max() < 1e-4
    for n in card.sizes:
        onnx = OnnxBackend.open(registry.model_file(card, "onnx")).logits(tensors[None, :n])
        pytorch = TorchBackend.open(registry.model_file(card, "torch")).logits(tensors[None, :n])
        assert np.abs(onnx - pytorch).max() < 1e-4


def test_the_figures_of_a_card_are_those_of_the_results_file_with_the_baseline_beside_them() -> None:
    results = json.loads((ROOT / "docs" / "results" / "davis-dev.json").read_text("utf-8"))["rows"]
    by_case = {(row["model"], row["seq_len"], row["spacing"]): row["accuracy"] for row in results}
    groups = {name: group.name for group in GROUPS for name in group.members.values()}
    for card in CARDS:
        names = (card.name, groups.get(card.name))
        own = [row for row in results if row["model"] in names and row["seq_len"] in card.sizes]
        assert own, card.name
        assert [row["accuracy"] for row in card.figures] == [row["accuracy"] for row in own]
        for row in card.figures:
            assert row["baseline"] == by_case["path", row["seq_len"], row["spacing"]]


def test_every_figure_in_the_documents_comes_from_the_results() -> None:
    assert load_script(ROOT / "docs" / "update.py").stale_documents() == []


def test_the_wheel_holds_the_models(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"imgorder/report/report.html", "imgorder/report/report.css"} <= set(names)
    for card in CARDS:
        for entry in card.files.values():
            assert f"imgorder/models/{entry['file']}" in names
    for card in (*CARDS, *GROUPS):
        assert f"imgorder/models/{card.name}.json" in names
    assert not any(name.startswith(("tests/", "examples/", "runs/")) for name in names)
