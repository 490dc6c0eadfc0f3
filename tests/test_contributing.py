"""CONTRIBUTING.md names what is there, and all of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import ROOT, load_script

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def targets() -> set[str]:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    return set(phony.split())


def test_the_page_names_only_targets_of_make() -> None:
    code = [block or inline for block, inline in re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", PAGE, re.DOTALL)]
    lines = [line.split("#")[0] for part in code for line in part.splitlines()]
    words = {word for line in lines if " make " in f" {line}" for word in line.partition("make ")[2].split()}
    assert {"demo", "test", "check", "coverage", "docs"} <= words <= targets()


def test_make_help_lists_every_target() -> None:
    assert set(re.findall(r'^\t@echo "make (\w+) ', MAKEFILE, re.MULTILINE)) == targets() - {"help"}


def test_the_page_names_every_results_file_and_a_script_that_is_there() -> None:
    rows = re.findall(r"^\| (`.*`) \| (.*`) \|$", PAGE, re.MULTILINE)
    files = sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row[0]))
    assert files == sorted(file.name for file in (ROOT / "docs" / "results").iterdir())
    scripts = [name for row in rows for name in re.findall(r"\b(?:benchmarks|docs)/\w+\.py", row[1])]
    assert [name for name in scripts if not (ROOT / name).is_file()] == []
    assert len(scripts) >= 9


def measured(statements: int, covered: int, branches: int = 0, taken: int = 0) -> dict[str, Any]:
    numbers = {"num_statements": statements, "covered_lines": covered}
    return {"summary": {**numbers, "num_branches": branches, "covered_branches": taken, "percent_covered": 1.0}}


def test_coverage_of_a_room_is_that_of_its_lines_not_the_mean_of_its_files() -> None:
    report = {
        "files": {
            "imgorder/names.py": measured(10, 5),
            "imgorder/media/photos.py": measured(90, 90, 20, 10),
            "imgorder/media/exif.py": measured(10, 0, 20, 20),
            "imgorder/inference/hub/cache.py": measured(100, 75, 4, 1),
        }
    }
    summary = load_script(ROOT / "docs" / "summarise_coverage.py").summarise(report)
    assert summary["rooms"] == {
        "imgorder": {"lines": 50.0, "branches": 100.0},
        "inference": {"lines": 75.0, "branches": 25.0},
        "media": {"lines": 90.0, "branches": 75.0},
    }
    assert (summary["lines"], summary["branches"]) == (pytest.approx(81.0), pytest.approx(70.5))


def test_the_page_gives_the_figure_with_the_rooms_that_have_least() -> None:
    rooms = {
        name: {"lines": 99.0, "branches": share} for name, share in zip("abcd", (90.0, 70.5, 80.0, 99.0), strict=True)
    }
    text = load_script(ROOT / "docs" / "update.py").coverage_text({"lines": 95.5, "branches": 88.1, "rooms": rooms})
    assert "95.5 % of the lines and 88.1 % of the branches" in text
    assert text.endswith("`b` 70.5 %, `c` 80.0 %, `a` 90.0 %.")
