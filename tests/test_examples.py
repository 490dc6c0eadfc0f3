"""The rendered example photos: the script that makes them and the set in the repository."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
BALLOON = EXAMPLES / "balloon"
SMALL = ["--photos", "2", "--width", "96", "--height", "72"]


@pytest.fixture(scope="module")
def scene() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render_scene", EXAMPLES / "render_scene.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _pixels(pictures: list[Image.Image]) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def _listed_order() -> list[str]:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\d+\. `(.+)`$", text, flags=re.MULTILINE)


def test_rendering_is_deterministic(scene: ModuleType) -> None:
    first, second = (_pixels(scene.render_set(3, 5, 160, 120)) for _ in range(2))
    assert first == second
    assert len(set(first)) == 3


def test_seeds_give_different_scenes(scene: ModuleType) -> None:
    one, other = (np.asarray(scene.render_set(2, seed, 96, 72)[0].convert("L"), dtype=np.float32) for seed in (1, 2))
    assert np.abs(one - other).mean() > 5


@pytest.mark.parametrize("size", [(160, 120), (120, 160), (64, 200), (200, 64)])
def test_pictures_have_the_asked_size(scene: ModuleType, size: tuple[int, int]) -> None:
    pictures = scene.render_set(2, 3, *size)
    assert [(picture.size, picture.mode) for picture in pictures] == [(size, "RGB")] * 2


@pytest.mark.parametrize("photos", [2, 5, 26])
@pytest.mark.parametrize("spacing", [0.2, 1.0, 10.0])
def test_balloon_moves_one_way_and_stays_in_the_picture(scene: ModuleType, photos: int, spacing: float) -> None:
    for seed in range(20):
        course = scene._course(scene._look(seed), seed, photos, spacing, 0.75)
        x = np.asarray([balloon.x for balloon in course])
        assert x.min() >= 0.1
        assert x.max() <= 0.9
        assert np.all(np.diff(x) > 0) or np.all(np.diff(x) < 0)


@pytest.mark.parametrize("photos", [3, 5, 8])
def test_names_are_shuffled(scene: ModuleType, photos: int) -> None:
    for seed in range(20):
        order = scene.true_order(photos, seed)
        assert order not in (sorted(order), sorted(order, reverse=True))
        assert len(set(order)) == photos


def test_command_writes_the_set_and_prints_its_order(
    scene: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scene.main([str(tmp_path / "new"), *SMALL, "--seed", "4"]) == 0
    order = capsys.readouterr().out.split()
    assert order == scene.true_order(2, 4)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == sorted(order)


def test_nothing_is_overwritten_without_force(
    scene: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "photo-b.jpg"
    mine.write_bytes(b"mine")
    assert scene.main([str(tmp_path), *SMALL]) == 1
    message = capsys.readouterr().err
    assert "photo-b.jpg" in message
    assert "--force" in message
    assert message.count("\n") == 1
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("photo-b.jpg", b"mine")]
    assert scene.main([str(tmp_path), *SMALL, "--force"]) == 0
    assert mine.read_bytes() != b"mine"


@pytest.mark.parametrize(
    "option", [["--photos", "1"], ["--photos", "27"], ["--width", "10"], ["--spacing", "0"], ["--seed", "-1"]]
)
def test_a_wrong_argument_is_one_line(
    scene: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert scene.main([str(tmp_path / "out"), *SMALL, *option]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_committed_photos_are_plain_jpegs() -> None:
    files = sorted(BALLOON.iterdir())
    assert len(files) == 5
    assert sum(file.stat().st_size for file in files) < 2_500_000
    for file in files:
        assert b"Exif" not in file.read_bytes()[:4096]
        with Image.open(file) as image:
            assert (image.format, image.size) == ("JPEG", (1600, 1200))
            assert not image.getexif()


def test_committed_order_names_exactly_the_files(scene: ModuleType) -> None:
    order = _listed_order()
    assert sorted(order) == sorted(file.name for file in BALLOON.iterdir())
    command = re.search(r"--photos (\d+) --seed (\d+)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert command is not None
    assert order == scene.true_order(int(command[1]), int(command[2]))
