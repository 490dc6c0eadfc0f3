"""The models that imgorder knows, and where the files lie of those that come with it.

Each has a card, ``models/<name>.json``: what it is, its bytes and hashes, what it scored, and where the Hub
has its files. In a wheel the folder lies inside the package; in a checkout, beside it. A model's own files
lie beside its card, or on the Hub only.

A card with ``members`` has no files: it is one name for several networks that take one set size each.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgorder.errors import ModelError
from imgorder.names import show

DEFAULT_MODEL = "tridab-s"
BASELINE = "path"


@dataclass(frozen=True)
class HubPlace:
    """Where the Hub has a model's files.

    Attributes:
        repo_id: ``OWNER/NAME``.
        revision: a full commit hash: what is fetched is what was measured, whatever is pushed later.
        files: backend -> name in the repository.
    """

    repo_id: str
    revision: str
    files: dict[str, str]


@dataclass(frozen=True)
class Card:
    """A model's entry.

    Attributes:
        name, family, sizes: as in the file's metadata; sizes are the set sizes that it takes.
        about: one line for people.
        files: backend -> file name, size and SHA-256.
        training: facts of the run.
        figures: rows of exact match, as ``docs/accuracy.md`` has them.
        limits: what it fails on, a sentence each, as measured in ``docs/failures.md`` and ``docs/accuracy.md``.
        preprocessing: how photos become its input, as in the file's metadata.
        licence: of the weights; an SPDX identifier.
        data: what it was trained on, in words.
        hub: where the Hub has its files; None if only the package has them.
        members: set size -> name of the model that takes it; empty for a model that is one network. Of
            `cards`, only those that are there; sizes, preprocessing and figures are then theirs.
    """

    name: str
    family: str
    sizes: tuple[int, ...]
    about: str
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    data: str = ""
    hub: HubPlace | None = None
    members: dict[int, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)

    @property
    def photos(self) -> str:
        """The set sizes for people: ``3 to 6 photos``, ``4 photos``."""
        first, last = min(self.sizes), max(self.sizes)
        every = len(self.sizes) == last - first + 1 > 1
        return f"{first} to {last} photos" if every else f"{', '.join(map(str, self.sizes))} photos"


PATH_CARD = Card(
    name=BASELINE,
    family="baseline",
    sizes=(3, 4, 5, 6),
    about="shortest open path over 14x14 thumbnails; needs no weights",
)


def models_folder() -> Path:
    """The folder of model files: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def cards() -> list[Card]:
    """All entries: the default model first, the baseline last; a group of which no member is there is left out."""
    read = [_read_card(path) for path in sorted(models_folder().glob("*.json"))]
    by_name = {card.name: card for card in read}
    found = [_completed(card, by_name) if card.members else card for card in read]
    found = [card for card in found if card.sizes]
    found.sort(key=lambda card: (card.name != DEFAULT_MODEL, card.name))
    return [*found, PATH_CARD]


def known_card(name: str) -> Card | None:
    """The entry of a name, if there is one; ``default`` stands for the default model."""
    wanted = DEFAULT_MODEL if name == "default" else name
    return next((card for card in cards() if card.name == wanted), None)


def find_card(name: str) -> Card:
    """As `known_card`.

    Raises:
        ModelError: if there is none.
    """
    card = known_card(name)
    if card is None:
        names = ", ".join(each.name for each in cards())
        raise ModelError(f"{show(name)}: no such model or model file; there are: {names}")
    return card


def networks(card: Card) -> list[Card]:
    """The cards that have files: those of the members, or the card itself."""
    return [find_card(name) for name in card.members.values()] or [card]


def model_file(card: Card, backend: str) -> Path:
    """Where a model's file for a backend lies if it comes with imgorder, see `model_files` for where it is.

    Raises:
        ModelError: if the model has none for it.
    """
    entry = card.files.get(backend)
    if entry is None and card.members:
        raise ModelError(f"{card.name}: is several networks; name one of them: {', '.join(card.members.values())}")
    if entry is None:
        raise ModelError(f"{card.name}: has no file for the {backend} backend; leave out --backend")
    return models_folder() / str(entry["file"])


def _read_card(path: Path) -> Card:
    fields = json.loads(path.read_text("utf-8"))
    hub = HubPlace(**fields["hub"]) if fields.get("hub") else None
    members = {int(n): str(name) for n, name in fields.get("members", {}).items()}
    card = Card(**{**fields, "sizes": tuple(fields.get("sizes", ())), "hub": hub, "members": members})
    if hub and not re.fullmatch("[0-9a-f]{40}", hub.revision):
        raise ModelError(f"{show(path)}: the Hub revision {hub.revision!r} is no full commit hash; pin one")
    names = [str(entry["file"]) for entry in card.files.values()] + list(hub.files.values() if hub else ())
    for name in names:
        if not name.endswith((".onnx", ".safetensors")):
            raise ModelError(f"{show(path)}: {name!r} is neither .onnx nor .safetensors; nothing else is ever loaded")
    return card


def _completed(group: Card, by_name: dict[str, Card]) -> Card:
    """A group with what its members say, as far as they are there."""
    there = {n: by_name[name] for n, name in sorted(group.members.items()) if name in by_name}
    return replace(
        group,
        sizes=tuple(there),
        members={n: card.name for n, card in there.items()},
        preprocessing=next((card.preprocessing for card in there.values()), {}),
        figures=[row for card in there.values() for row in card.figures],
    )
