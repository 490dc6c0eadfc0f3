"""`imgorder undo`: several levels, single runs, what is refused and why; and any sequence of it all."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imgorder.changes import exclusive, journal
from imgorder.changes.apply import apply_plan
from imgorder.changes.check import find_problems
from imgorder.changes.folder import Folder
from imgorder.changes.undo import list_runs, recover, undo
from imgorder.errors import ImgorderError, ProblemsError
from imgorder.names import show, undo_command
from tests import killing
from tests.conftest import APPLY, EXAMPLE, is_one_error
from tests.killing import Kill, killed, reached
from tests.renaming import (
    START,
    STEP,
    command,
    done,
    fill,
    grouped,
    jpeg,
    jpegs,
    names_each,
    ordered,
    plan_of,
    refused,
    shoot,
    snapshot,
    stamp_plan,
    without_journals,
    write_order,
)

NAMES = ["c.jpg", "a.jpg", "b.jpg"]


def renamed(folder: Path, names: dict[str, str]) -> str:
    """Carry out a rename; gives the run's id."""
    (run,) = apply_plan(plan_of(folder, names))
    return run.id


def states(folder: Path) -> list[str]:
    return [each.state for each in list_runs(journal.read_history(folder))]


def test_several_levels(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    levels = [snapshot(folder)]
    for names in ({"a": "b", "b": "a"}, {"a": "c"}, {"b": "a", "c": "b"}):
        renamed(folder, names)
        levels.append(without_journals(snapshot(folder)))
    for level in levels[-2::-1]:
        assert " taken back" in done("undo", folder)
        assert without_journals(snapshot(folder)) == level
    assert states(folder) == ["undone"] * 3 + ["done"] * 3
    (line,) = refused(folder, "undo", folder)
    assert "nothing to undo in this folder" in line


def test_a_rename_after_an_undo_is_what_the_next_undo_takes_back(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    renamed(folder, {"a": "b"})
    undo(folder)
    second = renamed(folder, {"a": "c"})
    assert undo(folder).id == second
    with pytest.raises(ImgorderError, match="nothing to undo"):
        undo(folder)


def test_a_certain_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    first = renamed(folder, {"a": "x"})
    second = renamed(folder, {"b": "y"})
    monkeypatch.chdir(folder)
    assert "1 of 1 file of" in done("undo", first)  # a run's id alone means the current folder
    assert sorted(without_journals(snapshot(folder))) == ["a", "y"]
    assert f"{first} is undone already" in refused(folder, "undo", folder, first)[0]
    assert "no run nonsense here" in refused(folder, "undo", folder, "nonsense")[0]
    (undoing,) = {each.run.id for each in list_runs(journal.read_history(folder))} - {first, second}
    assert f"{undoing} is an undo itself" in refused(folder, "undo", folder, undoing)[0]
    done("undo")
    assert sorted(without_journals(snapshot(folder))) == ["a", "b"]


def test_the_list(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    assert done("undo", folder, "--list") == "no runs here\n"
    done("rename", "--order", order, *APPLY)
    done("undo", folder)
    done("rename", "--order", order, *APPLY)
    with killed(Kill(until=reached(folder, 2))):
        command("undo", folder)
    before = snapshot(folder)
    lines = done("undo", folder, "--list").splitlines()
    assert snapshot(folder) == before
    shape = r"\d{8}-\d{6}-[0-9a-f]{6}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "
    expected = [
        "rename: 3 files, undone",
        "undo of .*: 3 files, done",
        "rename: 3 files, done",
        "undo of .*interrupted",
    ]
    for line, what in zip(lines, expected, strict=True):
        assert re.fullmatch(shape + what, line), line
    assert command("undo", folder, "--list", "--recover").exit_code == 2
    assert command("undo", folder, "x", "--recover").exit_code == 2


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for options in ((), ("--list",), ("--recover",)):
        result = command("undo", tmp_path / "none", *options)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_what_changed_since_is_refused_file_by_file(tmp_path: Path) -> None:
    names = ["edited", "touched", "replaced", "gone", "taken", "fine"]
    folder = fill(tmp_path / "photos", {name: name.encode() for name in names})
    renamed(folder, {name: f"new {name}" for name in names})
    (folder / "new edited").write_bytes(b"another content")
    os.utime(folder / "new touched")
    status = (folder / "new replaced").stat()
    (folder / "other").write_bytes(b"replaced")
    os.utime(folder / "other", ns=(0, status.st_mtime_ns))
    os.replace(folder / "other", folder / "new replaced")
    (folder / "new gone").unlink()
    (folder / "taken").write_bytes(b"somebody else's")
    result = command("undo", folder)
    assert result.exit_code == 1
    assert "1 of 6 files" in result.stdout
    reasons = [
        ("new edited", "changed since"),
        ("new touched", "changed since"),
        ("new replaced", "another file by now"),
        ("new gone", "gone since"),
        ("new taken", "move that file elsewhere"),
    ]
    names_each(result.stderr.splitlines(), reasons)
    assert (folder / "taken").read_bytes() == b"somebody else's"
    assert sorted(without_journals(snapshot(folder))) == [
        "fine",
        "new edited",
        "new replaced",
        "new taken",
        "new touched",
        "taken",
    ]
    assert "5 not undone yet" in done("undo", folder, "--list")
    (folder / "taken").unlink()
    again = command("undo", folder)  # what was in the way is gone: one more goes back
    assert "1 of 5 files" in again.stdout
    assert (folder / "taken").read_bytes() == b"taken"


def test_a_file_that_has_to_stay_keeps_others_from_their_names(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {name: name.encode() for name in "abcxy"})
    renamed(folder, {"a": "b", "b": "c", "c": "d", "x": "y", "y": "x"})
    (folder / "b").write_bytes(b"edited")  # a's file: it stays, so b's stays in c, so c's stays in d
    before = snapshot(folder)
    result = command("undo", folder)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    assert "2 of 5 files" in result.stdout
    after = snapshot(folder)
    assert {name: after[name] for name in "bcd"} == {name: before[name] for name in "bcd"}
    assert {name: after[name] for name in "xy"} == {"x": before["y"], "y": before["x"]}


def test_if_all_is_refused_nothing_is_written(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    renamed(folder, {"a": "b"})
    os.utime(folder / "b")
    before = snapshot(folder)
    result = command("undo", folder)
    assert (result.exit_code, snapshot(folder)) == (1, before)


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    renamed(folder, {"a": "b"})
    (folder / "b").chmod(0o444)
    assert "b: read-only; make it writable" in command("undo", folder).stderr


def test_a_folder_that_was_moved_or_copied_can_still_be_undone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    before = snapshot(folder)
    renamed(folder, {"a": "b", "b": "a"})
    shutil.copytree(folder, tmp_path / "copy")  # other inodes, same times
    folder.rename(tmp_path / "moved")
    for each in ("moved", "copy"):
        undo(tmp_path / each)
        assert without_journals(snapshot(tmp_path / each)) == before


def test_renames_are_undone_through_a_stamp_and_its_undo(tmp_path: Path) -> None:
    """A stamp writes files anew: by that alone they are not others."""
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    renamed(folder, {"0.jpg": "1.jpg", "1.jpg": "0.jpg"})
    from imgorder.changes.stamp import apply_stamps

    for _ in range(2):
        apply_stamps(stamp_plan(folder))
        undo(folder)
    undo(folder)
    assert without_journals(snapshot(folder)) == before


def stamped(folder: Path, names: Sequence[str], *, hours: int = 0) -> str:
    """Carry out a stamp; gives the run's id."""
    from imgorder.changes.stamp import apply_stamps, make_stamps

    plan = make_stamps([ordered(folder, [*names])], START + timedelta(hours=hours), STEP, overwrite=True)
    run = apply_stamps(plan)
    assert run is not None
    return run.id


SWAPPED = {"0.jpg": "1.jpg", "1.jpg": "0.jpg", "2.jpg": "3.jpg"}


def test_an_undo_that_a_later_run_prevents_names_that_run(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    first = renamed(folder, {"0.jpg": "a.jpg", "1.jpg": "b.jpg", "2.jpg": "c.jpg"})
    second = renamed(folder, {"a.jpg": "b.jpg", "b.jpg": "a.jpg"})
    third = renamed(folder, {"a.jpg": "x.jpg"})
    stamp = stamped(folder, ["c.jpg"])
    refusals = _refusals(folder, first)
    cures = {"a.jpg": second, "b.jpg": third, "c.jpg": stamp}
    assert {name: line.split(" first: ")[1] for name, line in refusals.items()} == {
        name: undo_command(folder, run) for name, run in cures.items()
    }
    assert "renamed to x.jpg since; 1.jpg is not given back" in refusals["b.jpg"]
    for run in (stamp, third, second, first):
        undo(folder, run)
    assert without_journals(snapshot(folder)) == before


def test_an_old_name_that_a_later_run_gave_away_names_that_run(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    before = snapshot(folder)
    first, second = renamed(folder, {"a": "x"}), renamed(folder, {"b": "a"})
    (line,) = command("undo", folder, first).stderr.splitlines()
    assert "its old name a is taken; move that file elsewhere first, or undo the later rename (" in line
    assert line.endswith(f" first: {undo_command(folder, second)}")
    undo(folder, second)
    (folder / "a").write_bytes(b"somebody else's")
    assert command("undo", folder, first).stderr.endswith("move that file elsewhere first\n")
    (folder / "a").unlink()
    undo(folder, first)
    assert without_journals(snapshot(folder)) == before


def _refusals(folder: Path, run: str) -> dict[str, str]:
    """The lines of an undo that is refused for all files, by file."""
    before = snapshot(folder)
    result = command("undo", folder, run)
    assert (result.exit_code, ": 0 of 3 files" in result.stdout, snapshot(folder)) == (1, True, before)
    return {line.split("photos/", 1)[1].partition(": ")[0]: line for line in result.stderr.splitlines()}


def test_a_stamp_goes_back_under_the_names_that_later_runs_gave(tmp_path: Path) -> None:
    """Through a swap and a chain, whose content goes on to be told apart by the journals."""
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    stamp = stamped(folder, ["0.jpg", "1.jpg", "2.jpg"])
    renames = [renamed(folder, SWAPPED), renamed(folder, {"3.jpg": "4.jpg", "0.jpg": "9.jpg"})]
    assert len(undo(folder, stamp).changes) == 3
    assert states(folder) == ["undone", "done", "done", "done"]
    assert contents_of(folder) == {
        {"0.jpg": "1.jpg", "1.jpg": "9.jpg", "2.jpg": "4.jpg"}.get(name, name): content
        for name, (content, _) in before.items()
    }
    with pytest.raises(ImgorderError, match="is undone already"):
        undo(folder, stamp)
    for run in renames[::-1]:  # the undo of the stamp is no change that keeps a file from its old name
        assert undo(folder).id == run
    assert without_journals(snapshot(folder)) == before


def test_a_rename_that_is_undone_before_a_later_stamp_is_no_dead_end(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    rename = renamed(folder, SWAPPED)
    stamp = stamped(folder, ["0.jpg", "1.jpg", "3.jpg"])
    undo(folder, rename, names_only=True)
    assert undo(folder).id == stamp
    assert without_journals(snapshot(folder)) == before
    assert states(folder) == ["undone", "undone", "done", "done"]


def test_parts_of_a_stamp_go_back_under_different_names(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = contents_of(folder)
    stamp = stamped(folder, ["0.jpg", "1.jpg", "2.jpg"])
    then = contents_of(folder)
    renamed(folder, SWAPPED)
    (folder / "1.jpg").write_bytes(b"edited")
    result = command("undo", folder, stamp)
    assert "2 of 3 files" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "1.jpg: changed since; its old time is not given back" in result.stderr
    assert "1 not undone yet" in done("undo", folder, "--list")
    now = contents_of(folder)
    assert [now[name] for name in ("0.jpg", "1.jpg", "3.jpg")] == [before["1.jpg"], b"edited", before["2.jpg"]]
    (folder / "1.jpg").write_bytes(then["0.jpg"])
    renamed(folder, {"1.jpg": "a.jpg"})
    assert len(undo(folder, stamp).changes) == 1
    assert contents_of(folder)["a.jpg"] == before["0.jpg"]
    assert states(folder)[0] == "undone"


def test_a_stamped_file_that_somebody_moved_back_is_found(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = contents_of(folder)
    stamp = stamped(folder, ["0.jpg", "1.jpg", "2.jpg"])
    renamed(folder, SWAPPED)
    for old, new in (("0.jpg", "x"), ("1.jpg", "0.jpg"), ("x", "1.jpg"), ("3.jpg", "2.jpg")):
        (folder / old).rename(folder / new)
    undo(folder, stamp)
    assert contents_of(folder) == before


def test_a_later_stamp_is_undone_first_also_after_a_rename(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    names = ["0.jpg", "1.jpg", "2.jpg"]
    first, second = stamped(folder, names), stamped(folder, names, hours=1)
    renamed(folder, SWAPPED)
    refusals = _refusals(folder, first)
    assert sorted(refusals) == ["0.jpg", "1.jpg", "3.jpg"]
    assert all(line.endswith(f" first: {undo_command(folder, second)}") for line in refusals.values())
    undo(folder, second)
    undo(folder, first)
    assert states(folder)[:3] == ["undone", "undone", "done"]


@pytest.mark.parametrize("at", range(0, 24, 3))
def test_an_undo_under_later_names_that_is_interrupted_is_recovered(tmp_path: Path, at: int) -> None:
    folder = jpegs(tmp_path / "photos")
    stamp = stamped(folder, ["0.jpg", "1.jpg", "2.jpg"])
    renamed(folder, SWAPPED)
    before = contents_of(folder)
    with killed(Kill(at)):
        undo(folder, stamp)
    recover(folder)
    if states(folder)[0] != "undone":
        assert contents_of(folder) == before
        undo(folder, stamp)
    assert states(folder)[0] == "undone"
    assert contents_of(folder)["1.jpg"] == jpeg(0)
    assert contents_of(folder)["3.jpg"] == jpeg(2)


def test_clocks_that_go_back_do_not_confuse_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    ids = iter(["20300101-000000-aaaaaa", "20200101-000000-bbbbbb", "20250101-000000-cccccc"])
    monkeypatch.setattr(journal, "new_run_id", lambda: next(ids))
    renamed(folder, {"a": "b"})
    renamed(folder, {"b": "c"})
    assert undo(folder).id == "20200101-000000-bbbbbb"


def test_an_interrupted_rename_stops_rename_stamp_and_undo_but_not_sort(photos: Path) -> None:
    before = snapshot(photos)
    with killed(Kill(until=reached(photos, 1))):
        command("rename", photos, *APPLY)
    assert snapshot(photos) != before
    some = [file for file in photos.iterdir() if file.suffix == ".jpg"]
    commands: list[tuple[str | Path, ...]] = [
        ("rename", photos),
        ("rename", photos, *APPLY),
        ("rename", *some, *APPLY),
        ("rename", photos, "--copy-to", photos.parent / "out", *APPLY),
        ("stamp", photos, "--start", str(START)),
        ("undo", photos),
    ]
    for arguments in commands:
        (line,) = refused(photos, *arguments)
        assert re.search(r"photos: a rename \(.*\) was interrupted here; first run: imgorder undo .* --recover$", line)
    shown = command("sort", photos, "--json")
    assert shown.exit_code == 0
    assert set(json.loads(shown.stdout)) == {"version", "sets", "problems"}
    warning = r"imgorder: warning: .*photos: a rename \(.*\) is under way or was interrupted here; .* --recover"
    assert re.fullmatch(warning, shown.stderr.splitlines()[0])
    for photo in [file for file in photos.iterdir() if file.suffix == ".jpg"]:
        photo.rename(photos.parent / photo.name)
    shown = command("sort", photos, "--json")
    assert shown.exit_code == 1  # no photos are left
    assert re.fullmatch(warning, shown.stderr.splitlines()[0])
    for photo in [file for file in photos.parent.iterdir() if file.suffix == ".jpg"]:
        photo.rename(photos / photo.name)
    assert "taken back; the folder is as it was before" in done("undo", photos, "--recover")
    assert snapshot(photos) == before
    assert "nothing to recover" in done("undo", photos, "--recover")


CONTENTS = st.binary(max_size=3)
FILE_NAMES = st.sampled_from(["a", "b", "c", "d", "D", "e\n", "é", "e\u0301", os.fsdecode(b"\xff")])


def named_in_the_way(folder: Path, error: ProblemsError) -> list[str]:
    """The files that a refused recovery wants moved elsewhere."""
    cure = re.search(r"neither .* nor finished; nothing was changed\. move (.+) elsewhere and try again,", str(error))
    assert cure is not None, error
    names = [name for name in os.listdir(folder) if show(name) in cure[1].split(", ")]
    assert len(names) == len(cure[1].split(", "))
    return names


class AnyOrder(RuleBasedStateMachine):
    """Renames, undos, deaths and recoveries in any order: no content is ever lost, doubled or changed."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.folder = fill(self.home / "photos", {})
        self.elsewhere = fill(self.home / "elsewhere", {})
        self.expected: list[bytes] = []

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    def names(self) -> list[str]:
        return sorted(without_journals(snapshot(self.folder)))

    @rule(name=FILE_NAMES, content=CONTENTS)
    def somebody_adds_a_file(self, name: str, content: bytes) -> None:
        if not os.path.lexists(self.folder / name):
            (self.folder / name).write_bytes(content)
            self.expected.append(content)

    @rule(data=st.data(), at=st.integers(0, 40), way=st.sampled_from(["renameat2", "link", "checked"]))
    def rename(self, data: st.DataObject, at: int, way: str) -> None:
        visible = [name for name in self.names() if not name.startswith(".imgorder")]
        targets = data.draw(st.lists(FILE_NAMES, min_size=len(visible), max_size=len(visible), unique=True))
        plan = plan_of(self.folder, dict(zip(visible, targets, strict=True)))
        if not visible or find_problems(plan):
            return
        with killed(Kill(at, data.draw(st.sampled_from(killing.WHEN))), way):
            try:
                apply_plan(plan)
            except ImgorderError as error:
                assert "was interrupted here" in str(error)  # noqa: PT017 - any other error is a failure

    @rule(at=st.integers(0, 40), when=st.sampled_from(killing.WHEN))
    def undo(self, at: int, when: str) -> None:
        with killed(Kill(at, when)):
            try:
                undo(self.folder)
            except ImgorderError as error:
                assert re.search("was interrupted here|nothing to undo", str(error))  # noqa: PT017

    @rule(at=st.integers(0, 30), when=st.sampled_from(killing.WHEN))
    def recover(self, at: int, when: str) -> None:
        before = snapshot(self.folder)
        in_the_way: list[str] = []
        with killed(Kill(at, when)):
            try:
                recover(self.folder)
            except ProblemsError as error:  # somebody's file has a name that is needed either way
                assert snapshot(self.folder) == before
                in_the_way = named_in_the_way(self.folder, error)
        if in_the_way:
            for name in in_the_way:
                (self.folder / name).rename(self.elsewhere / str(len(os.listdir(self.elsewhere))))
            recover(self.folder)
            assert not journal.read_history(self.folder).unfinished

    @precondition(lambda self: not journal.read_history(self.folder).unfinished)
    @rule()
    def no_hidden_names_are_left(self) -> None:
        assert not [name for name in self.names() if name.startswith(".imgorder")]

    @invariant()
    def nothing_is_lost(self) -> None:
        files = {}
        for path in [*map(self.folder.joinpath, self.names()), *self.elsewhere.iterdir()]:
            files[path.lstat().st_ino] = path.read_bytes()
        assert sorted(files.values()) == sorted(self.expected)


AnyOrder.TestCase.settings = settings(
    max_examples=150, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_order = AnyOrder.TestCase


def test_a_recovery_that_can_go_neither_way_says_what_has_to_be_moved(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"d": b"", "a": b"", "c": b""})
    before = without_journals(snapshot(folder))
    renamed(folder, {"a": "a", "c": "b", "d": "c"})
    after = without_journals(snapshot(folder))
    with killed(Kill(until=reached(folder, 2))):
        undo(folder)
    assert not {"b", "c", "d"} & set(os.listdir(folder))  # both have their hidden names
    (folder / "c").write_bytes(b"somebody else's")  # back, one of them needs this name; forward, the other does
    interrupted = snapshot(folder)
    with pytest.raises(ProblemsError) as refusal:
        recover(folder)
    assert snapshot(folder) == interrupted
    assert named_in_the_way(folder, refusal.value) == ["c"]
    (folder / "c").rename(tmp_path / "elsewhere")
    (recovery,) = recover(folder)
    assert (recovery.status, recovery.left_alone) == (journal.BACK, ())
    assert without_journals(snapshot(folder)) == after
    undo(folder)
    assert without_journals(snapshot(folder)) == before


def test_an_order_file_of_a_renamed_folder_is_stale(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, NAMES)
    done("rename", "--order", order, *APPLY)
    assert refused(folder, "rename", "--order", order)
    write_order(tmp_path, folder, ["001_c.jpg", "002_a.jpg", "003_b.jpg"])
    done("rename", "--order", order, "--template", "{index}{ext}", *APPLY)


def test_inodes_that_change_by_the_rename_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layered file system copies a file when it renames it."""
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    before = snapshot(folder)

    def copying(source: str, target: str) -> None:
        shutil.copy2(source, f"{target}.copy")
        os.unlink(source)
        os.rename(f"{target}.copy", target)

    monkeypatch.setattr(exclusive, "renameat2", copying)
    renamed(folder, {"a": "b", "b": "c"})
    undo(folder)
    assert without_journals(snapshot(folder)) == before


def test_companions_go_back_with_their_photo_or_not_at_all(tmp_path: Path) -> None:
    names = ["a.jpg", "a.xmp", "a.mov", "b.jpg", "b.xmp", "c.jpg"]
    folder = fill(tmp_path / "photos", {name: name.encode() for name in names})
    apply_plan(grouped(folder, {name: f"new {name}" for name in names}))
    (folder / "new a.xmp").write_bytes(b"edited")
    (folder / "b.jpg").write_bytes(b"in the way")
    result = command("undo", folder)
    assert result.exit_code == 1
    assert "1 of 6 files" in result.stdout
    reasons = [
        ("new a.xmp", "changed since"),
        ("new b.jpg", "move that file elsewhere"),
        ("new a.jpg", "stays with new a.xmp"),
        ("new a.mov", "stays with new a.xmp"),
        ("new b.xmp", "stays with new b.jpg"),
    ]
    names_each(result.stderr.splitlines(), reasons)
    (folder / "b.jpg").unlink()
    assert "2 of 5 files" in command("undo", folder).stdout


def test_journals_without_groups_are_read(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    before = snapshot(folder)
    renamed(folder, {"a": "b"})
    (file,) = folder.glob("*.jsonl")
    text = file.read_text()
    assert ', "group": "a"' in text
    file.write_text(text.replace(', "group": "a"', ""))
    undo(folder)
    assert without_journals(snapshot(folder)) == before


def test_a_file_that_cannot_be_looked_at_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = jpegs(tmp_path / "photos")
    from imgorder.changes.stamp import apply_stamps

    apply_stamps(stamp_plan(folder))
    real = Folder.read

    def failing(self: Folder, name: str) -> bytes:
        if name == "1.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", self.at(name))
        return real(self, name)

    monkeypatch.setattr(Folder, "read", failing)
    result = command("undo", folder)
    assert result.exit_code == 1
    assert "2 of 3 files" in result.stdout
    assert "1.jpg: cannot be looked at (Permission denied)" in result.stderr


def test_commands_to_paste_are_quoted(tmp_path: Path) -> None:
    folder = fill(tmp_path / "my photos; rm -rf '*'", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    order = write_order(tmp_path, folder, ["a.jpg", "b.jpg", "c.jpg"])
    shown = done("rename", "--order", order, *APPLY)
    told = re.search("taken back by: (.*)", shown)
    assert told is not None
    words = shlex.split(told[1])
    assert words[:3] == ["imgorder", "undo", str(folder)]
    done(*words[1:])
    assert undo_command(Path("-n"), "--list") == "imgorder undo ./-n --list"


def test_an_empty_folder_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    monkeypatch.chdir(folder)
    for arguments in (("undo", ""), ("undo", "", "--recover"), ("rename", ""), ("stamp", "", "--start", str(START))):
        result = command(*arguments)
        assert result.exit_code == 2, result.output
        assert "an empty name" in result.stderr


def test_an_order_file_that_is_older_than_a_rename_of_its_names(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["2.jpg", "3.jpg", "1.jpg"])
    again = ("rename", "--order", order, "--template", "{index}{ext}")
    done(*again, *APPLY)  # the same names, for other photos
    (line,) = refused(folder, *again)
    assert "2.jpg: a rename or undo has used this name since" in line
    assert line.endswith("sort again")
    done("undo", folder)
    done(*again)  # all is as it was
    done(*again, *APPLY)
    write_order(tmp_path, folder, ["2.jpg", "3.jpg", "1.jpg"])
    done("undo", folder)
    assert "2.jpg: a rename or undo" in refused(folder, *again)[0]


def test_an_order_file_is_stale_wherever_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = shoot(tmp_path, ["2.jpg", "3.jpg", "1.jpg"])
    record = json.loads(order.read_text())
    record["sets"][0]["folder"] = "."  # sorted in the folder itself
    order.write_text(json.dumps(record))
    monkeypatch.chdir(folder)
    again = ("rename", "--order", order, "--template", "{index}{ext}")
    done(*again, *APPLY)
    monkeypatch.chdir(tmp_path)
    (line,) = refused(folder, "rename", folder, *again[1:])
    assert "2.jpg: a rename or undo has used this name since" in line


def test_a_folder_that_cannot_be_brought_to_disk_is_left_to_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, order = shoot(tmp_path, NAMES)
    before = snapshot(folder)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    done("rename", "--order", order, *APPLY)
    done("undo", folder)
    done("rename", "--order", order, "--copy-to", tmp_path / "copies", *APPLY)
    assert without_journals(snapshot(folder)) == before


@pytest.mark.parametrize("kept", ["header", "half a record"])
def test_a_journal_without_its_records_is_damaged(tmp_path: Path, kept: str) -> None:
    folder, order = shoot(tmp_path, NAMES)
    done("rename", "--order", order, *APPLY)
    (file,) = folder.glob(".imgorder-*.jsonl")
    header, record, *_ = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(header if kept == "header" else header + record[:20])
    for arguments in (("undo", folder, "--recover"), ("undo", folder)):
        (line,) = refused(folder, *arguments)
        assert "damaged" in line


def test_a_signal_while_a_run_is_taken_back_says_that_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = shoot(tmp_path, NAMES)
    before = snapshot(folder)
    real = exclusive.renameat2

    def struck(source: str, target: str) -> None:
        name = os.path.basename(source)
        if name == NAMES[1]:
            raise KeyboardInterrupt
        if name.endswith("-000000"):  # on its way back
            raise SystemExit(143)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(exclusive, "renameat2", struck)
        with pytest.raises(ImgorderError, match=r"taking back what was done failed too .* --recover"):
            apply_plan(plan_of(folder, {name: f"new {name}" for name in NAMES}))
    recover(folder)
    assert snapshot(folder) == before


def test_hidden_photos_without_a_journal_are_told_by_what_only_reads(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(EXAMPLE, folder)
    (lost, *_) = sorted(folder.glob("*.jpg"))
    lost.rename(folder / ".imgorder-20240501-120000-4f0a1b-000000")
    result = command("sort", folder)
    assert result.exit_code == 0
    (line,) = (line for line in result.stderr.splitlines() if "hidden" in line)
    assert line.startswith("imgorder: warning: ")
    assert "20240501-120000-4f0a1b-000000: hidden files of an interrupted run without its journal" in line


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, order = shoot(tmp_path, NAMES)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    result = command("rename", "--order", order, "--copy-to", "copies")
    assert (result.exit_code, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "current folder", "change to one that is there")


# Folders that were copied to where times are coarser.

SECOND = 1_000_000_000


def copied(folder: Path, copy: Path, grain: int, *, rounded: bool = False) -> Path:
    """A copy of a folder as on a medium, or in an archive, that keeps times by the grain, in ns."""
    shutil.copytree(folder, copy, symlinks=True)
    for file in copy.iterdir():
        time = (file.lstat().st_mtime_ns + (grain - 1 if rounded else 0)) // grain * grain
        os.utime(file, ns=(0, time), follow_symlinks=False)
    return copy


GRAINS = [(100, False), (10_000_000, False), (SECOND, False), (2 * SECOND, False), (2 * SECOND, True)]


@pytest.mark.parametrize(("grain", "rounded"), GRAINS)
def test_what_was_copied_to_coarser_times_goes_back(tmp_path: Path, grain: int, rounded: bool) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b", "c": b"c"})
    before = snapshot(folder)
    renamed(folder, {"a": "b", "b": "c", "c": "a"})
    copy = copied(folder, tmp_path / "copy", grain, rounded=rounded)
    assert "3 of 3 files" in done("undo", copy)
    assert contents_of(copy) == {name: content for name, (content, _) in before.items()}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in without_journals(snapshot(folder)).items()}


def test_in_a_copy_a_photo_of_another_time_is_still_another(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {name: name.encode() for name in ("near", "far", "long", "fine")})
    renamed(folder, {name: f"new {name}" for name in ("near", "far", "long", "fine")})
    copy = copied(folder, tmp_path / "copy", SECOND)
    for name, seconds in (("near", 3), ("far", -3600)):
        time = (copy / f"new {name}").stat().st_mtime_ns + seconds * SECOND
        os.utime(copy / f"new {name}", ns=(0, time))
    time = (copy / "new long").stat().st_mtime_ns
    (copy / "new long").write_bytes(b"a longer one")
    os.utime(copy / "new long", ns=(0, time))
    result = command("undo", copy)
    assert "1 of 4 files" in result.stdout
    names_each(
        [line.replace("copy/", "photos/") for line in result.stderr.splitlines()],
        [(f"new {name}", "changed since") for name in ("near", "far", "long")],
    )


def test_where_the_journal_is_still_the_same_file_a_time_may_be_cut_but_not_rise(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a": b"a"})
    renamed(folder, {"a": "b"})
    time = (folder / "b").stat().st_mtime_ns
    for changed in (time + 1, time // SECOND * SECOND + SECOND, time - 1, time - SECOND):
        os.utime(folder / "b", ns=(0, changed))
        assert "b: changed since" in command("undo", folder).stderr
    os.utime(folder / "b", ns=(0, time // SECOND * SECOND))
    assert "1 of 1 file of" in done("undo", folder)


def test_a_time_that_is_cut_after_the_plan_was_made_is_no_change(tmp_path: Path) -> None:
    """The time of a new file on exFAT loses its decimals after a while."""
    folder = fill(tmp_path / "photos", {"a": b"a", "b": b"b"})
    plan = plan_of(folder, {"a": "b", "b": "a"})
    for name in "ab":
        os.utime(folder / name, ns=(0, (folder / name).stat().st_mtime_ns // SECOND * SECOND))
    apply_plan(plan)
    undo(folder)
    assert contents_of(folder) == {"a": b"a", "b": b"b"}
    os.utime(folder / "a", ns=(0, 5 * SECOND))
    with pytest.raises(ProblemsError, match="a: changed since the plan was made"):
        apply_plan(plan)


def test_the_content_alone_decides_whether_a_stamp_goes_back(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    before = contents_of(folder)
    from imgorder.changes.stamp import apply_stamps

    apply_stamps(stamp_plan(folder))
    copy = copied(folder, tmp_path / "copy", 2 * SECOND)
    os.utime(folder / "1.jpg", ns=(0, 5 * SECOND))  # touched, but not changed
    for each in (copy, folder):
        assert "3 of 3 files" in done("undo", each)
        assert contents_of(each) == before
    assert (folder / "1.jpg").stat().st_mtime_ns == 5 * SECOND


@pytest.mark.parametrize(("grain", "rounded"), GRAINS)
@pytest.mark.parametrize(("hidden", "new"), [(0, 0), (2, 0), (4, 0), (4, 2), (4, 4)])
def test_an_interrupted_run_is_recovered_in_a_copy_with_coarser_times(
    tmp_path: Path, hidden: int, new: int, grain: int, rounded: bool
) -> None:
    folder = fill(tmp_path / "photos", {name: name.encode() * size for size, name in enumerate("abcd", 1)})
    before = contents_of(folder)
    with killed(Kill(until=reached(folder, hidden, new))):
        apply_plan(plan_of(folder, {"a": "b", "b": "c", "c": "a", "d": "e"}))
    assert journal.read_history(folder).unfinished
    copy = copied(folder, tmp_path / "copy", grain, rounded=rounded)
    assert "taken back; the folder is as it was before" in done("undo", copy, "--recover")
    assert contents_of(copy) == before
    assert sorted(os.listdir(copy)) == sorted(before)


def test_in_a_copy_inodes_that_agree_by_chance_mean_nothing(tmp_path: Path) -> None:
    """Of two files of one size and time it cannot be told which is which; the numbers may belong to the other one."""
    folder = fill(tmp_path / "photos", {"a": b"one", "b": b"two"})
    for name in "ab":
        os.utime(folder / name, ns=(0, SECOND))
    with killed(Kill(until=reached(folder, 2, 2))):
        apply_plan(plan_of(folder, {"a": "b", "b": "a"}))
    (file,) = folder.glob("*.jsonl")
    file.write_text(re.sub(r'(?<="inode": )\d+(?=}\n\Z)', "1", file.read_text()))
    before = snapshot(folder)
    with pytest.raises(ProblemsError, match="it cannot be told which"):
        recover(folder)
    assert snapshot(folder) == before


def test_an_order_file_is_stale_in_a_copy_whose_journals_have_coarser_times(tmp_path: Path) -> None:
    folder, order = shoot(tmp_path, ["2.jpg", "3.jpg", "1.jpg"])
    again = ("rename", "--order", order, "--template", "{index}{ext}")
    os.utime(order, ns=(0, 1_700_000_000 * SECOND + 200))
    done(*again, *APPLY)
    (file,) = folder.glob("*.jsonl")
    os.utime(file, ns=(0, 1_700_000_000 * SECOND + 900))
    copy = copied(folder, tmp_path / "copy", SECOND)
    shutil.rmtree(folder)
    (line,) = refused(copy, "rename", copy, *again[1:])
    assert "2.jpg: a rename or undo has used this name since" in line


# Photos that other programs have changed.


def test_names_are_given_back_to_photos_that_were_changed_since_if_told(tmp_path: Path) -> None:
    names = ["tagged", "touched", "replaced", "gone", "taken", "fine"]
    folder = fill(tmp_path / "photos", {name: name.encode() for name in names})
    run = renamed(folder, {name: f"new {name}" for name in names})
    (folder / "new tagged").write_bytes(b"tagged, and longer")
    os.utime(folder / "new touched")
    (folder / "new replaced").rename(folder / "other")
    shutil.copy2(folder / "other", folder / "new replaced")
    (folder / "new gone").unlink()
    (folder / "taken").write_bytes(b"somebody else's")
    plain = command("undo", folder)
    for name in ("tagged", "touched", "replaced"):
        assert re.search(f"new {name}: .*; {name} is not given back without --names-only$", plain.stderr, re.MULTILINE)
    result = command("undo", folder, "--names-only")
    assert result.exit_code == 1
    assert "3 of 5 files" in result.stdout
    names_each(result.stderr.splitlines(), [("new gone", "gone since"), ("new taken", "move that file elsewhere")])
    assert (folder / "tagged").read_bytes() == b"tagged, and longer"
    assert (folder / "taken").read_bytes() == b"somebody else's"
    assert sorted(contents_of(folder)) == ["fine", "new taken", "other", "replaced", "tagged", "taken", "touched"]
    (folder / "taken").unlink()
    assert "1 of 2 files" in command("undo", folder, run, "--names-only").stdout


def test_companions_go_back_with_a_photo_that_was_changed_since_if_told(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "a.xmp": b"x", "b.jpg": b"b"})
    apply_plan(grouped(folder, {"a.jpg": "1.jpg", "a.xmp": "1.xmp", "b.jpg": "2.jpg"}))
    (folder / "1.jpg").write_bytes(b"tagged")
    assert "1 of 3 files" in command("undo", folder).stdout
    assert "2 of 2 files" in done("undo", folder, "--names-only")
    assert contents_of(folder) == {"a.jpg": b"tagged", "a.xmp": b"x", "b.jpg": b"b"}


def test_names_only_is_for_renames(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    run = renamed(folder, {"0.jpg": "9.jpg"})
    (folder / "9.jpg").rename(folder / "0.jpg")
    from imgorder.changes.stamp import apply_stamps

    apply_stamps(stamp_plan(folder))
    (line,) = refused(folder, "undo", folder, "--names-only")
    assert "is a stamp, which changed no names; leave --names-only out" in line
    (folder / "0.jpg").rename(folder / "9.jpg")
    assert "1 of 1 file of" in done("undo", folder, run, "--names-only")
    for option in ("--list", "--recover"):
        assert command("undo", folder, option, "--names-only").exit_code == 2


@pytest.mark.parametrize("how", ["fails", "dies", "dies twice", "edited"])
def test_a_rename_is_undone_after_a_stamp_that_was_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Photos that were stamped and unstamped are new files; the earlier rename has to know that."""
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    renamed(folder, {"0.jpg": "1.jpg", "1.jpg": "0.jpg"})
    middle = without_journals(snapshot(folder))
    from imgorder.changes.stamp import apply_stamps

    def all_stamped() -> bool:
        return all((folder / f"{index}.jpg").read_bytes() != middle[f"{index}.jpg"][0] for index in range(3))

    if how == "fails":
        with monkeypatch.context() as patch:
            real = iter([killing.refusing(errno.ENOSPC), journal.finish])
            patch.setattr(journal, "finish", lambda *arguments: next(real)(*arguments))
            with pytest.raises(ImgorderError, match="nothing was changed"):
                apply_stamps(stamp_plan(folder))
    else:
        with killed(Kill(until=all_stamped)):
            apply_stamps(stamp_plan(folder))
        if how == "edited":
            (folder / "2.jpg").write_bytes(b"edited")
        if how == "dies twice":
            with killed(Kill(until=lambda: not all_stamped())):
                recover(folder)
        recover(folder)
    assert how == "edited" or without_journals(snapshot(folder)) == middle
    assert states(folder) == ["done", "taken back"]
    with pytest.raises(ImgorderError, match="is undone already"):
        undo(folder, journal.read_history(folder).runs[-1].id)
    done("undo", folder)
    expected = {**before, "2.jpg": without_journals(snapshot(folder))["2.jpg"]} if how == "edited" else before
    assert without_journals(snapshot(folder)) == expected


class Counted(tuple[journal.Run, ...]):
    """Runs that are counted as they are walked through."""

    seen = 0

    def __iter__(self) -> Iterator[journal.Run]:
        for run in super().__iter__():
            Counted.seen += 1
            yield run


def test_a_long_history_is_listed_in_one_go(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    apply_plan(plan_of(folder, {"a.jpg": "b.jpg"}))
    undo(folder)
    done_, undone = journal.read_history(folder).runs
    runs: list[journal.Run] = []
    for number in range(300):
        pair = (replace(done_, id=f"{number}"), replace(undone, id=f"{number}-back", of=f"{number}"))
        runs += pair
    listed = list_runs(journal.History(folder, Counted(runs), frozenset()))
    assert [each.state for each in listed] == ["undone", "done"] * 300
    assert Counted.seen <= 4 * len(runs)


def test_a_journal_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", {"a.jpg": b"a"})
    run = "20240501-120000-abcdef"
    huge = folder / f".imgorder-{run}.jsonl"
    with huge.open("wb") as file:
        file.truncate(257 << 20)  # takes no room on the disk
    (line,) = refused_at_once(folder, "undo", folder, "--list")
    assert "this journal is damaged (larger than 256 MiB)" in line
    huge.write_bytes(b"{}\n" * 600_000)
    (line,) = refused_at_once(folder, "rename", "--order", write_order(tmp_path, folder, ["a.jpg"]))
    assert "this journal is damaged (more than 500000 lines)" in line


def refused_at_once(folder: Path, *arguments: str | Path) -> list[str]:
    """As `refused`, where the folder has more in it than should be compared."""
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert (folder / "a.jpg").exists()
    return result.stderr.splitlines()


@pytest.mark.parametrize("limit", [{"MAX_LINES": 6}, {"MAX_BYTES": 900}])
def test_a_journal_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int]
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(journal, name, value)
    folder = fill(tmp_path / "photos", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    before = snapshot(folder)
    with pytest.raises(ImgorderError, match="3 files are too many for one run; give fewer; nothing was changed"):
        apply_plan(plan_of(folder, {"a.jpg": "x.jpg", "b.jpg": "y.jpg", "c.jpg": "z.jpg"}))
    assert snapshot(folder) == before
