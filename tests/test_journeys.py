"""What kinds of people do with their photos, through the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from imgorder.cli import app
from tests.conftest import APPLY, ROOT, load_script

N = 12
EXIF, TAKEN, SUBSECONDS, MAKE, MODEL = 0x8769, 0x9003, 0x9291, 0x010F, 0x0110


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def sort(*arguments: str | Path) -> dict[str, Any]:
    result = run("sort", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    (only,) = json.loads(result.stdout)["sets"]
    return dict(only)


@pytest.fixture(scope="module")
def moments() -> list[Image.Image]:
    """Twelve photos of one rendered scene in temporal order."""
    images: list[Image.Image] = load_script(ROOT / "examples" / "render_scene.py").render_set(N, 3, 320, 240)
    return images


def lay_out(
    folder: Path,
    moments: Sequence[Image.Image],
    names: Sequence[str],
    times: Sequence[str | None],
    models: Sequence[str] = (),
) -> None:
    """Write photos; a time is ``"12:00:03"``, or ``"12:00:03.25"`` with a part of a second, or None."""
    folder.mkdir(exist_ok=True)
    for image, name, time, model in zip(moments, names, times, models or ["Camera"] * len(names), strict=True):
        exif = Image.Exif()
        if time:
            second, _, part = time.partition(".")
            fields = exif.get_ifd(EXIF)
            fields[TAKEN] = f"2024:05:01 {second}"
            if part:
                fields[SUBSECONDS] = part
            exif[MAKE], exif[MODEL] = "Maker", model
        image.save(folder / name, quality=92, exif=exif)


MIXED = [f"p{(5 * place) % N:02d}.jpg" for place in range(N)]  # names that say nothing


def up_to_reversal(order: list[str]) -> bool:
    return order in (MIXED, MIXED[::-1])


def test_an_album_from_a_messenger(tmp_path: Path, moments: list[Image.Image]) -> None:
    """No times at all: the pictures decide, and which end is the first has to be said."""
    lay_out(tmp_path / "photos", moments, MIXED, [None] * N)
    found = sort(tmp_path / "photos")
    assert up_to_reversal(found["order"])
    assert (found["direction"], found["search"], len(found["places"])) == ("unknown", "triples", N - 1)
    assert set(found["reasons"]) == {"content"}
    before = sorted((file.name, file.read_bytes()) for file in (tmp_path / "photos").iterdir())
    for command in (("rename",), ("stamp", "--start", "2024-05-01 12:00:00")):
        refused = run(*command, tmp_path / "photos", "--apply")
        assert refused.exit_code == 3
        assert "which end is the first is not known; nothing was changed; add --first FILE" in refused.stderr
    assert sorted((file.name, file.read_bytes()) for file in (tmp_path / "photos").iterdir()) == before
    assert sort(tmp_path / "photos", "--first", MIXED[0])["order"] == MIXED
    assert sort(tmp_path / "photos", "--last", MIXED[0])["order"] == MIXED[::-1]
    assert run("rename", tmp_path / "photos", "--first", MIXED[0], "--apply").exit_code == 0
    names = sorted(file.name for file in (tmp_path / "photos").glob("*.jpg"))
    assert [name.split("_", 1)[1] for name in names] == MIXED


def test_a_burst_whose_seconds_are_equal(tmp_path: Path, moments: list[Image.Image]) -> None:
    """Whole seconds order the photos of different seconds; within one, the pictures do."""
    times = [f"12:00:{place // 4:02d}" for place in range(N)]
    lay_out(tmp_path / "photos", moments, MIXED, times)
    found = sort(tmp_path / "photos")
    assert found["order"] == MIXED
    assert found["direction"] == "known"
    assert run("rename", tmp_path / "photos", "--apply").exit_code == 0


def test_a_burst_of_a_single_second(tmp_path: Path, moments: list[Image.Image]) -> None:
    """Nothing tells which end is the first, until a person does."""
    lay_out(tmp_path / "photos", moments[:6], MIXED[:6], ["12:00:00"] * 6)
    stamp = ("stamp", tmp_path / "photos", "--keep-seconds", "--apply")
    assert run(*stamp).exit_code == 3
    assert run(*stamp, "--first", MIXED[0]).exit_code == 0
    found = sort(tmp_path / "photos", "--metadata", "only")
    assert (found["order"], found["direction"]) == (MIXED[:6], "known")


def test_times_that_were_filled_in_are_of_another_camera_unless_told(
    tmp_path: Path, moments: list[Image.Image]
) -> None:
    times = [None if place % 2 else f"12:00:{3 * place:02d}" for place in range(7)]
    lay_out(tmp_path / "photos", moments[:7], MIXED[:7], times)  # without a time, without make and model
    assert run("stamp", tmp_path / "photos", "--fill", "--apply").exit_code == 0
    (clock,) = sort(tmp_path / "photos")["clocks"]
    assert (clock["camera"], clock["given"]) == ("unknown camera", False)
    assert run("sort", tmp_path / "photos", "--metadata", "only").exit_code == 2
    told = ("--offset", "unknown camera=+00:00:00")
    assert sort(tmp_path / "photos", "--metadata", "only", *told)["order"] == MIXED[:7]


def test_photos_without_a_time_find_their_place_among_those_with_one(
    tmp_path: Path, moments: list[Image.Image]
) -> None:
    times = [f"12:00:{place:02d}" if place in (1, 6) else None for place in range(N)]
    lay_out(tmp_path / "photos", moments, MIXED, times)
    found = sort(tmp_path / "photos")
    assert found["order"] == MIXED
    assert [reason != "content" for reason in found["reasons"]] == [place in (1, 6) for place in range(N)]


def test_times_are_heeded_even_against_the_pictures(tmp_path: Path, moments: list[Image.Image]) -> None:
    times = [f"12:00:{place:02d}" for place in range(N)]
    times[3], times[8] = times[8], times[3]
    lay_out(tmp_path / "photos", moments, MIXED, times)
    by_time = [name for _, name in sorted(zip(times, MIXED, strict=True))]
    assert sort(tmp_path / "photos")["order"] == by_time
    assert sort(tmp_path / "photos", "--metadata", "only")["order"] == by_time
    assert up_to_reversal(sort(tmp_path / "photos", "--metadata", "ignore")["order"])


def test_what_contradicts_the_times_is_one_line(tmp_path: Path, moments: list[Image.Image]) -> None:
    lay_out(tmp_path / "photos", moments[:4], MIXED[:4], [f"12:00:{place:02d}" for place in range(4)])
    for options in (("--first", MIXED[2]), ("--last", MIXED[0]), ("--reverse",)):
        result = run("sort", tmp_path / "photos", *options)
        assert result.exit_code == 2
        assert "the capture times say otherwise; add --metadata ignore, or leave it out" in result.stderr
        assert run("sort", tmp_path / "photos", *options, "--metadata", "ignore").exit_code == 0
    both = run("sort", tmp_path / "photos", "--first", MIXED[0], "--last", MIXED[0])
    assert (both.exit_code, "cannot be both first and last" in both.stderr) == (2, True)


def test_only_what_is_known_wants_all_to_be_known(tmp_path: Path, moments: list[Image.Image]) -> None:
    lay_out(tmp_path / "photos", moments[:4], MIXED[:4], ["12:00:01", "12:00:02", "12:00:02", "12:00:03"])
    result = run("sort", tmp_path / "photos", "--metadata", "only")
    assert result.exit_code == 2
    assert "nothing but the pictures says which of" in result.stderr
    assert run("sort", tmp_path / "photos", "--metadata", "perhaps").exit_code == 2


def test_two_phones_at_one_event(tmp_path: Path, moments: list[Image.Image]) -> None:
    """One clock is behind by three minutes: the pictures tell how far, and a person can say it."""
    names = MIXED[:8]
    second = [place % 3 == 1 for place in range(8)]
    times = [f"12:{20 - 3 * behind + place // 6:02}:{10 * (place % 6):02}" for place, behind in enumerate(second)]
    models = ["Pixel 7" if behind else "Galaxy" for behind in second]
    lay_out(tmp_path / "photos", moments[:8], names, times, models)
    found = sort(tmp_path / "photos")
    assert (found["order"], found["direction"], set(found["reasons"])) == (names, "known", {"DateTimeOriginal"})
    (clock,) = found["clocks"]
    assert (clock["camera"], clock["reference"], clock["photos"]) == ("Maker Pixel 7", "Maker Galaxy", 3)
    assert (clock["from"] <= 180 <= clock["to"], abs(clock["offset"] - 180) <= 10, clock["given"]) == (
        True,
        True,
        False,
    )
    shown = run("sort", tmp_path / "photos").stdout
    assert "By the pictures the clocks of Maker Pixel 7 and Maker Galaxy fit with +00:0" in shown
    fixed = ("--offset", "Pixel 7=+00:03:00")
    shown = run("sort", tmp_path / "photos", *fixed).stdout
    assert "+00:03:00 is added to the times of Maker Pixel 7, as given." in shown
    assert sort(tmp_path / "photos", *fixed, "--metadata", "only")["order"] == names
    assert run("sort", tmp_path / "photos", "--metadata", "only").exit_code == 2
    wrong = sort(tmp_path / "photos", "--offset", "Pixel 7=+00:00:00")["order"]
    assert wrong[:3] == names[1::3]  # what the person says counts more than the pictures
    assert run("report", tmp_path / "photos", "--out", tmp_path / "page.html").exit_code == 0
    assert "the clocks of Maker Pixel 7 and Maker Galaxy fit" in (tmp_path / "page.html").read_text("utf-8")
    assert run("rename", tmp_path / "photos", "--apply").exit_code == 0
    assert [file.name[4:] for file in sorted((tmp_path / "photos").glob("*.jpg"))] == names


def test_a_scanned_film_roll(tmp_path: Path, moments: list[Image.Image]) -> None:
    """No scan has a time, the names tell how they were fed, and a person knows the first photo and the day."""
    fed = [2, 0, 4, 1, 3]
    names = [f"scan{number:04}.jpg" for number in range(5)]
    lay_out(tmp_path / "roll", [moments[place] for place in fed], names, [None] * 5)
    true = [names[fed.index(place)] for place in range(5)]
    found = sort(tmp_path / "roll")
    assert (found["direction"], found["order"] in (true, true[::-1])) == ("unknown", True)
    (tmp_path / "order.json").write_text(run("sort", tmp_path / "roll", "--json", "--first", true[0]).stdout)
    times = ("--start", "1987-07-04 15:00:00", "--step", "1m")
    assert run("stamp", "--order", tmp_path / "order.json", *times, "--apply").exit_code == 0
    stamped = sort(tmp_path / "roll", "--metadata", "only")  # from now on the order is known
    assert (stamped["order"], stamped["direction"]) == (true, "known")
    assert run("rename", tmp_path / "roll", "--template", "1987-{index:02d}{ext}", "--apply").exit_code == 0
    assert sort(tmp_path / "roll")["order"] == [f"1987-{number:02}.jpg" for number in range(1, 6)]
    assert run("undo", tmp_path / "roll").exit_code == 0
    assert run("undo", tmp_path / "roll").exit_code == 0
    assert sort(tmp_path / "roll")["direction"] == "unknown"


def test_the_earliest_time_is_the_first(tmp_path: Path, moments: list[Image.Image]) -> None:
    """One photo with a time alone says nothing, unless the person takes it for the first."""
    names = MIXED[:5]
    lay_out(tmp_path / "photos", moments[:5], names, ["12:00:00", *[None] * 4])
    assert sort(tmp_path / "photos")["direction"] == "unknown"
    found = sort(tmp_path / "photos", "--first", "exif")
    assert (found["order"], found["direction"]) == (names, "given")
    lay_out(tmp_path / "burst", moments[:5], names, ["12:00:00", "12:00:00", *[None] * 3])
    assert sort(tmp_path / "burst", "--first", "exif")["order"] == names
    lay_out(tmp_path / "none", moments[:5], names, [None] * 5)
    lay_out(tmp_path / "same", moments[:5], names, ["12:00:00"] * 5)
    for folder, reason in (
        ("none", "no photo has a capture time that is trusted"),
        ("same", "all photos have the same"),
    ):
        result = run("sort", tmp_path / folder, "--first", "exif")
        assert (result.exit_code, reason in result.stderr) == (2, True)
    named = [f"IMG_20240501_12000{second}.jpg" for second in range(5)]
    lay_out(tmp_path / "zones", moments[:5], named, [None] * 5)
    (tmp_path / "zones" / f"{named[2]}.json").write_text('{"photoTakenTime": {"timestamp": "1714557602"}}')
    result = run("sort", tmp_path / "zones", "--first", "exif")
    assert (result.exit_code, "only some capture times have a time zone" in result.stderr) == (2, True)
    (tmp_path / "order.txt").write_text("\n".join(names))
    for options in (("--first", "exif"), ("--offset", "Camera=+00:00:01"), ("--keep-strays",)):
        refused = run("rename", tmp_path / "photos", "--order", tmp_path / "order.txt", *options)
        assert refused.exit_code == 2
        assert (
            f"--order FILE takes an order that is there already; leave {' '.join(options).split('Cam')[0].strip()} out"
            in (refused.stderr)
        )


def test_a_direction_that_times_told_is_not_turned_round(tmp_path: Path, moments: list[Image.Image]) -> None:
    names = MIXED[:4]
    lay_out(tmp_path / "photos", moments[:4], names, [f"12:00:{second:02}" for second in range(0, 8, 2)])
    written = tmp_path / "order.json"
    written.write_text(run("sort", tmp_path / "photos", "--json").stdout)
    for options in (("--reverse",), ("--first", names[-1]), ("--last", names[0])):
        result = run("rename", "--order", written, *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the capture times said otherwise as this order was made" in result.stderr
    assert run("rename", "--order", written, "--first", names[0]).exit_code == 0


def test_a_list_of_a_guess_is_warned_of(tmp_path: Path) -> None:
    from tests.test_strays import scene

    (tmp_path / "photos").mkdir()
    for place, pixels in enumerate([*scene(1, 4), *scene(2, 4)]):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{place}.png")
    result = run("sort", tmp_path / "photos", "--plain")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 8)
    assert "a guess: 2 scenes are mixed" in result.stderr
    assert "a list of photos does not say so" in result.stderr


def test_a_guess_is_not_carried_out_unless_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(6):  # nothing that tells an order
        blots = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        blots.resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    assert sort(folder)["words"].startswith("a guess: ")
    refused = run("rename", folder, *APPLY)
    assert (refused.exit_code, "a guess, confidence 0." in refused.stderr) == (3, True)
    assert sorted(file.name for file in folder.iterdir()) == [f"{index}.png" for index in range(6)]
    assert run("rename", folder, *APPLY, "--min-confidence", "0").exit_code == 0
