"""How fast a tree of photos is read beside a bare decode of the same files, what a second run takes, and kills.

    python benchmarks/libraries.py --photos 1000 10000 --kills 20 --folder /tmp/library

Makes JPEGs of 12 megapixels (about 1.1 MB each, in bursts of five with capture times), reads the tree with
`imgorder group` in a fresh process, decodes the same files at 1/8 with as many processes and nothing else, and groups
once more. CPU seconds are those of all processes; they tell more than wall seconds where the machine is busy with other
things. Results go to docs/results/libraries.json. The photos are removed at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "libraries.json"
SIZE, EDGE = (4000, 3000), 256  # px; of a draft the shorter edge has to keep so many
SCENES, BURST, FOLDER = 8, 5, 200  # different pictures; photos of a scene; photos of a folder
TIME = b"2024:01:01 00:00:00"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10_000], help="how many")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kills", type=int, default=20, help="runs over small photos that are killed")
    parser.add_argument("--orders", type=int, default=60, help="scenes that are ordered, to know how long one takes")
    parser.add_argument("--folder", type=Path, required=True, help="for the photos and the cache; is removed")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    parser.add_argument("--bare", nargs=2, metavar=("FOLDER", "WORKERS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        bare(Path(given.bare[0]), int(given.bare[1]))
        return
    results: dict[str, Any] = {"version": 1, "workers": given.workers, "cpus": os.cpu_count(), "rows": []}
    if given.json.exists():
        results = {**json.loads(given.json.read_text("utf-8")), **{each: results[each] for each in ("workers", "cpus")}}
    given.folder.mkdir(parents=True, exist_ok=True)
    try:
        for number in given.photos:
            row = measure(given.folder, number, given.workers)
            rows = [each for each in results["rows"] if each["photos"] != number]
            results["rows"] = sorted([*rows, row], key=lambda each: int(each["photos"]))
            print(row, flush=True)
            given.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        if given.kills:
            results["kills"] = kill(given.folder / "small", given.kills)
            print(results["kills"], flush=True)
        if given.orders:
            results["orders"] = order(given.folder / "orders", given.orders)
            print(results["orders"], flush=True)
        given.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    finally:
        shutil.rmtree(given.folder)


def measure(folder: Path, number: int, workers: int) -> dict[str, Any]:
    """One row of the results."""
    tree, parts = folder / "tree", folder / "parts"
    size = render(tree, number, SIZE)
    shutil.rmtree(parts, ignore_errors=True)
    command = [sys.executable, "-m", "imgorder", "group", str(tree), "--parts", str(parts), "--json"]
    command += ["--workers", str(workers)]
    drop = [sys.executable, __file__, "--folder", str(folder), "--bare", str(tree), str(workers)]
    decoded = run(drop)
    first = run(command)
    second = run(command)
    assert first.pop("output") == second.pop("output")
    decoded.pop("output")
    kept = sum(each.stat().st_size for each in parts.iterdir())
    return {
        "photos": number,
        "mb": round(size / 1e6),
        "parts_mb": round(kept / 1e6, 2),
        **{f"bare_{name}": value for name, value in decoded.items()},
        **{f"first_{name}": value for name, value in first.items()},
        **{f"second_{name}": value for name, value in second.items()},
    }


def run(command: list[str]) -> dict[str, Any]:
    """Seconds, CPU seconds of all its processes, and the memory of the largest of them."""
    code = (
        "import json, resource, subprocess, sys, time; start = time.perf_counter(); "
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "sys.stdout.buffer.write(done.stdout); print(json.dumps([time.perf_counter() - start, "
        "used.ru_utime + used.ru_stime, used.ru_maxrss]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=True)
    seconds, cpu, peak = json.loads(done.stderr.splitlines()[-1])
    return {"s": round(seconds, 2), "cpu_s": round(cpu, 2), "mib": round(peak / 1024), "output": done.stdout}


def bare(tree: Path, workers: int) -> None:
    """Decode all photos at 1/8, as each worker of a library does, and nothing else."""
    files = sorted(map(str, tree.rglob("*.jpg")))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(decode, files, chunksize=64))


def decode(path: str) -> None:
    """The least that a look at a photo needs."""
    with Image.open(path) as image:
        image.draft(None, (EDGE, EDGE))
        image.load()


def render(folder: Path, number: int, size: tuple[int, int]) -> int:
    """Bursts of a few pictures, each photo with a time of its own; gives their bytes. Photos that are there stay."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(SCENES):
        soft = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        grain = rng.integers(-5, 6, (size[1], size[0], 1), np.int16)
        pixels = np.clip(np.asarray(soft, np.int16) + grain, 0, 255).astype(np.uint8)
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker", "Camera"
        exif.get_ifd(0x8769)[0x9003] = TIME.decode("ascii")
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=76, exif=exif)
        pictures.append(file.getvalue())
    total = 0
    for place in range(number):
        path = folder / f"{place // FOLDER:03d}" / f"IMG_{place:05d}.jpg"
        content = pictures[place // BURST % SCENES]
        total += len(content)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            time_ = datetime(2024, 1, 1) + timedelta(seconds=300 * (place // BURST) + place % BURST)
            path.write_bytes(content.replace(TIME, time_.strftime("%Y:%m:%d %H:%M:%S").encode("ascii"), 1))
    return total


def kill(folder: Path, runs: int) -> dict[str, Any]:
    """Kill a run at a random moment, finish it, and compare all that is left behind with an undisturbed run's."""
    render(folder / "tree", 600, (320, 240))
    rng = random.Random(0)

    def command(parts: Path) -> list[str]:
        tree = str(folder / "tree")
        return [sys.executable, "-m", "imgorder", "group", tree, "--json", "--workers", "2", "--parts", str(parts)]

    def left(parts: Path) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in parts.iterdir() if not each.name.startswith(".")}

    start = time.perf_counter()
    output = subprocess.run(command(folder / "whole"), check=True, capture_output=True).stdout
    seconds = time.perf_counter() - start
    same, halfway = 0, 0
    for number in range(runs):
        parts = folder / f"parts-{number}"
        with subprocess.Popen(command(parts), stdout=subprocess.DEVNULL, start_new_session=True) as process:
            time.sleep(rng.uniform(0.1, seconds))
            # The program alone, whose processes then find out, or all of them at once.
            (os.killpg if number % 2 else os.kill)(process.pid, signal.SIGKILL)
        halfway += parts.is_dir() and 0 < len(left(parts)) < len(left(folder / "whole"))
        again = subprocess.run(command(parts), check=True, capture_output=True).stdout
        same += again == output and left(parts) == left(folder / "whole")
        shutil.rmtree(parts)
    return {"runs": runs, "same": same, "halfway": halfway, "photos": 600}


def order(folder: Path, scenes: int) -> dict[str, Any]:
    """CPU seconds of ordering scenes of five photos, beyond finding them."""
    render(folder / "tree", BURST * scenes, (800, 600))
    base = [str(folder / "tree"), "--json", "--parts", str(folder / "parts"), "--workers", "1"]
    found = run([sys.executable, "-m", "imgorder", "group", *base])
    sorted_ = run([sys.executable, "-m", "imgorder", "sort", "-r", "--metadata", "ignore", *base])
    return {"scenes": scenes, "photos": BURST * scenes, "cpu_s": sorted_["cpu_s"], "group_cpu_s": found["cpu_s"]}


if __name__ == "__main__":
    main()
