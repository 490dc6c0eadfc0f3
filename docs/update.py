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
from pathlib import Path

from imgorder.evaluation.measure import Row
from imgorder.evaluation.report import accuracy_table, calibration_table, fill, read_results

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"


def main() -> None:
    """Fill all documents."""
    davis = read_results(RESULTS / "davis-dev.json")
    held_out = read_results(RESULTS / "held-out-clips.json")
    for document in (ROOT / "README.md", ROOT / "docs" / "accuracy.md", ROOT / "models" / "README.md"):
        fill(document, "accuracy", accuracy_table(davis))
    for document in (ROOT / "docs" / "accuracy.md", ROOT / "models" / "README.md"):
        fill(document, "held-out", accuracy_table(held_out, with_paper=False))
        fill(document, "calibration", calibration_table(davis))
    fill(ROOT / "README.md", "timing", timing_table(json.loads((RESULTS / "cold-start.json").read_text("utf-8"))))
    fill(ROOT / "README.md", "demo", demo_output())
    fill(ROOT / "models" / "README.md", "recipe", recipe_table(ROOT / "models" / "tridab-s.json"))
    fill_cards(davis)


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


def fill_cards(rows: list[Row]) -> None:
    """Put each model's exact match, with the baseline beside it, into its card."""
    baseline = {(row.seq_len, row.spacing): row.accuracy for row in rows if row.model == "path"}
    for path in (ROOT / "models").glob("*.json"):
        card = json.loads(path.read_text("utf-8"))
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
        path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
