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
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from imgorder.evaluation.pooled import PooledRow
from imgorder.evaluation.tables import (
    accuracy_table,
    calibration_table,
    filled,
    pooled_markdown,
    read_results,
    results_markdown,
)
from imgorder.inference.hub.model_card import recipe_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"

# Whose training models/README.md lists; the members of dab-resnet18 were trained in two ways.
RECIPES = ("tridab-s", "tridab-b", "dab-resnet18-n4", "dab-resnet18-n6")


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
        yield document, "held-out", accuracy_table(held_out, with_paper=False)
    together = json.loads(read(RESULTS / "davis-dev.json"))["pooled"]
    for document in (accuracy, card):
        yield document, "calibration", calibration_table(davis)
        yield document, "pooled", pooled_markdown(PooledRow(**row) for row in together)
    views = [row for row in davis if row.model == "path"] + read_results(RESULTS / "path-views.json")
    yield accuracy, "path-views", accuracy_table(views, with_paper=False)
    of_clips = json.loads(read(RESULTS / "held-out-clips.json"))["pooled"]
    yield accuracy, "held-out-pooled", pooled_markdown(PooledRow(**row) for row in of_clips)
    yield accuracy, "all-rows", results_markdown(davis)
    yield readme, "timing", timing_table(json.loads(read(RESULTS / "cold-start.json")))
    for path in sorted((ROOT / "models").glob("*.json")):
        facts = json.loads(read(path)).get("training")
        if facts and path.stem in RECIPES:
            yield card, f"recipe-{path.stem}", recipe_table(facts)
    reproduction = ROOT / "docs" / "reproduction.md"
    yield reproduction, "accuracy", accuracy_table(davis)
    yield reproduction, "ablations", ablation_table(json.loads(read(RESULTS / "ablations.json"))["rows"])
    maps = json.loads(read(RESULTS / "heatmaps.json"))
    yield ROOT / "docs" / "heatmaps.md", "heatmaps", heatmap_table(maps["davis"])
    yield ROOT / "docs" / "heatmaps.md", "heatmaps-rendered", disc_table(maps["rendered"])
    throughput = json.loads(read(RESULTS / "training-throughput.json"))
    yield ROOT / "docs" / "training.md", "throughput", throughput_table(throughput)
    models = ROOT / "docs" / "models.md"
    yield models, "votes", votes_table(json.loads(read(RESULTS / "votes.json"))["rows"])
    yield models, "int8", int8_table(json.loads(read(RESULTS / "int8.json")))
    robustness = json.loads(read(RESULTS / "robustness.json"))
    plain = robustness["plain"]
    yield accuracy, "conditions", conditions_table(robustness["conditions"])
    yield accuracy, "robustness", robustness_table([row for row in robustness["rows"] if row["spacing"] is None], plain)
    yield accuracy, "robustness-rows", robustness_table([row for row in robustness["rows"] if row["spacing"]], plain)
    failures, failing = json.loads(read(RESULTS / "failures.json")), ROOT / "docs" / "failures.md"
    yield failing, "buckets", buckets_table(failures["rows"])
    yield failing, "errors", errors_table(failures["errors"])
    yield failing, "scenes", scenes_table(json.loads(read(RESULTS / "failure-scenes.json")))
    written = [json.loads(text) for _, text in cards()]
    listed = {each["name"]: "\n".join(f"- {limit}" for limit in each["limits"]) for each in written}
    yield card, "limits", listed["tridab-s"]
    every = "\n\n".join(f"**{name}**\n\n{text}" for name, text in listed.items())
    yield models, "limits", every
    yield ROOT / "CONTRIBUTING.md", "coverage", coverage_text(json.loads(read(RESULTS / "coverage.json")))


def coverage_text(measured: dict[str, Any]) -> str:
    """What the tests run through of the package, and of the rooms with the fewest branches."""
    rooms = sorted(measured["rooms"].items(), key=lambda room: float(room[1]["branches"]))[:3]
    least = ", ".join(f"`{name}` {room['branches']} %" for name, room in rooms)
    return (
        f"The tests run through {measured['lines']} % of the lines and {measured['branches']} % of the branches.\n"
        f"Rooms with the fewest branches: {least}."
    )


def cards() -> Iterator[tuple[Path, str]]:
    """Each model's card with its exact match on DAVIS, the baseline beside it, and what it fails on.

    A member of a group has the rows of its set size that were measured under the group's name; the card of the
    group has none of its own.
    """
    rows = read_results(RESULTS / "davis-dev.json")
    baseline = {(row.seq_len, row.spacing): row.accuracy for row in rows if row.model == "path"}
    loaded = {path: json.loads(read(path)) for path in sorted((ROOT / "models").glob("*.json"))}
    groups = {name: card["name"] for card in loaded.values() for name in card.get("members", {}).values()}
    for path, card in loaded.items():
        if card.get("members"):
            continue
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
            if row.model in (card["name"], groups.get(card["name"])) and row.seq_len in card["sizes"]
        ]
        card["limits"] = limits(card, card["name"], groups.get(card["name"]))
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
    """The benchmark of heat maps against motion on videos as Markdown."""
    lines = [
        "| model | data | n | spacing | sets | correlation | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        facts = f"{each['model']} | {each['dataset']} | {each['seq_len']} | {each['spacing']} | {each['sets']}"
        lines.append(f"| {facts} | {each['correlation']:.2f} | {each['ratio']:.2f} |")
    return "\n".join(lines)


def disc_table(rows: list[dict[str, Any]]) -> str:
    """Heat maps on rendered sets in which a disc moves, a line for each layer, as Markdown."""
    heads = ["model", "layer", "cell, px", "camera", "sets", "order right", "disc / still", "share", "area", "best"]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    for row in rows:
        camera = f"shakes by {row['shake']} px" if row["shake"] else "still"
        brighter = (
            "∞" if row["ratio"] is None else f"{row['ratio']:.1f}" if row["ratio"] < 100 else f"{row['ratio']:.0f}"
        )
        facts = [row["model"], row["layer"], row["cell"], camera, row["sets"], row["right"], brighter]
        shares = [f"{row[share]:.0f} %" for share in ("share", "area", "best")]
        lines.append("| " + " | ".join([*map(str, facts), *shares]) + " |")
    return "\n".join(lines)


def throughput_table(results: list[dict[str, Any]]) -> str:
    """The benchmark of the input pipeline as Markdown."""
    lines = ["| run | on | sets a second | bare step | overhead |", "| --- | --- | --- | --- | --- |"]
    for each in results:
        where = each["device"] if each["device"] != "CPU" else f"CPU, {each['threads']} threads"
        overhead = f"{100 * each['overhead']:.1f} %"
        lines.append(f"| {each['case']} | {where} | {each['run']:.1f} | {each['bare']:.1f} | {overhead} |")
    return "\n".join(lines)


def int8_table(rows: list[dict[str, Any]]) -> str:
    """What 8-bit integers lose and save, as Markdown."""
    lines = [
        "| model | data | n | spacings | sets | permutations | float | int8 | change | path | time | bytes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        spacings = ", ".join(map(str, row["spacings"]))
        change = f"{row['accuracy_int8'] - row['accuracy']:+.1f}"
        sizes = f"{row['bytes'] / 1e6:.1f} → {row['bytes_int8'] / 1e6:.1f} MB"
        cells = [row["model"], row["dataset"], row["seq_len"], spacings, row["sets"], row["permutations"]]
        cells += [f"{row['accuracy']:.1f}", f"{row['accuracy_int8']:.1f}", change, f"{row['baseline']:.1f}"]
        cells += [f"×{row['time_ratio']:.2f}", sizes]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def votes_table(rows: list[dict[str, Any]]) -> str:
    """Exact match by the number of votes, as Markdown."""
    lines = ["| model | data | n | spacing | sets | 1 vote | votes | with them | path |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    single = {(row["model"], row["seq_len"], row["spacing"]): row for row in rows}
    for row in rows:
        name, _, votes = row["model"].partition(" (")
        if votes:
            plain, path = (single[each, row["seq_len"], row["spacing"]]["accuracy"] for each in (name, "path"))
            cells = [name, row["dataset"], row["seq_len"], f"{row['spacing']:g}", row["sets"], f"{plain:.1f}"]
            cells += [votes.split()[0], f"{row['accuracy']:.1f}", f"{path:.1f}"]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def conditions_table(conditions: dict[str, str]) -> str:
    """What each condition does to a set, as Markdown."""
    lines = ["| condition | what it is |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {about} |" for name, about in conditions.items())])


def robustness_table(rows: list[dict[str, Any]], plain: str) -> str:
    """Exact match under each condition, a column for each model; beside it what it lost, where the rows say so."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    spaced = rows[0]["spacing"] is not None

    def cell(row: dict[str, Any] | None) -> str:
        if row is None:
            return "–"
        if spaced or row["condition"] == plain:
            return _with_interval(row)
        change = f"{row['change']:+.0f} ({row['change_low']:+.0f} to {row['change_high']:+.0f})"
        return f"{_with_interval(row)}; {change.replace('-', '−')}"

    keys = ("dataset", "seq_len", "spacing", "condition") if spaced else ("dataset", "seq_len", "condition")
    heads = ["data", "n", *(["spacing"] if spaced else []), "condition", "sets", "shown", *models]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    found = {(*(row[key] for key in keys), row["model"]): row for row in rows}
    for place in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        of_models = [found.get((*place, model)) for model in models]
        first = next(row for row in of_models if row)
        facts = [*map(str, place), str(first["sets"]), str(first["permutations"])]
        lines.append("| " + " | ".join([*facts, *map(cell, of_models)]) + " |")
    return "\n".join(lines)


def _with_interval(row: dict[str, Any]) -> str:
    return f"{row['accuracy']:.1f} ({row['accuracy_low']:.1f} to {row['accuracy_high']:.1f})"


def buckets_table(rows: list[dict[str, Any]]) -> str:
    """Exact match by what can be measured about a set, columns for each set size and model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    sizes = list(dict.fromkeys(row["seq_len"] for row in rows))
    heads = [head for n in sizes for head in (f"sets of {n} (groups)", *(f"{n}: {model}" for model in models))]
    lines = ["| what | sets in which it is | " + " | ".join(heads) + " |"]
    lines.append("| " + " | ".join(["---"] * (2 + len(heads))) + " |")
    found = {(row["property"], row["bucket"], row["seq_len"], row["model"]): row for row in rows}
    for name, bucket in dict.fromkeys((row["property"], row["bucket"]) for row in rows):
        cells = []
        for n in sizes:
            of_models = [found.get((name, bucket, n, model)) for model in models]
            cells.append(next((f"{row['sets']} ({row['groups']})" for row in of_models if row), "0"))
            cells += [_with_interval(row) if row else "–" for row in of_models]
        lines.append(f"| {name} | {bucket} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def errors_table(rows: list[dict[str, Any]]) -> str:
    """What kind of errors the wrong answers are."""
    lines = [
        "| n | model | wrong | two neighbours exchanged | one photo elsewhere | further off | both ends found "
        f"| confidence, wrong | confidence, right | wrong, and {100 * rows[0]['sure_above']:.0f} % sure or more |",
        "| " + " | ".join(["---"] * 10) + " |",
    ]
    for row in sorted(rows, key=lambda row: row["seq_len"]):
        shares = [row[key] for key in ("swap", "moved", "far", "ends_found", "confidence_wrong", "confidence_right")]
        cells = [f"{share:.0f} %" if share is not None else "–" for share in [*shares, row["sure"]]]
        counts = f"{row['wrong']} of {row['sets']}"
        lines.append(f"| {row['seq_len']} | {row['model']} | {counts} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scenes_table(rows: list[dict[str, Any]]) -> str:
    """Answers on the rendered scenes."""
    lines = ["| scene | model | answer, in true numbers | without what makes it hard |", "| --- | --- | --- | --- |"]

    def told(found: dict[str, Any] | None) -> str:
        if found is None:
            return "–"
        return f"{' '.join(str(place + 1) for place in found['order'])}, {100 * found['confidence']:.0f} % sure"

    for row in rows:
        lines.append(f"| {row['scene']} | {row['model']} | {told(row)} | {told(row['control'])} |")
    return "\n".join(lines)


# What a card says of sets that come out clearly worse than all sets do.
MEASURED_LIMITS = {
    ("mean change between neighbours", "below 1.5 of 255"): "Hardly any motion",
    ("mean change between neighbours", "20 and more"): "Very much change from photo to photo",
    ("smallest change between neighbours", "below 0.5 of 255"): "Neighbouring photos that are all but the same",
    ("motion", "comes back most of the way"): "Motion that comes back most of the way, such as a swing or a walk cycle",
    ("motion", "comes back in part"): "Motion that comes back in part",
    (
        "camera",
        "no one shift explains the change",
    ): "Change that no shift of the whole picture explains",
    ("camera", "pans by 5 px and more"): "A camera that moves far between photos",
    ("light", "dark: mean below 40 of 255"): "Dark photos",
    ("what changes", "mostly the brightness"): "Sets in which little but the brightness changes",
}
CONDITION_LIMITS = {
    "uneven": "Uneven gaps",
    "portrait 3:4": "Tall crops (3:4)",
    "portrait 9:16": "Tall crops (9:16)",
    "landscape 16:9": "Wide crops (16:9)",
    "exposure": "Exposure that changes from photo to photo",
    "white balance": "White balance that changes from photo to photo",
    "blur": "Photos out of focus",
    "JPEG 30": "Strong JPEG compression",
    "hand-held": "Photos shifted, turned and zoomed against each other",
    "low light": "Low light, with noise",
}
DATA_NAMES = {"davis-8": "DAVIS", "held-out clips": "held-out clips"}
CLEARLY, ENOUGH = 5.0, 30  # percentage points below, where the interval is below as well; sets at least


def limits(card: dict[str, Any], *names: str | None) -> list[str]:
    """What a model fails on, a sentence each.

    Args:
        card: of the model.
        names: under which it was measured.
    """
    spec, sizes = card["preprocessing"], card["sizes"]
    crop, edge = spec["crop"], spec["shorter_edge"]
    outside = "near the edges" if crop < edge else "near the ends of the longer edge"
    seen = (
        f"It sees only the middle {crop}×{crop} px of a photo scaled to a shorter edge of {edge} px: what moves "
        f"{outside}, or is tiny, it misses."
    )
    if spec.get("squeeze", 1) > 1:
        seen = (
            f"It sees a photo squeezed into {crop}×{crop} px, of a longer edge at most {spec['squeeze']:g} times the "
            "shorter one: what is tiny, it misses."
        )
    found = [
        seen,
        "It cannot tell which end comes first, by design.",
        "It gives an order even where the photos hold none, because nothing moves or what moves is hidden; only its "
        "confidence shows that.",
        "It learned from video frames that lie seconds apart at most. Photos of different scenes, taken minutes apart "
        "or from quite different places get an order and a probability too, and neither means much.",
    ]

    failures = json.loads(read(RESULTS / "failures.json"))
    rows = [row for row in failures["rows"] if row["model"] in names and row["seq_len"] in sizes]
    overall = {row["seq_len"]: row["accuracy"] for row in rows if row["property"] == "all sets"}
    for (name, bucket), text in MEASURED_LIMITS.items():
        enough = [row for row in rows if (row["property"], row["bucket"]) == (name, bucket) and row["sets"] >= ENOUGH]
        worse = [
            row
            for row in enough
            if row["accuracy"] <= overall[row["seq_len"]] - CLEARLY and row["accuracy_high"] < overall[row["seq_len"]]
        ]
        if worse:
            right = _listed(f"{row['accuracy']:.0f} % of the sets of {row['seq_len']}" for row in worse)
            usual = _listed(f"{overall[row['seq_len']]:.0f} %" for row in worse)
            found.append(f"{text}: {right} come out right; of all held-out sets {usual} do.")
    robustness = json.loads(read(RESULTS / "robustness.json"))["rows"]
    shown = [row for row in robustness if row["spacing"] is None and row["model"] in names and row["seq_len"] in sizes]
    for condition, text in CONDITION_LIMITS.items():
        worse = [
            row
            for row in shown
            if row["condition"] == condition and row["change"] <= -CLEARLY and row["change_high"] < 0
        ]
        if worse:
            first, *others = (
                (-row["change"], f"with sets of {row['seq_len']} of {DATA_NAMES[row['dataset']]}") for row in worse
            )
            costs = [
                f"{first[0]:.0f} points less exact match {first[1]}",
                *(f"{by:.0f} {where}" for by, where in others),
            ]
            found.append(f"{text}: {_listed(costs)}.")
    wrong = [each for each in failures["errors"] if each["model"] in names and each["seq_len"] in sizes]
    if any(each["wrong"] for each in wrong):
        shares = " and ".join(f"{each['sure']:.0f} % of those of {each['seq_len']} photos" for each in wrong)
        found.append(f"Of its wrong answers {shares} are {100 * wrong[0]['sure_above']:.0f} % sure or more.")
    for what, by in (
        ("Kinds of motion and of light", overall),
        ("Crops, shake, exposure and the like", {row["seq_len"] for row in shown}),
    ):
        missing = [str(n) for n in sizes if n not in by]
        if missing:
            found.append(f"{what} were not measured with sets of {_listed(missing)}.")
    return found


def _listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def demo_output() -> str:
    """What ``imgorder sort examples/balloon`` prints, as a code block."""
    command = [sys.executable, "-m", "imgorder", "sort", "examples/balloon"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return f"```text\n$ imgorder sort examples/balloon\n{result.stdout.rstrip()}\n```"


if __name__ == "__main__":
    main()
