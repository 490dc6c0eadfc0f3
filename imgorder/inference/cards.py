"""The models that imgorder knows, and where the files lie of those that come with it.

Each has a card, ``models/<name>.json``: what it is, its bytes and hashes, what it scored, and where the Hub
has its files. In a wheel the folder lies inside the package; in a checkout, beside it. A model's own files
lie beside its card, or on the Hub only.

A card with ``members`` has no files: it is one name for several networks that take one set size each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgorder.errors import ModelError
from imgorder.inference.card_fields import CURE, read_fields
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
        return f"{sizes_in_words(self.sizes)} photos"


PATH_CARD = Card(
    name=BASELINE,
    family="baseline",
    sizes=(3, 4, 5, 6),
    about="shortest open path over 14x14 thumbnails; needs no weights",
)


def sizes_in_words(sizes: Sequence[int]) -> str:
    """Set sizes for people: ``3 to 6``, ``4``, ``3, 5``."""
    first, last = min(sizes), max(sizes)
    return f"{first} to {last}" if len(sizes) == last - first + 1 > 1 else ", ".join(map(str, sizes))


def models_folder() -> Path:
    """The folder of model files: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def cards() -> list[Card]:
    """All entries: the default model first, the baseline last; a group of which no member is there is left out.

    Raises:
        ModelError: if a card is broken, or two do not go together.
    """
    read = {path: _read_card(path) for path in sorted(models_folder().glob("*.json"))}
    by_name = _by_name(read)
    found = [_completed(card, path, by_name) if card.members else card for path, card in read.items()]
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
    fields = read_fields(path)
    hub = HubPlace(**fields["hub"]) if fields.get("hub") else None
    members = {int(n): name for n, name in fields.get("members", {}).items()}
    return Card(**{**fields, "sizes": tuple(fields.get("sizes", ())), "hub": hub, "members": members})


def _by_name(read: dict[Path, Card]) -> dict[str, Card]:
    """Cards by their names, which no two may share.

    Raises:
        ModelError: if two do, or one has the name of something else.
    """
    places: dict[str, Path] = {}
    for path, card in read.items():
        if card.name in (BASELINE, "default"):
            raise ModelError(f"{show(path)}: {card.name} is a name that imgorder gives; choose another")
        before = places.setdefault(card.name, path)
        if before != path:
            raise ModelError(f"{show(path)}: is called {show(card.name)}, as {show(before)} is; rename or remove one")
    return {card.name: card for card in read.values()}


def _completed(group: Card, path: Path, by_name: dict[str, Card]) -> Card:
    """A group with what its members say, as far as they are there.

    Raises:
        ModelError: if a member is there but is no network for its size; a group within a group is none either.
    """
    there = {n: by_name[name] for n, name in sorted(group.members.items()) if name in by_name}
    for n, card in there.items():
        if card.sizes != (n,):
            raise ModelError(
                f"{show(path)}: its member for {n}, {show(card.name)}, is no network for {n} alone; {CURE}"
            )
    return replace(
        group,
        sizes=tuple(there),
        members={n: card.name for n, card in there.items()},
        preprocessing=next((card.preprocessing for card in there.values()), {}),
        figures=[row for card in there.values() for row in card.figures],
    )
