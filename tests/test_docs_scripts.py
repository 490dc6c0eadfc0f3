from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgorder.evaluation.measure import Answers, Measured, Row
from imgorder.evaluation.tables import results_json
from tests.conftest import ROOT, load_script

RESULTS = ROOT / "docs" / "results"

merge_results = load_script(ROOT / "docs" / "merge_results.py")


def evaluated(
    models: Sequence[str],
    accuracy: float,
    spacings: Sequence[float] = (1, 2),
    n: int | None = 4,
    dataset: str = "made",
    permutations: int = 1,
    videos: Sequence[str] = ("a", "b"),
    kind: str | None = None,
) -> dict[str, Any]:
    """What `imgorder evaluate --json` prints of models that are right so often, in percent."""
    table = np.full((len(videos), 1, 4), accuracy / 100)
    answers = Answers(tuple(videos), tuple(videos), table)
    facts: dict[str, Any] = {"sets": len(videos), "permutations": permutations, "accuracy": accuracy, "chance": 8.33}
    facts |= dict.fromkeys(("accuracy_low", "accuracy_high", "kendall_tau", "adjacency", "ece"), 0.5) | {"kind": kind}
    measured = [
        Measured(Row(model, dataset, n, spacing, **facts), dict.fromkeys(videos, accuracy), answers)
        for spacing in spacings
        for model in models
    ]
    shown: dict[str, Any] = json.loads(results_json(measured))
    return shown


def bare(results: dict[str, Any]) -> dict[str, Any]:
    """Rows alone."""
    return {"version": 1, "rows": results["rows"]}


@pytest.fixture
def merged(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Merges results by way of files: in0.json, in1.json and so on into out.json."""

    def merge(*inputs: Any) -> dict[str, Any]:
        files = [tmp_path / f"in{number}.json" for number in range(len(inputs))]
        for file, each in zip(files, inputs, strict=True):
            file.write_text(json.dumps(each), "utf-8")
        merge_results.main([str(tmp_path / "out.json"), *map(str, files)])
        result: dict[str, Any] = json.loads((tmp_path / "out.json").read_text("utf-8"))
        return result

    return merge


def told(results: dict[str, Any], part: str = "rows") -> list[tuple[Any, ...]]:
    return [(each["seq_len"], each.get("spacing"), each["model"], each["accuracy"]) for each in results[part]]


def test_rows_of_later_files_replace_those_of_earlier_ones_and_are_put_in_order(
    merged: Callable[..., dict[str, Any]],
) -> None:
    old = evaluated(["path", "one", "two"], 50)
    result = merged(old, evaluated(["path", "zero", "one"], 75), evaluated(["path"], 25, [8, 1], n=3))
    names = [("path", 75), ("one", 75), ("two", 50), ("zero", 75)]
    threes = [(3, 1, "path", 25), (3, 8, "path", 25)]
    assert told(result) == [*threes, *((4, spacing, *each) for spacing in (1, 2) for each in names)]
    assert told(result, "pooled") == [(3, None, "path", 25), *((4, None, *each) for each in names)]
    assert [each[:3] for each in told(result, "videos")] == [each[:3] for each in told(result)]
    assert {tuple(each["accuracy"].values()) for each in result["videos"] if each["model"] == "zero"} == {(75, 75)}


@pytest.mark.parametrize("name", ["davis-dev.json", "votes.json"])
def test_a_results_file_merged_into_itself_stays_as_it_is_to_the_byte(tmp_path: Path, name: str) -> None:
    kept = tmp_path / name
    kept.write_bytes((RESULTS / name).read_bytes())
    merge_results.main([str(kept), str(kept), str(RESULTS / name)])
    assert kept.read_bytes() == (RESULTS / name).read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_rows_alone_take_rows_of_single_spacings(merged: Callable[..., dict[str, Any]]) -> None:
    result = merged(bare(evaluated(["path", "one"], 50)), evaluated(["path", "one (4 votes)"], 75, [2]))
    assert list(result) == ["version", "rows"]
    assert told(result) == [
        *((4, 1, "path", 50), (4, 1, "one", 50)),
        *((4, 2, "path", 75), (4, 2, "one", 50), (4, 2, "one (4 votes)", 75)),
    ]


def test_kinds_and_whole_albums_are_told_apart(merged: Callable[..., dict[str, Any]]) -> None:
    def of_kinds(accuracy: float) -> dict[str, Any]:
        parts = [evaluated(["path"], accuracy, [0], n=None, kind=kind) for kind in ("still", "moved", None)]
        parts += [evaluated(["path"], accuracy, [1], n=12)]
        every = {part: [each for results in parts for each in results[part]] for part in ("rows", "videos")}
        return {"version": 1, **every}

    result = merged(of_kinds(50), of_kinds(75))
    told = [(row["seq_len"], row["kind"], row["accuracy"]) for row in result["rows"]]
    assert told == [(12, None, 75), (None, None, 75), (None, "moved", 75), (None, "still", 75)]


def test_models_that_are_all_measured_anew_may_be_shown_more(merged: Callable[..., dict[str, Any]]) -> None:
    anew = [evaluated([model], 75, permutations=4) for model in ("path", "one")]
    assert {row["permutations"] for row in merged(evaluated(["path", "one"], 50), *anew)["rows"]} == {4}


OLD = evaluated(["path", "one"], 50)
OTHER = evaluated(["path", "two"], 50)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([OLD, evaluated(["path"], 50, dataset="else")], r"in0.json and .*in1.json: .*data sets \(made and else"),
        ([OLD, OTHER | {"seed": 1}], r"differ in seed \(null and 1\)"),
        ([OLD | {"seed": 0}, OTHER | {"seed": 1}], r"differ in seed \(0 and 1\)"),
        ([OLD, bare(OTHER)], "in1.json: has no pooled, as .*in0.json has"),
        ([OLD, evaluated(["two"], 50, permutations=4)], "two on made, n = 4, spacing 1: its permutations are not"),
        ([OLD, evaluated(["two"], 50, videos="abc")], "its sets are not those of path"),
        ([OLD, evaluated(["two"], 50, videos="ac")], "its videos are not those of path"),
        ([OLD, evaluated(["path"], 50, [2])], "in1.json: path on made, n = 4: rows of spacings 1, 2, but .* 2;"),
        ([OLD, evaluated(["path"], 50, [3])], "rows of spacings 1, 2, 3, but pooled figures of 3;"),
        ([OLD, OTHER | {"pooled": []}], "in1.json: path on made, n = 4: .* pooled figures of none;"),
        ([OLD, OTHER | {"rows": OLD["rows"][:1], "pooled": []}], "in1.json: .* is not in both rows and videos"),
        ([OLD | {"rows": OLD["rows"] * 2}], "in0.json: path on made, n = 4, spacing 1: is twice in rows"),
        ([bare(OLD), {"version": 1, "rows": [row | {"new": 1} for row in OTHER["rows"]]}], "their rows have new;"),
        ([OLD, {"version": 2, "rows": OLD["rows"]}], "in1.json: no results of version 1"),
        ([[]], "in0.json: no results"),
        ([{"version": 1, "rows": []}], "in0.json: no results"),
        ([{"version": 1, "rows": [1]}], "in0.json: no results"),
        ([{"version": 1, "rows": [row | {"spacing": None} for row in OLD["rows"]]}], "in0.json: no results"),
        ([OLD | {"videos": 3}], "in0.json: no results"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_one_line(
    merged: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    inputs: list[Any],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        merged(*inputs)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not [file for file in tmp_path.iterdir() if not file.name.startswith("in")]


def test_results_that_are_not_among_the_inputs_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, new, gone = tmp_path / "out.json", tmp_path / "new.json", tmp_path / "gone.json"
    out.write_text(json.dumps(OLD), "utf-8")
    new.write_text(json.dumps(OTHER), "utf-8")
    before = out.read_bytes()
    for inputs, message in (([new], "out.json: is there already"), ([out, gone], "gone.json: cannot be read (No such")):
        with pytest.raises(SystemExit):
            merge_results.main([str(out), *map(str, inputs)])
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert out.read_bytes() == before
    merge_results.main([str(out), str(out), str(new)])
    assert [each["model"] for each in json.loads(out.read_bytes())["pooled"]] == ["path", "one", "two"]


def test_tables_bear_a_model_that_lacks_a_case() -> None:
    full = Row("path", "d", 4, 1, 9, 1, 50.0, 40.0, 60.0, 0.5, 0.5, 0.1, 8.33)
    rows = [full, replace(full, spacing=2), replace(full, model="other", accuracy=70.0)]
    rows.append(replace(full, seq_len=5))
    table = load_script(ROOT / "docs" / "tables.py").accuracy_table(rows, with_paper=False)
    assert "| 4 | other | 70.0 | – |" in table
    assert "| 5 | path |" in table
    assert "| 5 | other |" not in table


def test_the_tables_of_albums_tell_sizes_kinds_and_places() -> None:
    tables = load_script(ROOT / "docs" / "tables.py")
    path = Row("path", "photos", None, 0.0, 9, 1, 50.0, 40.0, 60.0, 0.5, 0.25, 0.1, 0.0, "people", 0.3)
    rows = [path, replace(path, model="other", seq_len=12, place_ece=0.04)]
    lines = tables.albums_table(rows).splitlines()[2:]
    assert lines == [
        "| all | people | 9 | path | 50.0 (40.0 to 60.0) | 0.0 | 0.500 | 0.250 | – |",  # it is not calibrated
        "| 12 | people | 9 | other | 50.0 (40.0 to 60.0) | 0.0 | 0.500 | 0.250 | 0.040 |",
    ]
    spaced = tables.albums_table([replace(path, kind=None, spacing=2.0)])
    assert "| all | 2 | 9 | path |" in spaced
    assert tables.albums_table([]) == "Not measured yet."


def test_many_photos_are_told_beside_reading_them() -> None:
    row = {"photos": 50, "model": "path", "search": "path", "read_s": 2.0, "order_s": 5.0, "read_mib": 100}
    table = load_script(ROOT / "docs" / "tables.py").many_photos_table([row | {"order_mib": 150}])
    assert table.splitlines()[2] == "| 50 | path | path | 2.0 s | 5.0 s | 2.5 | 100 MiB | 150 MiB | 1.5 |"
