"""First weights of a run from a model that is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from imgorder.errors import ImgorderError, UsageError
from imgorder.inference.cards import cards, known_card
from imgorder.inference.model_files import refuse_pickles, usable_file
from imgorder.model_format import ModelMetadata
from imgorder.names import show
from imgorder.networks.families import build_network
from imgorder.training.build import network_settings
from imgorder.training.checkpoint import WEIGHTS
from imgorder.training.config import TrainConfig, read_toml

OTHER = "give a model of its kind and width, or leave out --init"
NAMED = 5  # new weights that are named; of a network with another head there can be a hundred


def check_weights(config: TrainConfig) -> None:
    """Make sure that the first weights that a config asks for are there and fit; only names and shapes are read.

    Raises:
        ImgorderError, UsageError: as `take_weights`.
    """
    with torch.device("meta"):
        network = build_network(config.family, **network_settings(config))
    path = find_weights(config.init)
    with _opened(path) as file:
        _fitting(network, file, path)


def take_weights(network: nn.Module, source: str) -> str:
    """Give a network the weights of another whose names and shapes agree.

    Args:
        network: changed in place.
        source: a safetensors file, or the name of a registered model.

    Returns:
        One line that says how much was taken.

    Raises:
        ImgorderError: if there are no such weights, or they cannot be read.
        UsageError: if none of its kernels and matrices fits.
    """
    path = find_weights(source)
    with _opened(path) as file:
        taken = _fitting(network, file, path)
        own = network.state_dict()
        unused = sorted(name for name in file.keys() if name not in own)  # noqa: SIM118
        network.load_state_dict({name: file.get_tensor(name) for name in taken}, strict=False)
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    new = [name for name in sizes if name not in taken]
    # Perhaps a setting is missing: a larger network is seldom used in part on purpose.
    beside = f"; the file also has {_few(unused)}, which this network has no place for" if unused else ""
    if not new:
        return f"all weights of {show(path)}" + beside
    share = 100 * (1 - sum(sizes[name] for name in new) / sum(sizes.values()))
    return f"{share:.1f} % of the weights from {show(path)}; new: {_few(new)}" + beside


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def find_weights(source: str, option: str = "--init") -> Path:
    """The safetensors file of a registered model, or the file itself.

    Args:
        source: name or path.
        option: that it was given with, for errors.

    Raises:
        ImgorderError, UsageError: if there is none.
    """
    refuse_pickles(source, "give a model's name, or a .safetensors file")
    card = known_card(source)
    if card is not None:
        if not card.members and "torch" not in card.files:
            raise UsageError(f"{option} {card.name}: this model has no weights to begin with; name another")
        return usable_file(card, "torch")
    if not os.path.exists(source):
        names = ", ".join(each.name for each in cards() if "torch" in each.files)
        raise ImgorderError(f"{show(source)}: no such file or model for {option}; there are the models {names}")
    return Path(source)


def find_held_out_groups(source: str) -> tuple[str, ...]:
    """The groups of clips that a model was not trained on; empty where that is not known.

    The card of a registered model says it; else the ``config.toml`` beside a run's file, or the file itself.
    """
    card = known_card(source)
    if card is not None:
        return tuple(card.training.get("settings", {}).get("held_out_groups", ()))
    ways = (_read_groups_in_file, _read_groups_beside)
    if Path(source).name == WEIGHTS:  # a run's own file; another one may lie there by chance
        ways = ways[::-1]
    return next((groups for way in ways if (groups := way(Path(source)))), ())


def _read_groups_in_file(path: Path) -> tuple[str, ...]:
    with suppress(Exception), _opened(path) as file:  # no such file, or weights without metadata
        return ModelMetadata.from_properties(file.metadata()).held_out_groups
    return ()


def _read_groups_beside(path: Path) -> tuple[str, ...]:
    config = path.with_name("config.toml")
    return tuple(read_toml(config).get("held_out_groups", ())) if os.path.isfile(config) else ()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise ImgorderError(f"{show(path)}: no weights that can be read; give a safetensors file to --init") from error


def _fitting(network: nn.Module, file: Any, path: Path) -> set[str]:
    """Names of the tensors that a network can take from a file.

    Raises:
        UsageError: if no kernel or matrix is among them. Counters agree between any two networks, and biases of
            the last layer between those of another width: these alone are no beginning.
    """
    wanted = network.state_dict()
    there = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    fitting = {name for name, shape in there.items() if name in wanted and shape == tuple(wanted[name].shape)}
    if not any(name in fitting and parameter.ndim > 1 for name, parameter in network.named_parameters()):
        raise UsageError(f"{show(path)}: none of its weights fits this network; {OTHER}")
    return fitting
