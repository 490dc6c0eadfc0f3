"""The cards of models: what each one is, its files and their hashes, what it scored, and where the Hub has it.

The card of a model is ``NAME.json`` in one of `model_folders`. A card with ``members`` has no files: it is one name
for several networks, each of which takes one set size and has a card of its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Annotated, Any

from imgorder.errors import ModelError
from imgorder.fields import Check, Line, read_record
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.names import show
from imgorder.permutations import SIZES

DEFAULT_MODEL = "tridab-s"
BASELINE = "path"

# Released models that the package leaves out, with the distribution and the package folder that have them.
SEPARATE = ("dab-resnet18", *(f"dab-resnet18-n{n}" for n in SIZES), "dab-resnet50")
SEPARATE_PACKAGE = "imgorder_models"
INSTALL_SEPARATE = "run: pip install 'imgorder[models]' (from a checkout: pip install ./models)"

# In an installed package; it has the default model's card and ONNX file. A checkout has none.
PACKAGE_FOLDER = Path(__file__).resolve().parents[1] / "models"

# Backend -> ending of the model files that it runs.
ENDINGS = {"onnx": ".onnx", "torch": ".safetensors"}

_CURE = "mend this card or remove it"
_RANGE = f"{SIZES[0]} to {SIZES[-1]}"


# As it is in JSON: 1 stays 1 and does not become 1.0.
Number = Annotated[Any, Check(lambda value: type(value) in (int, float), "a number")]
FileName = Annotated[Line, Check(lambda name: PurePath(name).name == name, "the name of a file beside the card")]
RepoId = Annotated[Line, Check(re.compile(r"[\w.-]+/[\w.-]+", re.ASCII).fullmatch, "OWNER/NAME")]
Revision = Annotated[Line, Check(re.compile("[0-9a-f]{40}").fullmatch, "a full commit hash; pin one")]
Sha256 = Annotated[Line, Check(re.compile("[0-9a-f]{64}").fullmatch, "a SHA-256 in hexadecimal digits")]
RepoFile = Annotated[
    Line, Check(re.compile(r"(?!\.\.?/)[^/\\:]+(/(?!\.\.?/)[^/\\:]+)*").fullmatch, "the name of a file in a repository")
]
Sizes = Annotated[
    tuple[int, ...], Check(lambda sizes: sizes and set(sizes) <= set(SIZES), f"a list of numbers from {_RANGE}")
]
Members = Annotated[
    dict[int, Line],
    Check(lambda members: members.keys() <= set(SIZES), f"a table from set sizes, {_RANGE}, to names of models"),
]


@dataclass(frozen=True)
class FileEntry:
    """A model file as it has to be: its name beside the card, its size, and its SHA-256 in hexadecimal digits."""

    file: FileName
    bytes: int
    sha256: Sha256


@dataclass(frozen=True)
class HubPlace:
    """Where the Hub has a model's files.

    Attributes:
        repo_id: ``OWNER/NAME``.
        revision: a full commit hash: what is fetched is what was measured, whatever is pushed later.
        files: backend -> name in the repository.
    """

    repo_id: RepoId
    revision: Revision
    files: dict[str, RepoFile]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Exact match in percent on a data set at one set size and spacing, as ``docs/accuracy.md`` has it.

    Attributes:
        sets: how many were measured, each in so many listings (``permutations``).
        accuracy, baseline: of the model, and of the shortest path on the same sets.
    """

    dataset: Line
    seq_len: int
    spacing: Number
    sets: int
    permutations: int = 1
    accuracy: float
    baseline: float


@dataclass(frozen=True)
class Card:
    """What is known of a model.

    Attributes:
        name, family, sizes: as in the file's metadata; sizes are the set sizes that it takes.
        about: one line for people.
        files: backend -> file.
        training: facts of the run.
        figures: what it scored.
        preprocessing: how photos become its input, as in the file's metadata.
        licence: of the weights; an SPDX identifier.
        data: what it was trained on, in words.
        hub: where the Hub has its files; None if the Hub does not have them.
        members: set size -> name of the model that takes it; empty for a model that is one network. `known_card`
            leaves out members that have no card here, and takes the sizes from them; `cards` also takes the
            preprocessing and the figures.
        limits: what it fails on, a sentence each, as measured in ``docs/failures.md`` and ``docs/accuracy.md``.
    """

    name: Line
    family: Line
    sizes: Sizes = ()
    about: Line = field(kw_only=True)
    files: dict[str, FileEntry] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    preprocessing: Preprocessing = DEFAULT
    licence: Line = ""
    data: Line = ""
    hub: HubPlace | None = None
    members: Members = field(default_factory=dict)
    limits: list[Line] = field(default_factory=list)

    @property
    def photos(self) -> str:
        """The set sizes for people: ``3 to 6 photos``, ``4 photos``."""
        return f"{sizes_in_words(self.sizes)} photos"


PATH_CARD = Card(BASELINE, "baseline", SIZES, about="shortest open path over 14x14 thumbnails; needs no weights")


def sizes_in_words(sizes: Sequence[int]) -> str:
    """Set sizes for people: ``3 to 6``, ``4``, ``3, 5``."""
    first, last = min(sizes), max(sizes)
    return f"{first} to {last}" if len(sizes) == last - first + 1 > 1 else ", ".join(map(str, sizes))


def model_folders() -> Iterator[Path]:
    """Where cards and model files are: in the package or at the top of a checkout, then in imgorder-models."""
    yield PACKAGE_FOLDER if PACKAGE_FOLDER.is_dir() else PACKAGE_FOLDER.parents[1] / "models"
    spec = find_spec(SEPARATE_PACKAGE)  # it holds data only, and is never imported
    yield from map(Path, (spec and spec.submodule_search_locations) or ())


def card_path(name: str) -> Path | None:
    """The card of a model, if one is here."""
    if PurePath(name).name != name:  # a path
        return None
    paths = (folder / f"{name}.json" for folder in model_folders())
    return next((path for path in paths if os.path.isfile(path)), None)


def known_card(name: str) -> Card | None:
    """The card of a model; no other card is read. None for a name that is not known.

    Args:
        name: ``default`` stands for the default model.

    Raises:
        ModelError: if the card is broken, or the model comes with imgorder-models, which is not installed.
    """
    wanted = DEFAULT_MODEL if name == "default" else name
    if wanted == BASELINE:
        return PATH_CARD
    path = card_path(wanted)
    if path is None:
        if wanted in SEPARATE:
            raise ModelError(f"{wanted}: this model is not installed; {INSTALL_SEPARATE}")
        return None
    card = read_card(path)
    if card.members:
        members = {n: member for n, member in sorted(card.members.items()) if card_path(member)}
        card = replace(card, sizes=tuple(members), members=members)
    return card if card.sizes else None


def find_card(name: str) -> Card:
    """As `known_card`; raises ModelError for a name that is not known, too."""
    card = known_card(name)
    if card is None:
        if PurePath(name).suffix.lower() in ENDINGS.values():
            raise ModelError(f"{show(name)}: a file, not a model's name; `imgorder models` lists the names")
        there = [*filter(_is_usable, _card_paths()), BASELINE]
        raise ModelError(f"{show(name)}: no such model or model file; there are: {', '.join(there)}")
    return card


def cards() -> list[Card]:
    """All cards: the default model first, the baseline last; a group without a member here is left out.

    Raises:
        ModelError: if a card is broken, or two do not go together.
    """
    paths = _card_paths()
    for name in {BASELINE, "default"} & paths.keys():
        raise ModelError(f"{show(paths[name])}: {name} is a name that imgorder gives; choose another")
    return [_complete(card) for card in map(known_card, paths) if card] + [PATH_CARD]


def networks(card: Card) -> list[Card]:
    """The cards that have files: those of the members, or the card itself."""
    return [member_card(card, n) for n in card.members] or [card]


def member_card(group: Card, n: int) -> Card:
    """The card of the network that takes sets of n in a model of several networks.

    Raises:
        ModelError: if that card is broken, or is not of one network for this n alone.
    """
    card = find_card(group.members[n])
    if card.sizes != (n,) or card.members:
        raise ModelError(
            f"{show(card_path(group.name) or group.name)}: its member for {n}, {show(card.name)}, is no network for "
            f"{n} alone; {_CURE}"
        )
    return card


def preprocessing_of(card: Card) -> Preprocessing:
    """How photos become a model's input, as its card says; of several networks, as that of the first one."""
    return member_card(card, card.sizes[0]).preprocessing if card.members else card.preprocessing


def _card_paths() -> dict[str, Path]:
    """The names of all cards, that of the default model first, and where they are."""
    found = {path.stem: path for folder in model_folders() for path in folder.glob("*.json")}
    return dict(sorted(found.items(), key=lambda each: (each[0] != DEFAULT_MODEL, each[0])))


def _is_usable(name: str) -> bool:
    try:
        return known_card(name) is not None
    except ModelError:
        return False


def _complete(card: Card) -> Card:
    if not card.members:
        return card
    figures = [row for each in networks(card) for row in each.figures]
    return replace(card, preprocessing=preprocessing_of(card), figures=figures)


def read_card(path: Path) -> Card:
    """A card as it is in its file.

    Raises:
        ModelError: if it cannot be read, if a field is missing, unknown or not what it has to be, or if its name is
            not that of the file; names the file and the field.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{show(path)}: this card cannot be read ({error.strerror}); {_CURE}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{show(path)}: not JSON ({error}); {_CURE}") from error
    try:
        card = read_record(Card, record, only=True)
        if not card.sizes and not card.members:
            raise ValueError("has no sizes")
        if card.name != path.stem:
            raise ValueError(f"its name is {card.name!r}, and its file has another; make them the same")
        named = [(backend, entry.file) for backend, entry in card.files.items()]
        for backend, name in (*named, *(card.hub.files.items() if card.hub else ())):
            if not name.endswith(ENDINGS.get(backend, ())):
                raise ValueError(
                    f"{name!r} is no file for the {backend!r} backend; only .onnx and .safetensors files are ever read"
                )
    except ValueError as error:
        raise ModelError(f"{show(path)}: {error}; {_CURE}") from error
    return card
