from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner, Result

from imgorder.cli import app
from imgorder.cli._show_order import print_tables
from imgorder.inference.cards import cards
from imgorder.media.photos import PhotoSet
from imgorder.ordering import from_search
from imgorder.sorting.sorted_set import SortedSet
from tests.conftest import EXAMPLE, ROOT, is_one_error

TRUE_ORDER = re.findall(r"photo-\w\.jpg", (ROOT / "examples" / "README.md").read_text("utf-8").split("rue order")[1])[
    :5
]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sort_json(*arguments: str | Path) -> dict[str, Any]:
    result = run("sort", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    (only,) = json.loads(result.stdout)["sets"]
    return dict(only)


def same_up_to_reversal(one: list[str], other: list[str]) -> bool:
    return one in (other, other[::-1])


def digest(folder: Path) -> list[tuple[str, bytes, int]]:
    return sorted((f.name, f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir())


def test_the_example_is_ordered_right_and_left_alone() -> None:
    before = digest(EXAMPLE)
    assert same_up_to_reversal(sort_json(EXAMPLE)["order"], TRUE_ORDER)
    assert digest(EXAMPLE) == before


def test_json_has_the_documented_shape(photos: Path) -> None:
    result = sort_json(photos, "--classes", "all")
    of_all = {"folder", "order", "confidence", "direction", "model", "backend", "votes", "classes"}
    assert set(result) == of_all | {
        "words",
        "places",
        "reasons",
        "given",
        "scene",
        "apart",
        "clocks",
        "search",
        "proven",
    }
    assert result["votes"] == 1
    assert result["folder"] == str(photos)
    assert result["direction"] == "unknown"
    assert (result["model"], result["backend"]) == ("tridab-s", "onnx")
    assert sorted(result["order"]) == sorted(f.name for f in photos.iterdir())
    assert len(result["classes"]) == 12
    probabilities = [entry["probability"] for entry in result["classes"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert result["classes"][0] == {"order": result["order"], "probability": result["confidence"]}
    assert json.loads(run("sort", "--json", photos).stdout)["version"] == 1


def test_names_and_listing_decide_nothing(photos: Path, tmp_path: Path) -> None:
    first = sort_json(photos, "--classes", "all")
    names = dict(zip(sorted(f.name for f in photos.iterdir()), ["z.jpg", "m.jpg", "00.jpg", "B.jpg"], strict=True))
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for old, new in names.items():
        shutil.copy(photos / old, renamed / new)
    second = sort_json(renamed, "--classes", "all")
    assert second["order"] == [names[name] for name in first["order"]]
    assert [[names[n] for n in c["order"]] for c in first["classes"]] == [c["order"] for c in second["classes"]]
    assert [c["probability"] for c in first["classes"]] == [c["probability"] for c in second["classes"]]
    files = sorted(photos.iterdir(), reverse=True)
    assert sort_json(*files, "--classes", "all") == first


def test_first_and_reverse_give_the_direction(photos: Path) -> None:
    order = sort_json(photos)["order"]
    for end in (order[0], order[-1]):
        result = sort_json(photos, "--first", photos / end)
        assert result["order"] == (order if end == order[0] else order[::-1])
        assert result["direction"] == "given"
    assert sort_json(photos, "--first", order[-1])["order"] == order[::-1]  # a bare name will do
    backwards = sort_json(photos, "--reverse")
    assert (backwards["order"], backwards["direction"]) == (order[::-1], "given")


def test_first_in_the_middle_of_the_likeliest_order_leaves_only_orders_that_begin_with_it(photos: Path) -> None:
    middle = sort_json(photos)["order"][1]
    result = sort_json(photos, "--first", middle, "--classes", "all")
    assert result["order"][0] == middle
    assert sum(c["probability"] for c in result["classes"] if c["order"][0] == middle) == pytest.approx(1, abs=1e-4)


def test_the_table_shows_order_probability_runner_up_and_the_open_direction(photos: Path) -> None:
    result = run("sort", photos)
    assert result.exit_code == 0
    expected = sort_json(photos)
    listed = result.stdout.splitlines()[0]
    assert "img1.jpg, img2.jpg, img10.jpg, img33.jpg" in listed  # natural order
    column = re.findall(r"│\s*\d\s*│\s*(\S+)\s*│", result.stdout)
    assert column == expected["order"]
    assert f"{expected['confidence']:.1%}" in result.stdout
    assert "runner-up" in result.stdout
    assert "not known from the pictures" in result.stdout
    assert "not known" not in run("sort", photos, "--reverse").stdout
    assert result.stderr == ""


def test_classes_all_lists_each_order(photos: Path) -> None:
    assert len(re.findall(r"\d\.\d\d%", run("sort", photos, "--classes", "all").stdout)) == 12
    assert len(sort_json(photos, "--classes", "5")["classes"]) == 5
    for wrong in ("0", "many", "-1", "9" * 5000):
        assert run("sort", photos, f"--classes={wrong}").exit_code == 2


def test_three_to_six_photos(tmp_path: Path, scene: list[Image.Image]) -> None:
    for n in (3, 4, 5, 6):
        folder = tmp_path / str(n)
        folder.mkdir()
        for name, image in zip("fbdaec", scene[:n], strict=False):
            image.save(folder / f"{name}.png")
        result = sort_json(folder, "--classes", "all")
        assert len(result["classes"]) == {3: 3, 4: 12, 5: 60, 6: 360}[n]


def test_two_photos_are_nothing_to_order(tmp_path: Path, scene: list[Image.Image]) -> None:
    for name, image in zip("ab", scene, strict=False):
        image.save(tmp_path / f"{name}.png")
    result = run("sort", tmp_path)
    assert result.exit_code == 0
    assert "nothing to order" in result.stdout
    assert sort_json(tmp_path)["confidence"] == 1.0
    assert sort_json(tmp_path, "--first", "b.png")["order"] == ["b.png", "a.png"]


def test_of_two_photos_it_is_told_what_decides(tmp_path: Path, scene: list[Image.Image]) -> None:
    for second, (name, image) in enumerate(zip("ba", scene, strict=False)):
        exif = Image.Exif()
        exif[0x0110], exif[0x8769] = "Camera", {0x9003: f"2024:05:01 12:00:0{second}"}
        image.save(tmp_path / f"{name}.png", exif=exif)
    for command in ("sort", "rename"):
        told = run(command, tmp_path).stdout
        assert "their capture times or counters tell which was the first" in told
        assert "nothing to order" not in told
        assert "tridab" not in told
        told = run(command, tmp_path, "--metadata", "ignore", "--reverse").stdout
        assert "it was said which was the first" in told
        assert "nothing to order" not in told
        assert "nothing to order" in run(command, tmp_path, "--metadata", "ignore").stdout


def test_folders_are_sets_of_their_own_and_loose_files_one_set(photos: Path) -> None:
    files = sorted(photos.iterdir())[:3]
    result = run("sort", "--json", photos, *files, EXAMPLE)
    sets = json.loads(result.stdout)["sets"]
    assert [len(each["order"]) for each in sets] == [4, 5, 3]


def test_low_confidence_ends_with_three_after_showing_the_result(photos: Path) -> None:
    sure = sort_json(photos)["confidence"]
    result = run("sort", photos, "--min-confidence", "1.0")
    assert sure < 1.0
    assert result.exit_code == 3
    assert "runner-up" in result.stdout
    assert "below" in result.stderr
    assert run("sort", photos, "--min-confidence", str(max(0.0, sure - 0.01))).exit_code == 0


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_every_backend_gives_the_same_order_and_numbers(photos: Path, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    reference = sort_json(photos, "--classes", "all", "--backend", "onnx")
    result = sort_json(photos, "--classes", "all", "--backend", backend, "--threads", "1")
    assert result["backend"] == backend
    by_order = {tuple(c["order"]): c["probability"] for c in reference["classes"]}
    assert by_order == pytest.approx({tuple(c["order"]): c["probability"] for c in result["classes"]}, abs=1e-4)


def test_the_baseline_is_a_model(photos: Path) -> None:
    result = sort_json(photos, "--model", "path")
    assert (result["model"], result["backend"]) == ("path", "numpy")


def test_a_model_can_be_given_as_a_file(photos: Path) -> None:
    file = ROOT / "models" / "tridab-s.onnx"
    assert sort_json(photos, "--model", file) == sort_json(photos)


@pytest.mark.parametrize(
    "options",
    [
        ("--first", "img1.jpg", "--reverse"),
        ("--first", "nowhere.jpg"),
        ("--backend", "tpu"),
        ("--min-confidence", "2"),
        ("--threads", "0"),
        ("--no-such-option",),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(photos: Path, options: tuple[str, ...]) -> None:
    result = run("sort", photos, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_an_unknown_model_names_those_that_are_there(photos: Path) -> None:
    result = run("sort", photos, "--model", "resnet")
    assert result.exit_code == 1
    names = ", ".join(card.name for card in cards())
    assert f"there are: {names}" in result.stderr


def test_models_lists_cards() -> None:
    listed = run("models").stdout
    assert "tridab-s (default)" in listed
    assert "path" in listed
    cards = json.loads(run("models", "--json").stdout)["models"]
    assert [card["name"] for card in cards][-1] == "path"


def test_version_and_help() -> None:
    from imgorder import __version__

    assert run("--version").stdout.strip() == f"imgorder {__version__}"


def commands() -> list[tuple[str, ...]]:
    """The words of all commands and groups, the whole program first."""
    found: list[tuple[str, ...]] = [()]
    for words in found:
        command: Any = get_command(app)
        for word in words:
            command = command.commands[word]
        found += [(*words, name) for name in getattr(command, "commands", {})]
    return found


@pytest.mark.parametrize("command", commands(), ids=lambda words: " ".join(words) or "imgorder")
def test_help_speaks_of_options_and_not_of_types(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert not re.search("<(bool|int|float|str|list|path)", result.stdout)
    assert "--help" in result.stdout


def test_help_has_an_example_and_two_groups_of_commands() -> None:
    for command in ((), ("sort",), ("models",)):
        assert "Example: imgorder" in run(*command, "--help").stdout
    photos, models = run("--help").stdout.split(" Photos ")[1].split(" Models ")
    assert [
        name for name in ("sort", "heatmap", "report", "rename", "stamp", "undo") if f" {name} " not in photos
    ] == []
    assert [name for name in ("models", "dataset", "evaluate", "train") if f" {name} " not in models] == []


def test_destructive_options_do_not_exist_in_sort() -> None:
    # --force is there, but only for files that --sheet and --animate write, and never for a photo.
    assert not re.search(r"--(apply|overwrite|delete)", run("sort", "--help").stdout)


def shell(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgorder", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)


def test_the_base_commands_never_import_torch_or_opencv(photos: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from imgorder.cli import app\n"
        "import imgorder.inference.predictor; imgorder.inference.predictor._gpu_in_sight = lambda: False\n"
        "sort = ['sort', sys.argv[1]]\n"
        "report = ['report', *sys.argv[1:2], '--out', sys.argv[2]]\n"
        "others = (report, ['models'], ['--help'])\n"
        "for arguments in (sort, [*sort, '--model', 'path'], [*sort, '--votes', '2'], *others):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'onnx', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code, str(photos), str(tmp_path / "report.html")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_help_imports_neither_the_runtime_nor_pillow() -> None:
    code = (
        "import sys; from imgorder.cli import app\n"
        "try: app(['sort', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'onnxruntime', 'numpy', 'PIL', 'huggingface_hub', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_no_colour_where_none_is_wanted(photos: Path) -> None:
    assert "\x1b" not in shell("sort", photos).stdout
    assert "\x1b[1m" in shell("sort", photos, FORCE_COLOR="1").stdout
    assert re.search(r"\x1b\[[0-9;]*3[0-7]", shell("sort", "--help", FORCE_COLOR="1").stdout)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shell("sort", "--help", FORCE_COLOR="1", NO_COLOR="1").stdout)


def test_nothing_is_written_to_the_home_folder(photos: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    assert shell("sort", photos, **places).returncode == 0
    assert list(home.rglob("*")) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_output_that_cannot_be_written_is_one_line(photos: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "imgorder", "sort", str(photos)]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert is_one_error(result.stderr, "output", "No space left on device")


def test_names_that_the_terminal_cannot_show_are_escaped(photos: Path) -> None:
    (photos / "img2.jpg").rename(photos / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg")
    result = shell("sort", photos, PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert r"caf\xe9.jpg" in result.stdout


def test_first_is_the_same_file_by_any_path(photos: Path, tmp_path: Path) -> None:
    order = sort_json(photos)["order"]
    (tmp_path / "link").symlink_to(photos)
    for path in (photos / ".." / photos.name / order[-1], tmp_path / "link" / order[-1]):
        assert sort_json(photos, "--first", path)["order"] == order[::-1]


def test_a_bare_name_that_several_photos_have_is_ambiguous(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(photos / "img1.jpg", other)
    files = [*photos.iterdir(), other / "img1.jpg"]
    result = run("sort", *files, "--first", "img1.jpg")
    assert result.exit_code == 2
    assert "several photos of one set have this name; give the path" in result.stderr
    assert run("sort", *files, "--first", other / "img1.jpg").exit_code == 0


def test_a_file_with_a_models_name_is_in_nobodys_way(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    Path("default").touch()
    Path("tridab-s").touch()
    assert run("sort", ".").exit_code == 0
    assert run("sort", ".", "--model", "tridab-s").exit_code == 0


def test_photos_are_preprocessed_as_the_model_wants_them(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from imgorder.inference import predictor
    from imgorder.media.preprocess import Preprocessing
    from tests.stand_in import StandIn

    seen = []

    class Watching(StandIn):
        name = "watching"

        def logits(self, tensors: Any) -> Any:
            seen.append(tensors.shape)
            return tensors[:, :1, 0, 0, 0].repeat(12, axis=1)

    other = replace(
        predictor.load_model("path"),
        networks={4: predictor.Network(Watching())},
        preprocessing=Preprocessing(160, 128),
    )
    monkeypatch.setattr(predictor, "load_model", lambda *arguments: other)
    sort_json(photos)
    assert seen == [(1, 4, 3, 128, 128)]


def test_more_threads_than_cores_are_not_started(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    started = []
    real = onnxruntime.InferenceSession

    def watched(path: str, options: Any, **rest: Any) -> Any:
        started.append(options.intra_op_num_threads)
        return real(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    copy = shutil.copy(ROOT / "models" / "tridab-s.onnx", tmp_path)  # the released one may be open already
    assert sort_json(photos, "--model", str(copy), "--threads", "100000")["order"]
    assert 1 <= started[0] <= (os.cpu_count() or 1)


def test_first_may_be_a_photo_that_the_set_also_holds_a_link_to(photos: Path) -> None:
    (photos / "z.jpg").symlink_to(photos / "img1.jpg")
    result = sort_json(photos, "--first", photos / "img1.jpg")
    assert result["order"][0] == "img1.jpg"


def test_a_model_name_that_no_file_can_have_is_one_line(photos: Path) -> None:
    result = run("sort", photos, "--model", "x" * 300)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("installed", [{"torch"}, {"torch", "safetensors"}])
def test_the_backend_follows_what_is_there(monkeypatch: pytest.MonkeyPatch, installed: set[str]) -> None:
    from imgorder.inference import cards as registry
    from imgorder.inference import predictor

    monkeypatch.setattr(predictor, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(predictor, "_gpu_in_sight", lambda: True)
    expected = "torch" if "safetensors" in installed else "onnx"
    assert predictor.choose_backend(registry.find_card("default")) == expected


def table_of(n: int, places: Sequence[float], capsys: pytest.CaptureFixture[str]) -> str:
    photos = PhotoSet(Path("p"), tuple(Path("p") / f"{index}.jpg" for index in range(n)))
    ordering = from_search(range(n), places, tuple(range(n)), search="path")
    print_tables([SortedSet(photos, ordering.order, min(places), "given", "m", "onnx", ordering=ordering)], 2)
    return capsys.readouterr().out


def test_the_table_of_many_photos_shows_how_sure_each_place_is(capsys: pytest.CaptureFixture[str]) -> None:
    out = table_of(12, [0.999, 0.26, 0.98, *[0.7] * 8], capsys)
    rows = [line.strip("│").split("│") for line in out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows[:4]] == [
        ["1", "0.jpg", ""],
        ["2", "1.jpg", ">99%"],
        ["3", "2.jpg", "? 26%"],
        ["4", "3.jpg", "98%"],
    ]
    assert len(rows) == 12
    assert "runner-up" not in out
    assert "The order is a guess: photos 2 and 3 could be swapped" in out
    assert out.startswith("p: 12 photos\n")  # no line of hundreds of names
    assert "The order is sure." in table_of(500, [0.95] * 499, capsys)


def test_long_names_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    photos = PhotoSet(Path("p"), tuple(Path("p") / f"{'long-' * 40}{index}.jpg" for index in range(9)))
    ordering = from_search(range(9), [0.5] * 8, tuple(range(9)), search="path")
    print_tables([SortedSet(photos, ordering.order, 0.5, "given", "m", "onnx", ordering=ordering)], 2)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if line.startswith("│")) <= 80
    assert sum("? 50%" in line for line in lines) == 8


def test_photos_that_look_the_same_make_no_order_doubtful(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "same"))
    shutil.copy(folder / "photo-a.jpg", folder / "zz.jpg")
    found = sort_json(folder)
    assert found["confidence"] == found["classes"][0]["probability"] > 0.9
    said = run("sort", folder, "--min-confidence", "0.8")
    assert said.exit_code == 0
    assert f"order ({found['confidence']:.1%})" in said.stdout
    assert "The order is sure." in said.stdout
    assert "? " not in said.stdout.split("The order is")[0]
