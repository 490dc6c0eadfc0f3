"""How long ordering many photos takes, and how much memory, beside reading the photos alone; see docs/albums.md.

    python benchmarks/many_photos.py --models path tridab-s

Each number of photos is read, and ordered, in fresh processes, since peak memory never goes down; the quickest of a few
runs counts. The photos are cut from one rendered picture, over which the camera pans. Results go to
docs/results/many-photos.json. Compare only the ratios between machines, and times within one run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "many-photos.json"
NUMBERS = [6, 12, 25, 50, 100, 200, 500]
STEP = 4  # px from one photo to the next


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["path", "default"])
    parser.add_argument("--photos", type=int, nargs="+", default=NUMBERS, help="how many")
    parser.add_argument("--width", type=int, default=1600, help="of a photo in px; the height is three quarters of it")
    parser.add_argument("--runs", type=int, default=3, help="of each, in turn")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "MODEL", "READ|ORDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, model, what = arguments.one
        print(json.dumps(measure(Path(folder), model, arguments.threads, read_only=what == "READ")))
        return
    rows: list[dict[str, Any]] = []
    for number in arguments.photos:
        with tempfile.TemporaryDirectory() as name:
            render(Path(name), number, arguments.width)
            for model in arguments.models:
                found: dict[str, list[dict[str, Any]]] = {"READ": [], "ORDER": []}
                for _ in range(arguments.runs):
                    for what, own in found.items():
                        own.append(in_fresh_process(name, model, what, arguments.threads))
                read, order = (min(own, key=lambda each: float(each["seconds"])) for own in found.values())
                facts = {"model": order["model"], "photos": number, "width": arguments.width}
                facts |= {"search": order["search"], "right": order["right"]}
                facts |= {"read_s": read["seconds"], "order_s": order["seconds"]}
                rows.append(facts | {"read_mib": read["peak_mib"], "order_mib": order["peak_mib"]})
                print(rows[-1], flush=True)
    arguments.json.write_text(json.dumps({"version": 1, "rows": rows}, indent=1) + "\n", "utf-8")


def render(folder: Path, number: int, width: int) -> None:
    """Photos of a scene of soft spots with fine grain, in temporal order by their names."""
    rng = np.random.default_rng(0)
    height, whole = 3 * width // 4, width + STEP * number
    soft = Image.fromarray(rng.integers(0, 256, (12, 12 * whole // height, 3), np.uint8))
    scene = np.asarray(soft.resize((whole, height), Image.Resampling.BICUBIC), dtype=np.int16)
    scene = np.clip(scene + rng.integers(-2, 3, scene.shape, np.int16), 0, 255).astype(np.uint8)
    for index in range(number):
        cut = np.ascontiguousarray(scene[:, STEP * index : STEP * index + width])
        Image.fromarray(cut).save(folder / f"{index:04d}.jpg", quality=90)


def in_fresh_process(folder: str, model: str, what: str, threads: int | None) -> dict[str, Any]:
    """What `measure` gives in a process of its own."""
    command = [sys.executable, __file__, "--one", folder, model, what]
    command += [] if threads is None else ["--threads", str(threads)]
    row: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return row


def measure(folder: Path, name: str, threads: int | None, read_only: bool) -> dict[str, Any]:
    """Seconds from files to tensors, or to an order with the model loaded in between, and peak memory in MiB."""
    from imgorder.inference.predictor import load_model
    from imgorder.media.photos import find_sets
    from imgorder.media.preprocess import preprocess_set

    spec = load_model(name, threads=threads).preprocessing if read_only else None
    (photos,) = find_sets([folder])
    start = time.perf_counter()
    found: dict[str, Any] = {}
    if spec is not None:
        preprocess_set(photos.files, spec)
    else:
        model = load_model(name, threads=threads)
        ordering = model.order(photos.files)
        rising = tuple(range(len(photos.files)))
        found = {"model": model.name, "search": ordering.search, "right": ordering.order in (rising, rising[::-1])}
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **found,
        "seconds": round(seconds, 3),
        "peak_mib": round(used / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
    }


if __name__ == "__main__":
    main()
