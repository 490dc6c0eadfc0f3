"""The benchmarks are run by hand and seldom; that they still fit the package is seen here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, load_script

FOLDER = ROOT / "benchmarks"


def test_the_benchmarks_find_all_that_they_import() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "robustness" in names
    # In a process of their own: they import one another, and other tests have theirs.
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(f"import {name}" for name in names)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def run(script: str, *arguments: str | Path) -> None:
    command = [sys.executable, FOLDER / script, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_albums_are_measured_by_kind_together_and_without_the_hard_ones(tmp_path: Path) -> None:
    albums = tmp_path / "albums"
    facts = {
        "desk": "objects on a table,handheld,yes",
        "walk": "a wood and its still scene,pan,yes",
        "door": "people,static,hard: far apart",
        "trap-1": "people,static,yes",
    }
    for name in facts:
        (albums / name).mkdir(parents=True)
        for index in range(5):
            pixels = np.full((120, 160, 3), 90, np.uint8)
            pixels[30:90, 20 + 20 * index : 50 + 20 * index] = 220
            Image.fromarray(pixels).save(albums / name / f"{index}.png")
        (albums / name / "truth.csv").write_text("file\n" + "".join(f"{index}.png\n" for index in range(5)))
    lines = "".join(f"{name},photos,{each}\n" for name, each in facts.items())
    (albums / "sets.csv").write_text("set,kind,category,camera,decidable\n" + lines)
    results = tmp_path / "albums.json"
    options = ("--models", "path", "--photos", albums, "--leave-out", "trap-*", "--seq-len", "4", "all")
    run("albums.py", *options, "--json", results)
    rows = json.loads(results.read_text("utf-8"))["rows"]
    assert [(row["seq_len"], row["kind"], row["sets"]) for row in rows] == [
        (n, kind, sets * many)
        for n, many in ((4, 2), (None, 1))
        for kind, sets in (
            ("objects on a table, hand-held", 1),
            ("people, tripod (hard)", 1),
            ("still scene, moving camera", 1),
            ("all", 3),
            ("all but the hard ones", 2),
        )
    ]
    assert {row["accuracy"] for row in rows} == {100.0}


def test_many_photos_are_timed_beside_reading_them(tmp_path: Path) -> None:
    results = tmp_path / "many.json"
    run("many_photos.py", "--models", "path", "--photos", "9", "--width", "160", "--runs", "1", "--json", results)
    (row,) = json.loads(results.read_text("utf-8"))["rows"]
    assert (row["photos"], row["search"], row["right"]) == (9, "path", True)
    assert min(row["read_s"], row["order_s"], row["read_mib"], row["order_mib"]) > 0


def test_rows_of_a_model_that_is_measured_anew_take_the_places_of_the_former_ones() -> None:
    replace_rows = load_script(FOLDER / "remeasure.py").replace_rows

    def results(model: str, right: float, n: tuple[int, ...] = (3, 4), **more: float) -> dict[str, Any]:
        rows = [
            {"model": each, "dataset": "d", "seq_len": size, "accuracy": figure, **more}
            for size in n
            for each, figure in (("path", 50.0), (model, right))
        ]
        return {"version": 1, "rows": rows}

    former = results("one", 60.0)
    former["rows"].insert(2, {"model": "other", "dataset": "d", "seq_len": 3, "accuracy": 1.0})
    merged = replace_rows(former, results("one", 70.0, (3, 4, 5), kind=0), "one")
    assert [(row["model"], row["seq_len"], row["accuracy"]) for row in merged["rows"]] == [
        *(("path", 3, 50.0), ("one", 3, 70.0), ("other", 3, 1.0)),
        *(("path", 4, 50.0), ("one", 4, 70.0)),
    ]
    assert all(row.keys() == former["rows"][0].keys() for row in merged["rows"])
    added = replace_rows(former, results("new", 80.0), "new")
    assert added["rows"] == former["rows"] + [row for row in results("new", 80.0)["rows"] if row["model"] == "new"]
    with pytest.raises(SystemExit, match="was not measured"):
        replace_rows(former, results("one", 70.0, (3,)), "one")
    elsewhere = results("one", 70.0)
    elsewhere["rows"][0]["accuracy"] = 51.0
    with pytest.raises(SystemExit, match="the baseline is another"):
        replace_rows(former, elsewhere, "one")
