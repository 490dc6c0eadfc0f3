"""What a person says of the photos: an order of names, photos to leave out, an order to keep; and what is no photo."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from imgorder.cli import app
from imgorder.errors import PhotoError
from imgorder.media.photos import find_sets
from imgorder.sorting.sort import sort_photos
from tests.conftest import is_one_error
from tests.renaming import START, command, done, fill, jpegs, refused, shoot, snapshot, write_order

NAMES = ["c.jpg", "a.jpg", "b.jpg"]
WITHOUT_NETWORK = ("--model", "path")


def write_list(home: Path, text: str | bytes) -> Path:
    file = home / "list.txt"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def planned(*arguments: str | Path) -> list[str]:
    """The photos in the order of a plan."""
    (each,) = json.loads(done("rename", "--json", *arguments))["sets"]
    return [file["old"] for file in each["files"] if file["companion_of"] is None]


def sorted_names(*arguments: str | Path) -> list[str]:
    (each,) = json.loads(done("sort", "--json", *WITHOUT_NETWORK, *arguments))["sets"]
    order: list[str] = each["order"]
    return order


# The order that a person wrote


@pytest.mark.parametrize(
    "text",
    [
        "c.jpg\na.jpg\nb.jpg\n",
        "# what I saw\r\n\r\nc.jpg\r\n./a.jpg\r\n   \r\nb.jpg",
        "\ufeffc.jpg\na.jpg\nb.jpg\n",
        "c.jpg\na.jpg\nb.jpg\n".encode("utf-16"),
        "photos/c.jpg\na.jpg\n{home}/photos/b.jpg\n",
    ],
    ids=["plain", "comments", "BOM", "PowerShell", "paths"],
)
def test_an_order_is_a_list_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    given = text.replace("{home}", str(tmp_path)) if isinstance(text, str) else text
    assert planned("photos", "--order", write_list(tmp_path, given)) == NAMES
    assert planned("photos", "--order", "list.txt", "--reverse") == NAMES[::-1]
    (each,) = json.loads(done("rename", "photos", "--order", "list.txt", "--json"))["sets"]
    assert (each["confidence"], each["direction"], each["model"]) == (1.0, "given", "given")
    assert "3 photos; in the order given" in done("rename", folder, "--order", "list.txt", "--min-confidence", "1")


def test_a_list_alone_is_looked_up_from_here_and_then_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    assert planned("--order", write_list(tmp_path, "photos/c.jpg\nphotos/a.jpg\nphotos/b.jpg")) == NAMES
    assert planned("--order", write_list(folder, "\n".join(NAMES))) == NAMES
    monkeypatch.chdir(folder)
    assert planned("--order", write_list(tmp_path, "\n".join(NAMES))) == NAMES


@pytest.mark.parametrize("text", ["c.jpg\na.jpg\nb.jpg\n", "json"])
def test_an_order_comes_through_stdin(tmp_path: Path, text: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    given = order.read_bytes() if text == "json" else text.encode()
    result = CliRunner().invoke(app, ["rename", str(folder), "--order", "-", "--json"], input=given)
    assert result.exit_code == 0, result.stderr
    assert [file["old"] for file in json.loads(result.stdout)["sets"][0]["files"]] == NAMES
    result = CliRunner().invoke(app, ["rename", str(folder), "--order", "-"], input=b"{broken")
    assert result.exit_code == 1
    assert is_one_error(result.stderr, "stdin: ")


def test_names_that_are_no_utf_8_are_found(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b" two  blanks .jpg", "日本.jpg".encode()]
    try:
        folder, _ = shoot(tmp_path, [os.fsdecode(name) for name in names])
    except OSError:
        pytest.skip("this file system does not take such a name")
    shown = planned(folder, "--order", write_list(tmp_path, b"\n".join(names)))
    assert [os.fsencode(name) for name in shown] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c.jpg\nx.jpg\na.jpg\nb.jpg", ("list.txt: line 2: x.jpg is not there", "correct the name")),
        ("c.jpg\na.jpg\nb.jpg\n\n./c.jpg", ("list.txt: line 5: c.jpg stands in line 1 already", "remove")),
        ("c.jpg\na.jpg\nb.jpg\nphotos/c.jpg", ("list.txt: line 4: photos/c.jpg stands in line 1 already", "remove")),
        ("c.jpg\na.jpg", ("b.jpg: not in ", "list.txt", "--exclude")),
        ("c.jpg", ("a.jpg: not in ", "list.txt, nor is 1 other; write it there")),
        ("x.jpg\ny.jpg\nz.jpg", ("line 1: x.jpg is not there, nor are 2 others; correct",)),
        ("# nothing\n\n", ("list.txt: not an order", "one a line")),
        ("c.jpg\0\na.jpg", ("list.txt: line 1 is not the name of a file",)),
        ("x" * 5000, ("list.txt: line 1: xxx", "is not there")),
        ("\x1b[31m.jpg", (r"line 1: \x1b[31m.jpg is not there",)),
    ],
)
def test_a_list_that_does_not_fit_the_photos_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: Sequence[str]
) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    monkeypatch.chdir(tmp_path)
    (line,) = refused(folder, "rename", folder, "--order", write_list(tmp_path, text), "--apply")
    assert all(part in line for part in expected), line
    assert len(line) < 600
    (line,) = refused(folder, "rename", "--order", write_list(folder, text), "--apply")
    assert len(line) < 600


def test_a_list_alone_leaves_no_photo_of_its_folder_out(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    few = write_list(folder, "c.jpg\na.jpg")
    (line,) = refused(folder, "rename", "--order", few)
    assert "b.jpg: not in " in line
    assert planned("--order", few, "--exclude", "b.jpg") == NAMES[:2]
    assert planned(folder / "c.jpg", folder / "a.jpg", "--order", few) == NAMES[:2]


def test_a_list_of_all_files_names_what_is_no_photo(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    fill(folder, {"a.xmp": b"<x/>", "notes.txt": b"a day"})
    for arguments in ((folder,), ()):
        result = command(
            "rename", *arguments, "--json", "--order", write_list(folder, "c.jpg\na.jpg\na.xmp\nb.jpg\nnotes.txt")
        )
        assert result.exit_code == 0, result.stderr
        (line,) = result.stderr.splitlines()
        assert "no photos" in line
        assert "left out" in line


def test_a_list_for_several_folders_names_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (fill(tmp_path / name, dict.fromkeys(NAMES, b"x")) for name in ("one", "two"))
    monkeypatch.chdir(tmp_path)
    (line,) = refused(one, "rename", one, two, "--order", write_list(tmp_path, "c.jpg\n"))
    assert "line 1: several photos are called c.jpg; write the path" in line
    lines = [f"{folder.name}/{name}" for folder in (two, one) for name in NAMES]
    sets = json.loads(done("rename", one, two, "--json", "--order", write_list(tmp_path, "\n".join(lines))))["sets"]
    assert [[file["old"] for file in each["files"]] for each in sets] == [NAMES, NAMES]


def test_a_list_that_is_older_than_a_rename_is_refused(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, ["1.jpg", "2.jpg", "3.jpg"])
    order = write_list(tmp_path, "3.jpg\n1.jpg\n2.jpg")
    os.utime(order, ns=(0, 1_700_000_000_000_000_000))
    done("rename", folder, "--order", order, "--template", "{index}{ext}", "--apply")
    (line,) = refused(folder, "rename", folder, "--order", order, "--template", "{index}{ext}", "--apply")
    assert "has used this name since" in line


def test_stamp_takes_a_list(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    (folder / "z.jpg").unlink()
    order = write_list(tmp_path, "2.jpg\n0.jpg\n1.jpg")
    shown = done("stamp", folder, "--order", order, "--start", str(START))
    assert shown.index("2.jpg") < shown.index("0.jpg") < shown.index("1.jpg")


# Photos that are left out


def test_excluded_photos_are_in_no_set(photos: Path, tmp_path: Path) -> None:
    (photos / "img4_EDIT.PNG").write_bytes(b"")  # not even read
    assert sorted(sorted_names(photos, "--exclude", "*_edit.png")) == ["img1.jpg", "img10.jpg", "img2.jpg", "img33.jpg"]
    left = ("--exclude", "*_edit.*", "--exclude", "IMG10.jpg")
    assert sorted(planned(photos, *left, *WITHOUT_NETWORK)) == ["img1.jpg", "img2.jpg", "img33.jpg"]
    assert sorted(planned(*photos.iterdir(), *left, *WITHOUT_NETWORK)) == ["img1.jpg", "img2.jpg", "img33.jpg"]
    assert "img10" not in done("stamp", photos, *left, *WITHOUT_NETWORK, "--start", str(START))
    done("heatmap", photos, *left, "--out", tmp_path / "maps")
    assert len(list((tmp_path / "maps").iterdir())) == 3
    done("report", photos, *left, "--out", tmp_path / "x.html")
    assert "img10.jpg" not in (tmp_path / "x.html").read_text()


def test_what_is_excluded_has_to_be_there(photos: Path) -> None:
    result = command("sort", photos, "--exclude", "img7.jpg")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--exclude img7.jpg: not one of the photos" in result.stderr
    result = command("sort", photos, *WITHOUT_NETWORK, "--exclude", "*.heic")
    assert result.exit_code == 0
    assert "--exclude *.heic: fits none of the photos" in result.stderr
    assert is_one_error(command("sort", photos, "--exclude", "*").stderr, "no photo is left in this folder")
    assert command("sort", *photos.iterdir(), "--exclude", "*").exit_code == 1


def test_a_path_or_a_name_with_brackets_can_be_excluded(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(photos / "img1.jpg", photos / "img[1].jpg")
    monkeypatch.chdir(photos.parent)
    assert "img[1].jpg" not in sorted_names("photos", "--exclude", "img[[]1].jpg")
    assert sorted_names("photos", "--exclude", "photos/img[1].jpg", "--exclude", "photos/img2.jpg") == sorted_names(
        photos, "--exclude", str(photos / "img[1].jpg"), "--exclude", "img2.jpg"
    )


def test_photos_are_left_out_of_an_order_from_a_file(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, [*NAMES, "d.jpg"])
    for arguments in ((), (folder,)):
        assert planned(*arguments, "--order", order, "--exclude", "d.*") == NAMES
    assert command("rename", "--plan", order, "--apply", "--exclude", "d.jpg").exit_code == 2


# An order that is kept


def keep(home: Path, folder: Path, names: list[str], direction: str = "given") -> Path:
    return write_order(home, folder, names, direction=direction)


def test_a_kept_order_survives_a_new_run(photos: Path, tmp_path: Path) -> None:
    free = sorted_names(photos)
    wanted = [free[2], free[0], free[3]]
    for file in (keep(tmp_path, photos, wanted), write_list(tmp_path, "\n".join(wanted))):
        (each,) = json.loads(done("sort", photos, "--json", *WITHOUT_NETWORK, "--keep", file))["sets"]
        assert [name for name in each["order"] if name in wanted] == wanted
        assert (each["given"], each["direction"]) == (wanted, "given")
        assert len(each["order"]) == 4
        for row in each["classes"]:
            assert row["probability"] == 0 or [name for name in row["order"] if name in wanted] == wanted
    assert "3 of these photos keep the order that was given." in done("sort", photos, "--keep", tmp_path / "list.txt")


def test_an_order_is_kept_among_many_photos(tmp_path: Path, scene: list[Image.Image]) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        scene[number % 6].rotate(number, expand=False).save(folder / f"{number}.jpg")
    wanted = ["7.jpg", "2.jpg", "11.jpg", "3.jpg", "0.jpg"]
    order = sorted_names(folder, "--keep", write_list(tmp_path, "\n".join(wanted)))
    assert [name for name in order if name in wanted] == wanted


def test_a_kept_order_without_a_direction_gives_none(photos: Path, tmp_path: Path) -> None:
    free = sorted_names(photos)
    for names in (free[:3], free[2::-1]):
        file = keep(tmp_path, photos, names, "unknown")
        (each,) = json.loads(done("sort", photos, "--json", *WITHOUT_NETWORK, "--keep", file))["sets"]
        assert each["direction"] == "unknown"
        assert [name for name in each["order"] if name in names] == names
    first = sorted_names(photos, "--keep", keep(tmp_path, photos, free[:3], "unknown"), "--first", free[2])
    assert [name for name in first if name in free[:3]] == free[2::-1]
    new = sorted_names(photos, "--keep", keep(tmp_path, photos, free[:3], "unknown"), "--first", free[3])
    assert new == free[::-1]  # the kept ones run as they do by their content


@pytest.mark.parametrize("options", [["--first", "img2.jpg"], ["--reverse"]])
def test_what_contradicts_a_kept_order_is_refused(photos: Path, tmp_path: Path, options: list[str]) -> None:
    file = keep(tmp_path, photos, ["img1.jpg", "img2.jpg", "img10.jpg"])
    result = command("sort", photos, "--keep", file, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "to keep" in result.stderr


def test_kept_photos_that_are_gone_or_have_moved(photos: Path, tmp_path: Path) -> None:
    file = keep(tmp_path, photos, ["img1.jpg", "gone.jpg", "img2.jpg"])
    result = command("sort", photos, *WITHOUT_NETWORK, "--json", "--keep", file)
    assert json.loads(result.stdout)["sets"][0]["given"] == ["img1.jpg", "img2.jpg"]
    assert "gone.jpg is not among these photos" in result.stderr
    moved = photos.rename(tmp_path / "moved")
    order = sorted_names(moved, "--keep", keep(tmp_path, photos, ["img33.jpg", "img1.jpg", "img2.jpg"]))
    assert [name for name in order if name != "img10.jpg"] == ["img33.jpg", "img1.jpg", "img2.jpg"]
    foreign = command("sort", moved, "--keep", keep(tmp_path, photos, ["x.jpg", "y.jpg"]))
    assert foreign.exit_code == 1
    assert is_one_error(foreign.stderr, "none of its photos is among these")


# Files that are named one by one, and are no photos


def test_a_glob_finds_the_same_photos_as_its_folder(photos: Path) -> None:
    for file in sorted(photos.iterdir()):
        for ending, content in ((".CR3", b"\0\0\0\x18ftypcrx "), (".NEF", b"II*\0" + bytes(99)), (".xmp", b"<x/>")):
            file.with_suffix(ending).write_bytes(content)
    shutil.copy(photos / "img1.jpg", photos / "img1.jpg_original")
    shutil.copy(photos / "img1.jpg", photos / "img1.THM")
    fill(photos, {"img1.MOV": b"\0\0\0\x14ftypqt  " + bytes(40), "Thumbs.db": b"\xd0\xcf", "notes.txt": b"a day"})
    (photos / "@eaDir").mkdir()
    everything = [photos / name for name in os.listdir(photos)]
    whole = json.loads(done("rename", photos, *WITHOUT_NETWORK, "--json"))
    result = command("rename", *everything, *WITHOUT_NETWORK, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["sets"] == whole["sets"]
    (line,) = result.stderr.splitlines()
    assert line == (
        f"imgorder: warning: {photos}: 18 of 22 names are no photos and are left out: 1 folder without photos, "
        "8 RAW files, 1 video, 6 files that belong to photos, 2 other files"
    )


def test_a_photo_by_its_content_is_taken_whatever_its_name(photos: Path) -> None:
    (photos / "img1.jpg").rename(photos / "img1")
    (photos / "img2.jpg").rename(photos / "img2.dat")
    assert sorted(sorted_names(*photos.iterdir())) == ["img1", "img10.jpg", "img2.dat", "img33.jpg"]


def test_where_no_file_is_a_photo_one_line_says_what_they_are(tmp_path: Path) -> None:
    fill(tmp_path, {"a.mov": b"\0\0\0\x14ftypqt  " + bytes(40), "b.txt": b"text", "c.txt": b"text"})
    result = command("sort", *sorted(tmp_path.iterdir()))
    assert (result.exit_code, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "3 of 3 names are no photos", "1 video, 2 other files; give photos")


def test_raw_files_alone_are_still_photos(tmp_path: Path, scene: list[Image.Image]) -> None:
    for name, image in zip("abc", scene, strict=False):
        image.save(tmp_path / f"{name}.dng", format="TIFF")
    assert sorted(sorted_names(*tmp_path.iterdir())) == ["a.dng", "b.dng", "c.dng"]


# Bad photos and sets among others


def test_a_bad_photo_is_set_apart_and_the_rest_is_sorted(photos: Path) -> None:
    whole = sorted_names(photos)
    (photos / "bad.jpg").write_bytes((photos / "img1.jpg").read_bytes()[:4000])
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    before = snapshot(photos)
    for arguments in ((photos,), (*photos.iterdir(),)):
        result = command("sort", *arguments, "--json", *WITHOUT_NETWORK)
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert found["sets"][0]["order"] == whole
        assert [line.removeprefix("imgorder: error: ") for line in result.stderr.splitlines()] == found["problems"]
        assert sorted(os.path.basename(line.split(": ")[0]) for line in found["problems"]) == ["bad.jpg", "gone.jpg"]
    assert snapshot(photos) == before


def test_bad_sets_are_set_apart_and_the_others_are_sorted(photos: Path, tmp_path: Path) -> None:
    empty, single, bad = (tmp_path / name for name in ("empty", "single", "bad"))
    empty.mkdir()
    single.mkdir()
    shutil.copy(photos / "img1.jpg", single / "one.jpg")
    fill(bad, {"1.jpg": b"", "2.jpg": b""})
    sheet = tmp_path / "sheet.png"
    result = command("sort", empty, single, tmp_path / "nowhere", bad, photos, "--sheet", sheet, *WITHOUT_NETWORK)
    assert result.exit_code == 1
    starts = [line.removeprefix(f"imgorder: error: {tmp_path}/").split(": ")[0] for line in result.stderr.splitlines()]
    assert sorted(starts) == ["bad/1.jpg", "empty", "nowhere", "single/one.jpg"]
    assert "none of the 2 photos of this set can be read" in result.stderr
    assert "img33.jpg" in result.stdout
    assert len(list(tmp_path.glob("sheet*.png"))) == 1
    result = command("sort", empty, bad, tmp_path / "nowhere")
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 3


def test_changes_are_refused_unless_bad_photos_are_skipped(photos: Path) -> None:
    (photos / "bad1.jpg").write_bytes((photos / "img1.jpg").read_bytes()[:4000])
    (photos / "bad2.jpg").write_bytes(b"")
    for whole in (("rename",), ("stamp", "--start", str(START))):
        for apply in ((), ("--apply",)):
            lines = refused(photos, *whole, photos, *WITHOUT_NETWORK, *apply)
            assert ["bad1.jpg" in lines[0], "bad2.jpg" in lines[1], len(lines)] == [True, True, 2]
        assert "bad1.jpg" not in done(*whole, photos, "--exclude", "bad?.jpg", *WITHOUT_NETWORK)
    result = command(
        "rename", photos, "--skip-bad", "--apply", "--either-direction", "--min-confidence", "0", *WITHOUT_NETWORK
    )
    assert result.exit_code == 0
    assert [line.count("warning: left out: ") for line in result.stderr.splitlines()] == [1, 1]
    assert {"bad1.jpg", "bad2.jpg"} < set(os.listdir(photos))
    assert len(list(photos.glob("00[1-4]_*"))) == 4


def test_files_are_drawn_of_all_photos_or_with_skip_bad_of_the_rest(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"")
    for whole, made in ((("heatmap", "--out"), "maps"), (("report", "--out"), "x.html")):
        result = command(whole[0], photos, *whole[1:], tmp_path / made)
        assert (result.exit_code, result.stdout) == (1, "")
        assert is_one_error(result.stderr, "bad.jpg: the file is empty")
        assert not (tmp_path / made).exists()
        result = command(whole[0], photos, *whole[1:], tmp_path / made, "--skip-bad")
        assert result.exit_code == 0
        assert "warning: left out: " in result.stderr
        assert (tmp_path / made).exists()


def test_python_gets_the_first_error_unless_it_sets_them_apart(photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"")
    with pytest.raises(PhotoError, match=r"bad\.jpg"):
        sort_photos([photos])
    errors: list[Exception] = []
    (found,) = sort_photos([photos], apart=errors.append)
    assert (len(found.files), len(errors)) == (4, 1)
    with pytest.raises(PhotoError, match="no such file"):
        find_sets([photos / "nowhere"])
