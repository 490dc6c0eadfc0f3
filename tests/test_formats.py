"""Output of `sort` for other programs: as Python, xargs and Parquet readers read it back."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from imgorder.cli import app
from imgorder.sorting import sort as sorting
from tests.conftest import EXAMPLE, is_one_error


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The command within this process, as a subprocess would answer."""
    result = CliRunner().invoke(app, ["sort", "--model", "path", *map(str, arguments)])
    return subprocess.CompletedProcess((), result.exit_code, result.stdout_bytes, result.stderr_bytes)


def answer(*arguments: str | Path) -> bytes:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def orders(*paths: Path) -> list[dict[str, Any]]:
    """What --json says of these sets."""
    sets: list[dict[str, Any]] = json.loads(answer("--json", *paths))["sets"]
    return sets


@pytest.fixture
def two(photos: Path, tmp_path: Path, scene: list[Image.Image]) -> tuple[Path, Path]:
    """Two sets: a folder of four photos, and one of three whose names are hard on other programs."""
    odd = tmp_path / 'odd, "set"'
    odd.mkdir()
    for name, image in zip((b"it's a b.jpg", b"caf\xe9 \xce\xb1.jpg", b"-n.jpg"), scene, strict=False):
        with open(os.path.join(os.fsencode(odd), name), "wb") as file:
            image.save(file, "JPEG")
    return photos, odd


def in_order(folder: Path, names: list[str]) -> list[Path]:
    return [folder / name for name in names]


def test_each_line_of_jsonl_is_a_set_as_json_has_it(two: tuple[Path, Path]) -> None:
    lines = answer("--jsonl", *two).splitlines()
    assert [json.loads(line) for line in lines] == [{"version": 1, **each} for each in orders(*two)]


def test_csv_has_a_row_for_each_photo_in_temporal_order(two: tuple[Path, Path]) -> None:
    text = answer("--csv", *two).decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = orders(*two)
    paths = [str(path) for folder, each in zip(two, expected, strict=True) for path in in_order(folder, each["order"])]
    assert [row["path"] for row in rows] == paths
    assert all(os.path.exists(row["path"]) for row in rows)
    assert [row["index"] for row in rows] == ["1", "2", "3", "4", "1", "2", "3"]
    assert [row["set"] for row in rows] == ["photos"] * 4 + [two[1].name] * 3
    assert [row["sure"] for row in rows[:4]] == ["", *map(str, expected[0]["places"])]
    assert {row["n"] for row in rows[:4]} == {"4"}
    assert rows[0]["reason"] == "content"


def test_plain_is_an_order_file_and_a_line_for_each_photo(photos: Path) -> None:
    lines = answer("--plain", photos).decode().splitlines()
    (expected,) = orders(photos)
    assert lines == [str(path) for path in in_order(photos, expected["order"])]
    order = photos.parent / "order.txt"
    order.write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(app, ["rename", "--order", str(order), str(photos), "--json"])
    (plan,) = json.loads(result.stdout)["sets"]
    assert [file["old"] for file in plan["files"]] == expected["order"]


def test_xargs_reads_back_every_name(two: tuple[Path, Path]) -> None:
    script = 'for name; do test -f "$name" || exit 9; printf "%s\\0" "$name"; done'
    for paths in ([*two], [two[1] / "."]):
        listed = answer("--print0", *paths)
        seen = subprocess.run(["xargs", "-0", "sh", "-c", script, "sh"], input=listed, capture_output=True, check=True)
        assert seen.stdout == listed
    lines = answer("--plain", two[1])
    seen = subprocess.run(
        ["xargs", "-d", "\\n", "sh", "-c", script, "sh"], input=lines, capture_output=True, check=True
    )
    assert seen.stdout == lines.replace(b"\n", b"\0")


def test_no_path_looks_like_an_option(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two[1])
    listed = answer("--print0", ".").split(b"\0")
    assert b"./-n.jpg" in listed
    subprocess.run(["cat", *listed[:-1]], capture_output=True, check=True)


@pytest.mark.parametrize("option", [["--plain"], ["--format", "{index} {name}"]])
def test_a_name_with_a_line_break_needs_print0(photos: Path, option: list[str]) -> None:
    odd = photos / "two\nlines.jpg"
    (photos / "img2.jpg").rename(odd)
    done = run(*option, photos)
    assert (done.returncode, done.stdout) == (2, b"")
    assert is_one_error(done.stderr.decode(), "two\\nlines.jpg", "--print0")
    assert os.fsencode(odd) in answer("--print0", photos).split(b"\0")


def test_format_fills_a_line_for_each_photo(two: tuple[Path, Path]) -> None:
    text = answer("--format", "{set}/{index:03d} {n} {name} {confidence:.1f} {{}}", two[0])
    (expected,) = orders(two[0])
    first = f"photos/001 4 {expected['order'][0]} {expected['confidence']:.1f} {{}}"
    assert text.decode().splitlines()[0] == first
    assert len(text.decode().splitlines()) == 4


@pytest.mark.parametrize(
    "layout",
    [
        "{path.__class__}",
        "{index[0]}",
        "{path!r}",
        "{0}",
        "{}",
        "{secret}",
        "{index:{n}}",
        "{index:99999999999d}",
        "{path:d}",
        "{index",
        "no field",
        "",
    ],
)
def test_formats_take_known_fields_and_nothing_else(photos: Path, layout: str) -> None:
    done = run("--format", layout, photos)
    assert (done.returncode, done.stdout) == (2, b"")
    assert is_one_error(done.stderr.decode(), "--format")


@pytest.mark.parametrize(
    "options",
    [("--json", "--csv"), ("--plain", "--print0"), ("--jsonl", "--format", "{path}"), ("--csv", "--thumbnails")],
)
def test_the_output_has_one_form(photos: Path, options: tuple[str, ...]) -> None:
    done = run(*options, photos)
    assert (done.returncode, done.stdout) == (2, b"")
    assert is_one_error(done.stderr.decode(), *(each for each in options if each.startswith("--")))


def test_a_set_is_written_when_it_is_sorted(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = sorting._sort_set, []

    def watched(photos: Any, *arguments: Any) -> Any:
        seen.append(sys.stdout.buffer.getvalue().count(b"\0"))  # type: ignore[attr-defined,union-attr]
        return real(photos, *arguments)

    monkeypatch.setattr(sorting, "_sort_set", watched)
    answer("--print0", *two)
    assert seen == [0, 4]


def test_a_closed_pipe_ends_quietly(photos: Path) -> None:
    command = [sys.executable, "-m", "imgorder", "sort", "--model", "path", "--plain", str(photos), str(EXAMPLE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        assert job.stdout.readline().startswith(os.fsencode(photos))
        job.stdout.close()
        assert job.stderr.read() == b""


def test_what_cannot_be_sorted_is_said_and_the_rest_is_written(two: tuple[Path, Path]) -> None:
    (two[0] / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    done = run("--jsonl", *two)
    assert done.returncode == 1
    assert [len(json.loads(line)["order"]) for line in done.stdout.splitlines()] == [4, 3]
    assert is_one_error(done.stderr.decode(), "broken.jpg")


def test_an_unsure_order_is_written_and_ends_with_three(photos: Path) -> None:
    done = run("--csv", "--min-confidence", "1", photos)
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 5


def test_pictures_are_there_before_a_line_is_written(photos: Path, tmp_path: Path) -> None:
    assert len(answer("--plain", "--sheet", tmp_path / "sheet.png", photos).splitlines()) == 4
    assert (tmp_path / "sheet.png").is_file()


def test_parquet_without_pyarrow_is_one_line(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "imgorder.cli._parquet", raising=False)
    target = tmp_path / "out.parquet"
    done = run("--parquet", target, photos)
    assert (done.returncode, done.stdout) == (1, b"")
    assert is_one_error(done.stderr.decode(), "pyarrow", "imgorder[parquet]")
    assert not target.exists()


def test_a_parquet_file_has_the_rows_of_csv(two: tuple[Path, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    os.rename(os.path.join(os.fsencode(two[1]), b"caf\xe9 \xce\xb1.jpg"), two[1] / "b.jpg")
    target = tmp_path / "out.parquet"
    assert answer("--parquet", target, *two) == b""
    rows = parquet.read_table(target).to_pylist()
    text = answer("--csv", *two).decode()
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows] == list(
        csv.DictReader(io.StringIO(text))
    )
    before = target.read_bytes()
    assert run("--parquet", target, *two).returncode == 1  # it is there
    assert target.read_bytes() == before
    assert answer("--parquet", target, "--force", *two) == b""
    photo = next(two[0].iterdir())
    assert run("--parquet", photo, "--force", *two).returncode == 2
    photo.rename(photo.with_suffix(".parquet"))
    assert run("--parquet", photo.with_suffix(".parquet"), "--force", *two).returncode == 1
    assert sorted(os.listdir(tmp_path)) == sorted(["photos", two[1].name, "out.parquet"])


def test_a_parquet_file_is_not_left_where_nothing_could_be_sorted(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"\xff\xd8\xff no photo")
    assert run("--parquet", tmp_path / "out.parquet", folder).returncode == 1
    assert os.listdir(tmp_path) == ["photos"]
