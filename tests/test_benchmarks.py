"""The benchmarks are run by hand and seldom; that they still fit the package is seen here."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

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
