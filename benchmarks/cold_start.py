"""How long a cold ``imgorder sort`` of four 12-megapixel JPEGs takes, against the least it could take.

The yardstick is a bare script that imports ONNX Runtime and decodes the four photos with `draft`.
Each command runs in a fresh process; the median of several runs is shown.

    python benchmarks/cold_start.py
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from PIL import Image
for path in sys.argv[1:]:
    image = Image.open(path)
    image.draft(None, (272, 272))
    image.load()
"""


def main() -> None:
    """Render the photos, time the commands, print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the seconds to this file")
    arguments = parser.parse_args()
    runs = arguments.runs
    with tempfile.TemporaryDirectory() as folder:
        photos = render(Path(folder))
        bare = median([sys.executable, "-c", BARE, *photos], runs)
        sort = median([sys.executable, "-m", "imgorder", "sort", folder], runs)
        help_ = median([sys.executable, "-m", "imgorder", "--help"], runs)
    if arguments.json is not None:
        seconds = {"bare": round(bare, 3), "sort": round(sort, 3), "help": round(help_, 3)}
        arguments.json.write_text(json.dumps(seconds) + "\n", "utf-8")
    print(f"bare script        {bare:.3f} s")
    print(f"imgorder sort      {sort:.3f} s, {sort / bare:.2f} x the bare script")
    print(f"imgorder --help    {help_:.3f} s")


def render(folder: Path) -> list[str]:
    """Four 4000×3000 JPEGs of one scene."""
    script = Path(__file__).resolve().parent.parent / "examples" / "render_scene.py"
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    names = []
    for index, image in enumerate(module.render_set(4, 1, 1600, 1200)):
        names.append(str(folder / f"{index}.jpg"))
        image.resize((4000, 3000)).save(names[-1], quality=92)
    return names


def median(command: list[str], runs: int) -> float:
    """Median wall time of a command in seconds, after one run that warms the disk cache."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
