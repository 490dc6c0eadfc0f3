"""First weights of a run from a model that is there already."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from imgorder.errors import ImgorderError, UsageError
from imgorder.model_files import refuse_pickles, usable_file
from imgorder.names import show
from imgorder.registry import known_card


def take_weights(network: nn.Module, source: str) -> str:
    """Give a network the weights of another, as far as their names and shapes agree.

    Args:
        network: changed in place.
        source: a safetensors file, or the name of a registered model.

    Returns:
        One line that says how much was taken.

    Raises:
        ImgorderError: if there are no such weights, or they cannot be read.
        UsageError: if nothing agrees.
    """
    card = known_card(source)
    refuse_pickles(source)
    path = usable_file(card, "torch") if card else Path(source)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ImgorderError(f"{show(path)}: no weights that can be read; give a safetensors file to --init") from error
    wanted = network.state_dict()
    taken = {name: value for name, value in tensors.items() if name in wanted and value.shape == wanted[name].shape}
    if not taken:
        raise UsageError(f"{show(path)}: none of its weights fits this network; leave out --init")
    network.load_state_dict(taken, strict=False)
    left = [name for name in wanted if name not in taken]
    new = f"; new: {', '.join(left)}" if left else ""
    return f"{len(taken)} of {len(wanted)} tensors from {show(path)}{new}"
