"""`imgorder stamp`: times in the predicted order, nothing else changed, and back to the last byte."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import struct
from datetime import datetime, timedelta
from pathlib import Path

import piexif
import pytest
from PIL import Image

from imgorder.changes import rewriting
from imgorder.changes.folder import Folder
from imgorder.changes.stamp import apply_stamps, parse_start, parse_step
from imgorder.errors import ImgorderError, UsageError
from imgorder.media import exif
from imgorder.media.exif import read_capture_time, set_capture_time
from tests.conftest import APPLY
from tests.killing import refusing
from tests.renaming import (
    command,
    done,
    jpeg,
    jpegs,
    names_each,
    refused,
    snapshot,
    stamp_plan,
    without_journals,
    write_order,
)

AT = ("--start", "2024-05-01 12:00:00")


def stampable(home: Path, n: int = 3) -> tuple[Path, Path]:
    folder = jpegs(home / "photos", n)
    return folder, write_order(home, folder, [f"{index}.jpg" for index in range(n)][::-1])


def times(folder: Path, names: str = "*.jpg") -> dict[str, datetime | None]:
    return {
        file.name: read_capture_time(file.read_bytes()) for file in sorted(folder.glob(names)) if file.name != "z.jpg"
    }


def test_times_follow_the_order_and_go_back_to_the_byte(photos: Path) -> None:
    before = snapshot(photos)
    shown = done("stamp", photos, *AT, "--step", "500ms", "--reverse")
    assert snapshot(photos) == before
    assert "2024-05-01 12:00:01.500000" in shown
    assert "Nothing was changed; --apply carries it out." in shown
    done("stamp", photos, *AT, "--step", "500ms", "--reverse", *APPLY)
    stamped = snapshot(photos)
    assert {name: stamped[name][1] for name in before} == {name: mtime for name, (_, mtime) in before.items()}
    taken = times(photos)
    start = datetime(2024, 5, 1, 12)
    assert sorted(str(time) for time in taken.values()) == [
        str(start + index * timedelta(milliseconds=500)) for index in range(4)
    ]
    import json

    order = json.loads(done("sort", photos, "--json", "--reverse", "--metadata", "ignore"))["sets"][0]["order"]
    assert sorted(order, key=lambda name: str(taken[name])) == order
    for name in before:  # Pillow and piexif read what was written
        fields = Image.open(photos / name).getexif().get_ifd(0x8769)
        assert fields[0x9003].startswith("2024:05:01 12:00:0")
        assert piexif.load(str(photos / name))["Exif"][piexif.ExifIFD.SubSecTimeOriginal] in (b"0", b"5")
    done("undo", photos)
    assert without_journals(snapshot(photos)) == before


def test_mode_and_attributes_are_kept(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    (folder / "0.jpg").chmod(0o640)
    attributes = hasattr(os, "setxattr")
    try:
        os.setxattr(folder / "0.jpg", "user.note", b"kept")
    except OSError:
        attributes = False
    before = (folder / "0.jpg").stat()
    for arguments in (("stamp", "--order", order, *AT, *APPLY), ("undo", folder)):
        done(*arguments)
        status = (folder / "0.jpg").stat()
        assert stat.S_IMODE(status.st_mode) == 0o640
        assert (status.st_uid, status.st_gid) == (before.st_uid, before.st_gid)
        assert status.st_mtime_ns == before.st_mtime_ns
        assert not attributes or os.getxattr(folder / "0.jpg", "user.note") == b"kept"


def test_times_that_are_there_are_kept_unless_told(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    for index in (0, 2):
        file = folder / f"{index}.jpg"
        file.write_bytes(set_capture_time(file.read_bytes(), datetime(2020, 1, index + 1))[0])
    before = snapshot(folder)
    lines = refused(folder, "stamp", "--order", order, *AT, *APPLY)
    names_each(lines, [("2.jpg", "2020-01-03 00:00:00"), ("0.jpg", "2020-01-01 00:00:00")])
    assert all("--overwrite-times" in line for line in lines)
    shown = done("stamp", "--order", order, *AT, "--overwrite-times")
    assert "2020-01-01 00:00:00" in shown
    assert snapshot(folder) == before
    done("stamp", "--order", order, *AT, "--overwrite-times", *APPLY)
    assert times(folder)["2.jpg"] == datetime(2024, 5, 1, 12)
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_zones_that_differ_are_told(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    for index, zone in enumerate(("+02:00", "+02:00", "+02:00")):
        set_zone(folder / f"{index}.jpg", zone)
    assert "time zones differ" not in done("stamp", "--order", order, *AT)
    set_zone(folder / "1.jpg", "-01:30")
    shown = done("stamp", "--order", order, *AT, *APPLY)
    assert "Their time zones differ and stay as they are" in shown
    assert "2.jpg UTC+02:00, 1.jpg UTC-01:30, 0.jpg UTC+02:00" in shown
    zones = [Image.open(folder / f"{index}.jpg").getexif().get_ifd(0x8769)[0x9011] for index in range(3)]
    assert zones == ["+02:00", "-01:30", "+02:00"]


def set_zone(file: Path, zone: str) -> None:
    with Image.open(file) as image:
        exif = image.getexif()
        exif.get_ifd(0x8769)[0x9011] = zone
        image.save(file, exif=exif)


def test_the_same_times_again_are_nothing_to_do(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    done("stamp", "--order", order, *AT, *APPLY)
    before = snapshot(folder)
    assert "have these times already" in done("stamp", "--order", order, *AT, *APPLY)
    assert snapshot(folder) == before


def test_what_cannot_be_stamped_is_told_at_once(tmp_path: Path) -> None:
    folder, _ = stampable(tmp_path, 4)
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff\xe1")
    Image.new("RGB", (8, 8)).save(folder / "p.png")
    (folder / "link.jpg").symlink_to("1.jpg")
    (folder / "2.jpg").chmod(0o444)
    os.link(folder / "3.jpg", folder / "twin.jpg")
    order = write_order(tmp_path, folder, ["0.jpg", "p.png", "link.jpg", "2.jpg", "3.jpg", "twin.jpg"])
    reasons = [
        ("0.jpg", "cannot be stamped"),
        ("p.png", "only JPEGs"),
        ("link.jpg", "give the photo that it leads to"),
        ("2.jpg", "chmod u+w"),
        ("twin.jpg", "leave one of them out"),
    ]
    names_each(refused(folder, "stamp", "--order", order, *AT, *APPLY), reasons)


def test_below_the_confidence_nothing_is_changed(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    before = snapshot(folder)
    result = command("stamp", "--order", order, *AT, "--min-confidence", "0.95", *APPLY)
    assert (result.exit_code, snapshot(folder)) == (3, before)
    assert "imgorder: unsure: " in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("0.25s", 0.25), (" 3 s ", 3)]
)
def test_steps(text: str, seconds: float) -> None:
    assert parse_step(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "0s", "-1s", "1d", "1 s s", "9" * 400 + "s", "0.00001ms"])
def test_steps_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--step takes"):
        parse_step(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-01 12:00:00", "2024-05-01 12:00:00"),
        ("2024-05-01T12:00:00.123456", "2024-05-01 12:00:00.123456"),
        ("2024-05-01 12:00", "2024-05-01 12:00:00"),
        ("2024:05:01 12:00:00", "2024-05-01 12:00:00"),
        ("2024/5/1 9:00", "2024-05-01 09:00:00"),
        ("2024:05:01 12: 0: 7", "2024-05-01 12:00:07"),
        ("2024-05-01 12-30-15", "2024-05-01 12:30:15"),
        ("2024-05-01 12:00:00,5", "2024-05-01 12:00:00.500000"),
        ("2024-05-01 24:08:19", "2024-05-01 00:08:19"),
        ("2024-05-01 23:59:60", "2024-05-02 00:00:00"),
    ],
)
def test_starts(text: str, time: str) -> None:
    assert parse_start(text) == datetime.fromisoformat(time)


@pytest.mark.parametrize(
    "text",
    [
        *("", "noon", "2024-13-01 12:00:00", "2024-05-01T12:00:00+02:00", "2024-05-01T12:00:00Z", "2024-05-01"),
        *(
            "01.05.2024 12:00",
            "2024-05-01 24:00:00",
            "2024-05-01 25:00:00",
            "2024-05-01 12:00:00.1234567",
            "0000-00-00",
        ),
    ],
)
def test_starts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--start takes"):
        parse_start(text)
    assert parse_start("2024-05-01 12:00:00.25").microsecond == 250_000


def test_usage(tmp_path: Path) -> None:
    _, order = stampable(tmp_path)
    for options in (
        (),
        ("--start", "x"),
        (*AT, "--step", "x"),
        ("--start", "9999-12-31 23:59:59"),
        (*AT, "--reverse", "--first", "0.jpg"),
    ):
        assert command("stamp", "--order", order, *options).exit_code == 2
    assert command("stamp", *AT).exit_code == 2


def test_photos_in_different_folders(tmp_path: Path) -> None:
    folder, _ = stampable(tmp_path)
    jpegs(folder / "more", 1)
    order = write_order(tmp_path, folder, ["0.jpg", "more/0.jpg"])
    result = command("stamp", "--order", order, *AT)
    assert result.exit_code == 1
    assert "the photos lie in different folders; give one folder" in result.stderr


def test_a_photo_that_changed_since_the_plan(tmp_path: Path) -> None:
    folder = jpegs(tmp_path / "photos")
    plan = stamp_plan(folder)
    os.utime(folder / "1.jpg")
    before = snapshot(folder)
    with pytest.raises(ImgorderError, match=r"1\.jpg: changed since the plan was made"):
        apply_stamps(plan)
    assert snapshot(folder) == before


def test_content_that_reads_back_otherwise_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = jpegs(tmp_path / "photos")
    before = snapshot(folder)
    plan = stamp_plan(folder)
    monkeypatch.setattr(rewriting, "write_all", lambda descriptor, data: os.write(descriptor, data[:-1]))
    with pytest.raises(
        ImgorderError, match="what was written reads back otherwise; check the disk; nothing was changed"
    ):
        apply_stamps(plan)
    assert snapshot(folder) == before


def test_a_change_that_could_not_be_undone_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = stampable(tmp_path)
    monkeypatch.setattr(exif, "restore_segment", lambda data, segment: data)
    lines = refused(folder, "stamp", "--order", order, *AT, *APPLY)
    assert all("cannot be stamped (the change could not be taken back exactly)" in line for line in lines)


def test_undo_refuses_photos_that_changed_since(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    before = snapshot(folder)
    done("stamp", "--order", order, *AT, *APPLY)
    (folder / "0.jpg").write_bytes((folder / "0.jpg").read_bytes() + b"edited")
    (folder / "1.jpg").unlink()
    result = command("undo", folder)
    assert result.exit_code == 1
    assert "1 of 3 files" in result.stdout
    names_each(result.stderr.splitlines(), [("1.jpg", "gone since"), ("0.jpg", "changed since")])
    assert snapshot(folder)["2.jpg"] == before["2.jpg"]


def test_what_is_saved_while_a_photo_is_stamped_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, order = stampable(tmp_path)
    before = snapshot(folder)
    real = Folder.read

    def meanwhile(self: Folder, name: str) -> bytes:
        if name.endswith("-000001"):  # the new content of 1.jpg is read back
            (folder / "1.jpg").write_bytes(b"saved by an editor")
        return real(self, name)

    monkeypatch.setattr(Folder, "read", meanwhile)
    result = command("stamp", "--order", order, *AT, *APPLY)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "1.jpg: changed in the meantime by another program" in line
    assert "taken back, except for 1 file; 1.jpg: changed or gone since; left alone" in line
    after = without_journals(snapshot(folder))
    assert after.pop("1.jpg")[0] == b"saved by an editor"
    assert after == {name: value for name, value in before.items() if name != "1.jpg"}


def with_time_text(data: bytes, text: bytes) -> bytes:
    fields = {"Exif": {piexif.ExifIFD.DateTimeOriginal: text}}
    stream = io.BytesIO()
    piexif.insert(piexif.dump(fields), data, stream)
    return stream.getvalue()


def test_a_time_that_is_not_understood_is_one(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    for name, text in (
        ("0.jpg", b"2024-05-01T12:00"),
        ("1.jpg", b"0000:00:00 00:00:00"),
        ("2.jpg", b"    :  :     :  "),
    ):
        (folder / name).write_bytes(with_time_text((folder / name).read_bytes(), text))
    (line,) = refused(folder, "stamp", "--order", order, *AT)
    assert "0.jpg: has a capture time that is not understood ('2024-05-01T12:00'); --overwrite-times" in line
    before = snapshot(folder)
    done("stamp", "--order", order, *AT, "--overwrite-times", *APPLY)
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_a_plan_tells_what_is_not_understood_from_none(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    (folder / "1.jpg").write_bytes(with_time_text((folder / "1.jpg").read_bytes(), b"yesterday"))
    (folder / "2.jpg").write_bytes(with_time_text((folder / "2.jpg").read_bytes(), b"2015:08:22 24:08:19"))
    shown = done("stamp", "--order", order, *AT, "--overwrite-times")
    rows = [line.split("│")[2:4] for line in shown.splitlines() if ".jpg" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["2.jpg", "2015-08-22 00:08:19"],
        ["1.jpg", "not understood: yesterday"],
        ["0.jpg", "none"],
    ]


def test_a_time_in_another_place_is_kept_unless_told_and_then_all_are_set(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    first, second = (
        piexif.dump({"0th": {0x010F: b"Maker"}, "Exif": {0x9003: time} if time else {}})
        for time in (None, b"2001:02:03 04:05:06")
    )
    for name, blocks in (("1.jpg", (first, second)), ("0.jpg", (second, second.replace(b"2001", b"2002")))):
        data = jpeg(0)
        for block in blocks[::-1]:
            data = data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
        (folder / name).write_bytes(data)
    before = snapshot(folder)
    lines = refused(folder, "stamp", "--order", order, *AT, *APPLY)
    both = "already (2001-02-03 04:05:06 and 2002-02-03 04:05:06)"
    names_each(lines, [("1.jpg", "already (2001-02-03 04:05:06)"), ("0.jpg", both)])
    done("stamp", "--order", order, *AT, "--overwrite-times", *APPLY)
    assert times(folder)["0.jpg"] == datetime(2024, 5, 1, 12, 0, 2)
    assert all(each.time == datetime(2024, 5, 1, 12, 0, 2) for each in exif.find_times((folder / "0.jpg").read_bytes()))
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


@pytest.mark.skipif(not hasattr(os, "chown"), reason="no owners")
def test_a_group_that_cannot_be_kept_is_let_go_but_not_an_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[owner] += 1
        return os.stat_result(fields)

    def chown(descriptor: int, uid: int, gid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    for owner, code in ((5, 0), (4, 1)):
        folder, order = stampable(tmp_path / str(owner))
        before = snapshot(folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", fstat)
            patch.setattr(os, "chown", chown)
            result = command("stamp", "--order", order, *AT, *APPLY)
        assert result.exit_code == code, result.stderr
        if code:
            assert "photos/2.jpg: Operation not permitted; nothing was changed" in result.stderr
            assert snapshot(folder) == before


def test_of_two_photos_nothing_is_sure(tmp_path: Path) -> None:
    _, order = stampable(tmp_path, 2)
    for name in ("stamp", "rename"):
        start = AT if name == "stamp" else ()
        shown = done(name, "--order", order, *start)
        assert "2 photos; two photos, nothing to order" in shown
        assert "%" not in shown
        assert command(name, "--order", order, *start, "--min-confidence", "0.6").exit_code == 3
        done(name, "--order", order, *start, "--min-confidence", "0.5")
        done(name, "--order", order, *start, "--min-confidence", "0.6", "--reverse")


def test_no_more_people_may_read_the_journal_than_the_photos(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    (folder / "1.jpg").chmod(0o640)
    done("stamp", "--order", order, *AT, *APPLY)
    done("undo", folder)
    modes = [stat.S_IMODE(file.stat().st_mode) for file in folder.glob(".imgorder-*.jsonl")]
    assert modes == [0o640, 0o640]


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX access list as Linux keeps it: tag, permissions and id of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_what_a_folder_grants_new_files_is_not_granted_for_photos(tmp_path: Path) -> None:
    folder, order = stampable(tmp_path)
    everyone, nobody = 0xFFFFFFFF, 65534
    granted = access_list((1, 7, everyone), (2, 7, nobody), (4, 5, everyone), (16, 7, everyone), (32, 5, everyone))
    try:
        os.setxattr(folder, "system.posix_acl_default", granted)
    except (OSError, AttributeError):
        pytest.skip("no access lists here")
    (folder / "new").touch()
    assert "system.posix_acl_access" in os.listxattr(folder / "new")
    commands: list[list[str | Path]] = [
        ["stamp", "--order", order, *AT, *APPLY],
        ["undo", folder],
    ]
    for arguments in commands:
        done(*arguments)
        for file in folder.glob("*.jpg"):
            assert "system.posix_acl_access" not in os.listxattr(file)
            assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS, 0])
@pytest.mark.parametrize("call", ["chmod", "utime"])
def test_a_file_system_that_takes_no_mode_or_times_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """As GVFS, CIFS and the cards of phones, some of which say that all is well; simulated."""
    kind = "mode" if call == "chmod" else "times"
    reason = os.strerror(code) if code else "it does not say why"
    folder, order = stampable(tmp_path)
    before = {name: content for name, (content, _) in snapshot(folder).items()}
    (folder / "0.jpg").chmod(0o660)
    refuse = refusing(code) if code else lambda *arguments, **named: None
    monkeypatch.setattr(os, call, refuse)
    if call == "chmod":
        monkeypatch.setattr(os, "fchmod", refuse, raising=False)
    umask = os.umask(0o022)
    try:
        stamped = command("stamp", "--order", order, *AT, *APPLY)
        mode = stat.S_IMODE((folder / "0.jpg").stat().st_mode)
        undone = command("undo", folder)
    finally:
        os.umask(umask)
    assert (stamped.exit_code, undone.exit_code) == (0, 0), stamped.stderr + undone.stderr
    (line,) = stamped.stderr.splitlines()
    assert re.search(rf"warning: .*photos/[02]\.jpg.*: the {kind} could not be kept.*\({reason}\)", line)
    assert ("2 more" in line) == (call == "utime")  # the others have the mode that they should have
    assert mode == (0o640 if call == "chmod" else 0o660)  # what the umask leaves of it, never more
    assert {name: content for name, (content, _) in without_journals(snapshot(folder)).items()} == before


def test_an_error_of_the_disk_is_not_taken_for_a_file_system_without_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, order = stampable(tmp_path)
    monkeypatch.setattr(os, "utime", refusing(errno.EIO))
    before = snapshot(folder)
    (line,) = command("stamp", "--order", order, *AT, *APPLY).stderr.splitlines()
    assert snapshot(folder) == before
    assert "Input/output error; nothing was changed" in line
