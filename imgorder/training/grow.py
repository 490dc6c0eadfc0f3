"""A larger TriDAB that begins with what a smaller one has learned, and answers as it does until it is trained.

Function-preserving growth, as in Chen, Goodfellow & Shlens 2016 (*Net2Net*): new channels are drawn at random,
and nothing that was there listens to them yet; new blocks add zero to their shortcut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imgorder.errors import ImgorderError, UsageError
from imgorder.files import atomic_write
from imgorder.inference.backends.torch import open_network
from imgorder.media.preprocess import Preprocessing
from imgorder.names import show
from imgorder.networks.families import family_config
from imgorder.networks.tridab import TriDAB, TriDABConfig
from imgorder.networks.weights import write_network
from imgorder.training.config import TrainConfig
from imgorder.training.warm_start import find_held_out_groups, find_weights

# The last weights of what is new as a whole: matches of the second level, and the normalisation that ends a block.
LAST = ("coarse_couple_terms.weight", "coarse_triple_matches.weight", "conv2.1.weight")

# Settings that no weight depends on.
OF_USE = ("image_size", "mirror")

# Scores of the same weights, added up in another order.
SAME = 1e-4


def grow_network(small: TriDAB, config: TriDABConfig, seed: int = 0) -> TriDAB:
    """A network of the larger config with the logits of the small one.

    Args:
        small: stays as it is.
        config: more trunk channels, more blocks at stride 8, more head blocks or match levels; image size and mirror
            as wished. The rest has to agree.
        seed: of the new channels.

    Returns:
        In evaluation mode.

    Raises:
        UsageError: if the config is smaller somewhere, or differs where nothing can grow.
    """
    _check(small.config, config)
    torch.manual_seed(seed)
    large = TriDAB(config)
    old, new = small.state_dict(), large.state_dict()  # new shares its memory with the network
    for name, value in new.items():
        if name in old:
            _fill(value, old[name])
        elif name.endswith(LAST):
            value.zero_()
    if "coarse_matcher.log_sharpness" not in old and "coarse_matcher.log_sharpness" in new:
        new["coarse_matcher.log_sharpness"].copy_(old["matcher.log_sharpness"])
    return large.eval()


def _fill(value: Tensor, old: Tensor) -> None:
    """Put a tensor into the first rows and columns of a larger one."""
    if value.ndim > 1:
        value[: len(old)] = 0  # what was there does not listen to new inputs
    value[tuple(slice(length) for length in old.shape)] = old


def _check(small: TriDABConfig, large: TriDABConfig) -> None:
    def grows(name: str) -> bool:
        one, other = getattr(small, name), getattr(large, name)
        if name == "trunk_blocks":
            # Blocks are numbered through the trunk; one more at stride 4 would move all that follow.
            return bool(one[0] == other[0] and one[1] <= other[1])
        if name == "trunk_widths":
            return all(a <= b for a, b in zip(one, other, strict=True))
        return bool(one <= other) if name in ("match_levels", "head_blocks") else bool(one == other)

    wrong = [name for name in asdict(small) if name not in OF_USE and not grows(name)]
    if wrong:
        what = "trunk_widths, the last of trunk_blocks, match_levels and head_blocks can be larger"
        raise UsageError(f"a network cannot grow to this {', '.join(wrong)}; {what}")


def grow_file(model: str, changes: Mapping[str, Any], out: Path, seed: int = 0) -> str:
    """Write a larger network than a model's, for ``imgorder train --init``.

    Args:
        model: a TriDAB: a model's name, or a safetensors file.
        changes: settings of the network that differ.
        out: the safetensors file.
        seed: of the new channels.

    Returns:
        One line for people: how many weights there are, and the flags to train with.

    Raises:
        ImgorderError, UsageError: if there is no such TriDAB, or it cannot grow to these settings.
    """
    path = find_weights(model, option="grow")
    small, metadata = open_network(path)
    if not isinstance(small, TriDAB):
        raise UsageError(f"{metadata.name}: a {metadata.family} does not grow; name a TriDAB")
    try:
        config = family_config("tridab", {**metadata.settings, **changes})
        large = grow_network(small, config, seed)
        as_small = replace(config, image_size=small.config.image_size, mirror=small.config.mirror)
        same_input = grow_network(small, as_small, seed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--network takes a table of settings that fit, as JSON ({error})") from error
    images = torch.randn(1, 4, 3, *[small.config.image_size] * 2, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        difference = float((small(images) - same_input(images)).abs().max())
    if difference > SAME:
        raise ImgorderError(f"the grown network's logits differ by {difference:.1e}; nothing was written")
    spec = metadata.preprocessing
    if config.image_size != spec.crop:
        spec = replace(spec, shorter_edge=max(config.image_size, spec.shorter_edge), crop=config.image_size)
    groups = find_held_out_groups(model)
    about = replace(metadata, name=show(out.stem), settings=asdict(config), preprocessing=spec, held_out_groups=groups)
    with atomic_write(out) as partial:
        write_network(large, about, partial)
    before, after = (sum(each.numel() for each in network.parameters()) for network in (small, large))
    flags = " ".join((f"--init {show(out)}", *_flags(config, spec)))
    return f"{show(out)}: {before} weights grown to {after}; train it with {flags}"


def _flags(config: TriDABConfig, spec: Preprocessing) -> Iterator[str]:
    """The flags of `imgorder train` for a network and its input."""
    yield "--recipe fast"
    usual, run = asdict(TriDABConfig()), TrainConfig()
    for name, value in asdict(config).items():
        if value != usual[name] and name not in OF_USE:
            yield f"--set 'network.{name}={json.dumps(value)}'"
    seen = {"shorter_edge": spec.shorter_edge, "image_size": spec.crop, "squeeze": spec.squeeze}
    for name, value in seen.items():
        if value != getattr(run, name):
            yield f"--set {name}={value}"
