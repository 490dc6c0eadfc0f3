"""The README of a model's repository on the Hub, and its ``config.json``: a card for people and one for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
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
        rows = [
            (each.dataset, each.seq_len, each.spacing, each.sets, each.accuracy, each.baseline) for each in card.figures
        ]
        parts += ["## Figures", "Percent of sets whose whole order is right, up to reversal.", _table(_HEADER, rows)]
    if card.limits:
        parts += ["## Limits", "\n".join(f"- {each}" for each in card.limits)]
    files = [(each.file, each.bytes, each.sha256) for each in card.files.values()]
    parts += ["## Files", _table(("file", "bytes", "SHA-256"), files)]
    if card.licence:
        parts += ["## Licence", card.licence]
    return "\n\n".join(parts) + "\n"


def make_config(card: Card) -> str:
    """The card as JSON, with what else a reader of the weights has to know."""
    fields = {key: value for key, value in asdict(card).items() if key not in ("hub", "members")}
    fields |= {"library_name": LIBRARY, "format": FORMAT, "class_order": CLASS_ORDER}
    return json.dumps(fields, indent=1) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)


def recipe_table(facts: dict[str, Any]) -> str:
    """The facts of a training run as Markdown."""
    rows = (
        (name.replace("_", " "), ", ".join(_named(value)) if isinstance(value, dict) else value)
        for name, value in facts.items()
    )
    return _table(("fact", "value"), rows)


def _named(facts: dict[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if name == "held_out_groups":
            continue  # told by their number; the names are in the card
        yield f"{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    return json.dumps(value).replace('"', "") if isinstance(value, dict | list) else str(value)
