"""Networks as safetensors files with imgorder's metadata inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from imgorder.metadata import ModelMetadata
from imgorder.networks.registry import build_network


def write_network(network: nn.Module, metadata: ModelMetadata, path: Path) -> None:
    """Write the weights and the metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    properties = replace(metadata, weights_sha256="", opset=0).to_properties()
    try:
        save_file(tensors, path, metadata=properties)
    except SafetensorError as error:  # its words for a full disk
        raise OSError(str(error)) from error
    path.chmod(0o644)  # safetensors makes files for their owner alone; a model file is for everyone


def read_network(path: Path) -> tuple[nn.Module, ModelMetadata]:
    """A network in evaluation mode, and its metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = ModelMetadata.from_properties(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = build_network(metadata.family, **metadata.settings)
    network.load_state_dict(tensors)
    return network.eval(), metadata
