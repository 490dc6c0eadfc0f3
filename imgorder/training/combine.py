"""Released TriDABs to one released ensemble of them, with temperatures of its own.

Each member is a card (``NAME.json`` beside its files), with the side of the images that it shall see if not its own.
The first one's side is that of the ensemble's input; see `imgorder.networks.ensemble`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from imgorder.errors import UsageError
from imgorder.files import make_folder
from imgorder.inference.cards import Card, read_card
from imgorder.inference.checksum import verify_file
from imgorder.model_format import ModelMetadata
from imgorder.names import show
from imgorder.networks.ensemble import EnsembleConfig, TriDABEnsemble
from imgorder.networks.families import settings_of
from imgorder.networks.tridab import TriDAB
from imgorder.networks.weights import read_network
from imgorder.training.release import Release, write_release
from imgorder.training.store import FrameStore

FAMILY = "tridab-ensemble"
FACTS = ("commit", "steps", "recipe", "settings")


@dataclass(frozen=True)
class Member:
    """A released TriDAB in an ensemble.

    Attributes:
        name: of its card.
        network: with the image size that it has in the ensemble.
        metadata: of its file.
        training: `FACTS` from its card.
    """

    name: str
    network: TriDAB
    metadata: ModelMetadata
    training: dict[str, Any]


def read_member(text: str) -> Member:
    """``CARD[:SIZE]`` to a member.

    Raises:
        UsageError: if there is no such card, or its network is no TriDAB or does not take the size.
    """
    path, _, size = text.rpartition(":") if text.rpartition(":")[2].isdigit() else (text, "", "")
    try:
        card = read_card(Path(path))
        entry = card.files["torch"]
        weights = Path(path).with_name(entry.file)
        network, metadata = read_network(verify_file(weights, entry))
    except Exception as error:  # of the card, safetensors or torch
        raise UsageError(f"{show(Path(path))}: not the card of a released model beside its files ({error})") from error
    if not isinstance(network, TriDAB):
        raise UsageError(f"{card.name}: an ensemble is made of TriDABs, and this is a {metadata.family}")
    try:
        training = {key: card.training[key] for key in FACTS}
    except KeyError as error:
        raise UsageError(f"{show(Path(path))}: not the card of a released model, without {error}") from error
    try:
        resized = TriDAB(replace(network.config, image_size=int(size or network.config.image_size)))
    except ValueError as error:
        raise UsageError(f"{card.name}: {error}") from error
    resized.load_state_dict(network.state_dict())
    return Member(card.name, resized, metadata, training)


def combine(members: Sequence[Member], store: FrameStore, to: Release) -> Card:
    """Release an ensemble of members; see `imgorder.training.release`.

    Raises:
        UsageError: if the first member's images are not the largest, or no group was held out by all members.
    """
    make_folder(to.folder, UsageError)
    first = members[0]
    try:
        network = TriDABEnsemble(EnsembleConfig(tuple(each.network.config for each in members)))
    except ValueError as error:
        raise UsageError(str(error)) from error
    network.members = nn.ModuleList(each.network for each in members)
    groups = set.intersection(*(set(each.training["settings"].get("held_out_groups", ())) for each in members))
    if not groups:
        raise UsageError("no group was held out by all members, so no temperature can be fitted")
    size, own = network.config.image_size, first.metadata.preprocessing
    metadata = ModelMetadata(
        name=to.name,
        family=FAMILY,
        settings=settings_of(network),
        sizes=first.metadata.sizes,
        # As much of a photo as the first member was made for, at the size that it has here.
        preprocessing=replace(own, shorter_edge=round(own.shorter_edge * size / own.crop), crop=size),
        training_commit=first.training["commit"],
        held_out_groups=tuple(sorted(groups)),
    )
    facts = {"members": {f"{each.name} at {each.network.config.image_size} px": each.training for each in members}}
    return write_release(network, metadata, store, to, facts)
