"""Write every figure and every shown output of the documents from results files and real runs.

    python docs/update.py

Fills the marked places of README.md, docs/*.md and models/README.md, and the figures of the model
cards, from docs/results/*.json and from the output of the commands that the README shows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from imgorder.evaluation.report import accuracy_table, calibration_table, filled, read_results, results_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


def main() -> None:
    """Fill all documents and cards."""
    for document, name, text in [*tables(), (ROOT / "README.md", "demo", demo_output())]:
        document.write_text(filled(document, name, text), "utf-8")
    for path, text in cards():
        path.write_text(text, "utf-8")


def stale_documents() -> list[str]:
    """Documents and cards whose figures are not those of the results files; empty when all is well.

    The output of commands is not compared: it costs a run, and a machine may round differently.
    """
    documents = [document for document, name, text in tables() if filled(document, name, text) != read(document)]
    return [str(path) for path in documents + [path for path, text in cards() if read(path) != text]]


def tables() -> Iterator[tuple[Path, str, str]]:
    """(document, name of the marked place, its text) for everything that comes from results files."""
    davis = read_results(RESULTS / "davis-dev.json")
    held_out = read_results(RESULTS / "held-out-clips.json")
    readme, accuracy, card = ROOT / "README.md", ROOT / "docs" / "accuracy.md", ROOT / "models" / "README.md"
    for document in (readme, accuracy, card):
        yield document, "accuracy", accuracy_table(davis)
    for document in (accuracy, card):
        yield document, "held-out", accuracy_table(held_out, with_paper=False)
        yield document, "calibration", calibration_table(davis)
    yield accuracy, "all-rows", results_markdown(davis)
    yield readme, "timing", timing_table(json.loads(read(RESULTS / "cold-start.json")))
    yield card, "recipe", recipe_table(ROOT / "models" / "tridab-s.json")


def cards() -> Iterator[tuple[Path, str]]:
    """Each model's card with its exact match on DAVIS, the baseline beside it."""
    rows = read_results(RESULTS / "davis-dev.json")
    baseline = {(row.seq_len, row.spacing): row.accuracy for row in rows if row.model == "path"}
    for path in sorted((ROOT / "models").glob("*.json")):
        card = json.loads(read(path))
        card["figures"] = [
            {
                "dataset": row.dataset,
                "seq_len": row.seq_len,
                "spacing": row.spacing,
                "sets": row.sets,
                "permutations": row.permutations,
                "accuracy": row.accuracy,
                "baseline": baseline[row.seq_len, row.spacing],
            }
            for row in rows
            if row.model == card["name"]
        ]
        yield path, json.dumps(card, indent=1) + "\n"


def read(path: Path) -> str:
    """A text file."""
    return path.read_text("utf-8")


def timing_table(seconds: dict[str, float]) -> str:
    """The cold-start benchmark as Markdown."""
    bare = seconds["bare"]
    return "\n".join(
        [
            "| command, in a fresh process | seconds | against the bare script |",
            "| --- | --- | --- |",
            f"| bare script: import onnxruntime, decode the photos | {bare:.2f} | 1 |",
            f"| `imgorder sort` of four 12-megapixel JPEGs | {seconds['sort']:.2f} | {seconds['sort'] / bare:.1f} |",
            f"| `imgorder --help` | {seconds['help']:.2f} | |",
        ]
    )


def recipe_table(card: Path) -> str:
    """The facts of a training run as Markdown."""
    facts = json.loads(card.read_text("utf-8"))["training"]
    lines = ["| fact | value |", "| --- | --- |"]
    for name, value in facts.items():
        shown = ", ".join(f"{key}: {each}" for key, each in value.items()) if isinstance(value, dict) else value
        lines.append(f"| {name.replace('_', ' ')} | {shown} |")
    return "\n".join(lines)


def demo_output() -> str:
    """What ``imgorder sort examples/balloon`` prints, as a code block."""
    command = [sys.executable, "-m", "imgorder", "sort", "examples/balloon"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return f"```text\n$ imgorder sort examples/balloon\n{result.stdout.rstrip()}\n```"


if __name__ == "__main__":
    main()
