"""A run that dies at any call: every photo is still there, and `undo --recover` puts the folder right.

Each way of dying at each call that changes the folder is tried, for rename, undo and stamp, and a second
death on the way back; some of the deaths are of a process that really ends.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgorder.changes import exclusive, journal
from imgorder.changes.apply import apply_plan
from imgorder.changes.folder import Folder
from imgorder.changes.plan import write_plan
from imgorder.changes.stamp import apply_stamps
from imgorder.changes.undo import list_runs, recover, undo
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.media import exif
from tests import killing
from tests import renaming as cli
from tests.conftest import ROOT
from tests.killing import Kill, act, hidden, killed, reached, refusing
from tests.renaming import (
    TANGLED,
    Snapshot,
    fill,
    grouped,
    jpegs,
    plan_of,
    snapshot,
    stamp_plan,
    tangled,
    without_journals,
)

WAYS = ("renameat2", "link", "checked")
CASES = [
    *((action, way) for action in ("rename", "undo rename") for way in WAYS),
    *((action, "renameat2") for action in ("stamp", "undo stamp")),  # these rename nothing but by replacing
]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dying process loses nothing that it has written, whether it was waited for or not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def prepared(home: Path, action: str) -> Path:
    """A folder in which an action can be interrupted."""
    folder = home / "photos"
    if action in ("stamp", "undo stamp"):
        jpegs(folder)
    else:
        tangled(folder)
        (home / "plan.json").unlink(missing_ok=True)
        write_plan(plan_of(folder, TANGLED), home / "plan.json")
    if action == "undo rename":
        with killed(Kill(0)):
            act(folder, "rename")
    elif action == "undo stamp":
        with killed(Kill(0)):
            act(folder, "stamp")
    return folder


def emptied(home: Path) -> Path:
    """Cheaper than a folder of its own for each of some thousand deaths."""
    for file in (home / "photos").iterdir() if (home / "photos").exists() else ():
        file.unlink()
    return home


def contents(state: Snapshot, *names: str) -> set[bytes]:
    return {content for name, (content, _) in state.items() if not name.endswith(".jsonl")}


def refuses(folder: Path) -> None:
    """Other commands do not touch an interrupted folder, and say so in one line."""
    before = snapshot(folder)
    for command in (lambda: undo(folder), lambda: journal.refuse_unfinished(folder)):
        with pytest.raises(ImgorderError, match=r"was interrupted here; first run: imgorder undo .* --recover") as told:
            command()
        assert "\n" not in str(told.value)
    assert snapshot(folder) == before


def deaths(home: Path, action: str, way: str, when: str) -> Iterator[tuple[Path, Snapshot, bool]]:
    """For each call, a folder in which an action died there; what was before, and whether the run was done."""
    at = 0
    while True:
        at += 1
        folder = prepared(emptied(home), action)
        before = snapshot(folder)
        with killed(Kill(at, when), way) as kill:
            act(folder, action.split()[0])
        if not kill.dead:
            return
        known = {run.name for run in folder.glob("*.jsonl")} - set(before)
        done = bool(known) and not journal.read_history(folder).unfinished
        yield folder, before, done


@pytest.mark.parametrize(("action", "way"), CASES)
def test_a_death_at_any_call_costs_nothing_and_is_taken_back(tmp_path: Path, action: str, way: str) -> None:
    finished = prepared(tmp_path / "finished", action)
    originals = contents(snapshot(finished))
    act(finished, action.split()[0])
    after = without_journals(snapshot(finished))
    done_before_death = False
    stages: set[int] = set()  # how far the run was: how many files had hidden names, or new contents
    for when in killing.WHEN:
        for folder, before, done in deaths(tmp_path, action, way, when):
            dead = snapshot(folder)
            changed = [name for name in before if dead.get(name, b"") != before[name]]
            stages.add(len(changed if "stamp" in action else hidden(folder)))
            if "stamp" in action:
                each_is_whole(dead, before, after)
            else:
                assert contents(dead) == originals  # each under some name, and nothing else
            if done:
                done_before_death = True
                assert without_journals(dead) == after
                assert recover(folder) == []
                assert snapshot(folder) == dead
                continue
            if dead != before:
                refuses(folder)
            recover(folder)
            assert snapshot(folder) == before
            assert recover(folder) == []
    assert done_before_death
    assert stages == set(range(4 if "stamp" in action else len(TANGLED) + 1))


def each_is_whole(dead: Snapshot, before: Snapshot, after: Snapshot) -> None:
    """Under each name there is one content or the other, with the time of change that it had."""
    for name, value in without_journals(before).items():
        assert dead[name] in (value, after[name])


@pytest.mark.parametrize(("action", "way"), CASES)
def test_a_second_death_on_the_way_back(tmp_path: Path, action: str, way: str) -> None:
    died_twice = False
    first = 0
    while True:
        first += 3
        second = 0
        while True:
            second += 1
            folder = prepared(emptied(tmp_path), action)
            before = snapshot(folder)
            with killed(Kill(first, "after"), way) as kill:
                act(folder, action.split()[0])
            if not kill.dead or not journal.read_history(folder).unfinished:
                break
            with killed(Kill(second, killing.WHEN[second % 3]), way) as again:
                act(folder, "recover")
            act(folder, "recover")
            assert snapshot(folder) == before
            if not again.dead:
                break
            died_twice = True
        if not kill.dead:
            break
    assert died_twice


def test_a_process_that_really_ends_is_taken_back(tmp_path: Path) -> None:
    """Three processes at a time; every call of a rename, some of an undo and of a stamp."""
    interrupted: set[str] = set()
    waiting: list[tuple[subprocess.Popen[bytes], str, Path, Snapshot]] = []

    def settle() -> None:
        for process, action, folder, before in waiting:
            code = process.wait()
            assert code in (0, 9), code
            if code == 9 and journal.read_history(folder).unfinished:
                interrupted.add(action)
                recover(folder)
                assert snapshot(folder) == before
        waiting.clear()

    for action, step in (("rename", 1), ("undo rename", 5), ("stamp", 5), ("undo stamp", 5)):
        for at in range(1, 36, step):
            home = tmp_path / f"{action}{at}"
            folder = prepared(home, action)
            command = [sys.executable, "-m", "tests.killing", str(folder), action.split()[0], str(at), "after"]
            waiting.append((subprocess.Popen(command, cwd=ROOT), action, folder, snapshot(folder)))
            if len(waiting) == 3:
                settle()
    settle()
    assert interrupted == {"rename", "undo rename", "stamp", "undo stamp"}


def error_of(folder: Path) -> str | None:
    try:
        act(folder, "rename")
    except ImgorderError as error:
        return str(error)
    return None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("failing", ["rename", "fsync", "write", "unlink"])
def test_an_error_on_the_way_is_taken_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, failing: str
) -> None:
    """Any one call that fails, once: the folder is as before, without a journal, and the error is one line."""
    at = 0
    while True:
        at += 1
        folder = prepared(emptied(tmp_path), "rename")
        before = snapshot(folder)
        counter = iter(range(1, 1000))

        def failing_once(real: Any, code: int, counter: Iterator[int] = counter, at: int = at) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                if next(counter) == at:
                    raise OSError(code, os.strerror(code), str(arguments[0]))
                return real(*arguments, **named)

            return call

        with killed(Kill(0), way), monkeypatch.context() as patch:
            if failing == "rename" and way == "renameat2":
                patch.setattr(exclusive, "renameat2", failing_once(exclusive.renameat2, errno.EIO))
            elif failing == "rename":
                name = "link" if way == "link" else "rename"
                patch.setattr(os, name, failing_once(getattr(os, name), errno.EIO))
            else:
                patch.setattr(os, failing, failing_once(getattr(os, failing), errno.ENOSPC))
            message = error_of(folder)
        if message is None:
            assert without_journals(snapshot(folder)) != before
            break
        assert "\n" not in message
        if snapshot(folder) != before:  # the error struck while the journal was removed
            assert f"Run: imgorder undo {folder} --recover" in message
            recover(folder)
        assert snapshot(folder) == before
    assert at > 1 or (failing == "unlink" and way != "link")  # at least one call has failed


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.parametrize(("hidden_files", "new_names"), [(3, 0), (len(TANGLED), 2)])
def test_ctrl_c_is_taken_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, presses: int, hidden_files: int, new_names: int
) -> None:
    folder = prepared(tmp_path, "rename")
    before = snapshot(folder)
    real = exclusive.renameat2
    is_time = reached(folder, hidden_files, new_names)
    pressed = 0

    def interrupted(source: str, target: str) -> None:
        nonlocal pressed
        real(source, target)
        if pressed < presses and (pressed or is_time()):
            pressed += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(exclusive, "renameat2", interrupted)
    if presses == 1:
        with pytest.raises(KeyboardInterrupt):
            act(folder, "rename")
    else:  # the second one strikes while the first one's work is taken back
        with pytest.raises(ImgorderError, match=r"interrupted.*Run: imgorder undo .* --recover"):
            act(folder, "rename")
        recover(folder)
    assert snapshot(folder) == before


def test_an_error_that_nobody_thought_of_is_taken_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = prepared(tmp_path, "rename")
    before = snapshot(folder)
    real = Folder.sync
    raised = False

    def failing(self: Folder) -> None:
        nonlocal raised
        if hidden(folder) and not raised:
            raised = True
            raise ZeroDivisionError
        real(self)

    monkeypatch.setattr(Folder, "sync", failing)
    with pytest.raises(ZeroDivisionError):
        act(folder, "rename")
    assert snapshot(folder) == before


def dead_at(home: Path, hidden_files: int, new_names: int = 0) -> tuple[Path, Snapshot]:
    """A folder in which a rename died when so many files had got hidden names, and new ones; and what was before."""
    folder = prepared(home, "rename")
    before = snapshot(folder)
    with killed(Kill(until=reached(folder, hidden_files, new_names))):
        act(folder, "rename")
    return folder, before


START = ("--start", "2024-05-01 12:00:00")
HIDDEN = len(TANGLED)  # all files have hidden names


def test_an_old_name_that_somebody_has_taken_means_forward(tmp_path: Path) -> None:
    folder, before = dead_at(tmp_path, HIDDEN, 2)
    (folder / "d.jpg").write_bytes(b"a new photo")
    (recovery,) = recover(folder)
    assert recovery.status == journal.DONE
    assert (folder / "d.jpg").read_bytes() == b"a new photo"
    for old, new in TANGLED.items():
        assert snapshot(folder)[new] == before[old]
    assert [each.state for each in list_runs(journal.read_history(folder))] == ["done"]


def test_an_old_and_a_new_name_taken_means_a_report_and_no_change(tmp_path: Path) -> None:
    folder, before = dead_at(tmp_path, HIDDEN)
    (folder / "d.jpg").write_bytes(b"a new photo")
    (folder / "f.jpg").write_bytes(b"another new photo")
    stuck = snapshot(folder)
    for _ in range(2):
        with pytest.raises(ProblemsError) as told:
            recover(folder)
        assert snapshot(folder) == stuck
    assert len(told.value.problems) == 1 + len(TANGLED)
    assert "can be neither taken back nor finished; nothing was changed. move d.jpg elsewhere" in told.value.problems[0]
    assert any("d.jpg (to be e.jpg): .imgorder-" in line for line in told.value.problems)
    (folder / "d.jpg").unlink()
    (folder / "f.jpg").unlink()
    recover(folder)
    assert snapshot(folder) == before


def test_what_somebody_has_removed_or_edited_meanwhile_is_told_and_left_alone(tmp_path: Path) -> None:
    folder, before = dead_at(tmp_path, HIDDEN - 3)  # d.jpg, d.jpg.xmp and e.jpg still have their names
    (folder / "d.jpg.xmp").write_bytes(b"edited")
    next(folder.glob(".imgorder-*-000000")).unlink()
    (recovery,) = recover(folder)
    assert recovery.status == journal.BACK
    gone, edited = sorted(recovery.left_alone)
    assert (gone.split(",")[0], gone.split(": ")[1]) == ("a.jpg", "gone since")
    assert edited.startswith("d.jpg.xmp ")
    assert "left alone" in edited
    expected = {name: value for name, value in before.items() if name not in ("a.jpg", "d.jpg.xmp")}
    state = without_journals(snapshot(folder))
    assert {name: value for name, value in state.items() if name != "d.jpg.xmp"} == expected


def test_files_are_found_by_size_and_time_where_inodes_have_changed(tmp_path: Path) -> None:
    for at in [*((count, 0) for count in range(HIDDEN + 1)), *((HIDDEN, count) for count in range(1, HIDDEN + 1))]:
        folder, before = dead_at(tmp_path / str(at), *at)
        copied = tmp_path / f"copied{at}"
        fill(copied, {})
        for name, (content, mtime) in snapshot(folder).items():
            (copied / name).write_bytes(content)
            os.utime(copied / name, ns=(mtime, mtime))
        recover(copied)
        same = {len(content) for content, _ in before.values()}
        assert len(same) > 3
        assert snapshot(copied) == before


def test_files_that_cannot_be_told_apart_are_not_touched(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"one", "b.jpg": b"two"})
    for name in ("a.jpg", "b.jpg"):
        os.utime(folder / name, ns=(0, 10**18))
    with killed(Kill(until=reached(folder, 2, 2))):  # swapped, but not done
        apply_plan(plan_of(folder, {"a.jpg": "b.jpg", "b.jpg": "a.jpg"}))
    assert journal.read_history(folder).unfinished
    swapped = without_journals(snapshot(folder))
    for name, (content, _) in swapped.items():  # other inodes, as on a card that was taken out
        (folder / f"new {name}").write_bytes(content)
        os.utime(folder / f"new {name}", ns=(0, 10**18))
    for name in swapped:
        os.replace(folder / f"new {name}", folder / name)
    before = snapshot(folder)
    with pytest.raises(ProblemsError, match="it cannot be told which"):
        recover(folder)
    assert snapshot(folder) == before


def any_changed(folder: Path, before: Snapshot) -> bool:
    """Whether a file that was there has another content."""
    return any((folder / name).read_bytes() != content for name, (content, _) in before.items())


def test_a_stamped_file_that_somebody_has_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    with killed(Kill(until=lambda: any_changed(folder, before))):
        act(folder, "stamp")
    changed = next(name for name, value in before.items() if snapshot(folder)[name] != value)
    (folder / changed).write_bytes(b"edited")
    (recovery,) = recover(folder)
    (line,) = recovery.left_alone
    assert line.startswith(f"{changed}: ")
    assert "left alone" in line
    assert {**without_journals(snapshot(folder)), changed: before[changed]} == before
    assert [each.state for each in list_runs(journal.read_history(folder))] == ["taken back"]


def test_what_somebody_saves_during_the_recovery_does_not_turn_it_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    with killed(Kill(until=lambda: (folder / "2.jpg").read_bytes() != before["2.jpg"][0])):
        act(folder, "stamp")
    restore_segment = exif.restore_segment

    def restore_while_an_editor_saves(data: bytes, segment: bytes) -> bytes:
        (folder / "2.jpg").write_bytes(b"edited")
        return restore_segment(data, segment)

    monkeypatch.setattr(exif, "restore_segment", restore_while_an_editor_saves)
    (ended,) = recover(folder)
    assert ended.status == journal.BACK
    assert [line.split(":")[0] for line in ended.left_alone] == ["2.jpg"]
    assert (folder / "2.jpg").read_bytes() == b"edited"
    assert {**without_journals(snapshot(folder)), "2.jpg": before["2.jpg"]} == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [lines[0], lines[2], *lines[3:]],  # a line is missing
        lambda lines: [lines[0].replace("rename", "burn"), *lines[1:]],
        lambda lines: [lines[0].replace('"imgorder": 1', '"imgorder": 2'), *lines[1:]],
        lambda lines: [lines[0], lines[1].replace("a.jpg", "../a.jpg"), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace("-000000", "-000001"), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace('"stage": ".imgorder', '"stage": "imgorder'), *lines[2:]],
        lambda lines: [lines[0], lines[1].replace('"size": ', '"size": "x", "s": '), *lines[2:]],
        lambda lines: lines[:3],  # the end is missing, but there are hidden files
    ],
)
def test_a_damaged_or_foreign_journal_is_never_acted_upon(tmp_path: Path, spoil: Any) -> None:
    folder, _ = dead_at(tmp_path, HIDDEN)
    (file,) = folder.glob("*.jsonl")
    file.write_text("".join(spoil(file.read_text().splitlines(keepends=True))))
    before = snapshot(folder)
    for command in (recover, undo, journal.read_history, journal.refuse_unfinished):
        with pytest.raises(ImgorderError, match=r"\.jsonl: this journal is damaged .*; nothing was changed"):
            command(folder)
    assert snapshot(folder) == before


def test_a_second_name_is_removed_only_if_it_is_one(tmp_path: Path) -> None:
    folder = Folder(fill(tmp_path / "photos", {"a": b"same", "b": b"same"}))
    for names in (("a", "b", "stage"), ("a", "b", "a"), ("a", "a", "a")):
        with pytest.raises(ImgorderError, match="not the same file"):
            folder.remove_second_name(*names)
        assert sorted(folder.names()) == ["a", "b"]
    for stage in ("c", "stage"):
        os.link(folder.at("a"), folder.at("c"))
        folder.remove_second_name("c", "a", stage)
        assert sorted(folder.names()) == ["a", "b"]


@pytest.mark.parametrize("way", [*WAYS, "einval"])
def test_a_rename_never_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way != "renameat2":
        monkeypatch.setattr(exclusive, "renameat2", refusing(errno.EINVAL if way == "einval" else errno.ENOSYS))
    if way == "checked":
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))
    fill(tmp_path, {"a": b"one", "b": b"two"})
    (tmp_path / "dangling").symlink_to("nowhere")
    for target in ("b", "dangling"):
        with pytest.raises(FileExistsError):
            exclusive.rename_exclusive(str(tmp_path / "a"), str(tmp_path / target))
    with pytest.raises(FileNotFoundError):
        exclusive.rename_exclusive(str(tmp_path / "none"), str(tmp_path / "c"))
    exclusive.rename_exclusive(str(tmp_path / "a"), str(tmp_path / "c"))
    exclusive.rename_exclusive(str(tmp_path / "dangling"), str(tmp_path / "link"))
    assert sorted(os.listdir(tmp_path)) == ["b", "c", "link"]
    assert os.readlink(tmp_path / "link") == "nowhere"
    assert [(tmp_path / name).read_bytes() for name in "bc"] == [b"two", b"one"]


def test_each_step_is_on_disk_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power failure a step may be lost, but never one of which a later one is on disk."""
    folder = fill(tmp_path / "photos", {"a": b"one", "b": b"two"})
    listed: set[str] = set()  # the names that were brought to disk
    journal_on_disk = b""
    moved: list[str] = []
    rename = exclusive.renameat2

    def fsync(descriptor: int) -> None:
        nonlocal listed, journal_on_disk
        status = os.fstat(descriptor)
        (file,) = folder.glob("*.jsonl")
        if stat.S_ISDIR(status.st_mode):
            listed = set(os.listdir(folder))
        elif status.st_ino == file.stat().st_ino:
            journal_on_disk = file.read_bytes()
            if b'"done"' in journal_on_disk:
                assert {"a", "b"} <= listed

    def renameat2(source: str, target: str) -> None:
        old, new = os.path.basename(source), os.path.basename(target)
        if not old.endswith(".jsonl"):
            (file,) = folder.glob("*.jsonl")
            assert file.name in listed
            assert file.read_bytes() == journal_on_disk
            if new in ("a", "b"):
                assert listed == {*moved[:2], file.name}
            moved.append(new)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(exclusive, "renameat2", renameat2)
    apply_plan(plan_of(folder, {"a": "b", "b": "a"}))
    assert moved[2:] == ["b", "a"]
    (file,) = folder.glob("*.jsonl")
    assert listed == set(os.listdir(folder))
    assert file.read_bytes() == journal_on_disk
    lines = [json.loads(line) for line in file.read_text().splitlines() if line]
    assert [set(line) for line in lines[1:3]] == [{"old", "stage", "new", "group", "inode", "size", "mtime_ns"}] * 2
    assert lines[-1]["done"] is True


def test_stamp_keeps_a_copy_beside_a_file_that_has_gone(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    with killed(Kill(until=lambda: any((folder / name).stat().st_size for name in hidden(folder)))):
        apply_stamps(stamp_plan(folder))
    (stage,) = folder.glob(".imgorder-*-000000")
    (folder / "0.jpg").unlink()
    with pytest.raises(ProblemsError, match=r"0\.jpg: changed or gone since; a copy made by this run is \.imgorder"):
        recover(folder)
    assert stage.exists()


@pytest.fixture
def where_case_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a file is found by any spelling of its name, as on Windows and macOS."""
    folder = fill(tmp_path / "photos", {"a.JPG": b"one", "b.JPG": b"two", "c.jpg": b"three"})
    real = os.lstat

    def lstat(path: Any, **named: Any) -> os.stat_result:
        parent, name = os.path.split(path)
        if parent == str(folder) and name not in os.listdir(folder):
            name = next((each for each in os.listdir(folder) if each.casefold() == name.casefold()), name)
        return real(os.path.join(parent, name), **named)

    monkeypatch.setattr(os, "lstat", lstat)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_only_the_case_of_a_name_changes(where_case_does_not_count: Path, way: str) -> None:
    folder = where_case_does_not_count
    before = snapshot(folder)
    names = {"a.JPG": "a.jpg", "b.JPG": "C.jpg", "c.jpg": "b.jpg"}
    at = 0
    dead = True
    while dead:
        at += 1
        with killed(Kill(at), way) as kill:
            apply_plan(plan_of(folder, names))
        dead = kill.dead and bool(journal.read_history(folder).unfinished)
        if dead:
            recover(folder)
            assert snapshot(folder) == before
    assert sorted(without_journals(snapshot(folder))) == ["C.jpg", "a.jpg", "b.jpg"]
    undo(folder)
    assert without_journals(snapshot(folder)) == before


def test_an_error_while_somebody_takes_an_old_name_ends_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(tmp_path, "rename")
    before = snapshot(folder)
    real = exclusive.renameat2
    all_hidden = reached(folder, HIDDEN)

    def failing(source: str, target: str) -> None:
        if all_hidden() and not (folder / "d.jpg").exists():
            (folder / "d.jpg").write_bytes(b"a new photo")
            raise OSError(errno.EIO, "Input/output error", source)
        real(source, target)

    monkeypatch.setattr(exclusive, "renameat2", failing)
    with pytest.raises(ImgorderError, match=r"it could not be taken back any more .* so the run was finished"):
        act(folder, "rename")
    assert (folder / "d.jpg").read_bytes() == b"a new photo"
    assert all(snapshot(folder)[new] == before[old] for old, new in TANGLED.items())
    assert [each.state for each in list_runs(journal.read_history(folder))] == ["done"]


def test_copies_do_not_go_into_a_folder_with_an_interrupted_run(tmp_path: Path) -> None:
    folder, _ = dead_at(tmp_path / "one", HIDDEN)
    source = fill(tmp_path / "two", {"d.jpg": b"d"})
    before = snapshot(folder)
    with pytest.raises(ImgorderError, match="was interrupted here"):
        apply_plan(plan_of(source, {"d.jpg": "d.jpg"}, folder))
    assert snapshot(folder) == before


@pytest.mark.parametrize("broken", ["set_capture_time", "restore_segment", "both"])
def test_a_stamp_that_this_version_would_write_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """An interrupted undo needs the stamped content again; if it cannot be had, the undo is finished."""
    from imgorder.media import exif

    folder = prepared(tmp_path, "undo stamp")
    stamped = snapshot(folder)
    with killed(Kill(until=lambda: any_changed(folder, stamped))):
        act(folder, "undo")
    dead = snapshot(folder)
    if broken in ("set_capture_time", "both"):
        monkeypatch.setattr(exif, "set_capture_time", lambda data, time, digits: (data + b"otherwise", b""))
    if broken in ("restore_segment", "both"):
        monkeypatch.setattr(exif, "restore_segment", lambda data, segment: data)
    if broken == "both":
        with pytest.raises(ProblemsError, match="can be neither taken back nor finished; nothing was changed"):
            recover(folder)
        assert snapshot(folder) == dead
        return
    (recovery,) = recover(folder)
    if broken == "restore_segment":
        assert recovery.status == journal.BACK
        assert snapshot(folder) == stamped
    else:
        assert recovery.status == journal.DONE
        assert without_journals(snapshot(folder)) == snapshot(jpegs(tmp_path / "original"))
        assert [each.state for each in list_runs(journal.read_history(folder))] == ["undone", "done"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda lines: [], "it is empty"),
        (lambda lines: ["{}{", *lines[1:-1]], "its first line cannot be read"),
        (lambda lines: ["[" * 100_000 + "\n"], "its first line cannot be read"),
        (lambda lines: lines[:-2], "a.jpg is not as before the run"),
        (lambda lines: [lines[0], "cut\n", *lines[2:-2]], "lines are missing"),
        (lambda lines: [lines[0], lines[1].replace('"a.jpg"', '"\\ud800"'), *lines[2:]], "old is not a file name"),
        (lambda lines: [lines[0], lines[1].replace('"a.jpg"', f'"{"x" * 256}"'), *lines[2:]], "old is not a file name"),
    ],
)
def test_a_journal_without_its_end_is_not_taken_for_one_of_a_run_that_did_nothing(
    tmp_path: Path, spoil: Any, reason: str
) -> None:
    folder = tangled(tmp_path / "photos")
    apply_plan(plan_of(folder, TANGLED))
    (file,) = folder.glob("*.jsonl")
    file.write_text("".join(spoil([line for line in file.read_text().splitlines(keepends=True) if line.strip()])))
    before = snapshot(folder)
    for command in (recover, undo, journal.read_history, journal.refuse_unfinished):
        with pytest.raises(ImgorderError, match=r"this journal is damaged .*then move it elsewhere") as told:
            command(folder)
        assert reason in str(told.value)
        assert "\n" not in str(told.value)
    assert snapshot(folder) == before


@pytest.mark.parametrize("lines", [2, 3, 8])
def test_a_cut_journal_of_a_run_that_did_nothing_is_removed(tmp_path: Path, lines: int) -> None:
    folder, before = dead_at(tmp_path, 0)
    (file,) = folder.glob("*.jsonl")
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:lines]) + whole[lines][:9])
    (recovery,) = recover(folder)
    assert recovery.status == journal.UNBEGUN
    assert snapshot(folder) == before


def test_hidden_files_without_a_journal_are_told(tmp_path: Path) -> None:
    folder, _ = dead_at(tmp_path, HIDDEN)
    (file,) = folder.glob("*.jsonl")
    kept = file.read_bytes()
    file.unlink()
    told = "-000000 and 6 more: hidden files of an interrupted run without its journal"
    for arguments in (("undo", folder, "--recover"), ("undo", folder), ("rename", folder), ("stamp", folder, *START)):
        (line,) = cli.refused(folder, *arguments)
        assert told in line
    listed = cli.command("undo", folder, "--list")
    assert (listed.exit_code, listed.stdout) == (0, "no runs here\n")
    assert told in listed.stderr
    file.write_bytes(kept)
    recover(folder)


def test_a_photo_and_its_companion_stay_together_in_a_recovery(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {name: name.encode() for name in ("a.jpg", "a.xmp", "b.jpg", "b.xmp")})
    before = snapshot(folder)
    plan = grouped(folder, {"a.jpg": "1.jpg", "a.xmp": "1.xmp", "b.jpg": "2.jpg", "b.xmp": "2.xmp"})
    with killed(Kill(until=reached(folder, 4, 4))):  # all have their new names
        apply_plan(plan)
    (folder / "1.jpg").write_bytes(b"edited")
    result = cli.command("undo", folder, "--recover")
    assert result.exit_code == 1
    assert "taken back, except for 2 files" in result.stdout
    assert "1.xmp (a.xmp otherwise): kept with the file it belongs to" in result.stderr
    after = without_journals(snapshot(folder))
    assert sorted(after) == ["1.jpg", "1.xmp", "b.jpg", "b.xmp"]
    assert after["1.xmp"] == before["a.xmp"]
    assert "taken back, except for 2 files" in cli.done("undo", folder, "--list")
    assert "nothing to undo" in cli.refused(folder, "undo", folder)[0]
    assert "nothing to recover" in cli.done("undo", folder, "--recover")


def test_a_companion_goes_back_where_another_file_needs_its_new_name(tmp_path: Path) -> None:
    """Kept beside its edited photo, it would stand in the way of the file that had this name before."""
    folder = fill(tmp_path / "photos", {name: name.encode() for name in ("a.jpg", "a.xmp", "b.jpg", "1.xmp")})
    before = snapshot(folder)
    names = {"a.jpg": "1.jpg", "a.xmp": "1.xmp", "b.jpg": "2.jpg", "1.xmp": "2.xmp"}
    with killed(Kill(until=lambda: (folder / "2.xmp").exists())):
        apply_plan(grouped(folder, names))
    (folder / "1.jpg").write_bytes(b"edited")
    (recovery,) = recover(folder)
    assert [line.split(" ")[0] for line in recovery.left_alone] == ["1.jpg"]
    after = without_journals(snapshot(folder))
    assert after.pop("1.jpg")[0] == b"edited"
    assert after == {name: value for name, value in before.items() if name != "a.jpg"}


class Editor(Kill):
    """Another program, which saves a photo anew under its name: it writes a new file and renames it over that.

    Args:
        file: the photo.
        at: just before this call, counted from 1; 0 for never.
    """

    def __init__(self, file: Path, at: int) -> None:
        super().__init__()
        self.file = file
        self.at = at
        self._open, self._rename = os.open, os.rename

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                self.save()
            return real(*arguments, **named)

        return call

    def save(self) -> None:
        draft = str(self.file.with_name("draft"))
        os.close(self._open(draft, os.O_CREAT | os.O_WRONLY))
        with open(draft, "wb") as file:
            file.write(EDITED)
        self._rename(draft, self.file)


EDITED = b"edited, the only copy"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ["rename", "undo rename", "recover"])
def test_what_an_editor_saves_at_any_call_is_kept(tmp_path: Path, action: str, way: str) -> None:
    """Under an old name, a new one, or one that is both; nobody's file is removed or replaced, and none is lost."""
    names = ["d.jpg" if action == "rename" else "f.jpg", "a.jpg"]  # an old name, and one that is a new one too
    for name in names[:1] if way == "checked" else names:  # there, what appears under a new name may be replaced
        at, saved = 0, True
        while saved:
            at += 1
            if action == "recover":
                emptied(tmp_path)
                folder, before = dead_at(tmp_path, HIDDEN, HIDDEN)
            else:
                folder = prepared(emptied(tmp_path), action)
                before = snapshot(folder)
            originals = contents(before)
            with killed(Editor(folder / name, at), way) as editor:
                told = None
                try:
                    act(folder, action.split()[0])
                except ImgorderError as error:
                    told = str(error)
            saved = editor.calls >= at
            for _ in range(2):
                left = contents(snapshot(folder))
                assert not saved or EDITED in left, (name, at, told)
                assert len(originals - left) <= 1, (name, at, told)  # the editor may have replaced one itself
                with suppress(ImgorderError):
                    recover(folder)
            assert saved or told is None


def test_what_is_saved_over_a_copy_is_not_removed_with_the_other_copies(tmp_path: Path) -> None:
    at, kept = 0, False
    while True:
        at += 1
        folder = prepared(emptied(tmp_path), "rename")
        target = tmp_path / f"copies{at}"
        editor = Editor(target / "e.jpg", 0)

        def sync(folder: Folder, editor: Editor = editor, at: int = at) -> None:
            if (folder.path / "e.jpg").exists():  # all copies have their names
                editor.at = editor.calls + at
                refusing(errno.EIO)(folder.path)

        with killed(editor), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Folder, "sync", sync)
            with pytest.raises(ImgorderError, match="nothing was copied"):
                apply_plan(plan_of(folder, TANGLED, target))
        if editor.calls < editor.at:
            break
        left = snapshot(target)
        kept |= sorted(left) == ["e.jpg"]
        assert [content for content, _ in left.values()] == [EDITED], (at, left)
    assert kept
    assert not target.exists()


@pytest.mark.parametrize("way", WAYS)
def test_copies_are_removed_whichever_step_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    folder = prepared(tmp_path, "rename")
    at = 0
    while True:
        at += 1
        target = tmp_path / f"copies{at}"
        counter = iter(range(1, 1000))

        def failing_once(real: Any, counter: Iterator[int] = counter, at: int = at) -> Any:
            return lambda *given, **named: (refusing(errno.EACCES) if next(counter) == at else real)(*given, **named)

        with killed(Kill(0), way), monkeypatch.context() as patch:
            patch.setattr(
                exclusive, "renameat2", failing_once(exclusive.renameat2) if way == "renameat2" else refusing(38)
            )
            for name in () if way == "renameat2" else ("rename", "unlink", *(["link"] if way == "link" else [])):
                patch.setattr(os, name, failing_once(getattr(os, name)))
            told = ""
            try:
                apply_plan(plan_of(folder, TANGLED, target))
            except ImgorderError as error:
                told = str(error)
        if told:
            assert "nothing was copied" in told
            assert not target.exists()
            continue
        assert {*os.listdir(target)} == {*TANGLED.values()}  # a link that is not granted is no error
        if next(counter) <= at:  # none has failed
            break
    assert at > len(TANGLED)


def inode_by_name(real: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    """A status as some FUSE file systems give it: each name, and each spelling of one, has an inode of its own."""

    def status(path: Any, **named: Any) -> os.stat_result:
        found = real(path, **named)
        if isinstance(path, int):
            return found
        fields = list(found)
        fields[1] = found.st_ino + zlib.crc32(os.path.basename(os.fsencode(path)))
        return os.stat_result(fields, {"st_mtime_ns": found.st_mtime_ns, "st_atime_ns": found.st_atime_ns})

    return status


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_renamed_where_each_name_has_another_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    folder = tangled(tmp_path / "photos")
    before = snapshot(folder)
    monkeypatch.setattr(os, "lstat", inode_by_name(os.lstat))
    with killed(Kill(0), way):
        apply_plan(plan_of(folder, TANGLED))
        assert without_journals(snapshot(folder)).keys() == before.keys() - TANGLED.keys() | {*TANGLED.values()}
        undo(folder)
    assert without_journals(snapshot(folder)) == before


@pytest.mark.parametrize("code", [0, errno.ENOTSUP])
def test_macos_renames_in_one_call_where_its_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Simulated: Linux's call answers in the place of macOS's."""
    real, linked = exclusive.renameat2, []

    def renamex_np(source: bytes, target: bytes, flags: int) -> int:
        assert flags == 4  # RENAME_EXCL
        try:
            if code:
                refusing(code)(source)
            real(os.fsdecode(source), os.fsdecode(target))
        except OSError as error:
            ctypes.set_errno(error.errno or 0)
            return -1
        return 0

    link = os.link
    fill(tmp_path, {"a": b"one", "b": b"two"})
    real(str(tmp_path / "a"), str(tmp_path / "a0"))  # its function is looked for while the system is still Linux
    exclusive._find_renamex_np.cache_clear()
    monkeypatch.setattr(exclusive, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(ctypes, "CDLL", lambda *arguments, **named: SimpleNamespace(renamex_np=renamex_np))
    monkeypatch.setattr(exclusive, "renameat2", refusing(errno.ENOSYS))
    monkeypatch.setattr(os, "link", lambda *arguments, **named: (linked.append(arguments), link(*arguments, **named)))
    with pytest.raises(FileExistsError):
        exclusive.rename_exclusive(str(tmp_path / "a0"), str(tmp_path / "b"))
    exclusive.rename_exclusive(str(tmp_path / "a0"), str(tmp_path / "c"))
    exclusive._find_renamex_np.cache_clear()
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {"b": b"two", "c": b"one"}
    assert bool(linked) == bool(code)


@pytest.mark.parametrize("at", [1, 4, 9])
@pytest.mark.parametrize("another", [False, True])
def test_a_folder_that_is_moved_meanwhile_is_named_and_recovered_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, another: bool
) -> None:
    folder = tangled(tmp_path / "photos")
    before = snapshot(folder)
    others = tangled(tmp_path / "others") if another else fill(tmp_path / "others", {})
    expected = snapshot(others)
    calls, real = iter(range(1000)), exclusive.renameat2

    def moving(source: str, target: str) -> None:
        if next(calls) == at:
            folder.rename(tmp_path / "moved")
            others.rename(folder)
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        real(source, target)

    monkeypatch.setattr(exclusive, "renameat2", moving)
    with pytest.raises(ImgorderError, match="photos: this folder was moved or replaced while it was being changed"):
        apply_plan(plan_of(folder, TANGLED))
    assert snapshot(folder) == expected  # nothing in the other folder was touched
    assert "taken back; the folder is as it was before" in cli.done("undo", tmp_path / "moved", "--recover")
    assert snapshot(tmp_path / "moved") == before


def test_nothing_is_renamed_in_a_folder_that_took_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, others = tangled(tmp_path / "photos"), tangled(tmp_path / "others")
    expected = snapshot(others)
    real = Folder.sync

    def moving(self: Folder) -> None:
        real(self)
        if (tmp_path / "others").exists():
            folder.rename(tmp_path / "moved")
            others.rename(folder)

    monkeypatch.setattr(Folder, "sync", moving)
    with pytest.raises(ImgorderError, match="moved or replaced"):
        apply_plan(plan_of(folder, TANGLED))
    assert snapshot(folder) == expected


def test_copies_into_a_folder_that_is_moved_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, target = tangled(tmp_path / "photos"), fill(tmp_path / "copies", {})
    before = snapshot(folder)
    real = Folder.sync

    def moving(self: Folder) -> None:
        real(self)
        target.rename(tmp_path / "moved")

    monkeypatch.setattr(Folder, "sync", moving)
    with pytest.raises(ImgorderError, match="copies: this folder was moved or replaced while photos were copied"):
        apply_plan(plan_of(folder, TANGLED, target))
    assert snapshot(folder) == before


@pytest.mark.parametrize("way", WAYS)
def test_only_the_case_changes_where_each_spelling_has_another_inode(
    where_case_does_not_count: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """As exFAT through FUSE; simulated."""
    folder = where_case_does_not_count
    before = snapshot(folder)
    monkeypatch.setattr(os, "lstat", inode_by_name(os.lstat))
    with killed(Kill(0), way):
        apply_plan(plan_of(folder, {"a.JPG": "a.jpg", "b.JPG": "C.jpg", "c.jpg": "b.jpg"}))
        assert sorted(without_journals(snapshot(folder))) == ["C.jpg", "a.jpg", "b.jpg"]
        undo(folder)
    assert without_journals(snapshot(folder)) == before
    with pytest.raises(ProblemsError, match=r"A\.jpg: is there already"):  # of a file that stays
        apply_plan(plan_of(folder, {"c.jpg": "A.jpg"}))
