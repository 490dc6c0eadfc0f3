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
from typing import Any

from tables import (
    ABLATIONS,
    OF_FIVE,
    ablation_table,
    accuracy_table,
    albums_table,
    apart_table,
    buckets_table,
    calibration_table,
    clocks_table,
    conditions_table,
    counts_table,
    crash_table,
    curve_table,
    disc_table,
    errors_table,
    fuzz_table,
    groups_table,
    heatmap_table,
    int8_table,
    known_table,
    libraries_table,
    many_photos_table,
    no_order_table,
    paper_table,
    permutations_table,
    places_text,
    robustness_table,
    scale_table,
    scenes_table,
    short_accuracy,
    strays_table,
    thresholds_table,
    throughput_table,
    timing_sentence,
    timing_table,
    votes_table,
)

from imgorder.evaluation.measure import Row
from imgorder.evaluation.pooling import PooledRow
from imgorder.evaluation.tables import pooled_markdown, results_markdown
from imgorder.inference.hub.model_card import recipe_table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"

# Whose training models/README.md lists; the members of dab-resnet18 were trained in two ways.
RECIPES = ("tridab-s", "dab-resnet18-n4", "dab-resnet18-n6", "dab-resnet50")


def main() -> None:
    """Fill all documents and cards."""
    for document, name, text in [*tables(), (ROOT / "README.md", "demo", demo_output())]:
        document.write_text(fill_place(document, name, text), "utf-8")
    for path, text in cards():
        path.write_text(text, "utf-8")
    subprocess.run([sys.executable, ROOT / "docs" / "cli_reference.py"], cwd=ROOT, check=True)


def stale_documents() -> list[str]:
    """Documents and cards whose figures are not those of the results files; empty when all is well.

    The output of commands is not compared: it costs a run, and a machine may round differently.
    """
    documents = [document for document, name, text in tables() if fill_place(document, name, text) != read(document)]
    return [str(path) for path in documents + [path for path, text in cards() if read(path) != text]]


def tables() -> Iterator[tuple[Path, str, str]]:
    """(document, name of the marked place, its text) for everything that comes from results files."""
    davis = read_results(RESULTS / "davis-dev.json")
    held_out = read_results(RESULTS / "held-out-clips.json")
    readme, accuracy, card = ROOT / "README.md", ROOT / "docs" / "accuracy.md", ROOT / "models" / "README.md"
    together = json.loads(read(RESULTS / "davis-dev.json"))["pooled"]
    of_clips = json.loads(read(RESULTS / "held-out-clips.json"))["pooled"]
    yield readme, "accuracy", short_accuracy(davis, together, of_clips)
    for document in (accuracy, card):
        yield document, "accuracy", accuracy_table(davis)
        yield document, "held-out", accuracy_table(held_out, with_paper=False)
        yield document, "calibration", calibration_table(davis)
        yield document, "pooled", pooled_markdown(PooledRow(**row) for row in together)
    views = [row for row in davis if row.model == "path"] + read_results(RESULTS / "path-views.json")
    yield accuracy, "path-views", accuracy_table(views, with_paper=False)
    yield accuracy, "held-out-pooled", pooled_markdown(PooledRow(**row) for row in of_clips)
    yield accuracy, "all-rows", results_markdown(davis)
    yield accuracy, "far", results_markdown(read_results(RESULTS / "far.json"))
    yield accuracy, "no-order", no_order_table(json.loads(read(RESULTS / "no-order.json"))["rows"])
    seconds = json.loads(read(RESULTS / "cold-start.json"))
    yield accuracy, "timing", timing_table(seconds)
    yield readme, "timing", timing_sentence(seconds)
    for path in sorted((ROOT / "models").glob("*.json")):
        facts = json.loads(read(path)).get("training")
        if facts and path.stem in RECIPES:
            yield card, f"recipe-{path.stem}", recipe_table(facts)
    reproduction = ROOT / "docs" / "reproduction.md"
    yield reproduction, "accuracy", accuracy_table(davis)
    yield reproduction, "curves", curve_table(json.loads(read(RESULTS / "training-curves.json"))["rows"])
    yield reproduction, "sums", accuracy_table(read_results(RESULTS / "sums.json"), with_paper=False)
    ablations = json.loads(read(RESULTS / "ablations.json"))["rows"]
    yield reproduction, "counts", counts_table()
    for name in ("I", "II", "III", "IV"):
        yield reproduction, f"table-{name}", paper_table(name, ablations)
    yield reproduction, "ablations", ablation_table(ablations, ABLATIONS)
    yield reproduction, "ablations-n5", ablation_table(ablations, OF_FIVE, n=5)
    yield reproduction, "permutations", permutations_table(read_results(RESULTS / "davis-permutations.json"))
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
    albums, measured = ROOT / "docs" / "albums.md", read_results(RESULTS / "albums.json")
    for place, starts in (("davis", "davis-"), ("clips", "held-out clips"), ("photos", "photos")):
        yield albums, place, albums_table([row for row in measured if row.dataset.startswith(starts)])
    known = json.loads(read(RESULTS / "known.json"))["rows"]
    yield albums, "known", known_table(known)
    yield albums, "clocks", clocks_table(known)
    yield albums, "apart", apart_table([row for row in known if row["model"] != "path"])
    yield albums, "places", places_text(json.loads(read(RESULTS / "places.json")))
    yield albums, "many-photos", many_photos_table(json.loads(read(RESULTS / "many-photos.json"))["rows"])
    written = [json.loads(text) for _, text in cards()]
    listed = {each["name"]: "\n".join(f"- {limit}" for limit in each["limits"]) for each in written}
    yield card, "limits", listed["tridab-s"]
    every = "\n\n".join(f"**{name}**\n\n{text}" for name, text in listed.items())
    yield models, "limits", every
    reliability = json.loads(read(RESULTS / "reliability.json"))
    yield ROOT / "docs" / "reliability.md", "crash", crash_table(reliability["crash"])
    yield ROOT / "docs" / "reliability.md", "fuzz", fuzz_table(reliability["fuzz"])
    strays = json.loads(read(RESULTS / "strays.json"))["rows"]
    yield ROOT / "docs" / "strays.md", "strays", strays_table(strays)
    libraries, groups = ROOT / "docs" / "libraries.md", json.loads(read(RESULTS / "groups.json"))
    for page in (libraries, albums):
        yield page, "groups", groups_table(groups)
    yield libraries, "groups-thresholds", thresholds_table(groups)
    trees = json.loads(read(RESULTS / "libraries.json"))
    yield libraries, "libraries", libraries_table(trees)
    yield ROOT / "docs" / "scale.md", "scale", scale_table(trees)
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


def fill_place(document: Path, name: str, text: str) -> str:
    """A document's text with ``text`` between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Raises:
        ValueError: if the marks are not there.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, found, rest = document.read_text("utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document}: has no place marked {name}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def read_results(path: Path) -> list[Row]:
    """Rows of a results file."""
    return [Row(**row) for row in json.loads(path.read_text("utf-8"))["rows"]]


def read(path: Path) -> str:
    """A text file."""
    return path.read_text("utf-8")


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
