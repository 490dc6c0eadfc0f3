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
from statistics import mean
from typing import Any

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
    reproduction = ROOT / "docs" / "reproduction.md"
    yield reproduction, "accuracy", accuracy_table(davis)
    yield reproduction, "ablations", ablation_table(json.loads(read(RESULTS / "ablations.json"))["rows"])
    maps = json.loads(read(RESULTS / "heatmaps.json"))
    yield ROOT / "docs" / "heatmaps.md", "heatmaps", heatmap_table(maps)
    throughput = json.loads(read(RESULTS / "training-throughput.json"))
    yield ROOT / "docs" / "training.md", "throughput", throughput_table(throughput)


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


# Rows of the table of ablations, in order, as people read them.
ABLATIONS = {
    "signed": "DAB-ResNet-18, signed, m = n",
    "magnitude": "magnitude only",
    "off": "without DAB, or m = 0",
    "m1": "m = 1",
    "m2": "m = 2",
    "resnet50": "DAB-ResNet-50, signed, m = n",
    "opn": "OPN",
    "deepimseq": "DeepImSeq",
    "tridab": "TriDAB",
    "signed-hidden": "DAB-ResNet-18, signed, m = n, hidden layer in the classifier",
    "signed-long": "DAB-ResNet-18, signed, m = n, five times the steps",
}


def ablation_table(rows: list[dict[str, Any]]) -> str:
    """Exact match of each variant, over its seeds, by data set and spacing; baseline and chance at the end."""
    cases = list(dict.fromkeys((row["dataset"], row["spacing"]) for row in rows))

    def line(name: str, chosen: list[dict[str, Any]]) -> str:
        seeds, size = len({row.get("seed") for row in chosen}), chosen[0].get("parameters")
        cells = [_over_seeds([r["accuracy"] for r in chosen if (r["dataset"], r["spacing"]) == case]) for case in cases]
        trained = [str(seeds), f"{size / 1e6:.2f} M"] if size else ["–", "–"]
        ends = _over_seeds([row["ends"] for row in chosen if (row["dataset"], row["spacing"]) == cases[1]])
        return "| " + " | ".join([name, *trained, *cells, ends]) + " |"

    baseline = [row for row in rows if row["model"] == "path"]
    counts = [next(row for row in baseline if (row["dataset"], row["spacing"]) == case)["sets"] for case in cases]
    heads = [f"{dataset}, spacing {spacing:g}" for dataset, spacing in cases]
    lines = ["| network | seeds | parameters | " + " | ".join([*heads, "ends found"]) + " |"]
    lines.append("| " + " | ".join(["---"] * (4 + len(cases))) + " |")
    for variant, name in ABLATIONS.items():
        chosen = [row for row in rows if row.get("variant") == variant]
        lines += [line(name, chosen)] if chosen else []
    lines.append(line("path, the baseline without training", baseline))
    lines.append("| chance | – | – | " + " | ".join(f"{baseline[0]['chance']:.1f}" for _ in cases) + " | 16.7 |")
    lines.append("| sets | – | – | " + " | ".join(map(str, [*counts, counts[1]])) + " |")
    return "\n".join(lines)


def _over_seeds(values: list[float]) -> str:
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread}"


def heatmap_table(results: list[dict[str, Any]]) -> str:
    """The benchmark of heat maps against motion as Markdown."""
    lines = [
        "| model | data | n | spacing | sets | correlation | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        facts = f"{each['model']} | {each['dataset']} | {each['seq_len']} | {each['spacing']} | {each['sets']}"
        lines.append(f"| {facts} | {each['correlation']:.2f} | {each['ratio']:.2f} |")
    return "\n".join(lines)


def throughput_table(results: list[dict[str, Any]]) -> str:
    """The benchmark of the input pipeline as Markdown."""
    lines = ["| run | on | sets a second | bare step | overhead |", "| --- | --- | --- | --- | --- |"]
    for each in results:
        where = each["device"] if each["device"] != "CPU" else f"CPU, {each['threads']} threads"
        overhead = f"{100 * each['overhead']:.1f} %"
        lines.append(f"| {each['case']} | {where} | {each['run']:.1f} | {each['bare']:.1f} | {overhead} |")
    return "\n".join(lines)


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
