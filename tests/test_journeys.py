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


def lay_out(folder: Path, moments: Sequence[Image.Image], names: Sequence[str], times: Sequence[str | None]) -> None:
    """Write photos; a time is ``"12:00:03"``, or ``"12:00:03.25"`` with a part of a second, or None."""
    folder.mkdir(exist_ok=True)
    for image, name, time in zip(moments, names, times, strict=True):
        exif = Image.Exif()
        if time:
            second, _, part = time.partition(".")
            fields = exif.get_ifd(EXIF)
            fields[TAKEN] = f"2024:05:01 {second}"
            if part:
                fields[SUBSECONDS] = part
            exif[MAKE], exif[MODEL] = "Maker", "Camera"
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
