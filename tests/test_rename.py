"""`imgorder rename`: the plan, what makes it impossible, companions, copies and the plan as a file."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import piexif
import pytest
from PIL import Image

from imgorder.changes import apply, exclusive, transaction
from imgorder.changes.apply import apply_plan
from imgorder.changes.check import _find_duplicates, find_name_problems, find_problems
from imgorder.changes.companions import Listing, cut_ending, find_belonging, find_companions
from imgorder.changes.folder import locked
from imgorder.changes.plan import read_plan, write_plan
from imgorder.changes.template import parse_template
from imgorder.errors import ImgorderError, ProblemsError, UsageError
from imgorder.names import undo_command
from tests.conftest import APPLY, ROOT, is_one_error
from tests.killing import Kill, killed, reached, refusing
from tests.renaming import (
    command,
    done,
    fill,
    jpegs,
    names_each,
    plan_of,
    refused,
    shoot,
    snapshot,
    without_journals,
    write_order,
)

NAMES = ["c.jpg", "a.jpg", "b.jpg"]


def names_in(folder: Path) -> list[str]:
    return sorted(without_journals(snapshot(folder)))


# The command as it is used.


def test_photos_are_named_by_their_order(photos: Path) -> None:
    before = snapshot(photos)
    order = json.loads(done("sort", photos, "--json"))["sets"][0]["order"]
    shown = done("rename", photos)
    assert snapshot(photos) == before
    assert "Nothing was changed; --apply carries it out." in shown
    assert "not known from the pictures" in shown
    applied = done("rename", photos, *APPLY)
    digest = re.search(r"^Plan ([0-9a-f]{32})$", shown, re.MULTILINE)
    assert digest is not None
    assert digest[0] in applied  # what was shown is what was done
    assert names_in(photos) == [f"{place:03d}_{name}" for place, name in enumerate(order, start=1)]
    for place, name in enumerate(order, start=1):
        assert snapshot(photos)[f"{place:03d}_{name}"] == before[name]
    done("undo", photos)
    assert without_journals(snapshot(photos)) == before


def test_first_reverse_and_model_are_those_of_sort(photos: Path) -> None:
    order = json.loads(done("sort", photos, "--json"))["sets"][0]["order"]
    for options in (("--reverse",), ("--first", order[-1])):
        planned = json.loads(done("rename", photos, "--json", *options))["sets"][0]
        assert [file["old"] for file in planned["files"]] == order[::-1]
        assert planned["direction"] == "given"
    assert json.loads(done("rename", photos, "--json", "--model", "path"))["sets"][0]["model"] == "path"
    assert command("rename", photos, "--first", order[0], "--reverse").exit_code == 2


def test_an_order_from_a_file_sorts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = shoot(tmp_path, NAMES)
    monkeypatch.delattr("imgorder.sorting.sort.sort_photos")
    for paths in ((), (folder,)):
        shown = json.loads(done("rename", *paths, "--order", order, "--json"))
        assert [file["new"] for file in shown["sets"][0]["files"]] == ["001_c.jpg", "002_a.jpg", "003_b.jpg"]
    for options, expected in ((("--reverse",), NAMES[::-1]), (("--first", "b.jpg"), NAMES[::-1])):
        shown = json.loads(done("rename", "--order", order, "--json", *options))
        assert [file["old"] for file in shown["sets"][0]["files"]] == expected
    middle = command("rename", "--order", order, "--first", "a.jpg")
    assert middle.exit_code == 2
    assert "neither first nor last" in middle.stderr
    for options in (("--model", "dab-resnet18"), ("--backend", "torch"), ("--votes", "2"), ("--threads", "1")):
        for whole in (("rename",), ("stamp", "--start", "2024-05-01 12:00:00", "--step", "1s")):
            sorting = command(*whole, "--order", order, *options)
            assert (sorting.exit_code, sorting.stdout) == (2, "")
            assert "leave the options of a model out" in sorting.stderr
    (folder / "more.jpg").write_bytes(b"one more")
    assert "more.jpg: not in the order of" in refused(folder, "rename", folder, "--order", order)[0]
    (folder / "b.jpg").unlink()
    assert "b.jpg: no such file" in refused(folder, "rename", "--order", order)[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "sets": []}', '{"version": 1, "sets": [{"folder": 1}]}', "\xff"]
)
def test_a_file_that_is_no_order(tmp_path: Path, text: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    order.write_text(text, "latin-1")
    if text == "{}":
        order.unlink()
    (line,) = refused(folder, "rename", "--order", order)
    assert "order.json: " in line


def test_two_folders_are_two_runs(tmp_path: Path, photos: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    result = json.loads(done("rename", photos, other, *APPLY, "--json"))
    assert result["applied"] is True
    assert len(set(result["runs"])) == 2
    assert names_in(photos) == names_in(other)
    (line, *_) = refused(photos, "rename", photos, photos)
    assert "in two sets; give it once" in line


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    (folder / "a.CR3").write_bytes(b"raw")
    shown = json.loads(done("rename", "--order", order, "--json"))
    assert set(shown) == {"version", "template", "copy_to", "companions", "sets", "digest", "applied", "runs"}
    assert (shown["version"], shown["applied"], shown["runs"], shown["copy_to"]) == (1, False, [], None)
    (only,) = shown["sets"]
    fields = {"folder", "whole_folder", "confidence", "direction", "model", "backend", "files"}
    assert set(only) == fields
    assert [(file["old"], file["new"], file["companion_of"]) for file in only["files"]] == [
        ("c.jpg", "001_c.jpg", None),
        ("a.jpg", "002_a.jpg", None),
        ("a.CR3", "002_a.CR3", "a.jpg"),
        ("b.jpg", "003_b.jpg", None),
    ]
    assert set(only["files"][0]) == {"old", "new", "companion_of", "inode", "size", "mtime_ns"}
    described = (ROOT / "docs" / "json.md").read_text("utf-8")
    for field in {*shown, *only, *only["files"][0]}:
        assert f"`{field}`" in described


def test_names_that_are_there_already_are_nothing_to_do(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    before = snapshot(folder)
    assert "have these names already" in done("rename", "--order", order, "--template", "{stem}{ext}", *APPLY)
    assert snapshot(folder) == before


def test_a_second_rename_does_not_count_the_photos_twice(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    fill(folder, {"a.xmp": b"of a", "z.jpg": b"one more"})
    done("rename", "--order", order, *APPLY)
    first = ["001_c.jpg", "002_a.jpg", "002_a.xmp", "003_b.jpg", "z.jpg"]
    assert names_in(folder) == first
    again = write_order(tmp_path, folder, ["001_c.jpg", "002_a.jpg", "003_b.jpg"])
    assert "have these names already" in done("rename", "--order", again, *APPLY)
    # A photo that came later moves the numbers, and the photos keep their own names behind them.
    longer = write_order(tmp_path, folder, ["001_c.jpg", "z.jpg", "002_a.jpg", "003_b.jpg"])
    done("rename", "--order", longer, *APPLY)
    assert names_in(folder) == ["001_c.jpg", "002_z.jpg", "003_a.jpg", "003_a.xmp", "004_b.jpg"]
    done("undo", folder)
    assert names_in(folder) == first
    again = write_order(tmp_path, folder, ["001_c.jpg", "002_a.jpg", "003_b.jpg"])
    done("rename", "--order", again, "--template", "{stem}-{index}{ext}", *APPLY)
    assert names_in(folder) == ["a-2.jpg", "a-2.xmp", "b-3.jpg", "c-1.jpg", "z.jpg"]


@pytest.mark.parametrize("names", [NAMES, ["2.jpg", "photos.jpg", "1.jpg"]])
def test_a_name_that_has_nothing_of_the_old_one_is_a_new_name(tmp_path: Path, names: list[str]) -> None:
    folder, order = shoot(tmp_path, names)
    done("rename", "--order", order, "--template", "{folder}{index}{ext}", *APPLY)
    again = write_order(tmp_path, folder, ["photos1.jpg", "photos3.jpg", "photos2.jpg"])
    done("rename", "--order", again, *APPLY)
    assert names_in(folder) == ["001_photos1.jpg", "002_photos3.jpg", "003_photos2.jpg"]


def test_swaps_and_shifts_in_place(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["2.jpg", "3.jpg", "1.jpg"])
    done("rename", "--order", order, "--template", "{index}{ext}", *APPLY)
    assert {name: content for name, (content, _) in without_journals(snapshot(folder)).items()} == {
        "1.jpg": b"content of '2.jpg'",
        "2.jpg": b"content of '3.jpg'",
        "3.jpg": b"content of '1.jpg'",
    }


def test_below_the_confidence_nothing_is_changed(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    before = snapshot(folder)
    plan = tmp_path / "plan.json"
    for more in (
        (*APPLY,),
        ("--plan", plan),
        ("--apply", "--json"),
    ):
        result = command("rename", "--order", order, "--min-confidence", "0.95", *more)
        assert result.exit_code == 3
        assert result.stderr.endswith("photos: confidence 0.9 is below 0.95; nothing was changed\n")
        assert "001_c.jpg" in result.stdout
        assert snapshot(folder) == before
        assert not plan.exists()
    done("rename", "--order", order, "--min-confidence", "0.9", *APPLY)
    assert snapshot(folder) != before


def test_everything_that_changes_something_is_off_by_default(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    home = sorted(tmp_path.iterdir())
    before = snapshot(folder)
    for options in ((), ("--json",), ("--copy-to", tmp_path / "copies"), ("--no-companions",)):
        done("rename", "--order", order, *options)
    command("undo", folder)
    command("undo", folder, "--list")
    command("undo", folder, "--recover")
    assert snapshot(folder) == before
    assert sorted(tmp_path.iterdir()) == home
    for name in ("rename", "undo", "stamp"):
        shown = re.sub(r"\s+", " ", done(name, "--help"))
        assert not re.search(r"--(force|overwrite|delete|yes)\b(?!-times)", shown)


def test_no_photos_and_no_order_is_a_usage_error() -> None:
    assert command("rename").exit_code == 2
    assert command("rename", *APPLY).exit_code == 2


# Templates.


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{index:03d}_{stem}{ext}", "002_a.JPG"),
        ("{index} of {n}{ext}", "2 of 3.JPG"),
        ("{folder}-{index:>4}{ext}", "photos-   2.JPG"),
        ("{{{stem}}}{ext}", "{a}.JPG"),
        ("{stem:.1}{index:x}{ext}", "a2.JPG"),
    ],
)
def test_templates(tmp_path: Path, template: str, expected: str) -> None:
    folder, order = shoot(tmp_path, ["c.JPG", "a.JPG", "b.JPG"])
    done("rename", "--order", order, "--template", template, *APPLY)
    assert expected in names_in(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{name}",
        "{}",
        "{0}",
        "{index.real}",
        "{stem[0]}",
        "{stem!r}",
        "{index:{n}}",
        "{index:s}",
        "{stem:d}",
        "{index:0999999999d}",
        "{index",
        "index}",
    ],
)
def test_templates_that_make_no_sense(tmp_path: Path, template: str) -> None:
    _, order = shoot(tmp_path, NAMES)
    result = command("rename", "--order", order, "--template", template)
    assert result.exit_code == 2, result.stdout
    assert "--template" in result.stderr
    with pytest.raises(UsageError):
        parse_template(template)


def test_dates_come_from_the_photos(tmp_path: Path, scene: list[Image.Image]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, image in enumerate(scene[:3]):
        time, zone = f"2024:05:01 12:00:0{index}", ("+09:00", "-05:00", "")[index]  # names have the camera's local time
        taken = {"Exif": {piexif.ExifIFD.DateTimeOriginal: time, 37521: "25", 0x9011: zone}}
        image.save(folder / f"{index}.jpg", exif=piexif.dump(taken))
    order = write_order(tmp_path, folder, ["0.jpg", "1.jpg", "2.jpg"])
    shown = json.loads(done("rename", "--order", order, "--template", "{date}{ext}", "--json"))
    assert shown["sets"][0]["files"][1]["new"] == "20240501_120001.jpg"
    shown = json.loads(done("rename", "--order", order, "--template", "{date:%H-%M-%S.%f}{ext}", "--json"))
    assert shown["sets"][0]["files"][1]["new"] == "12-00-01.250000.jpg"
    for name in ("1.jpg", "2.jpg"):
        scene[0].save(folder / name)
    lines = refused(folder, "rename", "--order", order, "--template", "{date}{ext}")
    assert len(lines) == 2
    assert "1.jpg: no capture time in it (EXIF DateTimeOriginal)" in lines[0]
    scene[0].save(folder / "2.jpg", exif=piexif.dump({"Exif": {piexif.ExifIFD.DateTimeOriginal: "in May"}}))
    lines = refused(folder, "rename", "--order", order, "--template", "{date}{ext}")
    assert "2.jpg: a capture time that is not understood ('in May'), which {date}" in lines[1]
    scene[0].save(
        folder / "1.jpg", exif=piexif.dump({"Exif": {piexif.ExifIFD.DateTimeOriginal: "2024-05-01T24:08:19"}})
    )
    (line,) = refused(folder, "rename", "--order", order, "--template", "{date}{ext}")
    assert "2.jpg" in line


def test_the_templates_of_the_documents_fit_photos_without_dates(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    order = write_order(tmp_path, folder, ["2.jpg", "0.jpg", "1.jpg"])
    texts = [file.read_text("utf-8") for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    templates = [each for text in texts for each in re.findall(r"^imgorder rename .*--template \"(.*?)\"", text, re.M)]
    assert templates
    for template in templates:
        done("rename", "--order", order, "--template", template)


# What makes a plan impossible.


def problems(folder: Path, names: dict[str, str]) -> list[str]:
    """The problems of a plan; nothing is changed by carrying it out either."""
    plan = plan_of(folder, names)
    before = snapshot(folder)
    found = find_problems(plan)
    if found:
        with pytest.raises(ProblemsError):
            apply_plan(plan)
        assert snapshot(folder) == before
    assert all("\n" not in line for line in found)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "an empty name"),
        (".", "not a file name"),
        ("..", "not a file name"),
        ("a/b.jpg", "not a file name"),
        ("/etc/passwd", "not a file name"),
        ("a\0b.jpg", "not a file name"),
        ("x" * 252 + ".jpg", "256 bytes; a name has at most 255"),
        ("é" * 126 + ".jpg", "256 bytes"),
        ("CON", "keeps for a device"),
        ("nul.jpg", "keeps for a device"),
        ("Com1.tar.gz", "keeps for a device"),
        ("lpt9 .jpg", "keeps for a device"),
        ("a.jpg.", "drops a dot or space"),
        ("a.jpg ", "drops a dot or space"),
        (".imgorder-x.jpg", "kept for journals"),
        ("\ud800.jpg", "cannot be written as a file name"),
    ],
)
def test_names_that_no_file_may_have(tmp_path: Path, name: str, expected: str) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"})
    found = problems(folder, {"a.jpg": name, "b.jpg": "c.jpg"})
    assert [line for line in found if expected in line], found


@pytest.mark.parametrize("name", ["CONTACT.jpg", "com.jpg", "x" * 251 + ".jpg", "a: b?.jpg", "-rf.jpg", "💥\n.jpg"])
def test_names_that_are_fine(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    assert problems(folder, {"a.jpg": name}) == []
    apply_plan(plan_of(folder, {"a.jpg": name}))
    assert names_in(folder) == [name]


def test_characters_that_windows_refuses_are_refused_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(find_name_problems("a?.jpg")) == []
    monkeypatch.setattr(sys, "platform", "win32")
    assert "Windows takes no '?'" in next(find_name_problems("a?.jpg"))


def test_one_name_for_photos_of_two_folders() -> None:
    names = [("one/a.jpg", "001.jpg"), ("two/a.jpg", "001.jpg")]
    assert next(_find_duplicates(names)).endswith("use {folder} in --template")


def test_one_name_for_two_photos(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    (line,) = refused(folder, "rename", "--order", order, "--template", "same{ext}", *APPLY)
    assert "same.jpg: c.jpg and a.jpg and b.jpg would all get this name; use {index}" in line
    accented = {"a.jpg": unicodedata.normalize("NFC", "É.jpg"), "b.jpg": unicodedata.normalize("NFD", "é.jpg")}
    (line,) = problems(folder, accented)
    assert "would all get this name" in line
    (line,) = problems(folder, {"a.jpg": "b.jpg", "b.jpg": "b.jpg"})
    assert "would all get this name" in line


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    (folder / "001_c.jpg").write_bytes(b"precious")
    (folder / "002_a.jpg").symlink_to("nowhere")
    lines = refused(folder, "rename", "--order", order, *APPLY)
    assert len(lines) == 2
    assert "001_c.jpg: is there already" in lines[0]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {name: b"x" + name.encode() for name in ("a", "b", "c", "d")})
    (folder / "c").chmod(0o444)
    (folder / "taken").mkdir()
    found = problems(folder, {"a": "NUL", "b": "taken", "c": "fine", "d": "d."})
    assert len(found) == 4


def test_read_only_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"})
    (folder / "a.jpg").chmod(0o444)
    (line,) = problems(folder, {"a.jpg": "c.jpg", "b.jpg": "d.jpg"})
    assert "a.jpg: read-only; make it writable (chmod u+w)" in line
    assert problems(folder, {"b.jpg": "d.jpg"}) == []
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)
    (line,) = problems(folder, {"b.jpg": "d.jpg"})
    assert "photos: nothing can be changed in this folder" in line


def test_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    real = os.stat

    def elsewhere(path: Any, **named: Any) -> os.stat_result:
        status = real(path, **named)
        fields = list(status)
        fields[2] += Path(path) == folder
        return os.stat_result(fields)

    monkeypatch.setattr(os, "stat", elsewhere)
    (line,) = find_problems(plan_of(folder, {"a.jpg": "b.jpg"}))
    assert "a.jpg: on another file system than its folder; leave it out" in line


def test_hard_links_in_one_set(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    os.link(folder / "a.jpg", folder / "b.jpg")
    (line,) = problems(folder, {"a.jpg": "c.jpg", "b.jpg": "d.jpg"})
    assert "b.jpg: the same file as a.jpg (a hard link); leave one of them out" in line


def test_photos_of_one_set_in_different_folders(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"})
    fill(folder / "more", {"c.jpg": b"c"})
    order = write_order(tmp_path, folder, ["a.jpg", "b.jpg", "more/c.jpg"])
    result = command("rename", "--order", order, *APPLY)
    assert result.exit_code == 1
    assert "photos of one set lie in different folders (more/c.jpg); give one folder, or --copy-to" in result.stderr
    done("rename", "--order", order, "--copy-to", tmp_path / "out", *APPLY)
    assert names_in(tmp_path / "out") == ["001_a.jpg", "002_b.jpg", "003_c.jpg"]
    assert (folder / "more" / "c.jpg").exists()


def test_a_link_is_renamed_itself(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg"])
    fill(tmp_path / "elsewhere", {"real.jpg": b"real"})
    (folder / "c.jpg").symlink_to("../elsewhere/real.jpg")
    order = write_order(tmp_path, folder, ["c.jpg", "a.jpg", "b.jpg"])
    done("rename", "--order", order, *APPLY)
    assert os.readlink(folder / "001_c.jpg") == "../elsewhere/real.jpg"
    assert (tmp_path / "elsewhere" / "real.jpg").exists()
    done("undo", folder)
    assert os.readlink(folder / "c.jpg") == "../elsewhere/real.jpg"


# The plan as a file.


def planned(tmp_path: Path) -> tuple[Path, Path]:
    folder, order = shoot(tmp_path, NAMES)
    plan = tmp_path / "plan.json"
    shown = done("rename", "--order", order, "--plan", plan)
    assert f"Plan {read_plan(plan).digest}" in shown
    return folder, plan


def test_a_plan_is_carried_out_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, plan = planned(tmp_path)
    written = plan.read_bytes()
    (line,) = refused(folder, "rename", "--order", tmp_path / "order.json", "--plan", plan)
    assert "there is such a file already" in line
    assert plan.read_bytes() == written
    assert names_in(folder) == sorted(NAMES)
    (tmp_path / "order.json").unlink()
    monkeypatch.delattr("imgorder.sorting.sort.sort_photos")
    monkeypatch.chdir(tmp_path)
    done("rename", "photos", "--plan", "plan.json", *APPLY)
    assert names_in(folder) == ["001_c.jpg", "002_a.jpg", "003_b.jpg"]
    lines = refused(folder, "rename", "--plan", plan, *APPLY)
    assert "c.jpg: gone since the plan was made" in lines[0]


def test_what_json_prints_is_a_plan_too(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    (tmp_path / "plan.json").write_text(done("rename", "--order", order, "--json"))
    done("rename", "--plan", tmp_path / "plan.json", *APPLY)
    assert "001_c.jpg" in names_in(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"001_c.jpg"', '"001_x.jpg"'), ('"confidence": 0.9', '"confidence": 1.0'), ('"old": "c.jpg"', '"old": "/c.jpg"')],
)
def test_a_plan_that_was_tampered_with(tmp_path: Path, old: str, new: str) -> None:
    folder, plan = planned(tmp_path)
    assert old in plan.read_text()
    plan.write_text(plan.read_text().replace(old, new))
    (line,) = refused(folder, "rename", "--plan", plan, *APPLY)
    assert "plan.json: changed since it was written (its digest differs)" in line


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 1}', '{"version": 7}'])
def test_a_file_that_is_no_plan(tmp_path: Path, text: str) -> None:
    folder, plan = planned(tmp_path)
    plan.write_text(text)
    (line,) = refused(folder, "rename", "--plan", plan, *APPLY)
    assert "plan.json: not a plan" in line


def test_a_plan_whose_digest_is_right_still_reaches_nothing_outside_its_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    fill(tmp_path, {"secret": b"secret"})
    for names in ({"../secret": "b.jpg"}, {"a.jpg": "../b.jpg"}):
        assert problems(folder, names)
    assert (tmp_path / "secret").exists()


def test_a_companion_of_a_nameless_photo_is_shown_as_one(tmp_path: Path) -> None:
    plan = plan_of(fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"}), {"a.jpg": "c.jpg", "b.jpg": "d.jpg"})
    (planned,) = plan.sets
    photo, other = planned.files
    planned = replace(planned, files=(photo, replace(other, companion_of="")))
    write_plan(replace(plan, sets=(planned,)), tmp_path / "plan.json")
    assert "1 photo and 1 file that belongs to it;" in done("rename", "--plan", tmp_path / "plan.json", *APPLY)


def test_a_plan_that_is_stale(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path)
    (folder / "d.jpg").write_bytes(b"one more photo")
    (folder / "a.jpg").write_bytes(b"edited")
    (folder / "b.jpg").unlink()
    lines = refused(folder, "rename", "--plan", plan, *APPLY)
    names_each(lines, [("a.jpg", "changed since"), ("b.jpg", "gone since"), ("d.jpg", "not there when")])
    assert all(line.endswith("make a new one") for line in lines)


@pytest.mark.parametrize("copied", [False, True])
def test_what_changes_after_the_plan_was_shown_is_refused(tmp_path: Path, copied: bool) -> None:
    """As between the check that comes before the plan is printed and the lock."""
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"})
    plan = plan_of(folder, {"a.jpg": "1.jpg", "b.jpg": "2.jpg"}, tmp_path / "copies" if copied else None)
    assert find_problems(plan) == []
    (folder / "b.jpg").write_bytes(b"edited")
    before = snapshot(folder)
    with pytest.raises(ProblemsError, match=r"b\.jpg: changed since the plan was made; make a new one"):
        apply_plan(plan)
    assert snapshot(folder) == before
    assert not (tmp_path / "copies").exists()


def test_options_that_make_a_plan_do_not_fit_one_that_is_made(tmp_path: Path) -> None:
    _, plan = planned(tmp_path)
    for options in (
        ("--reverse",),
        ("--template", "{index}"),
        ("--copy-to", tmp_path),
        ("--no-companions",),
        ("--model", "x"),
    ):
        assert command("rename", "--plan", plan, *APPLY, *options).exit_code == 2
    other = fill(tmp_path / "other", {"x.jpg": b"x"})
    (line,) = refused(other, "rename", other, "--plan", plan, *APPLY)
    assert "in the plan" in line


def test_what_a_plan_does_not_know_is_said_when_it_is_made(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path)
    before = snapshot(folder)
    result = command("rename", "--plan", plan, "--apply")
    assert (result.exit_code, snapshot(folder)) == (3, before)
    (line,) = result.stderr.splitlines()
    assert "add --either-direction if it does not matter, or make the plan again with --first FILE" in line


# Companions.


def test_companions_move_with_their_photo(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["IMG_2.jpg", "IMG_1.JPG", "img.x.heic"])
    extra = [
        *("IMG_1.CR3", "img_1.mov", "IMG_1.AAE", "IMG_1.xmp", "img_1.jpg.XMP", "IMG_1.CR3.xmp"),
        *("img.x.MOV", "IMG_2.dng"),
    ]
    others = ["IMG_10.CR3", "IMG_1.txt", "IMG_1", "IMG.xmp", "IMG_1.jpg.aae", "IMG_3.mov"]
    fill(folder, {name: name.encode() for name in (*extra, *others)})
    (folder / "IMG_2.mov").mkdir()
    before = {name: file.read_bytes() for file in folder.iterdir() if (name := file.name) and file.is_file()}
    shown = done("rename", "--order", order, "--template", "{index}{ext}", *APPLY)
    assert "3 photos and 8 files that belong to them" in shown
    moved = {
        "IMG_2.jpg": "1.jpg",
        "IMG_2.dng": "1.dng",
        "IMG_1.JPG": "2.JPG",
        "IMG_1.CR3": "2.CR3",
        "img_1.mov": "2.mov",
        "IMG_1.AAE": "2.AAE",
        "IMG_1.xmp": "2.xmp",
        "img_1.jpg.XMP": "2.JPG.XMP",
        "IMG_1.CR3.xmp": "2.CR3.xmp",
        "img.x.heic": "3.heic",
        "img.x.MOV": "3.MOV",
    }
    for old, content in before.items():
        assert (folder / moved.get(old, old)).read_bytes() == content
    (folder / "IMG_2.mov").rmdir()
    done("undo", folder)
    assert {name: content for name, (content, _) in without_journals(snapshot(folder)).items()} == before


LONG = "a_little_red_balloon_that_flies_over_the_old_town"  # 49 characters


@pytest.mark.parametrize(
    ("photo", "others"),
    [
        ("a.jpg", {"a_HEVC.MOV": "1_HEVC.MOV", "a.THM": "1.THM", "a.WAV": "1.WAV", "a.on1": "1.on1"}),
        ("a.jpg", {"a.jpg.pp3": "1.jpg.pp3", "a.jpg.dop": "1.jpg.dop", "A.JPG.arp": "1.jpg.arp"}),
        ("a.jpg", {"a_01.jpg.xmp": "1_01.jpg.xmp", "a_02.jpg.xmp": "1_02.jpg.xmp", "a.jpg_original": "1.jpg_original"}),
        (
            "a.jpg",
            {"a.NEF": "1.NEF", "a.NEF.pp3": "1.NEF.pp3", "a_01.nef.xmp": "1_01.nef.xmp", "a.nef.nksc": "1.nef.nksc"},
        ),
        ("a.jpg", {"a.jpg.json": "1.jpg.json", "a.jpg.supplemental-metadata.json": "1.jpg.supplemental-metadata.json"}),
        ("a.jpg", {"a.jpg.supplemen.json": "1.jpg.supplemen.json", "a.jpg..json": "1.jpg..json"}),
        (
            "a(2).jpg",
            {"a.jpg(2).json": "1.jpg.json", "a.jpg.supplemental-meta(2).json": "1.jpg.supplemental-meta.json"},
        ),
        ("PXL.MP.jpg", {"PXL.MP": "1.MP", "PXL.MP.jpg.json": "1.jpg.json"}),
        ("PXL.jpg", {"PXL.MP": "1.MP"}),
        (f"{LONG}.jpg", {f"{LONG[:46]}.json": "1.jpg.json"}),
        (f"{LONG[:46]}.jpg", {f"{LONG[:46]}.json": "1.jpg.json"}),
        (f"{LONG[:44]}.jpg", {f"{LONG[:44]}.j.json": "1.jpg.json"}),
        (f"{LONG[:45]}.jpg", {f"{LONG[:45]}..json": "1.jpg.json"}),
        (f"{LONG[:42]}.jpg", {f"{LONG[:42]}.jpg.json": "1.jpg.json"}),
        (f"{LONG[:40]}.jpg", {f"{LONG[:40]}.jpg.s.json": "1.jpg.s.json"}),
        (f"{LONG[:47]}(2).jpg", {f"{LONG[:46]}(2).json": "1.jpg.json"}),
        (f"{'ä' * 30}.jpg", {f"{'ä' * 23}.json": "1.jpg.json"}),
        (f"{'ä' * 50}.jpg", {f"{'ä' * 46}.json": "1.jpg.json"}),
        ("IMG_1234.HEIC", {"IMG_1234.AAE": "1.AAE", "IMG_O1234.AAE": "1_O.AAE", "._IMG_O1234.AAE": "._1_O.AAE"}),
        ("1_img_1.jpg", {"1_IMG_O1.AAE": "1_O.AAE"}),
        ("x.jpg", {"x_O.AAE": "1_O.AAE", "._x.jpg": "._1.jpg", "x.xmp": "1.xmp", "._x.xmp": "._1.xmp"}),
    ],
)
def test_companions_by_the_rules_of_other_programs(tmp_path: Path, photo: str, others: dict[str, str]) -> None:
    folder, order = shoot(tmp_path, [photo])
    fill(folder, {name: name.encode() for name in others})
    before = without_journals(snapshot(folder))
    result = command("rename", "--order", order, "--template", "{index}{ext}", *APPLY)
    assert (result.exit_code, result.stderr) == (0, "")
    assert set(names_in(folder)) == {f"1{Path(photo).suffix}", *others.values()}
    for old, new in others.items():
        assert (folder / new).read_bytes() == old.encode()
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_a_rule_that_may_mean_another_photo_gives_way() -> None:
    """``a_01.jpg.xmp`` is the XMP file of ``a_01.jpg`` where that is there, not a further edit of ``a.jpg``."""

    def owners(*names: str, photos: tuple[str, ...] = ("a.jpg",)) -> dict[str, tuple[str, ...]]:
        return {each.name: each.photos for each in find_companions(photos, [*photos, *names])}

    assert owners("a_01.jpg.xmp") == {"a_01.jpg.xmp": ("a.jpg",)}
    assert owners("a_01.jpg.xmp", "a_01.jpg") == {}
    assert owners("a_01.jpg.xmp", photos=("a.jpg", "a_01.jpg")) == {"a_01.jpg.xmp": ("a_01.jpg",)}
    assert owners("a.NEF", "a_01.NEF", "a_01.NEF.xmp") == {"a.NEF": ("a.jpg",)}
    assert owners("a_HEVC.MOV", photos=("a.jpg", "a_HEVC.jpg")) == {"a_HEVC.MOV": ("a_HEVC.jpg",)}
    assert owners("P.MP", photos=("P.MP.jpg", "P.jpg")) == {"P.MP": ("P.MP.jpg",)}
    assert owners("a.jpg(2).json", photos=("a.jpg", "a(2).jpg")) == {"a.jpg(2).json": ("a(2).jpg",)}
    assert owners("a.NEF.pp3", "b.json", "a.json", "a.jpg.x.json", "_01.jpg.xmp") == {}
    assert owners(f"{LONG[:45]}.json", f"{LONG[:47]}.json", f"{LONG[:46]}(2).json", photos=(f"{LONG}.jpg",)) == {}
    two = (f"{LONG}.jpg", f"{LONG[:46]}.jpg")
    assert owners(f"{LONG[:46]}.json", photos=two) == {f"{LONG[:46]}.json": two}
    assert owners("IMG_O1.AAE", photos=("IMG_1.jpg", "IMG_O1.jpg")) == {"IMG_O1.AAE": ("IMG_O1.jpg",)}
    assert owners("IMG_O2.AAE", "._b.jpg", "._a.xmp", "._._a.jpg", "._a", photos=("a.jpg", "IMG_1.jpg")) == {}


def test_macos_moves_what_it_keeps_beside_a_file_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.name for each in find_companions(["a.jpg"], ["a.jpg", "._a.jpg"])] == ["._a.jpg"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_companions(["a.jpg"], ["a.jpg", "._a.jpg"]) == []


def test_a_companion_stays_as_it_is_beside_a_photo_that_does(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["IMG_1.jpg", "IMG_2(1).jpg"])
    fill(folder, {"IMG_O1.AAE": b"edits", "img_1.XMP": b"more", "IMG_2.jpg(1).json": b"facts"})
    assert "have these names already" in done("rename", "--order", order, "--template", "{stem}{ext}", *APPLY)


def test_what_has_a_photos_name_and_stays_is_named(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "a-1.jpg"])
    left = ["a.txt", "A.jpg~", "a_edit.psd", "a", "a.NEF.bak", "a-1 (copy).tiff.part"]
    others = ["ab.txt", "a1.txt", "notes.txt", ".a.txt", "c.txt", "a.xmp", "a (2).jpg"]
    fill(folder, {name: name.encode() for name in (*left, *others)})
    for options in (
        (),
        ("--json",),
        ("--plan", tmp_path / "plan.json"),
        ("--copy-to", tmp_path / "out", *APPLY),
    ):
        (line,) = command("rename", "--order", order, *options).stderr.splitlines()
        assert line.startswith(f"imgorder: warning: {folder}: left behind, though named like photos")
        assert f": {', '.join(sorted(left))}; rename by hand" in line
    assert command("rename", "--order", order, "--no-companions").stderr == ""
    assert command("rename", "--order", order, "--template", "{stem}{ext}").stderr == ""  # none gets another name
    result = command("rename", "--plan", tmp_path / "plan.json", *APPLY)
    assert (result.exit_code, result.stderr.splitlines()) == (0, [line])
    assert {*left, *others} - {"a.xmp"} <= {*names_in(folder)}


def test_companions_can_be_left_behind(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    fill(folder, {"a.CR3": b"raw"})
    done("rename", "--order", order, "--no-companions", *APPLY)
    assert "a.CR3" in names_in(folder)


def test_a_companion_of_two_photos_is_a_problem(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "a.png", "b.jpg"])
    fill(folder, {"a.xmp": b"edits", "A.mov": b"film"})
    lines = refused(folder, "rename", "--order", order, *APPLY)
    assert len(lines) == 2
    assert "A.mov: belongs to a.jpg and a.png; leave one of them out, or give --no-companions" in lines[0]
    done("rename", "--order", order, "--no-companions", *APPLY)


def test_a_photo_of_the_set_is_never_a_companion() -> None:
    assert find_companions(["a.jpg", "a.dng"], ["a.jpg", "a.dng"]) == []
    (only,) = find_companions(["a.jpg", "a.dng"], ["a.jpg", "a.dng", "a.dng.xmp"])
    assert only.photos == ("a.dng",)


@pytest.mark.parametrize(
    ("name", "ending", "stem"),
    [("1.jpg", ".jpg", "1"), ("2024.05.01", ".jpg", "2024.05.01"), ("1.JPG", ".jpg", "1"), ("1", ".jpg", "1")],
)
def test_the_cut_ending_a_new_name(name: str, ending: str, stem: str) -> None:
    assert cut_ending(name, ending) == stem


def test_companions_are_all_or_nothing(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    fill(folder, {"a.CR3": b"raw", "002_a.CR3": b"in the way"})
    (line,) = refused(folder, "rename", "--order", order, *APPLY)
    assert "002_a.CR3: is there already" in line


# Copies.


def test_copies_leave_the_originals_alone(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    fill(folder, {"a.CR3": b"raw"})
    for file in folder.iterdir():
        file.chmod(0o444)
    before = snapshot(folder)
    out = tmp_path / "out"
    assert "Copied 4 files" in done("rename", "--order", order, "--copy-to", out, *APPLY)
    assert snapshot(folder) == before
    expected = {"001_c.jpg": "c.jpg", "002_a.jpg": "a.jpg", "002_a.CR3": "a.CR3", "003_b.jpg": "b.jpg"}
    assert snapshot(out) == {new: before[old] for new, old in expected.items()}
    result = command("rename", "--order", order, "--copy-to", out, *APPLY)
    assert (result.exit_code, result.stderr.count("is there already; give another --copy-to")) == (1, 4)


def test_a_link_is_copied_as_the_photo_that_it_leads_to(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, ["a.jpg", "b.jpg"])
    (folder / "c.jpg").symlink_to("a.jpg")
    order = write_order(tmp_path, folder, ["c.jpg", "b.jpg"])
    done("rename", "--order", order, "--copy-to", tmp_path / "out", *APPLY)
    assert not (tmp_path / "out" / "001_c.jpg").is_symlink()
    assert (tmp_path / "out" / "001_c.jpg").read_bytes() == (folder / "a.jpg").read_bytes()


def test_copies_are_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b"})
    before = snapshot(folder)
    names = ("open", "write", "fsync", "renameat2")
    for name in names:
        for at in range(1, 20):
            out = tmp_path / f"{name}{at}"
            calls = iter(range(1, 100))
            with killed(Kill(0)), monkeypatch.context() as patch:
                place = exclusive if name == "renameat2" else os
                real = getattr(place, name)

                def failing(*arguments: Any, calls: Any = calls, at: int = at, real: Any = real, **named: Any) -> Any:
                    if next(calls) == at:
                        refusing(errno.ENOSPC)(*arguments)
                    return real(*arguments, **named)

                patch.setattr(place, name, failing)
                try:
                    apply_plan(plan_of(folder, {"a.jpg": "1.jpg", "b.jpg": "2.jpg"}, out))
                except ImgorderError as error:
                    failed = str(error)
                else:
                    failed = ""
            assert snapshot(folder) == before
            if not failed:
                assert sorted(os.listdir(out)) == ["1.jpg", "2.jpg"]
                break
            assert not out.exists()
            assert "No space left on device" in failed
        assert at > 2


def test_copy_to_what_is_no_folder(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    assert "not a folder" in refused(folder, "rename", "--order", order, "--copy-to", order, *APPLY)[0]
    missing = tmp_path / "no" / "where"
    assert "its parent folder is not there" in refused(folder, "rename", "--order", order, "--copy-to", missing)[0]


# Odd names.

ODD = [
    unicodedata.normalize("NFC", "é.jpg").encode(),
    unicodedata.normalize("NFD", "é.jpg").encode(),
    "👩‍👩‍👧.jpg".encode(),
    b"two\nlines.jpg",
    b"caf\xe9.jpg",
    b"-rf.jpg",
]


def test_any_bytes_are_a_name(tmp_path: Path) -> None:
    try:
        folder, order = shoot(tmp_path, [os.fsdecode(name) for name in ODD])
    except OSError:
        pytest.skip("this file system does not take such names")
    fill(folder, {os.fsdecode(b"caf\xe9.CR3"): b"raw"})
    before = snapshot(folder)
    plan = tmp_path / "plan.json"
    shown = done("rename", "--order", order, "--plan", plan)
    assert r"005_caf\xe9.CR3" in shown
    assert r"004_two\nlines.jpg" in shown
    done("rename", "--plan", plan, *APPLY)
    assert sorted(map(os.fsencode, names_in(folder))) == sorted(
        [*(b"%03d_%s" % (place, name) for place, name in enumerate(ODD, start=1)), b"005_caf\xe9.CR3"]
    )
    with killed(Kill(until=reached(folder, 6))):
        command("undo", folder)
    assert "taken back; the folder is as it was before" in done("undo", folder, "--recover")
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_a_name_with_a_leading_dash_is_given_after_two_dashes(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.rename(tmp_path / "-n")
    monkeypatch.chdir(tmp_path)
    done("rename", *APPLY, "--", "-n")
    done("undo", "--", "-n")


# Two processes.


def test_two_processes_on_one_folder(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    code = (
        "import sys; from pathlib import Path; from imgorder.changes.folder import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    try:
        for arguments in (
            ("rename", "--order", order, *APPLY),
            ("undo", folder),
            ("undo", folder, "--recover"),
        ):
            (line,) = refused(folder, *arguments)
            assert line.endswith("photos: another imgorder is changing this folder; wait until it has finished")
    finally:
        holder.communicate("go\n")
    done("rename", "--order", order, *APPLY)


def test_of_two_renames_at_once_one_wins(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    done("rename", "--order", order, "--plan", tmp_path / "plan.json")
    arguments = [
        sys.executable,
        "-m",
        "imgorder",
        "rename",
        "--plan",
        str(tmp_path / "plan.json"),
        *APPLY,
    ]
    both = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    ends = [process.communicate() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    loser = next(end[1] for process, end in zip(both, ends, strict=True) if process.returncode == 1)
    assert re.match(r"imgorder: error: .*(another imgorder|gone since the plan was made|is there already)", loser)
    assert names_in(folder) == ["001_c.jpg", "002_a.jpg", "003_b.jpg"]
    assert len(list(folder.glob("*.jsonl"))) == 1


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    with pytest.raises(ImgorderError, match="has no locks"), locked(tmp_path):
        pass
    with pytest.raises(ImgorderError, match="cannot be opened as a folder"), locked(tmp_path / "none"):
        pass


def test_the_base_commands_import_neither_torch_nor_opencv(tmp_path: Path) -> None:
    jpegs(tmp_path / "photos")
    order = write_order(tmp_path, tmp_path / "photos", ["0.jpg", "1.jpg", "2.jpg"])
    code = (
        "import sys; from imgorder.cli import app\n"
        "folder, order = sys.argv[1:]\n"
        "start = ['--start', '2024-05-01 12:00:00']\n"
        "for arguments in (['rename', '--order', order, '--apply', '--either-direction'], ['undo', folder],\n"
        "                  ['stamp', '--order', order, *start, '--apply', '--either-direction'],\n"
        "                  ['undo', folder, '--list']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'torchvision', 'cv2', 'onnx', 'scipy', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "photos"), str(order)]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["rename", "undo", "stamp"])
def test_help_imports_nothing_heavy(name: str) -> None:
    code = (
        "import sys; from imgorder.cli import app\n"
        f"try: app(['{name}', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'onnxruntime', 'numpy', 'PIL', 'huggingface_hub', 'torch', 'piexif'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Example: imgorder" in result.stdout


def test_an_error_names_the_photo_and_not_its_hidden_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = shoot(tmp_path, NAMES)
    real = exclusive.renameat2
    for shown, end in (("a.jpg", 0), ("002_a.jpg", 1)):

        def failing(source: str, target: str, shown: str = shown, end: int = end) -> None:
            if os.path.basename((source, target)[end]) == shown:
                raise OSError(errno.EIO, "Input/output error", source, None, target)
            real(source, target)

        monkeypatch.setattr(exclusive, "renameat2", failing)
        before = snapshot(folder)
        result = command("rename", "--order", order, *APPLY)
        assert result.exit_code == 1
        assert f"photos/{shown}: Input/output error; nothing was changed" in result.stderr
        assert snapshot(folder) == before


def test_the_benchmark_runs(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "rename_many.py"
    rows = tmp_path / "rows.json"
    subprocess.run([sys.executable, str(script), "--files", "40", "--json", str(rows)], check=True, capture_output=True)
    (row,) = json.loads(rows.read_text())["rows"]
    assert row["files"] == 40
    assert row["peak_mib"] >= row["idle_mib"] > 0


@pytest.mark.parametrize("most", [64, 110, 4096])
def test_more_folders_than_may_be_open_at_once(tmp_path: Path, most: int) -> None:
    """The limit of the process is raised where that is allowed; else the last folders are locked one by one."""
    sets = []
    for number in range(80):
        folder = fill(tmp_path / f"set-{number}", {"a.jpg": b"first", "b.jpg": b"second", "c.jpg": b"third"})
        fields = {"confidence": 0.9, "direction": "given", "model": "tridab-s", "backend": "onnx", "classes": []}
        sets.append({"folder": str(folder), "order": ["b.jpg", "a.jpg", "c.jpg"], **fields})
    (tmp_path / "order.json").write_text(json.dumps({"version": 1, "sets": sets}))
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, {most})); "
        "from imgorder.cli import main; main()"
    )
    arguments = [
        sys.executable,
        "-c",
        code,
        "rename",
        "--order",
        str(tmp_path / "order.json"),
        *APPLY,
    ]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    for number in range(80):
        (journal,) = (name for name in os.listdir(tmp_path / f"set-{number}") if name.endswith(".jsonl"))
        assert sorted(os.listdir(tmp_path / f"set-{number}")) == [journal, "001_b.jpg", "002_a.jpg", "003_c.jpg"]


def test_a_folder_that_is_locked_late_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        plan_of(fill(tmp_path / name, {"a.jpg": name.encode()}), {"a.jpg": "b.jpg"}) for name in ("one", "two")
    )
    plan = replace(first, sets=(*first.sets, *second.sets))
    real = transaction.carry_out

    def come_between(folder: Any, *arguments: Any) -> Any:
        fill(tmp_path / "two", {"b.jpg": b"of somebody else"})
        return real(folder, *arguments)

    monkeypatch.setattr(apply, "find_room", lambda count: 1)
    monkeypatch.setattr(transaction, "carry_out", come_between)
    with pytest.raises(ImgorderError, match=r"b\.jpg: .*one is renamed already; taken back by: imgorder undo"):
        apply_plan(plan)
    assert (tmp_path / "one" / "b.jpg").read_bytes() == b"one"
    assert (tmp_path / "two" / "a.jpg").read_bytes() == b"two"
    assert (tmp_path / "two" / "b.jpg").read_bytes() == b"of somebody else"


def test_the_photos_of_many_folders_are_looked_at_once_each(tmp_path: Path) -> None:
    class Counted(list[str]):
        walks = 0

        def __iter__(self) -> Any:
            self.walks += 1
            return super().__iter__()

    names = Counted(f"{number}/a.jpg" for number in range(50))
    empty = Listing(frozenset(), (), frozenset())
    assert find_belonging(tmp_path, names, lambda folder: empty, []) == {}
    assert names.walks <= 2


def test_companions_that_came_after_the_plan(tmp_path: Path) -> None:
    folder, plan = planned(tmp_path)
    (folder / "a.CR3").write_bytes(b"raw")
    (line,) = refused(folder, "rename", "--plan", plan, *APPLY)
    assert "a.CR3: belongs to a.jpg, but was not there when the plan was made; make a new one" in line
    done("rename", "--order", tmp_path / "order.json", "--no-companions", "--plan", tmp_path / "without.json")
    done("rename", "--plan", tmp_path / "without.json", *APPLY)


def test_a_companion_of_a_photo_that_is_not_in_the_set(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    fill(folder, {"a.heic": b"the original", "a.mov": b"film"})
    (line,) = refused(folder, "rename", "--order", order)
    assert "a.mov: belongs to a.jpg and a.heic; leave one of them out" in line


def test_companions_are_those_that_are_spelt_alike_first() -> None:
    both = ["IMG.jpg", "img.jpg"]
    found = find_companions(both, [*both, "IMG.xmp", "img.xmp", "Img.mov"])
    assert [(each.name, each.photos) for each in found] == [
        ("IMG.xmp", ("IMG.jpg",)),
        ("Img.mov", ("IMG.jpg", "img.jpg")),
        ("img.xmp", ("img.jpg",)),
    ]
    composed, split = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    (only,) = find_companions([f"{composed}.jpg"], [f"{composed}.jpg", f"{split}.xmp"])
    assert only.new_name("1.jpg") == "1.xmp"


def test_a_link_to_a_photo_that_gets_another_name(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, ["a.jpg", "b.jpg"])
    (folder / "c.jpg").symlink_to("../photos/a.jpg")
    order = write_order(tmp_path, folder, ["a.jpg", "b.jpg", "c.jpg"])
    (line,) = refused(folder, "rename", "--order", order)
    assert "c.jpg: a link to ../photos/a.jpg, which gets another name" in line
    done("rename", "--order", order, "--copy-to", tmp_path / "out")


@pytest.mark.parametrize("confidence", ["NaN", "Infinity", "-0.1", "1.5", "true", "1e999", "1" + "0" * 400])
def test_a_confidence_is_a_probability(tmp_path: Path, confidence: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    plan = tmp_path / "plan.json"
    plan.write_text(done("rename", "--order", order, "--json"))
    for file, options in ((order, ("--order", order)), (plan, ("--plan", plan, *APPLY))):
        assert '"confidence": 0.9' in file.read_text()
        file.write_text(file.read_text().replace('"confidence": 0.9', f'"confidence": {confidence}'))
        (line,) = refused(folder, "rename", *options)
        assert f"{file.name}: not " in line


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"version": 1, "sets": []}', '{"version": 1, "sets": [{"order": [1]}]}']
)
def test_deep_and_empty_files(tmp_path: Path, text: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    order.write_text(text)
    for options in (("--order", order), ("--plan", order, *APPLY)):
        (line,) = refused(folder, "rename", *options)
        assert "order.json: not " in line


def test_an_order_from_a_pipe(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    arguments = [sys.executable, "-m", "imgorder", "rename", "--order", "/dev/stdin", "--json"]
    result = subprocess.run(arguments, input=order.read_bytes(), capture_output=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["sets"][0]["folder"] == str(folder)


@pytest.mark.parametrize("spec", ["{index:0" + "9" * 5000 + "}", "{date:%99999999999d}", "{stem:>٩٩٩٩}"])
def test_huge_widths(spec: str) -> None:
    with pytest.raises(UsageError, match="no file name is that long"):
        parse_template(spec + "{ext}")
    parse_template("{date:%Y%m%d of 2024}{ext}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{index}", "1: another ending than"),
        ("{stem}{index}.png", "c1.png: another ending"),
        (".{stem}{ext}", "a hidden"),
    ],
)
def test_names_under_which_a_photo_would_not_be_found(tmp_path: Path, template: str, expected: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    lines = refused(folder, "rename", "--order", order, "--template", template)
    assert len(lines) == 3
    assert expected in lines[0]


def test_ctrl_c_tells_which_sets_are_renamed_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [fill(tmp_path / name, {"a.jpg": b"a", "b.jpg": b"b"}) for name in ("one", "two")]
    orders = [json.loads(write_order(tmp_path, folder, ["b.jpg", "a.jpg"]).read_text()) for folder in folders]
    order = tmp_path / "both.json"
    order.write_text(json.dumps({"version": 1, "sets": [each["sets"][0] for each in orders]}))
    before = snapshot(folders[1])
    real = exclusive.renameat2

    def interrupted(source: str, target: str) -> None:
        if source == str(folders[1] / "a.jpg"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(exclusive, "renameat2", interrupted)
    result = command("rename", "--order", order, *APPLY)
    assert result.exit_code == 130
    already, stopped = result.stderr.splitlines()
    assert f"{folders[0]} is renamed already; taken back by: imgorder undo {folders[0]} " in already
    assert stopped == "imgorder: stopped: interrupted; what was under way was taken back"
    assert names_in(folders[0]) == ["001_b.jpg", "002_a.jpg"]
    assert snapshot(folders[1]) == before


# An order that is for other photos


def two_orders(home: Path) -> tuple[list[Path], Path]:
    """Two folders whose photos have the same names, and a file with the order of both."""
    folders = [fill(home / name, {"a.jpg": name.encode(), "b.jpg": b"b", "c.jpg": b"c"}) for name in ("one", "two")]
    names = (["a.jpg", "b.jpg", "c.jpg"], ["c.jpg", "b.jpg", "a.jpg"])
    records = [
        json.loads(write_order(home, each, order).read_text())["sets"][0]
        for each, order in zip(folders, names, strict=True)
    ]
    order = home / "both.json"
    order.write_text(json.dumps({"version": 1, "sets": records}))
    return folders, order


def test_an_order_finds_its_own_folder_however_they_are_listed(tmp_path: Path) -> None:
    folders, order = two_orders(tmp_path)
    shown = json.loads(done("rename", *reversed(folders), "--order", order, "--json"))
    for each in shown["sets"]:
        first = "a.jpg" if each["folder"].endswith("one") else "c.jpg"
        assert each["files"][0]["new"] == f"001_{first}"


def test_an_order_is_not_taken_for_photos_that_only_have_the_same_names(tmp_path: Path) -> None:
    (one, two), _ = two_orders(tmp_path)
    order = write_order(tmp_path, one, ["b.jpg", "a.jpg", "c.jpg"])
    (line,) = refused(two, "rename", two, "--order", order, *APPLY)
    assert f"{two}: not the photos of {order}, which are in {one}" in line
    one.rename(tmp_path / "moved")
    done("rename", tmp_path / "moved", "--order", order)


def test_folders_that_moved_are_told_apart_by_names_or_not_at_all(tmp_path: Path) -> None:
    folders, order = two_orders(tmp_path)
    moved = [folder.rename(tmp_path / f"moved {folder.name}") for folder in folders]
    (line,) = refused(moved[0], "rename", *moved, "--order", order, *APPLY)
    assert "names do not tell which of the given sets it is" in line
    (moved[1] / "b.jpg").rename(moved[1] / "d.jpg")
    record = json.loads(order.read_text())
    record["sets"][1]["order"] = ["c.jpg", "d.jpg", "a.jpg"]
    order.write_text(json.dumps(record))
    shown = json.loads(done("rename", *reversed(moved), "--order", order, "--json"))
    assert [Path(each["folder"]).name for each in shown["sets"]] == ["moved one", "moved two"]


def test_an_order_cannot_begin_at_both_ends(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    result = command("rename", "--order", order, "--first", folder / "a.jpg", "--first", folder / "c.jpg")
    assert result.exit_code == 2
    assert "has another first photo already" in result.stderr


# Being stopped, and output that goes nowhere


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["rename", "copy", "undo"])
def test_a_signal_to_end_is_taken_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    folder, order = shoot(tmp_path, ["b.jpg", "a.jpg", "c.jpg"])
    action = ["rename", "--order", str(order), *APPLY]
    if kind == "undo":
        done(*action)
        action = ["undo", str(folder)]
    elif kind == "copy":
        action += ["--copy-to", str(tmp_path / "copies")]
    before = snapshot(folder)
    real = exclusive.renameat2
    struck: list[str] = []

    def strike(source: str, target: str) -> None:
        real(source, target)
        if not struck and "-000000" in (source[-7:], target[-7:]):  # of the first file's hidden name
            struck.append(target)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(exclusive, "renameat2", strike)
    disposition = signal.signal(number, signal.SIG_DFL)
    try:
        result = command(*action)
    finally:
        signal.signal(number, disposition)
    assert result.exit_code == 128 + number
    assert "imgorder: stopped: interrupted" in result.stderr
    assert snapshot(folder) == before
    assert not (tmp_path / "copies").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
@pytest.mark.parametrize("options", [["--json"], []])
def test_what_was_renamed_is_told_even_where_the_output_is_full(tmp_path: Path, options: list[str]) -> None:
    folder, order = shoot(tmp_path, ["b.jpg", "a.jpg", "c.jpg"])
    before = snapshot(folder)
    arguments = [
        sys.executable,
        "-m",
        "imgorder",
        "rename",
        "--order",
        str(order),
        *APPLY,
        *options,
    ]
    with open("/dev/full", "w") as full:
        result = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    if options:
        told, error = result.stderr.splitlines()
        assert told.startswith(f"imgorder: done: Renamed 3 files; taken back by: imgorder undo {folder} ")
    else:  # the plan could not be shown, so nothing was done
        (error,) = result.stderr.splitlines()
        assert snapshot(folder) == before
    assert is_one_error(error, "output", "No space left on device")


def test_an_empty_name_for_copies_is_refused(tmp_path: Path) -> None:
    _, order = shoot(tmp_path, ["b.jpg", "a.jpg", "c.jpg"])
    result = command("rename", "--order", order, "--copy-to", "", *APPLY)
    assert result.exit_code == 2
    assert "an empty name" in result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="no Bash")
@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"two\nlines 'quoted' \\", b"it's", "caf\xe9".encode(), b"-x", b"\x1b[31m"]
)
def test_a_command_that_is_told_can_be_pasted(name: bytes) -> None:
    told = undo_command(Path(os.fsdecode(b"photos/" + name)))
    assert told.isprintable()
    script = f"imgorder() {{ printf '%s|' \"$@\"; }}; {told}"
    pasted = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True).stdout
    assert pasted == b"undo|photos/" + name + b"|"


def test_a_plan_that_could_not_be_written_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, order = shoot(tmp_path, ["b.jpg", "a.jpg", "c.jpg"])
    plan = tmp_path / "plan.json"
    real = Path.open

    class Full(io.TextIOWrapper):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    def full(self: Path, mode: str = "r", **rest: Any) -> Any:
        return Full(real(self, "xb")) if mode == "x" else real(self, mode, **rest)

    monkeypatch.setattr(Path, "open", full)
    result = command("rename", "--order", order, "--plan", plan)
    assert result.exit_code == 1
    assert "plan.json: cannot be written (No space left on device)" in result.stderr
    assert not plan.exists()
    monkeypatch.setattr(Path, "open", real)
    done("rename", "--order", order, "--plan", plan)


def test_a_plan_for_copies_knows_what_links_lead_to(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    elsewhere = tmp_path / "elsewhere.jpg"
    (folder / "a.jpg").rename(elsewhere)
    (folder / "a.jpg").symlink_to(elsewhere)
    plan = tmp_path / "plan.json"
    done("rename", "--order", order, "--copy-to", tmp_path / "copies", "--plan", plan)
    elsewhere.write_bytes(b"another picture")
    result = command("rename", "--plan", plan, *APPLY)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a.jpg: changed since the plan was made; make a new one" in result.stderr
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("call", ["chmod", "utime"])
def test_copies_are_made_where_a_file_system_takes_no_mode_or_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """As GVFS, CIFS and the cards of phones; simulated."""
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    for file in folder.iterdir():
        file.chmod(0o444 if call == "utime" else 0o640)
    monkeypatch.setattr(os, call, refusing(code))
    umask = os.umask(0o077)
    try:
        result = command("rename", "--order", order, "--copy-to", tmp_path / "out", *APPLY)
    finally:
        os.umask(umask)
    assert result.exit_code == 0, result.stderr
    kind = "mode" if call == "chmod" else "times"
    (line,) = result.stderr.splitlines()
    assert "warning: " in line
    assert f"out/001_a.jpg and 2 more: the {kind} could not be kept" in line
    assert os.strerror(code) in line
    assert sorted(os.listdir(tmp_path / "out")) == ["001_a.jpg", "002_b.jpg", "003_c.jpg"]
    mode = stat.S_IMODE((tmp_path / "out" / "001_a.jpg").stat().st_mode)
    assert mode == (0o600 if call == "chmod" else 0o444)  # what the umask leaves of it


def test_a_copy_that_fails_is_named_as_it_was_to_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    monkeypatch.setattr(os, "utime", refusing(errno.EIO))
    before = snapshot(folder)
    (line,) = command("rename", "--order", order, "--copy-to", tmp_path / "out", *APPLY).stderr.splitlines()
    assert snapshot(folder) == before
    assert line.endswith("out/001_a.jpg: Input/output error; nothing was copied")


@pytest.mark.parametrize(
    ("template", "n", "first", "last"),
    [
        ("{index}", 9, "1", "9"),
        ("{index}", 200, "001", "200"),
        ("{index:03d}", 12, "001", "012"),
        ("{index:03d}", 1200, "0001", "1200"),
        ("{index:02}", 200, "001", "200"),
        ("{index:d}", 200, "1", "200"),  # asked for without zeros
        ("{index:>4}", 200, "   1", " 200"),
        ("{index:x}", 200, "1", "c8"),
    ],
)
def test_an_index_has_as_many_digits_as_the_photos_need(template: str, n: int, first: str, last: str) -> None:
    names = [parse_template(template).fill({"index": index, "n": n}) for index in range(1, n + 1)]
    assert (names[0], names[-1]) == (first, last)
    if template not in ("{index:d}", "{index:x}"):
        assert names == sorted(names)


def test_of_many_photos_the_plan_tells_the_least_sure_place(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        Image.new("RGB", (40, 30), (20 * index, 90, 120)).save(folder / f"{index}.png")
    result = command("rename", folder, "--model", "path", "--template", "{index}{ext}")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"12 photos; least sure place \d+\.\d%, by path", result.stdout)
    assert "01.png" in result.stdout
