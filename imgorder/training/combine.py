"""Released TriDABs to one released ensemble of them, with temperatures of its own.

``python -m imgorder.training.combine CARD[:SIZE]… --frames DIR --name NAME --about TEXT``: each member is a card
(``NAME.json`` beside its files), with the side of the images that it is to see if not its own. The first one's side
is that of the ensemble's input; see `imgorder.networks.ensemble`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from imgorder.errors import UsageError
from imgorder.inference.cards import Card, read_card
from imgorder.inference.checksum import verify_file
from imgorder.model_format import ModelMetadata
from imgorder.names import show
from imgorder.networks.ensemble import EnsembleConfig, TriDABEnsemble
from imgorder.networks.families import settings_of
from imgorder.networks.tridab import TriDAB
from imgorder.networks.weights import read_network
from imgorder.training.held_out import clips_of
from imgorder.training.release import add_release_options, counted, fit_temperatures, make_folder, write_release
from imgorder.training.store import FrameStore
from imgorder.training.tool import one_line_errors

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
        verify_file(weights, entry)
        network, metadata = read_network(weights)
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


def combined(members: Sequence[Member]) -> TriDABEnsemble:
    """The ensemble, in evaluation mode.

    Raises:
        UsageError: if the first member's images are not the largest.
    """
    try:
        ensemble = TriDABEnsemble(EnsembleConfig(tuple(settings_of(each.network) for each in members)))
    except ValueError as error:
        raise UsageError(str(error)) from error
    ensemble.members = nn.ModuleList(each.network for each in members)
    return ensemble.eval()


def held_out_by_all(members: Sequence[Member]) -> set[str]:
    """Groups that no member was trained on.

    Raises:
        UsageError: if there is none.
    """
    groups = set.intersection(*(set(each.training["settings"].get("held_out_groups", ())) for each in members))
    if not groups:
        raise UsageError("no group was held out by all members, so no temperature can be fitted")
    return groups


def combine(
    members: Sequence[Member],
    store: FrameStore,
    name: str,
    about: str,
    folder: Path,
    licence: str = "",
    data: str = "",
) -> Card:
    """Write ``name.safetensors``, ``name.onnx`` and ``name.json`` of an ensemble into a folder; see `release`."""
    make_folder(folder)
    network = combined(members)
    groups = held_out_by_all(members)
    clips = clips_of(store, groups)
    size, own = network.config.image_size, members[0].metadata.preprocessing
    # As much of a photo as the first member was made for, at the size that it has here.
    spec = replace(own, shorter_edge=round(own.shorter_edge * size / own.crop), crop=size)
    metadata = ModelMetadata(
        name=name,
        family=FAMILY,
        settings=settings_of(network),
        sizes=members[0].metadata.sizes,
        preprocessing=spec,
        temperatures=fit_temperatures(network, store, clips, members[0].metadata.sizes, spec),
        training_commit=members[0].metadata.training_commit,
        held_out_groups=tuple(sorted(groups)),
    )
    training = {
        "commit": members[0].training["commit"],
        **counted(network, store, groups),
        "members": {f"{each.name} at {each.network.config.image_size} px": each.training for each in members},
    }
    return write_release(network, metadata, folder, about=about, training=training, licence=licence, data=data)


def main(argv: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.combine", description=__doc__)
    parser.add_argument("members", nargs="+", metavar="CARD[:SIZE]", help="cards of TriDABs, and the images they see")
    add_release_options(parser)
    args = parser.parse_args(argv)
    with one_line_errors(parser):
        members = [read_member(text) for text in args.members]
        combine(members, FrameStore(args.frames), args.name, args.about, args.out, args.licence, args.data)


if __name__ == "__main__":
    main()
