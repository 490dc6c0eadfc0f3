"""How long `imgorder undo --list` takes with the number of runs in a folder: in proportion, or worse?

Each number of runs is listed in a fresh process: all journals are read, and undos are matched with what they undid.
Every second run is the undo of the one before it.

    python benchmarks/list_runs.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """List 2,000 and 20,000 runs; print seconds, and the ratio of the first and the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[2_000, 20_000])
    parser.add_argument("--files", type=int, default=5, help="in each run")
    given = parser.parse_args()
    seconds = [measure(runs, given.files) for runs in given.runs]
    for runs, took in zip(given.runs, seconds, strict=True):
        print(f"{runs:>7,} runs of {given.files} files: {took:.2f} s")
    print(f"{given.runs[-1] / given.runs[0]:g} times the runs: {seconds[-1] / seconds[0]:.1f} times the seconds")


def measure(runs: int, files: int) -> float:
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory() as home:
        write_journals(Path(home), runs, files)
        start = time.perf_counter()
        command = [sys.executable, "-m", "imgorder", "undo", home, "--list"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        took = time.perf_counter() - start
    assert listed.count("\n") == runs
    assert listed.count("undone") == runs // 2
    return took


def write_journals(folder: Path, runs: int, files: int) -> None:
    """Journals of renames that are undone, as imgorder writes them."""
    of = None
    for number in range(runs):
        run = f"20240501-{number // 3600 % 24:02}{number // 60 % 60:02}{number % 60:02}-{number:06x}"
        kind = "rename" if of is None else "undo"
        lines: list[dict[str, object]] = [
            {"imgorder": 1, "run": run, "number": number, "kind": kind, "of": of, "time": "2024-05-01T12:00:00"}
        ]
        for file in range(files):
            names = [f"IMG_{file}.jpg", f"{file:03}_IMG_{file}.jpg"]
            old, new = names if of is None else names[::-1]
            state = {"inode": number * files + file, "size": 3_000_000, "mtime_ns": 1_714_557_600_123_456_789}
            lines.append({"old": old, "stage": f".imgorder-{run}-{file:06}", "new": new, **state, "group": old})
        lines += [{"begun": files, "inode": number}, {"done": True, "inodes": {}}]
        (folder / f".imgorder-{run}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        of = run if of is None else None


if __name__ == "__main__":
    main()
