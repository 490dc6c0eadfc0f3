"""What a run is made of: the processes it runs in, its network and its optimizer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from imgorder.errors import UsageError
from imgorder.model_format import ModelMetadata
from imgorder.networks.families import FAMILIES, apply_width, build_network, settings_of, sizes_of
from imgorder.training.config import TrainConfig

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What the run is on: the processes that ``accelerate launch`` has started, or this one.

    Raises:
        UsageError: if the config asks for a GPU that is not there, or a precision it has not.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch sees no GPU here; leave out --device cuda")
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if config.precision == "fp16" and on_cpu:
        raise UsageError("fp16 is for GPUs; take --precision bf16 or fp32 on a CPU")
    # The other processes wait while the first one decodes the videos.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=24))
    # accelerate keeps its first settings for good, where a second run in this process may have others.
    AcceleratorState._reset_state(reset_partial_state="WORLD_SIZE" not in os.environ)
    precision = config.precision
    if precision == "auto":
        # A processor without instructions for bf16 is ten times slower in it than in fp32.
        has_bf16 = cpu_has_bf16() if on_cpu else torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if has_bf16 else "fp32"
    try:
        return Accelerator(
            mixed_precision="no" if precision == "fp32" else precision, cpu=on_cpu, kwargs_handlers=[patience]
        )
    except ValueError as error:  # bf16 on a GPU without it
        raise UsageError(f"--precision {config.precision}: {error}") from error


def cpu_has_bf16() -> bool:
    """Whether torch's convolutions have a fast path for bf16 on this processor."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def network_settings(config: TrainConfig) -> dict[str, object]:
    """Settings of the network, with n where a network serves one n only.

    Raises:
        UsageError: if the network has no such settings or parts, or does not take the sets of the config.
    """
    if FAMILIES[config.family].sizes is None and len(config.seq_len) > 1:
        raise UsageError(f"{config.backbone} has one set size; give one --seq-len, for example --seq-len 4")
    known = {each.name for each in fields(FAMILIES[config.family].config)} | {"width"}
    for name in config.network:
        if name in ("dab", "window") and name not in known:
            raise UsageError(
                f"--dab and --dab-window are for resnet18 and resnet50; leave them out with {config.backbone}"
            )
        if name not in known:
            raise UsageError(f"{config.backbone} has no setting {name}; it has {', '.join(sorted(known))}")
    try:
        settings = apply_width(config.family, config.network)
        if FAMILIES[config.family].sizes is None:
            settings = {"seq_len": config.seq_len[0], **settings}
        if config.family == "tridab":  # the others take images of any size
            settings = {"image_size": config.image_size, **settings}
        if (own := settings.get("image_size", config.image_size)) != config.image_size:
            raise ValueError(f"its images are of image_size; give --set image_size={own} alone")
        sizes = sizes_of(config.family, settings)
        with torch.device("meta"):
            freeze_parts(build_network(config.family, **settings), config.frozen)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise UsageError(f"{config.backbone}: {str(error).splitlines()[0]}") from error
    if not set(config.seq_len) <= set(sizes):
        raise UsageError(f"{config.backbone} takes sets of {sizes}, seq_len is {list(config.seq_len)}")
    return settings


def freeze_parts(network: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Take parts of a network out of its training, and return them.

    Raises:
        UsageError: if the network has no such part.
    """
    parts = dict(network.named_modules())
    missing = [name for name in names if name not in parts]
    if missing:
        there = ", ".join(name for name, _ in network.named_children())
        raise UsageError(f"frozen: the network has no part {missing[0]}; it has {there}")
    for name in names:
        parts[name].requires_grad_(requires_grad=False)
    return [parts[name] for name in names]


def describe_network(config: TrainConfig, network: nn.Module, name: str) -> ModelMetadata:
    """What a run says of its network in a model file; its temperatures are not fitted."""
    settings = settings_of(network)
    sizes = sizes_of(config.family, settings)
    return ModelMetadata(
        name=name,
        family=config.family,
        settings=settings,
        sizes=sizes,
        preprocessing=config.preprocessing,
        temperatures=dict.fromkeys(sizes, 1.0),
        training_commit=config.commit,
        held_out_groups=config.held_out_groups,
    )


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """SGD on all weights, as in the paper; or AdamW, which decays matrices and kernels only."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay
        )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay)


def make_average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]:
    """Averaging for `torch.optim.swa_utils.AveragedModel`: numbers are averaged, indices and counts copied.

    torch's own averages whole numbers too, and rounds them down: a table of indices would lose entries.
    """

    @torch.no_grad()
    def average(averages: Sequence[Tensor], values: Sequence[Tensor], _: Any) -> None:
        for kept, value in zip(averages, values, strict=True):
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)

    return average
