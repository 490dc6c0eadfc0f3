"""One name for several networks, each of which takes one set size: the released DAB-ResNets."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import imgorder
from imgorder.cli import app
from imgorder.heatmaps.heatmap import set_maps
from imgorder.inference import cards as registry
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.media.preprocess import Preprocessing, preprocess_set
from tests.conftest import APPLY, EXAMPLE, ROOT

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

MEMBERS = {n: f"dab-resnet18-n{n}" for n in (3, 4, 5, 6)}
THERE = (3, 4, 5)
RELEASED = ROOT / "models"
TEMPERATURES = {n: registry.find_card(MEMBERS[n]).training["temperatures"][str(n)] for n in THERE}
SPEC = registry.find_card(MEMBERS[4]).preprocessing


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three of the four members, and the card that names all four."""
    folder = tmp_path_factory.mktemp("models")
    for n in THERE:
        for file in RELEASED.glob(f"{MEMBERS[n]}.*"):
            shutil.copyfile(file, folder / file.name)
        write_card(folder, n)
    group = {"name": "dab", "family": "dab-resnet18", "about": "one for each n", "members": MEMBERS}
    (folder / "dab.json").write_text(json.dumps(group), "utf-8")
    return folder


def write_card(folder: Path, n: int, spec: Preprocessing = SPEC) -> None:
    """The card of a member that is in the folder, with a figure of no network."""
    name = MEMBERS[n]
    card = {
        "name": name,
        "family": "dab-resnet18",
        "sizes": [n],
        "about": f"for {n} photos",
        "preprocessing": json.loads(spec.to_json()),
        "files": {kind: entry(folder / f"{name}.{end}") for kind, end in (("onnx", "onnx"), ("torch", "safetensors"))},
        "figures": [{"dataset": "d", "seq_len": n, "spacing": 1, "sets": 9, "accuracy": 50.0, "baseline": 40.0}],
    }
    (folder / f"{name}.json").write_text(json.dumps(card), "utf-8")


def entry(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    return {"file": file.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture
def models(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in the place of the models that come with imgorder."""
    folder = tmp_path / "models"
    shutil.copytree(made, folder)
    monkeypatch.setattr(registry, "model_folders", lambda: [folder])
    return folder


@pytest.fixture
def sets(tmp_path: Path, scene: list[Image.Image]) -> dict[int, Path]:
    """Folders of 2 to 6 photos."""
    folders = {n: tmp_path / f"set{n}" for n in range(2, 7)}
    for n, folder in folders.items():
        folder.mkdir()
        for index, image in enumerate(scene[:n]):
            image.save(folder / f"{index * 5 % n}-{index}.png")
    return folders


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path, code: int = 1) -> str:
    """The one line on stderr of a command that ends with an error, and prints nothing else."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
    return result.stderr


@pytest.mark.parametrize(("backend", "ending"), [("onnx", "onnx"), ("torch", "safetensors")])
def test_each_size_is_answered_by_its_own_network(
    models: Path, scene: list[Image.Image], backend: str, ending: str
) -> None:
    group = imgorder.load_model("dab", backend)
    assert (group.name, group.sizes, group.backend) == ("dab", THERE, backend)
    together = group.order_batch([scene[:n] for n in (5, 3, 4, 5)])
    for n, ordering in zip((5, 3, 4, 5), together, strict=True):
        member = imgorder.load_model(MEMBERS[n], backend)
        assert np.allclose(ordering.probabilities, member.order(scene[:n]).probabilities, atol=1e-5)
        assert group.networks[n].file == member.networks[n].file == models / f"{MEMBERS[n]}.{ending}"
    assert {n: group.networks[n].temperatures[n] for n in THERE} == TEMPERATURES


def test_probabilities_are_by_the_temperature_of_the_member(models: Path, scene: list[Image.Image]) -> None:
    group = imgorder.load_model("dab").with_votes(1)
    for n, temperature in TEMPERATURES.items():
        batch = preprocess_set(scene[:n], SPEC)[None]
        logits = group.networks[n].backend.logits(batch).astype(float) / temperature
        expected = np.exp(logits) / np.exp(logits).sum()
        assert np.allclose(group.probabilities(batch), expected, atol=1e-6)


def test_a_network_is_opened_when_the_first_set_of_its_size_comes(
    models: Path, scene: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = OnnxBackend.open
    monkeypatch.setattr(OnnxBackend, "open", lambda path, *options: opened.append(path.stem) or real(path, *options))
    group = imgorder.load_model("dab")
    group.order(scene[:2])
    assert opened == []
    for n in (4, 4, 3, 4):
        group.order(scene[:n])
    assert opened == ["dab-resnet18-n4", "dab-resnet18-n3"]


@pytest.mark.parametrize("command", [("sort",), ("rename",), ("report", "--out", "r.html"), ("heatmap", "--out", "m")])
def test_a_set_that_a_network_does_not_take_is_one_error(
    models: Path, sets: dict[int, Path], command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(command[0], sets[3], *command[1:], "--model", MEMBERS[4])
    assert "set3: 3 photos; dab-resnet18-n4 takes 4 or more; give as many, or leave out --model" in line


def test_the_commands_take_the_name(models: Path, sets: dict[int, Path], tmp_path: Path) -> None:
    found = json.loads(run("sort", sets[3], sets[5], sets[2], "--model", "dab", "--json").stdout)["sets"]
    assert [each["model"] for each in found] == ["dab"] * 3
    for n, each in zip((3, 5), found, strict=False):
        alone = json.loads(run("sort", sets[n], "--model", MEMBERS[n], "--json").stdout)["sets"][0]
        assert {**alone, "model": "dab"} == each
    renamed = json.loads(run("rename", sets[4], "--model", "dab", "--json").stdout)
    assert renamed["sets"][0]["model"] == "dab"
    assert run("heatmap", sets[4], sets[3], "--model", "dab", "--out", tmp_path / "maps").exit_code == 0
    assert len(list((tmp_path / "maps").rglob("*.heat.jpg"))) == 4 + 3


def test_heat_maps_are_those_of_the_member(models: Path, sets: dict[int, Path]) -> None:
    for n in (3, 4):
        files = sorted(sets[n].iterdir())
        group, member = (set_maps(imgorder.load_model(name), files) for name in ("dab", MEMBERS[n]))
        assert list(group.layers) == ["dab.conv1", "dab.layer1", "dab.layer2", "dab.layer3", "dab.layer4"]
        for name, maps in group.layers.items():
            assert np.array_equal(maps, member.layers[name])


def test_evaluate_has_a_row_for_every_size(models: Path, tmp_path: Path, scene: list[Image.Image]) -> None:
    folder = tmp_path / "davis" / "JPEGImages" / "480p" / "scene"
    folder.mkdir(parents=True)
    for index, image in enumerate(scene):
        image.save(folder / f"{index:05d}.jpg")
    options = ("--spacing", "1", "--seq-len", "3-6", "--json")
    rows = json.loads(run("evaluate", tmp_path / "davis", "--model", "dab", *options).stdout)["rows"]
    assert [(row["model"], row["seq_len"]) for row in rows if row["model"] != "path"] == [
        ("dab", n) for n in (*THERE, 6)
    ]
    assert [row["seq_len"] for row in rows if row["model"] == "path"] == [3, 4, 5, 6]


def test_a_size_without_a_network_is_one_line_and_nothing_is_written(
    models: Path, sets: dict[int, Path], tmp_path: Path
) -> None:
    assert run("sort", sets[6], "--model", "dab").exit_code == 0  # by windows of five
    (models / "dab-resnet18-n4.json").unlink()
    four = f"{sets[4]}: 4 photos; dab takes 3, 5 or more; give as many, or leave out --model"
    assert four in refused("sort", sets[4], "--model", "dab")
    (models / "dab-resnet18-n3.onnx").unlink()
    for command in (("sort",), ("rename", *APPLY), ("heatmap", "--out", tmp_path / "maps")):
        line = refused(*command, sets[5], sets[3], "--model", "dab")
        assert f"{models / 'dab-resnet18-n3.onnx'}: is not there; install imgorder again" in line
    assert not list((tmp_path / "maps").rglob("*.jpg"))
    assert run("sort", sets[5], sets[2], "--model", "dab").exit_code == 0


def test_a_group_without_a_member_is_no_model(models: Path, sets: dict[int, Path]) -> None:
    for n in THERE:
        (models / f"{MEMBERS[n]}.json").unlink()
    assert "dab: no such model or model file; there are: path" in refused("sort", sets[4], "--model", "dab")


def test_a_member_that_wants_other_photos_is_refused(models: Path, sets: dict[int, Path]) -> None:
    from imgorder.inference.backends.onnx import OnnxBackend

    other = replace(SPEC, shorter_edge=SPEC.shorter_edge + 8)
    graph = models / f"{MEMBERS[4]}.onnx"
    model = onnx.load(graph)
    metadata = replace(OnnxBackend.open(graph).metadata, preprocessing=other)
    onnx.helper.set_model_props(model, metadata.to_properties())
    onnx.save(model, graph)
    write_card(models, 4, other)
    line = refused("sort", sets[4], "--model", "dab")
    assert "dab-resnet18-n4: wants photos preprocessed in another way than dab" in line
    assert run("sort", sets[4], "--model", "dab-resnet18-n4").exit_code == 0
    assert run("sort", sets[3], "--model", "dab").exit_code == 0


def test_the_list_shows_members_with_their_group(models: Path) -> None:
    text = run("models", "--verbose").stdout
    lines = text.splitlines()
    assert lines[:2] == [
        "dab: one for each n",
        "  family dab-resnet18, 3 to 5 photos, a network for each number of photos",
    ]
    for line, n in zip(lines[2:5], THERE, strict=True):
        assert line.startswith(f"  dab-resnet18-n{n}: {n} photos, onnx ")
    assert text.count("50.0 %") == 3
    listed = {card["name"]: card for card in json.loads(run("models", "--json").stdout)["models"]}
    assert list(listed) == ["dab", "dab-resnet18-n3", "dab-resnet18-n4", "dab-resnet18-n5", "path"]
    assert listed["dab"]["members"] == {str(n): MEMBERS[n] for n in THERE}
    assert listed["dab"]["sizes"] == list(THERE)


def broken(models: Path, name: str, text: str) -> str:
    """The one line with which all commands end that read every card."""
    card = models / f"{name}.json"
    before = card.read_bytes()
    card.write_text(text, "utf-8")
    line = refused("models")
    assert line.startswith(f"imgorder: error: {card}: ")
    assert refused("models", "verify") == line
    card.write_bytes(before)
    return line


CARD = {"name": "dab", "family": "dab-resnet18", "about": "one for each n", "members": {"3": "dab-resnet18-n3"}}

FILE = {"file": "x.onnx", "bytes": 1, "sha256": "0" * 64}
HUB = {"repo_id": "a/b", "revision": "0" * 40, "files": {"onnx": "x.onnx"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a table of fields"),
        (json.dumps({key: CARD[key] for key in ("name", "family", "members")}), "has no about"),
        (json.dumps({key: CARD[key] for key in ("name", "family", "about")}), "has no sizes"),
        (json.dumps({**CARD, "colour": 1}), "has a field 'colour' that is not known"),
        (
            json.dumps({**CARD, "members": {"four": "dab-resnet18-n4"}}),
            "members is not a table from set sizes, 3 to 6",
        ),
        (json.dumps({**CARD, "members": ["dab-resnet18-n4"]}), "members is not a table from set sizes"),
        (json.dumps({**CARD, "files": {"onnx": "x.onnx"}}), "files: not a table of fields"),
        (json.dumps({**CARD, "hub": {"repo_id": "a/b"}}), "hub: has no revision"),
        (json.dumps({**CARD, "figures": [{"accuracy": 1}]}), "figures: has no dataset"),
        (json.dumps({**CARD, "members": {"3": "dab"}}), "its member for 3, dab, is no network for 3"),
        (
            json.dumps({**CARD, "members": {"4": "dab-resnet18-n3"}}),
            "its member for 4, dab-resnet18-n3, is no network for 4",
        ),
        (json.dumps({**CARD, "sizes": []}), "sizes is not a list of numbers from 3 to 6"),
        (json.dumps({**CARD, "sizes": [3.0]}), "sizes is not a list of numbers from 3 to 6"),
        (json.dumps({**CARD, "about": "two\nlines"}), "about is not a line of text"),
        (json.dumps({**CARD, "about": "half \ud800"}), "about is not a line of text"),
        (
            json.dumps({**CARD, "files": {"onnx": {**FILE, "file": "/x.onnx"}}}),
            "not the name of a file beside",
        ),
        (
            json.dumps({**CARD, "files": {"onnx": {**FILE, "file": "../x.onnx"}}}),
            "not the name of a file beside",
        ),
        (
            json.dumps({**CARD, "files": {"onnx": {**FILE, "file": "x.safetensors"}}}),
            "'x.safetensors' is no file for the 'onnx' backend",
        ),
        (json.dumps({**CARD, "hub": {**HUB, "repo_id": "a/b/c"}}), "hub: repo_id is not OWNER/NAME"),
        (json.dumps({**CARD, "name": "path"}), "its name is 'path', and its file has another"),
        (json.dumps({**CARD, "hub": {**HUB, "colour": 1}}), "hub: has a field 'colour' that is not known"),
        (json.dumps({**CARD, "files": {"onnx": {**FILE, "bytes": "1"}}}), "files: bytes is not a whole number"),
    ],
)
def test_a_broken_card_is_one_line_that_names_it(models: Path, text: str, message: str) -> None:
    assert message in broken(models, "dab", text)


def test_a_member_takes_one_size_alone(models: Path) -> None:
    card = json.loads((models / "dab-resnet18-n4.json").read_text("utf-8"))
    (models / "dab-resnet18-n4.json").write_text(json.dumps({**card, "sizes": [3, 4]}), "utf-8")
    assert "its member for 4, dab-resnet18-n4, is no network for 4 alone" in refused("models")


def test_the_list_shows_texts_as_they_are(models: Path) -> None:
    about, data = "for [/burst] [fast] photos", "[/clips] [bold]"
    for name in ("dab", "dab-resnet18-n3"):
        card = json.loads((models / f"{name}.json").read_text("utf-8"))
        figures = [{**row, "dataset": data} for row in card.get("figures", ())]
        (models / f"{name}.json").write_text(json.dumps({**card, "about": about, "figures": figures}), "utf-8")
    result = run("models", "--verbose")
    assert result.exit_code == 0
    assert f"dab: {about}\n" in result.stdout
    assert data in result.stdout


def test_the_list_shows_no_character_that_a_terminal_obeys(models: Path) -> None:
    file = models / "dab.json"
    card = json.loads(file.read_text("utf-8"))
    odd = {
        "about": "one \u202egpj",
        "licence": "two \u202egpj",
        "data": "three \u202egpj",
        "limits": ["four \u202egpj"],
    }
    file.write_text(json.dumps({**card, **odd}), "utf-8")
    result = run("models", "--verbose")
    assert (result.exit_code, "\u202e" in result.stdout) == (0, False)
    assert all(f"{word} \\u202egpj" in result.stdout for word in ("one", "two", "three", "four"))
    assert "\u202e" not in run("models").stdout


def test_a_card_has_the_name_of_its_file(models: Path) -> None:
    line = broken(models, "dab-resnet18-n4", (models / "dab-resnet18-n3.json").read_text("utf-8"))
    assert "its name is 'dab-resnet18-n3', and its file has another; make them the same" in line


@pytest.mark.parametrize("name", ["path", "default"])
def test_no_card_takes_a_name_that_means_something_else(models: Path, name: str) -> None:
    (models / f"{name}.json").write_text(json.dumps({**CARD, "name": name}), "utf-8")
    assert f"{name} is a name that imgorder gives; choose another" in refused("models")


def test_a_name_that_is_not_known_is_told_the_others_whatever_their_cards(models: Path) -> None:
    (models / "other.json").write_text("{", "utf-8")
    assert "there are: dab, dab-resnet18-n3, dab-resnet18-n4, dab-resnet18-n5, path" in refused(
        "sort", EXAMPLE, "--model", "nothing"
    )


def test_the_list_is_short_and_details_are_for_who_asks(models: Path) -> None:
    text = run("models").stdout
    assert "dab-resnet18-n3" not in text
    assert "50.0 %" not in text
    assert len(text.splitlines()) <= 10
    (models / "dab-resnet18-n4.onnx").unlink()
    assert "onnx" in text
    assert "onnx" not in run("models").stdout.split("Not installed")[0]
    assert "--verbose is for the list" in refused("models", "--verbose", "verify", code=2)


def test_a_broken_card_stops_only_what_needs_it(models: Path, sets: dict[int, Path]) -> None:
    for name in ("tridab-s.json", "tridab-s.onnx"):
        shutil.copyfile(RELEASED / name, models / name)
    for name in ("other", "dab-resnet18-n5"):
        (models / f"{name}.json").write_text("{", "utf-8")
    assert run("sort", EXAMPLE).exit_code == 0
    for n, model in ((4, "dab"), (3, "dab"), (4, "dab-resnet18-n4")):
        assert run("sort", sets[n], "--model", model).exit_code == 0
    assert f"{models / 'dab-resnet18-n5.json'}: not JSON" in refused("sort", sets[5], "--model", "dab")
    assert f"{models / 'other.json'}: not JSON" in refused("sort", sets[5], "--model", "other")
    for command in (("models",), ("models", "verify")):
        assert f"{models / 'dab-resnet18-n5.json'}: not JSON" in refused(*command)


def test_a_card_with_another_preprocessing_than_there_is(models: Path, sets: dict[int, Path]) -> None:
    card = json.loads((models / "dab-resnet18-n4.json").read_text("utf-8"))
    (models / "dab-resnet18-n4.json").write_text(json.dumps({**card, "preprocessing": {"sharpen": 1}}), "utf-8")
    line = refused("sort", sets[4], "--model", "dab-resnet18-n4")
    assert "dab-resnet18-n4.json: preprocessing: has a field 'sharpen' that is not known; mend this card" in line


def test_what_wants_one_file_names_the_members(models: Path) -> None:
    from imgorder.inference.model_files import usable_file

    with pytest.raises(
        imgorder.ModelError,
        match="dab: is several networks; name one of them: dab-resnet18-n3, dab-resnet18-n4, dab-resnet18-n5",
    ):
        usable_file(registry.find_card("dab"), "torch")


@pytest.mark.parametrize(("sizes", "words"), [((3, 4, 5, 6), "3 to 6"), ((4,), "4"), ((3, 5), "3, 5")])
def test_sizes_in_words(sizes: Sequence[int], words: str) -> None:
    assert registry.Card("x", "y", tuple(sizes), about="z").photos == f"{words} photos"
