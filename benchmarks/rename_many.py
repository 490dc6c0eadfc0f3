"""How long a rename of many files in one folder takes, and its undo, and how much memory: linear in their number.

Each number of files is renamed in a fresh process: plan, checks, journal, two renames a file, all on disk.
Half of the files are companions; the new names are those of other files, so that nothing can be renamed directly.

    python benchmarks/rename_many.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Rename and undo 1,000 and 10,000 files; print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one, arguments.folder)))
        return
    rows = [fresh_process(files, arguments.folder) for files in arguments.files]
    for row in rows:
        print(
            f"{row['files']:>7,} files: plan {row['plan']:.2f} s, rename {row['rename']:.2f} s, "
            f"undo {row['undo']:.2f} s, peak memory {row['peak_mib']:.0f} MiB (idle {row['idle_mib']:.0f})"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"rows": rows}) + "\n", "utf-8")


def fresh_process(files: int, folder: Path | None) -> dict[str, float]:
    """Measure in a process of its own, since peak memory never goes down."""
    where = [] if folder is None else ["--folder", str(folder)]
    command = [sys.executable, __file__, "--one", str(files), *where]
    row: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return row


def measure(files: int, where: Path | None) -> dict[str, float]:
    """Seconds of each step, and peak memory in MiB."""
    from imgorder.changes.apply import apply_plan
    from imgorder.changes.plan import make_plan
    from imgorder.changes.template import parse_template
    from imgorder.changes.undo import undo
    from imgorder.media.photos import find_sets
    from imgorder.sorting.sorted_set import SortedSet

    with tempfile.TemporaryDirectory(dir=where) as home:
        folder = Path(home) / "photos"
        folder.mkdir()
        for index in range(files // 2):
            (folder / f"{index:06d}.jpg").write_bytes(b"%d" % index)
            (folder / f"{index:06d}.cr3").write_bytes(b"raw %d" % index)
        idle = peak()
        start = time.perf_counter()
        (photos,) = find_sets([folder])
        (named,) = find_sets(photos.files)  # one by one, as an order file names them
        assert named == photos
        ordered = SortedSet(photos, tuple(range(len(photos.files))), 1.0, "given", "none", "none")
        plan = make_plan([ordered], parse_template("{index:06d}{ext}"))
        planned = time.perf_counter()
        apply_plan(plan)
        renamed = time.perf_counter()
        assert os.path.exists(folder / f"{files // 2:06d}.cr3")
        undone = undo(folder)
        end = time.perf_counter()
        assert (len(undone.changes), undone.left_alone) == (2 * (files // 2), ())
    return {
        "files": files,
        "plan": round(planned - start, 3),
        "rename": round(renamed - planned, 3),
        "undo": round(end - renamed, 3),
        "idle_mib": round(idle, 1),
        "peak_mib": round(peak(), 1),
    }


def peak() -> float:
    """Peak resident memory of this process in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()
