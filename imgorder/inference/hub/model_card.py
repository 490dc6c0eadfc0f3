"""The README of a model's repository on the Hub, and its ``config.json``: a card for people and one for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from imgorder.inference.cards import Card
from imgorder.inference.hub import LIBRARY
from imgorder.model_format import CLASS_ORDER, FORMAT

_HEADER = ("data", "n", "spacing", "sets", "exact match", "path baseline")


def make_readme(card: Card) -> str:
    """Markdown with the metadata block that the Hub reads."""
    metadata = [
        *([f"license: {card.licence.lower()}"] if card.licence else []),
        f"library_name: {LIBRARY}",
        "tags:",
        *(f"- {tag}" for tag in (LIBRARY, "onnx", "safetensors", "temporal-order", card.family)),
    ]
    parts = [
        "\n".join(("---", *metadata, "---")),
        f"# {card.name}",
        f"{card.about[:1].upper()}{card.about[1:]}. It puts {card.photos} of one moving "
        "scene into the order in which they were taken, from the pictures alone and up to reversal.",
        f"```sh\npip install {LIBRARY}\nimgorder sort ./photos/ --model {card.name}\n```",
    ]
    if card.data:
        parts += ["## Training data", card.data]
    if card.training:
        parts += ["## Training", recipe_table(card.training)]
    if card.figures:
        parts += ["## Figures", "Percent of sets whose whole order is right, up to reversal.", _figures(card)]
    if card.limits:
        parts += ["## Limits", "\n".join(f"- {each}" for each in card.limits)]
    files = [f"| {each.file} | {each.bytes} | {each.sha256} |" for each in card.files.values()]
    parts += ["## Files", "\n".join(("| file | bytes | SHA-256 |", "| --- | --- | --- |", *files))]
    if card.licence:
        parts += ["## Licence", card.licence]
    return "\n\n".join(parts) + "\n"


def make_config(card: Card) -> str:
    """The card as JSON, with what else a reader of the weights has to know."""
    fields = {key: value for key, value in asdict(card).items() if key not in ("hub", "members")}
    fields |= {"library_name": LIBRARY, "format": FORMAT, "class_order": CLASS_ORDER}
    return json.dumps(fields, indent=1) + "\n"


def _figures(card: Card) -> str:
    lines = [" | ".join(_HEADER), " | ".join("---" for _ in _HEADER)]
    for row in card.figures:
        cells = (row.dataset, row.seq_len, row.spacing, row.sets, row.accuracy, row.baseline)
        lines.append(" | ".join(map(str, cells)))
    return "\n".join(f"| {line} |" for line in lines)


def recipe_table(facts: dict[str, Any]) -> str:
    """The facts of a training run, or of those of an ensemble's members, as Markdown."""
    lines = ["| fact | value |", "| --- | --- |"]
    for name, value in facts.items():
        parts = value if name == "members" and isinstance(value, dict) else {name: value}
        for part, each in parts.items():
            shown = ", ".join(_named(each)) if isinstance(each, dict) else each
            lines.append(f"| {part.replace('_', ' ')} | {shown} |")
    return "\n".join(lines)


def _named(facts: dict[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if name == "held_out_groups":
            continue  # told by their number; the names are in the card
        yield ", ".join(_named(value)) if name == "settings" and isinstance(value, dict) else f"{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    return json.dumps(value).replace('"', "") if isinstance(value, dict | list) else str(value)
