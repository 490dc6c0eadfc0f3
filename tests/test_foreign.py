"""Files that somebody else wrote: a journal, plan or order is not believed, and nothing in it steers a terminal."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgorder.changes import journal
from imgorder.changes.plan import write_plan
from imgorder.changes.undo import recover
from imgorder.errors import ImgorderError
from tests.conftest import APPLY
from tests.renaming import command, done, fill, plan_of, refused, shoot, snapshot, without_journals, write_order

RUN = "20240101-000000-aaaaaa"
BOB = 4002
ESCAPE = "\x1b]0;mine\x07\x1b[2J\x9b31m\r\nimgorder: all is well"
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


def state(path: Path) -> dict[str, int]:
    status = path.lstat()
    return {"inode": status.st_ino, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def plant(folder: Path, names: dict[str, str], done: bool = False, **header: Any) -> Path:
    """The journal of a run that, it says, gave files of a folder their names: new -> old."""
    head = {"imgorder": 1, "run": RUN, "number": 1, "kind": "rename", "of": None, "time": "2024-05-01T12:00:00"}
    moves = [
        {"old": old, "stage": f".imgorder-{RUN}-{index:06d}", "new": new, "group": None, **state(folder / new)}
        for index, (new, old) in enumerate(names.items())
    ]
    file = folder / f".imgorder-{RUN}.jsonl"
    lines = [head | header, *moves, {"begun": len(moves), "inode": 0}, *([{"done": True}] if done else [])]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


# Journals of other users.


@needs_root
def test_an_unfinished_journal_of_another_user_is_named_and_not_followed(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    file = plant(folder, {"a.jpg": "b.jpg", "b.jpg": "a.jpg", "c.jpg": "bobs_choice.exe"})
    os.chown(file, BOB, BOB)
    for arguments in (
        ("undo", folder, "--recover"),
        ("undo", folder),
        ("rename", "--order", order, *APPLY),
    ):
        (line,) = refused(folder, *arguments)
        assert f"{file.name}: a rename (2024-05-01 12:00:00) of another user, user {BOB}, is not finished" in line
    listed = command("undo", folder, "--list")
    assert (listed.exit_code, f"interrupted, by another user, user {BOB}" in listed.stdout) == (0, True)
    assert "is not finished" in listed.stderr


@needs_root
def test_another_users_finished_run_stands_in_nobodys_way_and_is_not_taken_back(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    file = plant(folder, {"a.jpg": "x.jpg"}, done=True)
    os.chown(file, BOB, BOB)
    (line,) = refused(folder, "undo", folder, RUN)
    assert f"of another user, user {BOB}" in line
    assert "nothing to undo" in refused(folder, "undo", folder)[0]
    assert "a rename or undo has used this name" in refused(folder, "rename", "--order", order)[0]
    order.write_text(order.read_text())  # the order is younger than that run
    before = without_journals(snapshot(folder))
    done("rename", "--order", order, *APPLY)
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


@needs_root
def test_another_user_cannot_say_that_a_run_of_mine_is_undone(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    before = without_journals(snapshot(folder))
    done("rename", "--order", order, *APPLY)
    (mine,) = journal.read_history(folder).runs
    names = {move.old: move.new for move in mine.moves}
    file = folder / f".imgorder-{RUN}.jsonl"
    lines = [
        {"imgorder": 1, "run": RUN, "number": 9, "kind": "undo", "of": mine.id, "time": ""},
        *(
            {"old": new, "stage": f".imgorder-{RUN}-{index}", "new": old, "group": None, **state(folder / new)}
            for index, (old, new) in enumerate(names.items())
        ),
        {"begun": len(names), "inode": 0},
        {"done": True},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.chown(file, BOB, BOB)
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


@needs_root
def test_the_owner_of_a_folder_is_believed_since_all_in_it_is_in_their_hands(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    os.chown(plant(folder, {"a.jpg": "x.jpg"}), BOB, BOB)
    os.chown(folder, BOB, BOB)
    (run,) = recover(folder)  # as of root at work in a user's folder
    assert (run.owner, (folder / "x.jpg").exists()) == ("", True)


@needs_root
def test_a_draft_of_another_user_is_not_worth_a_word(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    fill(folder, {f".imgorder-{RUN}.part.jsonl": b"{"})
    assert "was interrupted here" in refused(folder, "rename", "--order", order)[0]
    os.chown(folder / f".imgorder-{RUN}.part.jsonl", BOB, BOB)
    done("rename", "--order", order, *APPLY)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners")
def test_whose_journals_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    followed = [owner for owner in (0, 1000, 1001, BOB) if not journal._name_stranger(owner, holder=1001)]
    assert followed == [0, 1000, 1001]
    assert journal._name_stranger(1, holder=0).endswith("(user 1)")  # with the name that the system knows
    monkeypatch.delattr(os, "geteuid")  # as on Windows, where files have no such owner
    assert journal._name_stranger(BOB, holder=0) == ""


def test_a_journal_is_not_read_through_a_link_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    file = plant(folder, {"a.jpg": "b.jpg"})
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImgorderError, match=r"this journal is damaged [(]not a file[)]"):
        recover(folder)
    file.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(file)
        with pytest.raises(ImgorderError, match=r"this journal is damaged [(]not a file[)]"):
            recover(folder)


# Plans and orders.


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("a.jpg", ".bashrc", "a hidden name"),
        ("a.jpg", ".a.jpg", "a hidden name"),
        ("a.jpg", "a.sh", "another ending than"),
        ("a.CR3", "a.sh", "another ending than"),
        ("a.jpg", "../evil.jpg", "not a file name"),
        ("a.jpg", "/tmp/evil.jpg", "not a file name"),
        ("../secret.jpg", "b.jpg", "not in the folder of the plan"),
        ("inner/../../secret.jpg", "b.jpg", "not in the folder of the plan"),
        ("{above}/secret.jpg", "b.jpg", "not in the folder of the plan"),
        ("inner", "other", "a folder, not a photo"),
        ("link", "other", "a folder, not a photo"),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_a_plan_from_a_file_passes_the_checks_of_one_that_is_made(
    tmp_path: Path, old: str, new: str, reason: str, copied: bool
) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "a.CR3": b"raw", "b.jpg": b"b"})
    fill(tmp_path, {"secret.jpg": b"of somebody else"})
    (folder / "inner").mkdir()
    (folder / "link").symlink_to("inner")
    (tmp_path / "out").mkdir()
    plan = plan_of(folder, {"b.jpg": "c.jpg", old.format(above=tmp_path): new}, tmp_path / "out" if copied else None)
    write_plan(plan, tmp_path / "plan.json")
    lines = refused(folder, "rename", "--plan", tmp_path / "plan.json", *APPLY)
    assert any(reason in line for line in lines), lines
    assert os.listdir(tmp_path / "out") == []


def test_a_plan_from_a_file_names_whole_paths_and_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    monkeypatch.chdir(tmp_path)
    plan = plan_of(folder, {"a.jpg": "b.jpg"})
    (planned,) = plan.sets
    for number, (spoilt, reason) in enumerate(
        (
            (replace(plan, copy_to=Path("copies")), "copies: not a whole path"),
            (replace(plan, sets=(replace(planned, folder=Path("photos")),)), "photos: not a whole path"),
            (replace(plan, sets=(replace(planned, files=()),)), "no photos in the plan"),
        )
    ):
        write_plan(spoilt, tmp_path / f"{number}.json")
        (line,) = refused(folder, "rename", "--plan", f"{number}.json", *APPLY)
        assert reason in line
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize("name", ["../secret.jpg", "{above}/secret.jpg", "x/../../secret.jpg"])
def test_an_order_reaches_nothing_outside_its_folder(tmp_path: Path, name: str) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg"])
    fill(tmp_path, {"secret.jpg": b"of somebody else"})
    write_order(tmp_path, folder, ["a.jpg", "b.jpg", name.format(above=tmp_path)])
    (line,) = refused(folder, "rename", "--order", order, "--copy-to", tmp_path / "out", *APPLY)
    assert "order.json: not an order" in line


# What is read and shown.


def shows_plainly(*arguments: str | Path) -> str:
    """Run a command; gives all that it prints, in which nothing steers a terminal and no line is a foreign one."""
    result = command(*arguments)
    text = result.stdout + result.stderr
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text.replace("\n", "")), repr(text)
    assert not any(line.startswith("imgorder: all is well") for line in text.splitlines())
    assert "all is well" in text, repr(text)
    return text


@pytest.mark.parametrize("header", [{"time": ESCAPE}, {"of": ESCAPE, "kind": "undo"}])
def test_nothing_in_a_journal_steers_a_terminal(tmp_path: Path, header: dict[str, Any]) -> None:
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    plant(folder, {"a.jpg": "x.jpg"}, **header)
    shows_plainly("sort", folder)
    shows_plainly("heatmap", folder, "--out", tmp_path / "maps")
    shows_plainly("report", folder, "--out", tmp_path / "report.html")
    shows_plainly("rename", "--order", order)
    shows_plainly("stamp", folder, "--start", "2024-05-01 12:00")
    shows_plainly("undo", folder)
    shows_plainly("undo", folder, "--list")
    shows_plainly("undo", folder, "--recover")


def test_what_could_not_be_taken_back_steers_no_terminal(tmp_path: Path) -> None:
    folder, _ = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    file = plant(folder, {"a.jpg": ESCAPE.replace("\n", "") + ".jpg"})
    (folder / "a.jpg").write_bytes(b"changed since")
    shows_plainly("undo", folder, "--recover")
    file.write_text(file.read_text().replace('"kind": "rename"', json.dumps("kind") + ": " + json.dumps(ESCAPE)))
    refused(folder, "undo", folder, "--list")


@pytest.mark.parametrize("field", ["model", "backend", "direction"])
def test_nothing_in_an_order_or_plan_steers_a_terminal(tmp_path: Path, field: str) -> None:
    _, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], **{field: ESCAPE})
    plan = tmp_path / "plan.json"
    for arguments in (
        ("--order", order),
        ("--order", order, "--plan", plan),
        ("--plan", plan, *APPLY),
    ):
        result = command("rename", *arguments)
        assert result.exit_code == 0, result.stderr
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in result.output.replace("\n", ""))


def test_nothing_in_a_photos_metadata_steers_a_terminal(photos: Path, tmp_path: Path) -> None:
    for file in photos.iterdir():
        exif = Image.Exif()
        exif[0x010F] = exif[0x0131] = ESCAPE
        exif.get_ifd(0x8769).update({0x9003: ESCAPE, 0x9291: ESCAPE, 0x9011: ESCAPE})
        with Image.open(file) as picture:
            picture.save(file, exif=exif, comment=ESCAPE.encode())
    shows_plainly("stamp", photos, "--model", "path", "--start", "2024-05-01 12:00")
    for arguments in (
        ("sort", photos, "--model", "path", "--sheet", tmp_path / "x.png"),
        ("rename", photos, "--model", "path", "--template", "{date}{index}{ext}"),
        ("report", photos, "--model", "path", "--out", tmp_path / "x.html"),
        ("dataset", "photos", photos, "--out", tmp_path / "sets"),
    ):
        result = command(*arguments)
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in result.output.replace("\n", ""))
    page = (tmp_path / "x.html").read_text()
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in page.replace("\n", ""))
    assert "\nimgorder: all is well" not in page


def test_nothing_in_a_manifest_steers_a_terminal(tmp_path: Path) -> None:
    manifest = tmp_path / "sets.jsonl"
    head = {"version": 1, "dataset": ESCAPE, "root": f"/nowhere/{ESCAPE}", "seq_len": 3, "seed": 0}
    entry = {"video": ESCAPE, "frames": [0, 4, 8], "split": "test", "group": ESCAPE, "spacing": 4.0, "flow": None}
    manifest.write_text(f"{json.dumps(head)}\n{json.dumps(entry)}\n")
    assert "all is well" in shows_plainly("evaluate", manifest, "--model", "path", "--seq-len", "3", "--spacing", "4")


# A share that goes away.


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_folder_that_cannot_be_listed_any_more_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """At each listing in turn: neither a traceback, nor a word on the output."""
    folder, order = shoot(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    done("rename", "--order", order, *APPLY)
    listdir = os.listdir
    for arguments in (("undo", folder, "--list"), ("undo", folder)):
        for failing in range(1, 9):
            calls = 0

            def fails(path: Any, failing: int = failing) -> list[str]:
                nonlocal calls
                calls += 1
                if calls == failing:
                    raise OSError(code, os.strerror(code), os.fspath(path))
                return listdir(path)

            monkeypatch.setattr(os, "listdir", fails)
            result = command(*arguments)
            monkeypatch.setattr(os, "listdir", listdir)
            if calls < failing:
                break
            assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1), result.output
            assert f"photos: the folder cannot be read ({os.strerror(code)})" in result.stderr or (
                f"photos: {os.strerror(code)}; nothing was changed" in result.stderr
            )
        assert failing > 1
