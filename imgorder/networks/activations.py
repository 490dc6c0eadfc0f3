"""Outputs of a network's layers on the way to the logits, for motion heat maps.

DAB-ResNet: F_s of the last difference accumulator of conv1 and of each of the four stages. TriDAB: the
features of its trunk at stride 2, 4 and 8, of which the differences 2·f_b − f_a − f_c are taken once the
order is known. Both lists go from the input to the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor, nn

from imgorder.model_format import DAB, FEATURES
from imgorder.networks.dab import DifferenceAccumulator
from imgorder.networks.dab_resnet import DABResNet
from imgorder.networks.tridab import TriDAB


def observed_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Name -> layer; empty for a network that has no maps."""
    if isinstance(network, DABResNet):
        places = {"conv1": network.stem, **{f"layer{i}": stage for i, stage in enumerate(network.stages, start=1)}}
        return {f"{DAB}{name}": _last_accumulator(module) for name, module in places.items()}
    if isinstance(network, TriDAB):
        ends = zip((2, 4, 8), network.trunk.stage_ends, strict=True)
        return {f"{FEATURES}stride{stride}": network.trunk.layers[end] for stride, end in ends}
    return {}


def activations(network: nn.Module) -> AbstractContextManager[dict[str, Tensor]]:
    """A dictionary that a forward pass fills: name of an observed layer -> its output; see `by_image`."""
    return record_outputs(observed_layers(network))


@contextmanager
def record_outputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """A dictionary that a forward pass fills: name -> the layer's own output.

    A layer that is called twice, as TriDAB's are where it averages over mirror images, keeps its first
    output, that of the images as they are.
    """
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen.setdefault(name, output)

        return keep

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def by_image(output: Tensor, n: int) -> Tensor:
    """A layer's output as ``(B, n, C, H, W)``, whether it has images folded into the batch or not."""
    return output if output.dim() == 5 else output.unflatten(0, (-1, n))  # type: ignore[no-untyped-call]


def _last_accumulator(module: nn.Module) -> nn.Module:
    *_, last = (each for each in module.modules() if isinstance(each, DifferenceAccumulator))
    return last
