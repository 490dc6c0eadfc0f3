"""How many calls a command makes within the package, and how often the next call is in another module.

    python benchmarks/call_trace.py
    python benchmarks/call_trace.py sort examples/balloon

Without a command, `sort` of the five example photos and `rename --apply` of a copy of them are counted, each in a
fresh process; the exit code is 1 if one needs more than its target.

What is counted: each call of a function or method of the package, in all threads, and each step of its generators.
Not counted are comprehensions, lambdas, the bodies of modules and classes, and all code outside the package.
A change of module is a call in another module than that of the call before it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import redirect_stdout
from inspect import CO_OPTIMIZED
from itertools import pairwise
from pathlib import Path
from types import FrameType

import imgorder
from imgorder.cli import main as run_command

PACKAGE = os.path.join(os.path.dirname(imgorder.__file__), "")
BALLOON = Path(__file__).resolve().parent.parent / "examples" / "balloon"
SHOWN = 30  # functions that are called most


def main() -> None:
    """Count one command and list what is called most, or count both and compare them with the targets."""
    if sys.argv[1:]:
        calls = trace(sys.argv[1:])
        if "CALL_TRACE" in os.environ:
            print(json.dumps(count(calls)))
            return
        for (file, name), times in Counter(calls).most_common(SHOWN):
            print(f"{times:6}  {file}  {name}")
        print("{} calls, {} changes of module".format(*count(calls)))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(BALLOON, Path(folder) / "balloon")
        rename = ["rename", str(copy), "--first", "photo-a.jpg", "--apply"]
        within = [compare(["sort", str(BALLOON)], 950, 340), compare(rename, 1250, 520)]
    raise SystemExit(not all(within))


def compare(command: list[str], most_calls: int, most_changes: int) -> bool:
    """Print the counts of a command beside their targets; whether it keeps to both."""
    done = subprocess.run(
        [sys.executable, __file__, *command],
        env={**os.environ, "CALL_TRACE": "json"},
        check=True,
        stdout=subprocess.PIPE,
    )
    calls, changes = json.loads(done.stdout)
    print(f"{command[0]:8}{calls:6} calls (target {most_calls}), {changes:5} changes of module (target {most_changes})")
    return bool(calls <= most_calls and changes <= most_changes)


def count(calls: list[tuple[str, str]]) -> tuple[int, int]:
    """Calls and changes of module."""
    return len(calls), sum(before[0] != after[0] for before, after in pairwise(calls))


def trace(command: list[str]) -> list[tuple[str, str]]:
    """Run a command; file and function of every call, one after the other. Its output is thrown away."""
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PACKAGE):
            return
        if code.co_flags & CO_OPTIMIZED and not code.co_name.startswith("<"):  # not the body of a class or module
            calls.append((code.co_filename.removeprefix(PACKAGE), code.co_name))

    before, sys.argv = sys.argv, ["imgorder", *command]
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run_command()
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # typeshed has no None here
        sys.argv = before
    return calls


if __name__ == "__main__":
    main()
