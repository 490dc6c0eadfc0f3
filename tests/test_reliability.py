"""`make fuzz` and `make crash` in small: they run, they say what they did, and each finds a fault that is planted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, load_script
from tests.crashing import write_part
from tests.fuzzing import KINDS, Enough, Trial, tree
from tests.mutations import images

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")


def python(code: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: both fork, and a test process may have threads."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_a_small_fuzz_finds_nothing_and_writes_its_figures(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    write_part(results, "crash", {"runs": 7})
    options = ["--seed", "2", "--share", "0.004", "--faults", str(tmp_path / "faults"), "--json", str(results)]
    done = python(f"from tests.fuzzing import main; main({options})")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 2\n")
    written = json.loads(results.read_bytes())
    assert written["crash"] == {"runs": 7}
    rows = {row["kind"]: row for row in written["fuzz"]["rows"]}
    assert {kind: rows[kind]["inputs"] for kind in rows} == {kind: round(n * 0.004) for kind, (_, n) in KINDS.items()}
    assert all(row["done"] + row["refused"] == row["inputs"] for row in rows.values())
    assert all(row["done"] for row in rows.values())  # the first of each kind is not changed
    assert not (tmp_path / "faults").exists()


def told(script: str) -> list[Any]:
    """What a script prints last, as JSON."""
    done = python(script)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# Runs `main` once for each fault that `plant` plants, and prints the exit code and stderr of each.
EACH = """
import contextlib, io, json
found = []
for planted in {plants!r}:
    plant(planted)
    errors, code = io.StringIO(), 0
    with contextlib.redirect_stderr(errors):
        try:
            main({options!r})
        except SystemExit as end:
            code = end.code
    found.append([code, errors.getvalue()])
print(json.dumps(found))
"""


def test_the_fuzz_finds_planted_faults_and_keeps_the_input(tmp_path: Path) -> None:
    plants = {
        "raise KeyError": "a traceback",
        "import os; os.abort()": "the process ended with -6",
        "(file.parent / 'o.jpg').unlink(); raise ImgorderError('lost')": "gone ['o.jpg']",
        "print('a library', file=sys.stderr); raise ImgorderError('ours')": "a line on stderr that is not ours",
        "print('imgorder: error: ' + chr(27), file=sys.stderr); sys.exit(1)": "characters that a terminal obeys",
        "import time; time.sleep(100)": "no end after 1 s",
    }
    options = ["--seed", "2", "--only", "order:1", "--faults", str(tmp_path / "faults")]
    script = """
import sys
from imgorder.sorting import order_file
from imgorder.errors import ImgorderError
from tests import fuzzing
from tests.fuzzing import main

def plant(code):
    exec(f"def read(file): {code}", globals())
    order_file.read_file = read
    fuzzing.LIMIT = 1 if "sleep" in code else 60
"""
    for (code, errors), seen in zip(
        told(script + EACH.format(plants=list(plants), options=options)), plants.values(), strict=True
    ):
        (line,) = errors.splitlines()
        assert code == 1
        assert line.startswith("fault: order:1: ")
        assert seen in line
    kept = tmp_path / "faults" / "2-order-1"
    assert (kept / "order.json").is_file()
    assert (kept / "photos" / "0.jpg").is_file()
    assert seen in (kept / "fault.txt").read_text()
    assert re.search(r"^\$ imgorder (rename|stamp) ", (kept / "fault.txt").read_text(), re.MULTILINE)


def made(kind: str, seed: int, number: int, home: Path) -> dict[str, bytes]:
    """The files of an input, before any command."""
    home.mkdir()
    trial = Trial(kind, seed, number, home, only_make=True)
    with pytest.raises(Enough):
        KINDS[kind][0](trial)
    return {name: content.replace(str(home).encode(), b"") for name, (content, _) in tree(home).items()}


@pytest.mark.parametrize("kind", ["order", "card", "image"])
def test_a_seed_makes_the_same_inputs_each_time(tmp_path: Path, kind: str) -> None:
    first = [made(kind, 3, number, tmp_path / f"a{number}") for number in range(8)]
    assert [made(kind, 3, number, tmp_path / f"b{number}") for number in range(8)] == first
    assert [made(kind, 4, number, tmp_path / f"c{number}") for number in range(8)] != first


def test_the_images_to_be_changed_are_of_many_kinds() -> None:
    assert {Path(name).suffix for name in images()} >= {".jpg", ".jpeg", ".png", ".tif", ".webp", ".bmp", ".gif"}


@needs_strace
def test_a_small_crash_run_finds_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    options = [
        "--every",
        "50",
        "--commands",
        "rename",
        "copy",
        "undo stamp",
        "--folder",
        str(tmp_path),
        "--json",
        str(results),
    ]
    done = python(f"from tests.crashing import main; main({options})")
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("skipped: "):
        pytest.skip(done.stdout)
    rows = json.loads(results.read_bytes())["crash"]["rows"]
    assert {row["action"] for row in rows} == {"rename", "copy", "undo stamp"}
    assert all(row["calls"] > 10 for row in rows)
    done_to_all = [sum(row[kind] for row in rows) for kind in ("kill", "error", "errors", "ctrl-c")]
    assert sum(done_to_all) > 20
    assert all(done_to_all)


@needs_strace
def test_the_crash_run_finds_planted_faults(tmp_path: Path) -> None:
    point = "rename/renameat2/error/renameat2:3:EIO"
    plants = {
        "transaction._take_back = lose": "something is lost",
        "transaction._take_back = lambda folder, run, error: run": "was interrupted",
        "Folder.sync = lambda folder: 1 / 0": "a traceback",
    }
    script = """
import os
from imgorder.changes import transaction
from imgorder.changes.folder import Folder
from tests.crashing import Case, main

def lose(folder, run, error):
    for change in run.changes[:1]:
        os.unlink(folder.at(change.stage))
    return run

real = Case.survives

def plant(code):
    def survives(self, point):
        exec(code)
        return real(self, point)
    Case.survives = survives
"""
    found = told(script + EACH.format(plants=list(plants), options=["--only", point, "--folder", str(tmp_path)]))
    if [code for code, _ in found] == [0, 0, 0]:
        pytest.skip("strace cannot trace here")
    for (code, errors), seen in zip(found, plants.values(), strict=True):
        assert code == 1
        assert errors.startswith(f"fault: {point}: ")
        assert seen in errors


def test_where_nothing_can_be_traced_one_line_says_so(tmp_path: Path) -> None:
    options = ["--folder", str(tmp_path)]
    done = python(f"import os; os.environ['PATH'] = '/nowhere'\nfrom tests.crashing import main; main({options})")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "skipped: strace cannot be run (No such file or directory); install it" in done.stdout


def test_the_tables_say_how_many_faults_there_were() -> None:
    tables = load_script(ROOT / "docs" / "tables.py")
    fuzz = {"seed": 5, "rows": [{"kind": "plan", "inputs": 2000, "done": 3, "refused": 1997, "faults": 0}]}
    assert tables.fuzz_table(fuzz).endswith("2,000 inputs of seed 5: no fault.")
    row = {"action": "rename", "way": "link", "calls": 42, "kill": 42, "error": 2, "errors": 3, "ctrl-c": 4}
    crash = {"system": "Linux 6, ext4", "runs": 51, "faults": 2, "rows": [row | {"recovered": 40}] * 2}
    assert "| all | | 84 | 84 | 4 | 6 | 8 | 80 |" in tables.crash_table(crash)
    assert tables.crash_table(crash).endswith("51 runs (Linux 6, ext4): 2 faults.")
