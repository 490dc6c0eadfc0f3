"""torch to ONNX: one file, values checked after writing.

A network that scores triples is exported with its two parts in one graph. Its inputs are ``images`` to encode,
``features`` of images that were encoded before, and the ``triples`` and ``pairs`` to score, of the images of both, the
known ones first; each may have no rows. Its outputs are the features of all images, and the scores. Any other network
has the input ``images`` and the output ``logits``. Motion heat maps need further outputs, which all others leave out.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from imgorder.files import atomic_write
from imgorder.inference.backends.onnx import SCORER_INPUTS, SCORER_OUTPUTS, start_session
from imgorder.inference.checksum import describe_file
from imgorder.model_format import ModelMetadata
from imgorder.networks.activations import activations, by_image, observed_layers
from imgorder.networks.scoring import TripleScorer
from imgorder.search import triples as tables

OPSET = 18
TOLERANCE = 1e-4


def export_onnx(network: nn.Module, metadata: ModelMetadata, weights: Path, path: Path) -> float:
    """Write a network as ONNX and compare it with torch.

    Args:
        network: in evaluation mode on the CPU.
        metadata: of the model; the opset and the hash are filled in here.
        weights: safetensors file that the network was read from; its SHA-256 goes into the file.
        path: the file to write.

    Returns:
        The largest absolute difference of logits and activations found.

    Raises:
        ValueError: if that is above 1e-4; the file is then not left behind.
    """
    network.eval()
    size = metadata.preprocessing.crop
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        if isinstance(network, TripleScorer):
            model = _two_parts(network, size)
        else:
            model = _one_size(network, metadata.sizes[0], size)
    complete = replace(metadata, weights_sha256=describe_file(weights).sha256, opset=OPSET)
    store_halves(model)
    helper.set_model_props(model, complete.to_properties())
    model.producer_name = "imgorder"
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as partial:
        onnx.save(model, partial)
        worst = compare(network, partial, metadata)
        if not worst <= TOLERANCE:  # also for NaN
            raise ValueError(f"the ONNX logits of {metadata.name} differ from torch by {worst:.2e}")
    return worst


def compare(network: nn.Module, path: Path, metadata: ModelMetadata, seed: int = 0) -> float:
    """Largest absolute difference of answers and activations between torch and an ONNX file, over all set sizes."""
    session = start_session(path)
    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for n in metadata.sizes:
        for batch in (1, 3):
            images = _smooth_images(batch, n, metadata.preprocessing.crop, generator)
            with torch.inference_mode(), activations(network) as seen:
                if isinstance(network, TripleScorer):
                    ends, cases = 1 + len(SCORER_INPUTS), _scorer_cases(network, images)
                else:
                    ends, cases = 1, [({"images": images}, {"logits": network(images)})]
            maps = {name: by_image(output, n) for name, output in seen.items()}
            for given, expected in cases:
                wanted = expected | maps if len(given["images"]) else expected
                found = session.run(list(wanted), {name: value.numpy() for name, value in given.items()})
                for index, (array, tensor) in enumerate(zip(found, wanted.values(), strict=True)):
                    # Features are as large as they come; their difference counts against the largest of them.
                    unit = max(1.0, float(tensor.abs().max())) if index >= ends or tensor.dim() > 1 else 1.0
                    # Unlike max, this keeps NaN.
                    worst = float(np.maximum(worst, np.abs(array.reshape(tensor.shape) - tensor.numpy()).max() / unit))
    return worst


def _scorer_cases(network: TripleScorer, images: Tensor) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """What the graph is given and what comes out: all at once, and images that were encoded before."""
    n = images.shape[1]
    offsets = torch.arange(images.shape[0])[:, None, None] * n
    triples = (torch.tensor(tables.triples(n)) + offsets).flatten(0, 1)
    pairs = (torch.tensor(tables.pairs(n)) + offsets).flatten(0, 1)
    flat = images.flatten(0, 1)
    features = network.encode(flat)
    outputs = dict(zip(SCORER_OUTPUTS, (features, *network.score(features, triples, pairs)), strict=True))
    given = dict(zip(SCORER_INPUTS, (flat, features[:0], triples, pairs), strict=True))
    return [(given, outputs), (given | {"images": flat[:0], "features": features}, outputs)]


def _smooth_images(batch: int, n: int, size: int, generator: torch.Generator) -> Tensor:
    """Noise at several scales that drifts from image to image, float32 ``(batch, n, 3, size, size)``."""
    coarse = torch.randn((batch, 3, 20, 20), generator=generator)
    scene = nn.functional.interpolate(coarse, size=(size + 48, size + 48), mode="bilinear")
    images = torch.stack([scene[..., 4 * i : 4 * i + size, 6 * i : 6 * i + size] for i in range(n)], dim=1)
    return images + 0.1 * torch.randn(images.shape, generator=generator)


class _BothParts(nn.Module):
    """The encoder and the scorer of a network, one after the other."""

    def __init__(self, network: TripleScorer) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, features: Tensor, triples: Tensor, pairs: Tensor) -> tuple[Tensor, ...]:
        together = torch.cat([features, self.network.encode(images)])
        return (together, *self.network.score(together, triples, pairs))


class _Observed(nn.Module):
    """A network, or a wrapper around it, that returns the activations of its observed layers as well."""

    def __init__(self, wrapper: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.wrapper = wrapper
        self.network = network

    def forward(self, images: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        with activations(self.network) as seen:
            answer = self.wrapper(images, *more)
        maps = (seen[name] for name in observed_layers(self.network))
        if more:  # a scorer's images are in no sets
            return (*answer, *maps)
        return (answer, *(by_image(each, images.shape[1]) for each in maps))


def _two_parts(network: TripleScorer, size: int) -> onnx.ModelProto:
    n = 5
    features = network.encode(torch.randn(2, 3, size, size)).detach()
    given = (torch.randn(3, 3, size, size), features, torch.tensor(tables.triples(n)), torch.tensor(tables.pairs(n)))
    rows = tuple({0: Dim(f"{name}_count", min=0, max=10**8)} for name in SCORER_INPUTS)
    return _export(_BothParts(network), network, given, rows, list(SCORER_INPUTS), list(SCORER_OUTPUTS))


def _one_size(network: nn.Module, n: int, size: int) -> onnx.ModelProto:
    example = (torch.randn(2, n, 3, size, size),)
    return _export(network, network, example, ({0: Dim("batch", min=1, max=65536)},), ["images"], ["logits"])


def _export(
    wrapper: nn.Module,
    network: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[Any, ...],
    names: list[str],
    answers: list[str],
) -> onnx.ModelProto:
    program = torch.onnx.export(
        _Observed(wrapper, network).eval(),
        example,
        dynamic_shapes=(shapes[0], shapes[1:]) if shapes[1:] else shapes,  # type: ignore[arg-type]
        input_names=names,
        output_names=[*answers, *observed_layers(network)],
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:  # the exporter notes source paths and stack traces; they are not needed
        del node.metadata_props[:]
        node.doc_string = ""
    for values in (model.graph.value_info, model.graph.input, model.graph.output, model.graph.initializer):
        for value in values:
            del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return model


# Smaller constants are not worth a node.
SMALLEST = 256


def store_halves(model: onnx.ModelProto) -> None:
    """Store the large float32 constants of a graph as float16 if that changes none of their values."""
    graph = model.graph
    kept, halves, casts = [], [], []
    for constant in graph.initializer:
        half = _exact_half(constant)
        if half is None:
            kept.append(constant)
            continue
        stored = f"{constant.name}.half"
        halves.append(numpy_helper.from_array(half, stored))
        casts.append(helper.make_node("Cast", [stored], [constant.name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *halves])
    graph.node.extend([*casts, *nodes])


def _exact_half(constant: onnx.TensorProto) -> np.ndarray | None:  # type: ignore[type-arg]
    if constant.data_type != TensorProto.FLOAT:
        return None
    values = numpy_helper.to_array(constant)
    if values.size < SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None
