"""The documents: they fit the program, and their links lead somewhere."""

from __future__ import annotations

import json
import re
from math import factorial
from pathlib import Path

import pytest

from imgorder import __version__
from tests.conftest import ROOT, load_script

PLACES = ("*.md", "docs/*.md", "models/README.md", "examples/README.md")
DOCUMENTS = sorted(document for place in PLACES for document in ROOT.glob(place))
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


def prose(document: Path) -> str:
    """A document without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text("utf-8"), flags=re.DOTALL)


def anchors(document: Path) -> set[str]:
    """What a link can name in a document: its headings, as GitHub spells them."""
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(document: Path) -> None:
    for link in LINK.findall(prose(document)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_reference_lists_the_commands_and_options_of_today() -> None:
    reference = load_script(ROOT / "docs" / "cli_reference.py")
    written = reference.PAGE.read_text("utf-8")
    assert written == reference.page(), "python docs/cli_reference.py"
    for heading, option in (("imgorder sort", "--first FILE"), ("imgorder models pull", "--offline")):
        (section,) = re.findall(rf"^### {heading}\n(.*?)(?=^### |\Z)", written, flags=re.MULTILINE | re.DOTALL)
        assert f"- `{option}`: " in section


def test_the_changelog_has_the_version_that_the_package_has() -> None:
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__


def test_the_readme_stays_short() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 130
    (table,) = re.findall(r"<!-- accuracy:begin -->\n(.*?)\n\n", readme, flags=re.DOTALL)
    assert len(table.splitlines()) - 2 <= 8


def test_the_papers_figures_agree_with_one_another() -> None:
    paper = json.loads((ROOT / "docs" / "paper.json").read_text("utf-8"))
    tables = {name: table["rows"] for name, table in paper["tables"].items()}
    deep = {n: figure for n, *_, figure in tables["I"]}
    assert {n: figure for n, _, figure in tables["II"]} == {n: deep[n] for n in (3, 4)}
    assert dict(tables["IV"])["n"] == deep[5]
    assert dict(tables["IV"])["0"] == pytest.approx(100 / 60, abs=1e-3)  # chance
    assert tables["III"][0][2] == pytest.approx(tables["II"][1][1], abs=0.1)
    of = paper["ucf101"]
    assert of["videos"] == of["training_videos"] + of["test_videos"]
    assert of["permuted_training_sets"]["6"] == pytest.approx(of["training_sets"]["6"] * 360, rel=2e-3)


def test_the_permutations_of_table_v_are_those_that_the_notes_count() -> None:
    # 90 sequences of 6,208 frames; those that are too short for a set give none, which the widest spacings show.
    rows = json.loads((ROOT / "docs" / "paper.json").read_text("utf-8"))["tables"]["V"]["rows"]
    assert [(n, spacing) for n, spacing, *_ in rows] == [(n, spacing) for n in (4, 6) for spacing in range(1, 9)]
    for n, spacing, _, permutations in rows:
        counted = (6208 - 90 * (n - 1) * spacing) * factorial(n)
        assert counted - 1000 <= permutations <= counted + 22_000 if n == 6 else abs(permutations - counted) < 1000
