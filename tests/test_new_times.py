"""`imgorder stamp --keep-seconds` and `--fill`: times that fit those which are there, and show the order."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import piexif
import pytest
from PIL import Image

from imgorder.changes.folder import locked
from imgorder.changes.journal import Rewrite
from imgorder.changes.new_times import _spread
from imgorder.changes.rewriting import RewriteRecovery
from imgorder.changes.stamp import apply_stamps, make_stamps
from imgorder.errors import ImgorderError
from imgorder.evidence.weigh import weigh_facts
from imgorder.fields import as_record, read_record
from imgorder.media.exif import find_times
from imgorder.media.facts import read_all_facts
from tests.conftest import APPLY
from tests.renaming import command, done, jpeg, names_each, ordered, refused, snapshot, without_journals, write_order

NOON = "12:00:00"


def shot(seconds: str | None, digits: str = "", zone: bytes = b"") -> bytes:
    """A JPEG of one camera with a time of the first of May."""
    exif: dict[int, bytes] = {piexif.ExifIFD.UserComment: b"kept"}
    if seconds:
        exif[piexif.ExifIFD.DateTimeOriginal] = (
            f"2024:05:01 {seconds}".encode() if len(seconds) == 8 else seconds.encode()
        )
    if digits:
        exif[piexif.ExifIFD.SubSecTimeOriginal] = digits.encode()
    if zone:
        exif[piexif.ExifIFD.OffsetTimeOriginal] = zone
    stream = io.BytesIO()
    piexif.insert(piexif.dump({"0th": {piexif.ImageIFD.Make: b"Acme"}, "Exif": exif}), jpeg(0), stream)
    return stream.getvalue()


def album(home: Path, *photos: bytes) -> tuple[Path, Path]:
    """A folder of photos whose names say nothing, and a file with their order: as they are given."""
    folder = home / "photos"
    folder.mkdir()
    names = [f"{'dbacfe'[place % 6]}{place}.jpg" for place in range(len(photos))]
    for name, data in zip(names, photos, strict=True):
        (folder / name).write_bytes(data)
    return folder, in_order(home, folder, names)


def in_order(home: Path, folder: Path, names: list[str]) -> Path:
    return write_order(home, folder, names, direction="given")


def written(folder: Path, order: Path) -> list[str]:
    """What stands in the photos in their order: the time without its date, a dot and the digits."""
    names = json.loads(order.read_text())["sets"][0]["order"]
    return [".".join(find_times((folder / name).read_bytes())[0][:2]).split()[-1].rstrip(".") for name in names]


def by_time(folder: Path) -> list[str]:
    """The photos as a program shows them that sorts by both tags as text."""
    texts = {file.name: find_times(file.read_bytes())[0][:2] for file in folder.glob("*.jpg")}
    assert len(set(texts.values())) == len(texts)
    return sorted(texts, key=lambda name: texts[name])


def test_a_burst_sorts_in_its_order_and_goes_back_to_the_byte(tmp_path: Path) -> None:
    folder, order = album(tmp_path, *[shot(NOON)] * 7, shot("12:00:01"), *[shot("12:00:02")] * 3)
    names = json.loads(order.read_text())["sets"][0]["order"]
    before = snapshot(folder)
    assert "Nothing was changed" in done("stamp", "--order", order, "--keep-seconds")
    assert snapshot(folder) == before
    assert "Stamped 10 photos" in done("stamp", "--order", order, "--keep-seconds", *APPLY)
    assert by_time(folder) == names
    assert written(folder, order)[:8] == [
        *(f"{NOON}.{each}" for each in ["000", "142", "285", "428", "571", "714", "857"]),
        "12:00:01",
    ]
    assert snapshot(folder)[names[7]] == before[names[7]]  # alone in its second: left as it is
    known = weigh_facts(read_all_facts([folder / name for name in names]))
    assert known.before >= {(place, place + 1) for place in range(10)}  # as imgorder reads them again
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_a_plan_says_what_stays(tmp_path: Path) -> None:
    _, order = album(tmp_path, shot(NOON), shot(NOON), shot("12:00:07", "5"))
    rows = [
        line.split("│") for line in done("stamp", "--order", order, "--keep-seconds").splitlines() if ".jpg" in line
    ]
    assert [[cell.strip() for cell in row[3:5]] for row in rows] == [
        ["2024-05-01 12:00:00", "2024-05-01 12:00:00.000"],
        ["2024-05-01 12:00:00", "2024-05-01 12:00:00.500"],
        ["2024-05-01 12:00:07.500000", "stays"],
    ]


@pytest.mark.parametrize(
    ("digits", "then"),
    [
        (("12", "", "84", ""), "120 480 840 920"),  # what is there stays, with three digits
        (("", "5", "", ""), "000 500 666 833"),
        (("00", "00", "00"), "000 003 006"),  # from a camera that counts no fractions: within what it wrote
        (("120", "120", "500"), "1200 1205 5000"),  # with more digits where three are too few
        (("123456", ""), "123456 561728"),
        (("100", "200", "300"), "100 200 300"),
        (("05", "5", ""), "050 500 750"),
        (("", "001"), "000 001"),
    ],
)
def test_a_fraction_that_agrees_stays(tmp_path: Path, digits: tuple[str, ...], then: str) -> None:
    folder, order = album(tmp_path, *(shot(NOON, each) for each in digits))
    done("stamp", "--order", order, "--keep-seconds", *APPLY)
    assert written(folder, order) == [f"{NOON}.{each}" for each in then.split()]
    assert by_time(folder) == json.loads(order.read_text())["sets"][0]["order"]
    again = done("stamp", "--order", order, "--keep-seconds", *APPLY)
    assert "nothing was changed" in again


@pytest.mark.parametrize(
    ("digits", "lines"),
    [
        (("80", "12", ""), [("b1.jpg", ".12, contradicts the order: d0.jpg comes before it, with .80")]),
        (("", "45", "120", ""), [("b1.jpg", ".45, may lack zeros"), ("a2.jpg", ".120, contradicts")]),
        (("12", "", "450"), [("d0.jpg", ".12, may lack zeros in front")]),
        (("123456", "", "123457"), [("d0.jpg", "leaves no room"), ("a2.jpg", "leaves no room")]),
    ],
)
def test_a_fraction_that_does_not_is_replaced_only_if_told(
    tmp_path: Path, digits: tuple[str, ...], lines: list[tuple[str, str]]
) -> None:
    folder, order = album(tmp_path, *(shot(NOON, each) for each in digits))
    said = refused(folder, "stamp", "--order", order, "--keep-seconds", *APPLY)
    names_each(said, lines)
    assert all("--overwrite-times" in line for line in said)
    before = snapshot(folder)
    done("stamp", "--order", order, "--keep-seconds", "--overwrite-times", *APPLY)
    n = len(digits)
    assert written(folder, order) == [f"{NOON}.{1000 * place // n:03}" for place in range(n)]
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_seconds_that_contradict_the_order_are_told_photo_by_photo(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot("13:00:00"), shot("12:00:02"), shot("12:00:02"), shot("12:00:03"))
    for options in (["--keep-seconds", "--overwrite-times"], ["--fill"]):
        (line,) = refused(folder, "stamp", "--order", order, *options, *APPLY)
        assert "b1.jpg: its time, 2024-05-01 13:00:00, contradicts the order: a2.jpg comes after it" in line
        assert "with 2024-05-01 12:00:02; put the order right, or leave it out" in line


def test_times_that_run_the_other_way_say_so(tmp_path: Path) -> None:
    folder, order = album(tmp_path, *(shot(f"12:00:0{second}") for second in (5, 5, 2, 1)))
    lines = refused(folder, "stamp", "--order", order, "--keep-seconds", *APPLY)
    assert [line.count("turn the order round with --reverse") for line in lines] == [1, 1]
    done("stamp", "--order", order, "--keep-seconds", "--reverse", *APPLY)
    assert written(folder, order) == ["12:00:05.500", "12:00:05.000", "12:00:02", "12:00:01"]
    done("undo", folder)
    lines = refused(folder, "stamp", "--order", order, "--keep-seconds", "--first", "d0.jpg", "--apply")
    assert all(line.endswith("(or without it, or exchange --first and --last)") for line in lines)
    done("stamp", "--order", order, "--keep-seconds", "--last", "d0.jpg", "--apply")
    assert written(folder, order) == ["12:00:05.500", "12:00:05.000", "12:00:02", "12:00:01"]


def test_clocks_of_two_cameras_that_differ_have_a_cure_of_their_own(tmp_path: Path) -> None:
    shots = [shot(f"12:{minute}:0{second}") for second, minute in enumerate(["00", "09", "00", "09", "00"])]
    folder, order = album(tmp_path, *(data.replace(b"Acme", b"Bcme") if b":09:" in data else data for data in shots))
    lines = refused(folder, "stamp", "--order", order, "--keep-seconds", *APPLY)
    names_each(lines, [(name, "with new times: --start TIME --overwrite-times") for name in ("b1.jpg", "c3.jpg")])
    done("stamp", "--order", order, "--start", "2024-05-01 12:00:00", "--overwrite-times", *APPLY)
    assert written(folder, order) == [f"12:00:0{second}.0" for second in range(5)]


def test_photos_without_a_time_get_one_between_their_neighbours(tmp_path: Path) -> None:
    none = shot(None)
    folder, order = album(
        tmp_path, none, none, shot(NOON, "25"), none, shot("12:01:00"), none, none, shot("12:01:01"), jpeg(0)
    )
    before = snapshot(folder)
    done("stamp", "--order", order, "--fill", "--step", "2s")
    assert snapshot(folder) == before
    assert "Stamped 6 photos" in done("stamp", "--order", order, "--fill", "--step", "2s", *APPLY)
    assert written(folder, order) == [
        *("11:59:56.250", "11:59:58.250", "12:00:00.25", "12:00:30.000", "12:01:00"),
        *("12:01:00.333", "12:01:00.666", "12:01:01", "12:01:03.000"),
    ]
    names = json.loads(order.read_text())["sets"][0]["order"]
    assert by_time(folder) == names
    assert all(snapshot(folder)[names[place]] == before[names[place]] for place in (2, 4, 7))
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before


def test_within_one_second_both_options_together_make_room(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot(None), shot(NOON), shot(None), shot("12:00:01"), shot("12:00:01"))
    (line,) = refused(folder, "stamp", "--order", order, "--fill", *APPLY)
    assert "b1.jpg: no time is free between d0.jpg and a2.jpg, 2024-05-01 12:00:00; --keep-seconds makes room" in line
    (line, _) = refused(folder, "stamp", "--order", order, "--keep-seconds", *APPLY)
    assert "b1.jpg: has no capture time of which the second could be kept; --fill gives it one" in line
    done("stamp", "--order", order, "--fill", "--keep-seconds", *APPLY)
    assert written(folder, order) == [
        *(f"{NOON}.{each}" for each in ("000", 250, 500, 750)),
        "12:00:01.000",
        "12:00:01.500",
    ]


def test_a_time_beside_the_exif_block_is_taken_if_it_fits(tmp_path: Path) -> None:
    """From the name of a photo whose EXIF a messenger took away, say, or from Google Takeout."""
    east = b"+02:00"
    folder, _ = album(tmp_path, shot(NOON, zone=east), shot(None), shot(None), shot(None), shot("12:01:00", zone=east))
    (folder / "b1.jpg").rename(folder / "IMG_20240501_120007.jpg")
    (folder / "a2.jpg.json").write_text(json.dumps({"photoTakenTime": {"timestamp": "1714557609"}}))  # 10:00:09 UTC
    names = ["d0.jpg", "IMG_20240501_120007.jpg", "a2.jpg", "c3.jpg", "f4.jpg"]
    order = in_order(tmp_path, folder, names)
    done("stamp", "--order", order, "--fill", *APPLY)
    assert written(folder, order) == [NOON, "12:00:07.000", "12:00:09.000", "12:00:34.000", "12:01:00"]
    done("undo", folder)
    (folder / "IMG_20240501_120007.jpg").rename(folder / "IMG_20240501_115959.jpg")  # another moment of the shot
    order = in_order(tmp_path, folder, ["IMG_20240501_115959.jpg" if "IMG" in name else name for name in names])
    done("stamp", "--order", order, "--fill", *APPLY)
    assert written(folder, order)[1] == "12:00:04.000"
    done("undo", folder)
    (folder / "IMG_20240501_115959.jpg").rename(folder / "IMG_20240501_110000.jpg")
    order = in_order(tmp_path, folder, ["IMG_20240501_110000.jpg" if "IMG" in name else name for name in names])
    (line,) = refused(folder, "stamp", "--order", order, "--fill", *APPLY)
    assert "IMG_20240501_110000.jpg: its time, 2024-05-01 11:00:00, contradicts the order" in line


def test_a_time_that_cannot_be_right_is_replaced_only_if_told(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot("2000:01:01 00:00:09"), shot("2024:05:01 12:00"), shot("12:00:09"))
    (line,) = refused(folder, "stamp", "--order", order, "--fill", *APPLY)
    assert "b1.jpg: its capture time, 2000-01-01 00:00:09, cannot be right; --overwrite-times replaces it" in line
    done("stamp", "--order", order, "--fill", "--overwrite-times", *APPLY)
    assert written(folder, order) == [NOON, "12:00:03.000", "12:00:06.000", "12:00:09"]


def test_a_time_that_is_not_understood_is_not_filled_in_unless_told(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot("2024:05:01 12:00"), shot("12:00:09"))
    (line,) = refused(folder, "stamp", "--order", order, "--fill", *APPLY)
    assert "b1.jpg: has a capture time that is not understood ('2024:05:01 12:00'); --overwrite-times" in line


def test_without_any_time_nothing_can_be_filled_in(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(None), shot(None))
    for options in (["--fill"], ["--keep-seconds", "--fill"]):
        (line,) = refused(folder, "stamp", "--order", order, *options, *APPLY)
        assert line.endswith(
            "no photo has a time that can be trusted; stamp this scene alone, with --start instead of "
            + " and ".join(options)
        )
    done("stamp", "--order", order, "--start", "2024-05-01 12:00:00", *APPLY)


def test_a_photo_of_another_kind_may_stay_but_gets_no_time(tmp_path: Path) -> None:
    folder, _ = album(tmp_path, shot(NOON), shot(None))
    image = Image.new("RGB", (16, 16))
    exif = piexif.dump({"Exif": {piexif.ExifIFD.DateTimeOriginal: b"2024:05:01 12:00:08"}})
    image.save(folder / "p.png", exif=exif)
    order = in_order(tmp_path, folder, ["d0.jpg", "b1.jpg", "p.png"])
    done("stamp", "--order", order, "--fill", *APPLY)
    assert written(folder, in_order(tmp_path, folder, ["d0.jpg", "b1.jpg"])) == [NOON, "12:00:04.000"]
    image.save(folder / "q.png")
    order = in_order(tmp_path, folder, ["d0.jpg", "b1.jpg", "p.png", "q.png"])
    (line,) = refused(folder, "stamp", "--order", order, "--fill", *APPLY)
    assert "q.png: not a JPEG; only JPEGs can be stamped" in line


def test_all_places_of_a_time_get_the_fraction_but_not_those_of_another_second(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot(NOON))
    first, second = (piexif.dump({"Exif": {0x9003: f"2024:05:01 {each}".encode()}}) for each in (NOON, "12:00:05"))
    for block, line in ((first, None), (second, "d0.jpg: has a capture time already (2024-05-01 12:00:05)")):
        data = shot(NOON)
        end = 4 + int.from_bytes(data[4:6], "big")
        (folder / "d0.jpg").write_bytes(
            data[:end] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[end:]
        )
        if line:
            assert line in "".join(refused(folder, "stamp", "--order", order, "--keep-seconds", *APPLY))
        else:
            done("stamp", "--order", order, "--keep-seconds", *APPLY)
            places = find_times((folder / "d0.jpg").read_bytes())
            assert [place.decimals for place in places] == ["000", "000"]
            done("undo", folder)


def test_a_photo_that_stays_must_not_change_before_the_others_are_stamped(tmp_path: Path) -> None:
    folder, order = album(tmp_path, shot(NOON), shot(None), shot("12:00:09"))
    names = json.loads(order.read_text())["sets"][0]["order"]
    plan = make_stamps([ordered(folder, names)], None, timedelta(seconds=1), fill=True)
    os.utime(folder / "d0.jpg")
    with pytest.raises(ImgorderError, match=r"d0\.jpg: changed since the plan was made"):
        apply_stamps(plan)


def test_an_interrupted_run_is_finished_with_the_same_digits(tmp_path: Path) -> None:
    """The journal holds their number; one of a former version has none, and means one digit."""
    folder, order = album(tmp_path, shot(NOON), shot(NOON))
    names = json.loads(order.read_text())["sets"][0]["order"]
    plan = make_stamps([ordered(folder, names)], None, timedelta(seconds=1), keep_seconds=True)
    with locked(folder) as held:
        rewrites = [replace(each, stage=f".imgorder-{each.name}") for each in plan.changing]
        assert RewriteRecovery(held, rewrites).settle(back=False) == []
    assert written(folder, order) == [f"{NOON}.000", f"{NOON}.500"]
    records = [as_record(each) for each in plan.changing]
    assert [record["digits"] for record in records] == [3, 3]
    for record in records:
        assert read_record(Rewrite, {**record, "stage": ".imgorder-x"}).digits == 3
        assert (
            read_record(Rewrite, {name: record[name] for name in record if name != "digits"} | {"stage": "x"}).digits
            == 1
        )
        with pytest.raises(ValueError, match="digits is not a number from 1 to 6"):
            read_record(Rewrite, {**record, "stage": "x", "digits": 7})


def test_one_way_to_choose_the_times_has_to_be_given(tmp_path: Path) -> None:
    _, order = album(tmp_path, shot(NOON), shot(NOON))
    for options in (
        [],
        ["--start", "2024-05-01 12:00:00", "--fill"],
        ["--start", "2024-05-01 12:00:00", "--keep-seconds"],
    ):
        result = command("stamp", "--order", order, *options)
        assert result.exit_code == 2
        assert "--keep-seconds" in result.stderr
        assert ("give --start or those" in result.stderr) == bool(options)


def test_a_step_beyond_the_year_9999_is_told(tmp_path: Path) -> None:
    _, order = album(tmp_path, shot(NOON), shot(None))
    assert command("stamp", "--order", order, "--fill", "--step", "99999999h").exit_code == 2


def test_fractions_rise_within_what_is_written_whenever_that_is_possible() -> None:
    random = Random(7)
    for _ in range(300):
        rising = sorted(random.sample(range(1000), random.randint(1, 12)))
        texts = [f"{each:03}"[: random.randint(0, 3)] for each in rising]
        given = _spread(texts, 3)
        assert given is not None, texts
        assert given == sorted(set(given))
        assert all(f"{each:03}".startswith(text) for each, text in zip(given, texts, strict=True)), texts
    assert _spread(["5", "2"], 6) is None
    assert _spread(["123"] * 2, 3) is None
