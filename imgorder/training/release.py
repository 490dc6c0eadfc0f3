"""A finished run to a released model: averaged weights, fitted temperatures, ONNX file and card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from imgorder.errors import UsageError
from imgorder.fields import as_record
from imgorder.files import atomic_write, make_folder
from imgorder.inference.cards import Card
from imgorder.inference.checksum import describe_file
from imgorder.model_format import ModelMetadata
from imgorder.names import first_line, is_line, show
from imgorder.networks.families import build_network
from imgorder.networks.weights import fold_norms, read_network, round_kernels, write_network
from imgorder.training.build import describe_network, network_settings
from imgorder.training.calibrate import compute_held_out_logits, fit_temperature
from imgorder.training.checkpoint import read_config, read_ema_weights, read_step
from imgorder.training.config import TrainConfig, make_config
from imgorder.training.export import export_onnx
from imgorder.training.held_out import find_clips
from imgorder.training.store import FrameStore
from imgorder.training.trainer import STATE


@dataclass(frozen=True)
class Release:
    """How a released model is described, and where its files go.

    Attributes:
        name: of the model.
        about: one line for people.
        folder: for ``name.safetensors``, ``name.onnx`` and ``name.json``.
        licence: of the weights, an SPDX identifier.
        data: what it was trained on, in words.
        steady: whether it is shown each set twice; see `imgorder.media.steady`.
        votes: in how many listings it is shown each set, for one answer.

    Raises:
        UsageError: for a text that is not one line.
    """

    name: str
    about: str
    folder: Path
    licence: str = ""
    data: str = ""
    steady: bool = False
    votes: int = 1

    def __post_init__(self) -> None:
        for option in ("name", "about", "licence", "data"):
            if not is_line(text := getattr(self, option)):
                raise UsageError(f"--{option} takes one line of text; not {show(text)}")


def release_run(
    run: Path,
    store: FrameStore,
    to: Release,
    network_changes: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Card:
    """Release what a run has trained.

    Args:
        run: its folder.
        store: the clips it was trained on; those kept out of training fit the temperatures.
        to: description and folder.
        network_changes: settings of the network that need no training, such as ``{"mirror": True}``.
        changes: settings of the run that the weights do not depend on, such as ``{"image_size": 128}``.

    Raises:
        UsageError: if the settings do not fit the weights, or no clip was kept out of training.
    """
    state = run / STATE
    trained = read_config(state)
    try:
        config = replace(trained, **(changes or {}))
        network = build_network(config.family, **{**network_settings(config), **(network_changes or {})})
        network.load_state_dict(read_ema_weights(state))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"these settings do not fit the weights of the run ({first_line(error)})") from error
    make_folder(to.folder, UsageError)
    fold_norms(network)
    round_kernels(network)
    metadata = describe_network(config, network, to.name)
    facts = {"steps": read_step(state), "recipe": config.recipe, "settings": _own_settings(trained)}
    return write_release(network, metadata, store, to, facts)


def write_release(
    network: nn.Module, metadata: ModelMetadata, store: FrameStore, to: Release, facts: Mapping[str, Any]
) -> Card:
    """Fit the temperatures of a network, and write its weights, its ONNX file and its card.

    Args:
        network: to release.
        metadata: of it; the temperatures are filled in here.
        store: clips; those of the groups that the metadata names as held out fit the temperatures.
        to: description and folder.
        facts: for the card, on how the network was trained.

    Raises:
        UsageError: if no clip was kept out of training.
        ValueError: if torch and ONNX do not agree; files that were there are then as they were.
    """
    network.eval()
    held_out = set(metadata.held_out_groups)
    clips = find_clips(store, held_out)
    metadata = replace(metadata, steady=to.steady, votes=to.votes)
    temperatures = fit_temperatures(network, store, clips, metadata)
    metadata = replace(metadata, temperatures=temperatures)
    # Made aside, so that a failed check leaves the released files as they were.
    with TemporaryDirectory(dir=to.folder) as aside:
        weights, graph = Path(aside, f"{to.name}.safetensors"), Path(aside, f"{to.name}.onnx")
        write_network(network, metadata, weights)
        difference = export_onnx(*read_network(weights), weights, graph)
        print(f"{to.name}: largest difference of logits between torch and ONNX {difference:.1e}")
        weights, graph = weights.replace(to.folder / weights.name), graph.replace(to.folder / graph.name)
    training = {
        "commit": metadata.training_commit,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "clips": len(store.clips) - len(clips),
        "groups": len({clip.group for clip in store.clips} - held_out),
        "held_out_clips": len(clips),
        "held_out_groups": len(held_out),
        **facts,
        "temperatures": {str(n): temperature for n, temperature in temperatures.items()},
    }
    card = Card(
        to.name,
        metadata.family,
        metadata.sizes,
        about=to.about,
        preprocessing=metadata.preprocessing,
        files={"onnx": describe_file(graph), "torch": describe_file(weights)},
        training=training,
        licence=to.licence,
        data=to.data,
    )
    with atomic_write(to.folder / f"{to.name}.json") as partial:  # half a card would stop every command
        partial.write_text(json.dumps(asdict(card), indent=1) + "\n", "utf-8")
    return card


def fit_temperatures(
    network: nn.Module, store: FrameStore, clips: Sequence[int], metadata: ModelMetadata
) -> dict[int, float]:
    """A temperature for each set size, on clips that were kept out of training.

    Raises:
        UsageError: if there are no such clips, or none that has sets of a size.
    """
    if not clips:
        raise UsageError(
            "none of the frames are of a clip that was kept out of training, so no temperature can be fitted"
        )
    found = {}
    for n in metadata.sizes:
        logits, target = compute_held_out_logits(
            network, store, clips, n, metadata.preprocessing, steady=metadata.steady, votes=metadata.votes
        )
        if not len(target):
            raise UsageError(f"no clip that was kept out of training has sets of {n}, so no temperature can be fitted")
        found[n] = fit_temperature(logits, target)
    return found


def _own_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that differ from the recipe, without where the data and the first weights lay."""
    usual = as_record(make_config({"recipe": config.recipe}))
    left_out = ("data", "commit", "init", "sets")
    settings = as_record(config).items()
    return {name: value for name, value in settings if name not in left_out and value != usual.get(name)}
