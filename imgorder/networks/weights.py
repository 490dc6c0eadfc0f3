"""Networks as safetensors files with imgorder's metadata inside.

Kernels and matrices that half precision holds exactly are stored in it; networks compute in float32.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from imgorder.model_format import ModelMetadata
from imgorder.networks.dab import DABConv
from imgorder.networks.families import build_network


def write_network(network: nn.Module, metadata: ModelMetadata, path: Path) -> None:
    """Write the weights and the metadata; reading gives back the very same numbers."""
    tensors = {name: _stored(value.detach().cpu().contiguous()) for name, value in network.state_dict().items()}
    write_tensors(tensors, replace(metadata, weights_sha256="", opset=0).to_properties(), path)


def write_tensors(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write a safetensors file; raises OSError if it cannot be written."""
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:  # its words for a full disk
        raise OSError(str(error)) from error
    path.chmod(0o644)  # safetensors makes files for their owner alone; these are for everyone


def read_network(file: Path | bytes) -> tuple[nn.Module, ModelMetadata]:
    """A network in evaluation mode, and its metadata, of a file or of the bytes that one has.

    What the metadata says of the network is compared with the tensors before any memory is taken for it.
    """
    content = file if isinstance(file, bytes) else file.read_bytes()
    tensors = load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = ModelMetadata.from_properties(header["__metadata__"])
    with torch.device("meta"):
        expected = build_network(metadata.family, **metadata.settings).state_dict()
    if {name: each.shape for name, each in expected.items()} != {name: each.shape for name, each in tensors.items()}:
        raise ValueError("its tensors are not those of the network that it says it is")
    network = build_network(metadata.family, **metadata.settings)
    network.load_state_dict(tensors)
    return network.eval(), metadata


def fold_norms(network: nn.Module) -> None:
    """Move the factors of each normalisation after a convolution or a DAB unit into its kernels; the answers stay.

    What is left of it adds a number to each channel. An exporter that folds it then changes no kernel, and kernels
    that were rounded for half precision stay so.
    """
    with torch.no_grad():
        for part in network.modules():
            steps = list(part) if isinstance(part, nn.Sequential) else []
            for step, norm in pairwise(steps):
                conv = step.mix if isinstance(step, DABConv) else step
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and conv.bias is None:
                    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
                    factor = norm.weight / torch.sqrt(variance + norm.eps)
                    conv.weight *= factor[:, None, None, None]
                    norm.bias.sub_(mean * factor)
                    mean.zero_()
                    variance.fill_(1 - norm.eps)  # so that its factor is exactly one
                    norm.weight.fill_(1)


def round_kernels(network: nn.Module) -> None:
    """Round the kernels and matrices of a network to what half precision holds, which halves its files.

    Biases and normalisation stay as they are: they are few, and small variances would be lost.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())


def _stored(value: Tensor) -> Tensor:
    if value.dtype != torch.float32 or value.ndim < 2:
        return value
    half = value.half()
    return half if torch.equal(half.float(), value) else value
