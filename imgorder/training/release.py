"""A finished run to a released model: averaged weights, fitted temperatures, ONNX file and card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from imgorder.errors import UsageError
from imgorder.files import atomic_write
from imgorder.inference.cards import Card
from imgorder.inference.checksum import describe_file
from imgorder.media.preprocess import Preprocessing
from imgorder.model_format import ModelMetadata
from imgorder.names import first_line, is_line, show
from imgorder.networks.families import build_network, settings_of, sizes_of
from imgorder.networks.weights import read_network, round_kernels, write_network
from imgorder.training.build import network_settings
from imgorder.training.calibrate import fit_temperature, held_out_logits
from imgorder.training.checkpoint import read_config, read_ema_weights, read_step
from imgorder.training.config import TrainConfig, as_plain, make_config
from imgorder.training.export import export_onnx
from imgorder.training.held_out import clips_of, held_out_clips
from imgorder.training.store import FrameStore
from imgorder.training.tool import one_line_errors
from imgorder.training.trainer import STATE


def release(
    run: Path,
    store: FrameStore,
    name: str,
    about: str,
    folder: Path,
    network_changes: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    licence: str = "",
    data: str = "",
) -> Card:
    """Write ``name.safetensors``, ``name.onnx`` and ``name.json`` into a folder.

    Args:
        run: folder of the run.
        store: the clips it was trained on; those kept out of training fit the temperatures.
        about: one line for people.
        folder: of the three files.
        network_changes: settings of the network that need no training, such as ``{"mirror": True}``.
        changes: settings of the run that the weights do not depend on, such as ``{"image_size": 128}``.
        licence: of the weights, an SPDX identifier.
        data: what it was trained on, in words.

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
    make_folder(folder)
    round_kernels(network)
    network.eval()
    held_out = held_out_clips(store, run)
    settings = settings_of(network)
    sizes = sizes_of(config.family, settings)
    spec = config.preprocessing
    metadata = ModelMetadata(
        name=name,
        family=config.family,
        settings=settings,
        sizes=sizes,
        preprocessing=spec,
        temperatures=fit_temperatures(network, store, held_out, sizes, spec),
        training_commit=config.commit,
        held_out_groups=tuple(config.held_out_groups),
    )
    training = {
        "commit": config.commit,
        **counted(network, store, set(config.held_out_groups)),
        "steps": read_step(state),
        "recipe": config.recipe,
        "settings": _own_settings(trained),
    }
    return write_release(network, metadata, folder, about=about, training=training, licence=licence, data=data)


def counted(network: nn.Module, store: FrameStore, held_out_groups: Set[str]) -> dict[str, int]:
    """What a card counts: the parameters, and the clips and groups trained on and kept out of training."""
    held_out = len(clips_of(store, held_out_groups))
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "clips": len(store.clips) - held_out,
        "groups": len({clip.group for clip in store.clips} - held_out_groups),
        "held_out_clips": held_out,
        "held_out_groups": len(held_out_groups),
    }


def fit_temperatures(
    network: nn.Module, store: FrameStore, clips: Sequence[int], sizes: Sequence[int], spec: Preprocessing
) -> dict[int, float]:
    """A temperature for each set size, on clips that were kept out of training.

    Raises:
        UsageError: if there is none, or none that has sets of a size.
    """
    if not clips:
        raise UsageError(
            "none of the frames are of a clip that was kept out of training, so no temperature can be fitted"
        )
    found = {}
    for n in sizes:
        logits, target = held_out_logits(network, store, clips, n, spec)
        if not len(target):
            raise UsageError(f"no clip that was kept out of training has sets of {n}, so no temperature can be fitted")
        found[n] = fit_temperature(logits, target)
    return found


def make_folder(folder: Path) -> None:
    """The folder of a release, before the work for it; raises UsageError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{show(folder)}: cannot be made a folder ({error.strerror}); choose another --out") from error


def write_release(
    network: nn.Module,
    metadata: ModelMetadata,
    folder: Path,
    *,
    about: str,
    training: Mapping[str, Any],
    licence: str = "",
    data: str = "",
) -> Card:
    """Write the weights, the ONNX file and the card of a network whose metadata is complete.

    Raises:
        ValueError: if torch and ONNX do not agree; files that were there are then as they were.
    """
    name = metadata.name
    # Made aside, so that a failed check leaves the released files as they were.
    with TemporaryDirectory(dir=folder) as aside:
        weights, graph = Path(aside, f"{name}.safetensors"), Path(aside, f"{name}.onnx")
        write_network(network, metadata, weights)
        difference = export_onnx(*read_network(weights), weights, graph)
        print(f"{name}: largest difference of logits between torch and ONNX {difference:.1e}")
        weights, graph = weights.replace(folder / weights.name), graph.replace(folder / graph.name)
    card = Card(
        name,
        metadata.family,
        metadata.sizes,
        about=about,
        preprocessing=asdict(metadata.preprocessing),
        files={"onnx": describe_file(graph), "torch": describe_file(weights)},
        training={**training, "temperatures": {str(n): t for n, t in metadata.temperatures.items()}},
        licence=licence,
        data=data,
    )
    with atomic_write(folder / f"{name}.json") as partial:  # half a card would stop every command that looks at models
        partial.write_text(json.dumps(asdict(card), indent=1) + "\n", "utf-8")
    return card


def _own_settings(config: TrainConfig) -> dict[str, Any]:
    """What was not as in the recipe, but for where the data and the first weights lay."""
    usual = as_plain(make_config({"recipe": config.recipe}))
    apart = ("data", "commit", "init", "sets")
    return {name: value for name, value in as_plain(config).items() if name not in apart and value != usual.get(name)}


def add_release_options(parser: argparse.ArgumentParser) -> None:
    """What every release has to be told."""
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames, for the temperatures")
    parser.add_argument("--name", type=_line, required=True)
    parser.add_argument("--about", type=_line, required=True, help="one line for `imgorder models`")
    parser.add_argument("--licence", type=_line, default="", help="of the weights, an SPDX identifier")
    parser.add_argument("--data", type=_line, default="", help="what it was trained on, in words")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of the files")


def _line(text: str) -> str:
    """What a card says of a model; a card takes lines only."""
    if not is_line(text):
        raise argparse.ArgumentTypeError(f"{show(text)} is not one line of text")
    return text


def _table(text: str) -> dict[str, Any]:
    """Settings on the command line; argparse says in one line what is none."""
    settings = json.loads(text)
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f"{text} is no table of settings")
    return settings


def main(argv: list[str] | None = None) -> None:
    """``python -m imgorder.training.release RUN --frames DIR --name NAME --about TEXT``."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.release", description=__doc__)
    parser.add_argument("run", type=Path)
    add_release_options(parser)
    parser.add_argument(
        "--network", type=_table, default={}, metavar="JSON", help='network\'s settings to change: {"mirror": true}'
    )
    parser.add_argument(
        "--set", type=_table, default={}, metavar="JSON", help='run\'s settings to change: {"image_size": 128}'
    )
    arguments = parser.parse_args(argv)
    with one_line_errors(parser):
        release(
            arguments.run,
            FrameStore(arguments.frames),
            arguments.name,
            arguments.about,
            arguments.out,
            arguments.network,
            arguments.set,
            arguments.licence,
            arguments.data,
        )


if __name__ == "__main__":
    main()
