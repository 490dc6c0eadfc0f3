"""The tables of the documents, as Markdown, from the rows of docs/results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from imgorder.datasets.manifest import name_size
from imgorder.evaluation.measure import Row

PAPER: dict[str, Any] = json.loads((Path(__file__).parent / "paper.json").read_text("utf-8"))


def accuracy_table(rows: Sequence[Row], with_paper: bool = True) -> str:
    """Exact match in percent, a row for each set size and model, a column for each spacing.

    Where asked for, the paper's figures stand below ours, marked as measured on other data.
    """
    return _by_spacing(rows, lambda row: f"{row.accuracy:.1f}", with_paper, with_chance=True)


def calibration_table(rows: Sequence[Row]) -> str:
    """Expected calibration error, laid out as `accuracy_table`; the baseline is not calibrated and left out."""
    networks = [row for row in rows if row.model != "path"]
    return _by_spacing(networks, lambda row: f"{row.ece:.3f}")


def _by_spacing(
    rows: Sequence[Row], value: Callable[[Row], str], with_paper: bool = False, with_chance: bool = False
) -> str:
    spacings = sorted({row.spacing for row in rows})
    lines = [
        "| n | spacing (frames) | " + " | ".join(f"{spacing:g}" for spacing in spacings) + " |",
        "| --- | --- |" + " --- |" * len(spacings),
    ]

    def add(n: int, name: str, cells: Iterable[str]) -> None:
        lines.append(f"| {n} | {name} | " + " | ".join(cells) + " |")

    def shown(row: Row | None, value: Callable[[Row], str]) -> str:
        return "–" if row is None else value(row)

    for n in sorted({row.seq_len for row in rows if row.seq_len}):
        found = {(row.model, row.spacing): row for row in rows if row.seq_len == n}
        models = dict.fromkeys(model for model, _ in found)
        for model in models:
            add(n, model, (shown(found.get((model, spacing)), value) for spacing in spacings))
        figures = {row[1]: row[2] for row in PAPER["tables"]["V"]["rows"] if row[0] == n}
        if with_paper and figures:
            cells = (f"{figures[spacing]:g}" if spacing in figures else "" for spacing in spacings)
            add(n, "paper, Table V: 50 sequences, by its authors", cells)
        first = [found.get((next(iter(models)), spacing)) for spacing in spacings]
        if with_chance:
            add(n, "chance", (shown(row, lambda row: f"{row.chance:.1f}") for row in first))
        add(n, "sets", (shown(row, lambda row: str(row.sets)) for row in first))
        add(n, "permutations of each set", (shown(row, lambda row: str(row.permutations)) for row in first))
    return "\n".join(lines)


# What the README's table shows: of these models, at these spacings.
SHORT_MODELS = {"path": "`path`", "tridab-s": "`tridab-s`, the default", "dab-resnet18": "`dab-resnet18`"}
SHORT_SIZES, SHORT_SPACINGS = (4, 6), (1, 2, 4, 8)


def short_accuracy(rows: list[Row], together: list[dict[str, Any]], of_clips: list[dict[str, Any]]) -> str:
    """The README's table, with what has to be known to read it.

    Args:
        rows: of DAVIS, by spacing.
        together: of DAVIS, over all spacings.
        of_clips: of held-out clips, over all spacings.
    """
    found = {(row.seq_len, row.model, row.spacing): row for row in rows}
    pooled = {(row["seq_len"], row["model"]): row for row in together}
    first, last = (limit(pooled[SHORT_SIZES[0], "path"]["spacings"]) for limit in (min, max))
    heads = ["photos", "model", *(f"spacing {spacing}" for spacing in SHORT_SPACINGS)]
    heads += [f"all from {first:g} to {last:g}", "mean confidence"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for n in SHORT_SIZES:
        for model, label in SHORT_MODELS.items():
            cells = [f"{found[n, model, spacing].accuracy:.1f}" for spacing in SHORT_SPACINGS]
            cells += [f"{pooled[n, model][key]:.1f}" for key in ("accuracy", "confidence")]
            lines.append(f"| {n} | {label} | {' | '.join(cells)} |")
        sets = [str(found[n, "path", spacing].sets) for spacing in SHORT_SPACINGS]
        lines.append(f"| {n} | sets measured | {' | '.join(sets)} | {pooled[n, 'path']['sets']} | |")
    chances = " and ".join(f"{pooled[n, 'path']['chance']:.1f} % of the sets of {n}" for n in SHORT_SIZES)
    (shown,) = {row.permutations for row in rows}
    lines += ["", f"Each set was shown in {shown} random listing. Guessing is right for {chances}."]
    clips = {(row["seq_len"], row["model"]): row for row in of_clips}
    right = {m: " and ".join(f"{clips[n, m]['accuracy']:.1f} %" for n in SHORT_SIZES) for m in ("tridab-s", "path")}
    counts = " and ".join(f"{clips[n, 'path']['sets']} sets of {n}" for n in SHORT_SIZES)
    lines.append(
        f"Other videos are harder: on {counts} from clips that were held out of training\n(and to which the "
        f"confidence was fitted), `tridab-s` is right for {right['tridab-s']}, `path` for {right['path']}."
    )
    return "\n".join(lines)


def timing_sentence(seconds: dict[str, float]) -> str:
    """The cold-start benchmark for people with photos."""
    return f"Sorting four 12-megapixel JPEGs takes {seconds['sort']:.1f} seconds on two CPU cores, start included."


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
    "signed": "DAB-ResNet-18, signed (Eq. 2), m = n",
    "magnitude": "magnitude only (Eq. 3)",
    "off": "without DAB: F_s = 0",
    "m0": "m = 0 (Eq. 4)",
    "m1": "m = 1",
    "m2": "m = 2",
    "pooled": "signed, pooled over the images as well",
    "inner-norm": "signed, F_c normalised before the accumulator",
    "mix3": "signed, kernel of the 2.5D convolution 3×3",
    "resnet50": "DAB-ResNet-50, signed, m = n",
    "opn": "OPN",
    "deepimseq": "DeepImSeq",
    "tridab": "TriDAB",
    "symmetric": "symmetric sum, m = n",
    "symmetric-magnitude": "symmetric sum of magnitudes",
    "symmetric-m1": "symmetric sum, m = 1",
    "symmetric-m2": "symmetric sum, m = 2",
    "symmetric-resnet50": "DAB-ResNet-50, symmetric sum",
    "symmetric-hidden": "symmetric sum, hidden layer in the classifier",
    "symmetric-long": "symmetric sum, five times the steps",
}
OF_FIVE = {
    "m0-n5": "m = 0 (Eq. 4)",
    "m1-n5": "m = 1",
    "m2-n5": "m = 2",
    "signed-n5": "m = n (Eq. 2)",
}

# Table of the paper -> its column, or row, and the n -> the variant of the ablations that compares with it.
COMPACT = {
    "I": {
        ("Lee et al.", 4): "opn",
        ("Kanojia et al. (DeepImSeq)", 4): "deepimseq",
        ("ResNet-50 with DAB", 3): "resnet50-n3",
        ("ResNet-50 with DAB", 4): "resnet50",
    },
    "II": {
        ("ResNet-18", 3): "signed-n3",
        ("ResNet-50", 3): "resnet50-n3",
        ("ResNet-18", 4): "signed",
        ("ResNet-50", 4): "resnet50",
    },
    "III": {("magnitude (Eq. 3)", 4): "magnitude", ("sign and magnitude (Eq. 2)", 4): "signed"},
    "IV": {("0", 5): "m0-n5", ("1", 5): "m1-n5", ("2", 5): "m2-n5", ("n", 5): "signed-n5"},
}


def paper_table(name: str, ablations: list[dict[str, Any]]) -> str:
    """One of the paper's Tables I to IV, a line for each figure, and what compares with it here."""
    table = PAPER["tables"][name]
    first, *columns = table["columns"]
    lines = ["| n | network | the paper, UCF101 | here, UCF101 | here, compact, other videos: spacing 2 / 4 / 8 |"]
    lines.append("|" + " --- |" * 5)
    for head, *figures in table["rows"]:
        for column, figure in zip(columns, figures, strict=True):
            n, key, what = (5, head, f"ResNet-50, m = {head}") if first == "m" else (head, column, column)
            variant = COMPACT[name].get((key, n))
            shown = "–" if figure is None else f"{figure:g}"
            lines.append(f"| {n} | {what} | {shown} | not run | {_compact(variant, ablations)} |")
    return "\n".join(lines)


def _compact(variant: str | None, ablations: list[dict[str, Any]]) -> str:
    """Mean over the seeds on held-out clips, for each spacing."""
    rows = [row for row in ablations if row.get("variant") == variant and row["dataset"] == "held-out clips"]
    spacings = sorted({row["spacing"] for row in rows})
    means = [mean(row["accuracy"] for row in rows if row["spacing"] == spacing) for spacing in spacings]
    return " / ".join(f"{value:.1f}" for value in means) if variant and rows else "not run"


def counts_table() -> str:
    """How much the paper's networks learned from."""
    of = PAPER["ucf101"]
    lines = ["| n | training sets in the paper, about | in all their permutations, about | here |", "|" + " --- |" * 4]
    for n, sets in of["training_sets"].items():
        shown = of["permuted_training_sets"].get(n)
        lines.append(f"| {n} | {sets:,} | {f'{shown:,}' if shown else '–'} | not run |")
    return "\n".join(lines)


def curve_table(rows: list[dict[str, Any]]) -> str:
    """What training runs reached, a line for each: losses at each validation, exact match after the last step."""
    heads = ["run", "steps", "training loss", "validation loss", "exact match, spacing 2 / 4 / 8"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for run in dict.fromkeys(row["run"] for row in rows):
        own = [row for row in rows if row["run"] == run]
        steps = ", ".join(str(row["step"]) for row in own)
        losses = (", ".join(f"{row[name]:.2f}" for row in own) for name in ("loss", "val_loss"))
        exact = " / ".join(f"{value:.1f}" for value in own[-1]["exact"])
        lines.append(f"| {' | '.join([run, steps, *losses, exact])} |")
    return "\n".join(lines)


def permutations_table(rows: Sequence[Row]) -> str:
    """Table V beside ours in all permutations of every set, as the paper measures."""
    lines = [accuracy_table(rows)]
    for n in sorted({row.seq_len for row in rows if row.seq_len}):
        baseline = sorted((row for row in rows if (row.model, row.seq_len) == ("path", n)), key=lambda row: row.spacing)
        counts = {row[1]: row[3] for row in PAPER["tables"]["V"]["rows"] if row[0] == n}
        ours = (f"{row.sets * row.permutations:,}" for row in baseline)
        theirs = (f"{counts[row.spacing]:,}" for row in baseline)
        for name, cells in (("permutations together", ours), ("permutations in the paper, about", theirs)):
            lines.append(f"| {n} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablation_table(rows: list[dict[str, Any]], names: dict[str, str], n: int = 4) -> str:
    """Exact match of each variant, over its seeds, by data set and spacing; baseline and chance at the end."""
    rows = [row for row in rows if row["seq_len"] == n]
    cases = list(dict.fromkeys((row["dataset"], row["spacing"]) for row in rows))

    with_ends = all("ends" in row for row in rows if row["dataset"] == cases[0][0])

    def line(name: str, chosen: list[dict[str, Any]]) -> str:
        seeds, size = len({row.get("seed") for row in chosen}), chosen[0].get("parameters")
        cells = [_over_seeds([r["accuracy"] for r in chosen if (r["dataset"], r["spacing"]) == case]) for case in cases]
        trained = [str(seeds), f"{size / 1e6:.2f} M"] if size else ["–", "–"]
        if with_ends:
            cells.append(_over_seeds([row["ends"] for row in chosen if (row["dataset"], row["spacing"]) == cases[1]]))
        return "| " + " | ".join([name, *trained, *cells]) + " |"

    baseline = [row for row in rows if row["model"] == "path"]
    counts = [next(row for row in baseline if (row["dataset"], row["spacing"]) == case)["sets"] for case in cases]
    chances = [f"{baseline[0]['chance']:.1f}"] * len(cases)
    heads = [f"{dataset}, spacing {spacing:g}" for dataset, spacing in cases]
    if with_ends:
        heads, chances, counts = [*heads, "ends found"], [*chances, "16.7"], [*counts, counts[1]]
    lines = ["| " + " | ".join(["network", "seeds", "parameters", *heads]) + " |", "|" + " --- |" * (3 + len(heads))]
    for variant, name in names.items():
        chosen = [row for row in rows if row.get("variant") == variant]
        lines += [line(name, chosen)] if chosen else []
    lines.append(line("path, the baseline without training", baseline))
    lines.append("| chance | – | – | " + " | ".join(chances) + " |")
    lines.append("| sets | – | – | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def _over_seeds(values: list[float]) -> str:
    if not values:
        return "not run"
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread}"


def heatmap_table(results: list[dict[str, Any]]) -> str:
    """The benchmark of heat maps against motion on videos as Markdown."""
    lines = [
        "| model | listings | data | n | spacing | sets | correlation | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        facts = [str(each[key]) for key in ("model", "listings", "dataset", "seq_len", "spacing", "sets")]
        lines.append(f"| {' | '.join(facts)} | {each['correlation']:.2f} | {each['ratio']:.2f} |")
    return "\n".join(lines)


def disc_table(rows: list[dict[str, Any]]) -> str:
    """Heat maps on rendered sets in which a disc moves, a line for each layer, as Markdown."""
    heads = [
        "model",
        "listings",
        "layer",
        "cell, px",
        "camera",
        "sets",
        "order right",
        "disc / still",
        "share",
        "area",
        "best",
    ]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    for row in rows:
        camera = f"shakes by {row['shake']} px" if row["shake"] else "still"
        ratio = float("inf") if row["ratio"] is None else row["ratio"]
        brighter = "∞" if ratio > 1e6 else f"{ratio:.{0 if ratio >= 100 else 1}f}"
        facts = [row["model"], row["listings"], row["layer"], row["cell"], camera, row["sets"], row["right"], brighter]
        shares = [f"{row[share]:.0f} %" for share in ("share", "area", "best")]
        lines.append("| " + " | ".join([*map(str, facts), *shares]) + " |")
    return "\n".join(lines)


def albums_table(rows: Sequence[Row]) -> str:
    """Many photos at once: a line for each kind, or size and spacing, and model."""
    if not rows:
        return "Not measured yet."
    kinds = any(row.kind for row in rows)
    heads = ["photos in a set", "of what" if kinds else "spacing", "sets", "model", "exact match (95 %)"]
    heads += ["chance", "Kendall tau", "neighbours right", "ECE of places"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [name_size(row.seq_len), row.kind if kinds else f"{row.spacing:g}", row.sets, row.model]
        cells += [f"{row.accuracy:.1f} ({row.accuracy_low:.1f} to {row.accuracy_high:.1f})", f"{row.chance:.1f}"]
        cells += [f"{row.kendall_tau:.3f}", f"{row.adjacency:.3f}"]
        cells += ["–" if row.place_ece is None or row.model == "path" else f"{row.place_ece:.3f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def no_order_table(rows: Sequence[dict[str, Any]]) -> str:
    """How sure models are of sets that have no order: a line for each kind, a column for each model."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [f"| n | photos | sets | chance | {' | '.join(models)} |", "|" + " --- |" * (4 + len(models))]
    for n, kind in dict.fromkeys((row["seq_len"], row["kind"]) for row in rows):
        own = {row["model"]: row for row in rows if (row["seq_len"], row["kind"]) == (n, kind)}
        first = next(iter(own.values()))
        cells = [f"{own[each]['confidence']:.1f} ({own[each]['sure']:.0f})" if each in own else "–" for each in models]
        lines.append(f"| {n} | {kind} | {first['sets']} | {first['chance']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def known_table(rows: Sequence[dict[str, Any]]) -> str:
    """What capture times add: a line for each case and model."""
    if not rows:
        return "Not measured yet."
    heads = ["data", "case", "sets", "model", "by time alone", "by pictures alone", "both", "tau of both", "confidence"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        figures = [row[f"{name}_exact"] for name in ("times", "pictures", "both")]
        exact = ["–" if figure is None else f"{figure:.1f}" for figure in figures]
        sure = "–" if row["model"] == "path" else f"{row['confidence']:.1f}"
        cells = [row["dataset"], row["case"], row["sets"], row["model"], *exact, f"{row['both_tau']:.3f}", sure]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def clocks_table(rows: Sequence[dict[str, Any]]) -> str:
    """How well the offset between two clocks is found."""
    lines = ["| data | model | sets | found | median error | within the limits |", "|" + " --- |" * 6]
    for row in rows:
        if row["offset_error"] is not None:
            cells = [row["dataset"], row["model"], row["sets"], row["offsets"], f"{row['offset_error']:.1f} s"]
            cells.append(f"{row['offset_inside']:.1f} %")
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def apart_table(rows: Sequence[dict[str, Any]]) -> str:
    """How often a set is taken for what it is."""
    cases = {"no times": "one scene", "a stray": "a stray is set apart", "two scenes": "two scenes are told"}
    found = {(row["dataset"], row["case"]): row for row in rows}
    lines = [f"| data | sets | {' | '.join(cases.values())} |", "|" + " --- |" * (2 + len(cases))]
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        shares = [f"{found[dataset, case]['scene']:.1f} %" for case in cases]
        lines.append(f"| {dataset} | {found[dataset, 'no times']['sets']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def places_text(fit: dict[str, Any]) -> str:
    """How far the places of a model can be believed."""
    sizes, spacings = fit["sizes"], fit["spacings"]
    return (
        f"Measured on {fit['places']} places of sets of {', '.join(map(str, sizes[:-1]))} and {sizes[-1]} photos from "
        f"{fit['groups']} groups of clips that were held out of training, spacing {spacings[0]} to {spacings[-1]}: "
        f"{100 * fit['right']:.1f} % of the places of `{fit['model']}` were right. The expected calibration error of "
        f"their probabilities is {fit['ece_plain']:.3f} as the network gives them, and {fit['ece_left_out']:.3f} with "
        f"the temperature {fit['temperature']:g}, on groups that were left out of its fit."
    )


def many_photos_table(rows: list[dict[str, Any]]) -> str:
    """Seconds and memory over the number of photos, beside reading the photos alone."""
    heads = [
        "photos",
        "model",
        "search",
        "read alone",
        "ordered",
        "ratio",
        "peak memory, read alone",
        "ordered",
        "ratio",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        cells = [row["photos"], row["model"], row["search"], f"{row['read_s']:.1f} s", f"{row['order_s']:.1f} s"]
        cells += [f"{row['order_s'] / row['read_s']:.1f}", f"{row['read_mib']} MiB", f"{row['order_mib']} MiB"]
        cells += [f"{row['order_mib'] / row['read_mib']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
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
    """Exact match by the number of votes, beside that of the model as it was released, as Markdown."""
    lines = ["| model | data | n | spacing | sets | as released | votes | with them | path |"]
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
    sizes = list(dict.fromkeys(row["seq_len"] for row in rows))
    models = {n: list(dict.fromkeys(row["model"] for row in rows if row["seq_len"] == n)) for n in sizes}
    heads = [head for n in sizes for head in (f"sets of {n} (groups)", *(f"{n}: {model}" for model in models[n]))]
    lines = ["| what | sets in which it is | " + " | ".join(heads) + " |"]
    lines.append("| " + " | ".join(["---"] * (2 + len(heads))) + " |")
    found = {(row["property"], row["bucket"], row["seq_len"], row["model"]): row for row in rows}
    for name, bucket in dict.fromkeys((row["property"], row["bucket"]) for row in rows):
        cells = []
        for n in sizes:
            of_models = [found.get((name, bucket, n, model)) for model in models[n]]
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
    for row in sorted(rows, key=lambda row: (row["seq_len"], row["model"] == "any wrong order")):
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


def strays_table(rows: list[dict[str, Any]]) -> str:
    """How often sets with and without photos of another scene were understood, as Markdown."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    found = {(row["data"], row["case"]): row for row in rows}
    lines = [f"| data | {' | '.join(cases)} |", f"| --- |{' --- |' * len(cases)}"]
    for data in dict.fromkeys(row["data"] for row in rows):
        cells = [f"{row['right']} % of {row['sets']}" if (row := found.get((data, case))) else "" for case in cases]
        lines.append(f"| {data} | {' | '.join(cells)} |")
    return "\n".join(lines)


def groups_table(record: dict[str, Any]) -> str:
    """How well folders of many scenes are grouped, with the baseline, as Markdown."""
    words = {"all": "all photos have times", "half": "every other photo has one", "none": "no times"}
    lines = ["| data | times | photos | grouped by | precision | recall |", "| --- | --- | --- | --- | --- | --- |"]
    for row in record["rows"]:
        if row["how"] != "both":
            how = "time and likeness" if row["how"] == "default" else row["how"]
            cells = (row["data"], words[row["times"]], row["photos"], how, row["precision"], row["recall"])
            lines.append(f"| {' | '.join(f'{each:.3f}' if isinstance(each, float) else str(each) for each in cells)} |")
    gap, similarity = record["default"]["gap_s"], record["default"]["similarity"]
    return "\n".join([*lines, "", f"The defaults are `--gap {gap:g}s` and `--similarity {similarity:g}`."])


def thresholds_table(record: dict[str, Any]) -> str:
    """Precision and recall for each pair of thresholds where they were chosen, as Markdown."""
    found = {(row["gap_s"], row["similarity"], row["times"]): row for row in record["rows"] if row["how"] == "both"}
    similarities = list(dict.fromkeys(similarity for _, similarity, _ in found))
    gaps = list(dict.fromkeys(gap for gap, *_ in found))

    def cell(row: dict[str, Any]) -> str:
        return f"{row['precision']:.3f} / {row['recall']:.3f}"

    lines = [
        f"| `--gap` | {' | '.join(f'{each:g}' for each in similarities)} |",
        "| --- |" + " --- |" * len(similarities),
    ]
    for gap in gaps:
        lines.append(f"| {gap:g}s | {' | '.join(cell(found[gap, each, 'all']) for each in similarities)} |")
    lines.append(f"| no times | {' | '.join(cell(found[gaps[0], each, 'none']) for each in similarities)} |")
    return "\n".join(lines)


def libraries_table(record: dict[str, Any]) -> str:
    """Reading a tree beside a bare decode, and again, and after kills, as Markdown."""
    heads = (
        "photos",
        "decode alone",
        "first run",
        "speed, by CPU",
        "speed, by the clock",
        "second run",
        "times as fast",
    )
    lines = [f"| {' | '.join((*heads, 'memory'))} |", "|" + " --- |" * (len(heads) + 1)]
    for row in record["rows"]:
        cells = [
            f"{row['photos']:,}",
            f"{row['bare_cpu_s']:.0f} s CPU",
            f"{row['first_cpu_s']:.0f} s CPU",
            f"{row['bare_cpu_s'] / row['first_cpu_s']:.0%}",
            f"{row['bare_s'] / row['first_s']:.0%}",
            f"{row['second_cpu_s']:.1f} s CPU",
            f"{row['first_cpu_s'] / row['second_cpu_s']:.0f} ({row['first_s'] / row['second_s']:.0f} by the clock)",
            f"{max(row['first_mib'], row['second_mib'])} MiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    told = f"With {record['workers']} processes on {record['cpus']} CPUs."
    if kills := record.get("kills"):
        told += (
            f" {kills['runs']} runs over {kills['photos']} small photos were killed (SIGKILL) at random moments, "
            f"{kills['halfway']} of them when some of the parts were written, and then started again. {kills['same']} "
            "of them left the same answer and the same parts, to the byte, as a run that nobody had disturbed."
        )
    return "\n".join([*lines, "", told])


# What the plan assumes; all else in it is measured.
PLAN = {"photos": 10_000_000, "megabytes": 3.0, "machines": 50, "cores": 16, "gigabits": 10.0, "dollars": 0.80}
OF_A_SCENE = 5  # photos


def scale_table(record: dict[str, Any]) -> str:
    """The plan for very many photos, from the rates of the largest measured tree, as Markdown."""
    row, orders, plan = record["rows"][-1], record["orders"], PLAN
    photos, cores = plan["photos"], plan["machines"] * plan["cores"]
    look = row["first_cpu_s"] / row["photos"]
    drive = row["second_cpu_s"] / row["photos"]
    # Small photos were ordered: those of a library have to be decoded once more.
    scene = max(orders["cpu_s"] - orders["group_cpu_s"], 0.0) / orders["scenes"] + OF_A_SCENE * look
    terabytes = photos * plan["megabytes"] / 1e6
    hours = {
        "look": photos * look / cores / 3600,
        "read": terabytes * 8e3 / (plan["machines"] * plan["gigabits"]) / 3600,
        "drive": photos * drive / 3600,
        "order": photos / OF_A_SCENE * scene / cores / 3600,
    }
    whole = max(hours["look"], hours["read"]) + hours["drive"] + max(hours["order"], hours["read"])
    rows = [
        ("list, compare and group, on one core", f"{1 / drive:,.0f} photos a second", hours["drive"]),
        ("look: decode and describe", f"{1 / look:.0f} photos a second and core", hours["look"]),
        ("network, for each of two readings", f"{terabytes:.0f} TB at the full speed of all machines", hours["read"]),
        (
            f"decode again, and order scenes of {OF_A_SCENE}",
            f"{1 / scene:.1f} scenes a second and core",
            hours["order"],
        ),
    ]
    lines = ["| step | rate | hours |", "| --- | --- | --- |"]
    lines += [f"| {step} | {rate} | {needed:.2f} |" for step, rate, needed in rows]
    gigabytes = photos * row["parts_mb"] / row["photos"] / 1e3
    cost = whole * plan["machines"] * plan["dollars"]
    assumed = (
        f"Assumed: {photos:,} photos of {plan['megabytes']:g} MB, all in scenes of {OF_A_SCENE}; {plan['machines']} "
        f"machines of {plan['cores']} cores as fast as the one that was measured, with {plan['gigabits']:g} Gbit/s "
        f"each and for {plan['dollars']:.2f} dollars an hour."
    )
    told = (
        f"All together {whole:.1f} hours, the slower of CPU and network in each step, and {cost:,.0f} dollars of "
        f"machines; plan twice that. The looks take {gigabytes:.0f} GB of part files, "
        f"about {photos / 64:,.0f} of them."
    )
    return "\n".join([assumed, "", *lines, "", told])


def crash_table(measured: dict[str, Any]) -> str:
    """What was done to the system calls of each command, and how it came out, as Markdown."""
    rows = measured["rows"]
    kinds = ("kill", "error", "errors", "ctrl-c", "recovered")
    lines = ["| command | renames by | calls | killed | error | errors | Ctrl-C | recovered |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        lines.append(f"| {' | '.join(str(row[key]) for key in ('action', 'way', 'calls', *kinds))} |")
    total = (f"{sum(row[key] for row in rows):,}" for key in ("calls", *kinds))
    lines.append(f"| all | | {' | '.join(total)} |")
    told = f"{measured['runs']:,} runs ({measured['system']}): {_faults(measured['faults'])}."
    return "\n".join([*lines, "", told])


def fuzz_table(measured: dict[str, Any]) -> str:
    """How many inputs of each kind were tried, and how the commands ended, as Markdown."""
    lines = ["| kind | inputs | done | refused |", "| --- | --- | --- | --- |"]
    for row in measured["rows"]:
        lines.append(f"| {row['kind']} | {row['inputs']:,} | {row['done']:,} | {row['refused']:,} |")
    inputs = sum(row["inputs"] for row in measured["rows"])
    told = f"{inputs:,} inputs of seed {measured['seed']}: {_faults(sum(row['faults'] for row in measured['rows']))}."
    return "\n".join([*lines, "", told])


def _faults(number: int) -> str:
    return f"{number} faults" if number else "no fault"
