"""What commands do with photos of another scene, and with sets that are not one scene."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgorder.media.capture import capture_time
from tests.renaming import command, done, snapshot
from tests.test_journeys import lay_out
from tests.test_strays import scene

NAMES = ("d.jpg", "a.jpg", "e.jpg", "c.jpg")
STRAY = "b.jpg"
FORWARD = ("--first", NAMES[0])


def pictures(seed: int, n: int) -> list[Image.Image]:
    return [Image.fromarray(pixels) for pixels in scene(seed, n)]


def mixed(folder: Path, times: Sequence[str | None] = (None,) * 5) -> Path:
    """Four photos of a scene in temporal order, and one of another; times in the same order."""
    lay_out(folder, [*pictures(1, 4), *pictures(2, 1)], [*NAMES, STRAY], times)
    return folder


def two_scenes(folder: Path, times: Sequence[str | None] = (None,) * 8) -> Path:
    lay_out(folder, [*pictures(1, 4), *pictures(2, 4)], [f"{n}.jpg" for n in range(8)], times)
    return folder


def found(*arguments: str | Path) -> tuple[dict[str, Any], str]:
    result = command("sort", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    (each,) = json.loads(result.stdout)["sets"]
    return each, result.stderr


def test_a_stray_is_named_and_has_no_place(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "photos")
    each, said = found(folder, *FORWARD)
    assert each["order"] == [*NAMES]
    assert (each["apart"], each["scene"], len(each["places"])) == ([STRAY], "strays", 3)
    assert f"photos: {STRAY} looks like another scene than the other photos; left out, --keep-strays" in said
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    (alone / STRAY).unlink()
    without, _ = found(alone, *FORWARD)
    assert (without["scene"], without["apart"]) == ("one scene", [])
    same = ("order", "confidence", "classes", "places")
    assert [each[key] for key in same] == [without[key] for key in same]
    kept, said = found(folder, *FORWARD, "--keep-strays")
    assert (sorted(kept["order"]), kept["scene"], said) == (sorted([*NAMES, STRAY]), None, "")


def test_of_three_photos_none_is_left_out_but_they_are_a_guess(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    lay_out(folder, [*pictures(1, 2), *pictures(2, 1)], ["a.jpg", "b.jpg", "c.jpg"], (None,) * 3)
    each, said = found(folder)
    assert (len(each["order"]), each["apart"], each["scene"], each["confidence"]) == (3, [], "no scene", 0)
    assert "do not look like one scene" in said
    assert command("rename", folder, "--apply", "--either-direction").exit_code == 3
    assert command("report", folder, "--out", tmp_path / "report.html").exit_code == 0


@pytest.mark.parametrize("way", ["direct", "file", "file alone", "plan"])
def test_rename_leaves_a_stray_alone(tmp_path: Path, way: str) -> None:
    folder = mixed(tmp_path / "photos")
    stray = (folder / STRAY).read_bytes()
    order = tmp_path / "order.json"
    order.write_text(done("sort", folder, "--json", *FORWARD))
    arguments: dict[str, list[str | Path]] = {
        "direct": [folder, *FORWARD],
        "file": [folder, "--order", order],
        "file alone": ["--order", order],
        "plan": [folder, "--plan", tmp_path / "plan.json"],
    }
    if way == "plan":
        done("rename", folder, *FORWARD, "--plan", tmp_path / "plan.json")
        (planned,) = json.loads((tmp_path / "plan.json").read_text())["sets"]
        assert (planned["apart"], planned["whole_folder"]) == ([STRAY], True)
        shutil.copy(folder / STRAY, folder / "x.jpg")
        assert command("rename", "--plan", tmp_path / "plan.json", "--apply").exit_code == 1
        (folder / "x.jpg").unlink()
    done("rename", *arguments[way], "--apply")
    left = sorted(name for name in os.listdir(folder) if not name.endswith(".jsonl") and not name.startswith("."))
    assert left == [*(f"{place:03}_{name}" for place, name in enumerate(NAMES, start=1)), STRAY]
    assert (folder / STRAY).read_bytes() == stray


def test_stamp_leaves_a_stray_alone(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "photos")
    stray = (folder / STRAY).read_bytes()
    done("stamp", folder, "--start", "2024-05-01 12:00:00", *FORWARD, "--apply")
    assert [capture_time(folder / name).time is not None for name in NAMES] == [True] * 4
    assert (folder / STRAY).read_bytes() == stray


def test_pictures_are_made_of_what_is_left(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "photos")
    sheet, page, maps = tmp_path / "sheet.png", tmp_path / "page.html", tmp_path / "maps"
    done("sort", folder, "--sheet", sheet)
    done("sort", folder, "--sheet", tmp_path / "all.png", "--keep-strays")
    assert Image.open(sheet).size != Image.open(tmp_path / "all.png").size
    done("report", folder, "--out", page)
    assert NAMES[0] in page.read_text("utf-8")
    assert f"{STRAY} looks like another scene" in page.read_text("utf-8")
    assert "photo 5" not in page.read_text("utf-8").lower()
    done("heatmap", folder, "--out", maps)
    assert len(list(maps.iterdir())) == 4
    assert not [file for file in maps.iterdir() if STRAY[0] in file.stem.split("-")]
    done("heatmap", folder, "--out", tmp_path / "more", "--keep-strays")
    assert len(list((tmp_path / "more").iterdir())) == 5


@pytest.mark.parametrize("options", [("--first", STRAY), ("--last", STRAY), ("--keep", "list.txt")])
def test_a_stray_stays_where_the_person_has_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text(f"{NAMES[1]}\n{STRAY}\n")
    each, said = found(mixed(tmp_path / "photos"), *options)
    assert (sorted(each["order"]), each["apart"]) == (sorted([*NAMES, STRAY]), [])
    assert f"{STRAY} looks like another scene than the other photos; it stays, since its place is known" in said


def test_a_stray_whose_time_tells_its_place_stays_there(tmp_path: Path) -> None:
    times = ["12:00:01", "12:00:02", "12:00:04", "12:00:05", "12:00:03"]
    each, said = found(mixed(tmp_path / "photos", times))
    assert each["order"] == [*NAMES[:2], STRAY, *NAMES[2:]]
    assert "it stays, since its place is known" in said
    ignoring, _ = found(tmp_path / "photos", "--metadata", "ignore")
    assert ignoring["apart"] == [STRAY]
    only, said = found(tmp_path / "photos", "--metadata", "only")
    assert (only["order"], only["scene"], said) == (each["order"], None, "")


def test_a_time_that_tells_little_is_no_place(tmp_path: Path) -> None:
    """The stray is known to come after one photo; of the others nothing is known."""
    each, _ = found(mixed(tmp_path / "photos", ["12:00:01", None, None, None, "12:00:03"]))
    assert each["apart"] == [STRAY]
    same, _ = found(mixed(tmp_path / "same", ["12:00:01"] * 4 + ["12:00:01"]))
    assert same["apart"] == [STRAY]


@pytest.mark.parametrize("way", ["direct", "file", "plan"])
@pytest.mark.parametrize("verb", [("rename",), ("stamp", "--start", "2024-05-01 12:00:00")])
def test_two_scenes_are_a_guess_that_is_not_carried_out(tmp_path: Path, way: str, verb: Sequence[str]) -> None:
    folder = two_scenes(tmp_path / "photos")
    each, said = found(folder, "--first", "0.jpg")
    words = "2 scenes are mixed: 0.jpg, 1.jpg, 2.jpg and 3.jpg; 4.jpg, 5.jpg, 6.jpg and 7.jpg"
    assert (each["scene"], each["apart"], each["confidence"]) == ("several scenes", [], 0)
    assert each["words"] == f"a guess: {words}"
    assert f"{words}; give the photos of one scene, or --keep-strays if they are" in said
    assert f"The order is a guess: {words}." in done("sort", folder, "--first", "0.jpg")
    file = tmp_path / "order.json"
    arguments: list[str | Path] = [folder, "--first", "0.jpg"]
    if way == "file":
        file.write_text(done("sort", folder, "--json", "--first", "0.jpg"))
        arguments = [folder, "--order", file]
    elif way == "plan":
        if verb != ("rename",):
            return
        done("rename", *arguments, "--plan", file)
        arguments = ["--plan", file]
    before = snapshot(folder)
    result = command(*verb, *arguments, "--apply")
    assert (result.exit_code, snapshot(folder)) == (3, before)
    assert "photos: a guess, confidence 0; nothing was changed; --min-confidence 0 carries it out" in result.stderr
    done(*verb, *arguments, "--apply", "--min-confidence", "0")


def test_an_order_that_is_known_wholly_is_no_guess_even_of_two_scenes(tmp_path: Path) -> None:
    folder = two_scenes(tmp_path / "photos", [f"12:00:0{n}" for n in range(8)])
    each, said = found(folder)
    assert each["order"] == [f"{n}.jpg" for n in range(8)]
    assert (each["scene"], each["confidence"], each["words"]) == ("several scenes", 1, "sure")
    assert "2 scenes are mixed" in said
    done("rename", folder, "--apply")
