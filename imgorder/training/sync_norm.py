"""Batch normalisation with the statistics of all processes, so that they train as one with their batch.

torch has it for GPUs only (`torch.nn.SyncBatchNorm`), which is used there; this is the same for the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    backward = forward


def sum_over_processes(values: Tensor) -> Tensor:
    """Values added up over all processes, with gradients."""
    summed: Tensor = _Total.apply(values)  # type: ignore[no-untyped-call]
    return summed


class SyncedBatchNorm(_BatchNorm):
    """As `torch.nn.BatchNorm2d` and ``1d``; every process has equally many values of a channel."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"batch normalisation takes two dimensions or more, not {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:
        """``(B, C, …)`` to the same shape."""
        if not self.training:
            normed: Tensor = super().forward(input)
            return normed
        half = input.dtype in (torch.float16, torch.bfloat16)
        x = input.float() if half else input
        axes = [0, *range(2, x.dim())]
        processes = dist.get_world_size()
        mean = sum_over_processes(x.mean(axes)) / processes
        centred = x - _spread(mean, x)
        variance = sum_over_processes(centred.square().mean(axes)) / processes
        self._remember(mean, variance, processes * x.numel() // x.shape[1])
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * _spread(scale, x) + _spread(self.bias, x)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with every batch normalisation taken over all processes; names and weights stay."""
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm):
            synced = SyncedBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(network, name, synced)
        else:
            synchronise_batch_norm(child, device)
    return network


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))
