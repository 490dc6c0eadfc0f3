"""Measure a released model anew for all tables of docs/, and put its rows into docs/results.

    python benchmarks/remeasure.py tridab-s --davis DAVIS/ --photos ALBUMS/ --clips CLIPS… --run RUN… --frames FRAMES/

Each table is measured beside the baseline, in a process of one thread, into a file of `--out`; one that is there and
younger than the model is not measured again. Then rows of the model take the places of its former ones. The baseline's
have to be the former ones: else the data are others, and nothing is written. Afterwards: python docs/update.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from imgorder.inference.cards import BASELINE, DEFAULT_MODEL, find_card

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results"
Entry = dict[str, Any]

# Results file -> command without the interpreter; those that take longest come first. "{out}" is the file, and a
# command without it prints. Words in braces that stand alone may become several.
TABLES = {
    "davis-dev": "-m imgorder evaluate {davis} --seq-len {sizes} --model {model} --pooled --per-video --json "
    "--threads 1",
    "far": "albums.py --models path {model} --seq-len 4 --spacing 12 16 24 --stride 1 --clips 1000 --davis {davis} "
    "--photos {photos} --run {runs} --frames {frames} --threads 1 --json {out}",
    "robustness": "robustness.py --models path {model} --davis {davis} --run {runs} --frames {frames} --threads 1 "
    "--json {out}",
    "held-out-clips": "-m imgorder models held-out {runs} --model path --model {model} --seq-len {sizes} "
    "--frames {frames} --results {out}",
    "no-order": "no_order.py --models path {model} --run {runs} --frames {frames} --threads 1 --json {out}",
    "failures": "failures.py --models path {model} --run {runs} --frames {frames} --labels {labels} --threads 1 "
    "--json {out}",
}
# Of the default model alone; photos of many are ordered by it unless somebody asks for another.
MORE_TABLES = {
    "albums": "albums.py --models path {model} --davis {davis} --photos {photos} --leave-out trap-* --run {run} "
    "--frames {frames} --stride 24 --clips 12 --threads 1 --json {out}",
    "known": "known.py --models path {model} --davis {davis} --photos {photos} --run {run} --frames {frames} "
    "--threads 1 --json {out}",
}

# What tells the entries of a list apart, where they have it; the model first.
IDENTITY = ("model", "dataset", "seq_len", "spacing", "condition", "property", "bucket", "kind", "case", "photos")


def main() -> None:
    """Measure, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the name of a released model")
    parser.add_argument("--davis", type=Path, required=True, help="root of DAVIS")
    parser.add_argument("--photos", type=Path, required=True, help="folder of albums")
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders of clips with their clips.csv")
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of these runs")
    parser.add_argument("--tables", nargs="+", default=list(TABLES | MORE_TABLES), choices=TABLES | MORE_TABLES)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder of what is measured")
    parser.add_argument("--at-once", type=int, default=2, help="tables side by side")
    arguments = parser.parse_args()
    tables = TABLES | (MORE_TABLES if arguments.model == DEFAULT_MODEL else {})
    tables = {name: command for name, command in tables.items() if name in arguments.tables}
    values = {
        **{name: [str(getattr(arguments, name))] for name in ("model", "davis", "photos", "frames")},
        "sizes": [",".join(map(str, find_card(arguments.model).sizes))],
        "runs": list(map(str, arguments.run)),
        "run": [str(arguments.run[0])],
        "labels": [str(file) for folder in arguments.clips if (file := folder / "clips.csv").exists()],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    released = max(file.stat().st_mtime for file in (HERE.parent / "models").glob(f"{arguments.model}*.onnx"))
    files = {name: arguments.out / f"{arguments.model}-{name}.json" for name in tables}

    def measure(name: str) -> None:
        if files[name].exists() and files[name].stat().st_mtime > released:
            return
        began, partial = time.monotonic(), files[name].with_suffix(".partial")
        command = list(fill(tables[name], {**values, "out": [str(partial)]}))
        with partial.open("w") as stdout:
            subprocess.run(command, check=True, stdout=None if str(partial) in command else stdout, stderr=sys.stderr)
        partial.replace(files[name])
        print(f"{name}: {(time.monotonic() - began) / 60:.0f} minutes", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(arguments.at_once) as pool:
        list(pool.map(measure, tables))
    merged = {}
    for name, file in files.items():
        former, new = (json.loads(path.read_text("utf-8")) for path in (RESULTS / f"{name}.json", file))
        merged[name] = replace_rows(former, new, arguments.model, name)
    for name, results in merged.items():
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (RESULTS / f"{name}.json").write_text(text, "utf-8")


def fill(command: str, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The words of a command, from the interpreter on."""
    yield sys.executable
    for index, word in enumerate(command.split()):
        if word.startswith("{"):
            yield from values[word.strip("{}")]
        else:
            yield str(HERE / word) if index == 0 and word.endswith(".py") else word


def replace_rows(former: Entry, new: Entry, model: str, name: str = "results") -> Entry:
    """Former results with the entries of one model from new ones, each in the former one's place.

    An entry keeps the fields that the former one has, so that those of all models are alike. Entries of a model that
    is not there yet come behind those of the others; entries that the former results leave out stay out.

    Args:
        former, new: of one benchmark.
        model: whose entries are taken.
        name: of the results, for errors.

    Raises:
        SystemExit: if the baseline's entries differ, or one of the model's former entries was not measured.
    """
    parts = [part for part, value in former.items() if isinstance(value, list) and isinstance(value[0], dict)]
    return former | {part: _replace(former[part], new[part], model, f"{name}: {part}") for part in parts}


def _replace(former: Sequence[Entry], new: Sequence[Entry], model: str, where: str) -> list[Entry]:
    known = {name for entry in former for name in entry}
    apart = [name for name in IDENTITY if name in known]
    anew = {
        tuple(each.get(name) for name in apart): {name: value for name, value in each.items() if name in known}
        for each in new
    }
    merged = []
    for entry in former:
        key = tuple(entry.get(name) for name in apart)
        if entry["model"] == model and key not in anew:
            sys.exit(f"{where} {key}: was not measured")
        if entry["model"] == BASELINE and anew.get(key, entry) != entry:
            sys.exit(f"{where} {key}: the baseline is another, so the data are")
        merged.append(anew[key] if entry["model"] == model else entry)
    if not any(entry["model"] == model for entry in former):
        cases = {tuple(entry.get(name) for name in apart[1:]) for entry in former}
        merged += [each for key, each in anew.items() if key[0] == model and key[1:] in cases]
    return merged


if __name__ == "__main__":
    main()
