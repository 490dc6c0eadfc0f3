"""torch to ONNX: one file, values checked after writing.

A network of a family that takes every n is exported with a dynamic n. Its tables of triples, pairs
and classes depend on n, so the torch part takes them as inputs, and a few hand-made nodes in front
cut them out of constant tables by the number of images: the file has one input, ``images``, and the
output ``logits``. Motion heat maps need further outputs, which all others leave out.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from imgorder.files import atomic_write
from imgorder.inference.backends.onnx import start_session
from imgorder.inference.checksum import describe_file
from imgorder.model_format import ModelMetadata
from imgorder.networks import triples as tables
from imgorder.networks.activations import activations, by_image, observed_layers
from imgorder.networks.scoring import TripleScorer
from imgorder.permutations import class_count

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
            model = _any_size(network, metadata.sizes, size)
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
    """Largest absolute difference of logits and activations between torch and an ONNX file, over all set sizes."""
    session = start_session(path)
    generator = torch.Generator().manual_seed(seed)
    worst = 0.0
    for n in metadata.sizes:
        for batch in (1, 3):
            images = _smooth_images(batch, n, metadata.preprocessing.crop, generator)
            with torch.inference_mode(), activations(network) as seen:
                logits = network(images)
            expected = {"logits": logits, **{name: by_image(output, n) for name, output in seen.items()}}
            found = session.run(list(expected), {"images": images.numpy()})
            for array, tensor in zip(found, expected.values(), strict=True):
                # Activations are as large as they come; theirs counts against the largest of them.
                unit = 1.0 if tensor is logits else max(1.0, float(tensor.abs().max()))
                # Unlike max, this keeps NaN.
                worst = float(np.maximum(worst, np.abs(array - tensor.numpy()).max() / unit))
    return worst


def _smooth_images(batch: int, n: int, size: int, generator: torch.Generator) -> Tensor:
    """Noise at several scales that drifts from image to image, float32 ``(batch, n, 3, size, size)``."""
    coarse = torch.randn((batch, 3, 20, 20), generator=generator)
    scene = nn.functional.interpolate(coarse, size=(size + 48, size + 48), mode="bilinear")
    images = torch.stack([scene[..., 4 * i : 4 * i + size, 6 * i : 6 * i + size] for i in range(n)], dim=1)
    return images + 0.1 * torch.randn(images.shape, generator=generator)


class _TableDriven(nn.Module):
    """A network that scores triples, with its tables as inputs, so that nothing in it depends on the value of n."""

    def __init__(self, network: TripleScorer) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, triples: Tensor, pairs: Tensor, adjacent: Tensor, overall: Tensor, neighbours: Tensor
    ) -> Tensor:
        t_adj, t_all, p = self.network.scores(images, triples, pairs)
        return t_adj @ adjacent.T + t_all @ overall.T + p @ neighbours.T


class _Observed(nn.Module):
    """A network, or a wrapper around it, that returns the activations of its observed layers as well."""

    def __init__(self, wrapper: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.wrapper = wrapper
        self.network = network

    def forward(self, images: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
        with activations(self.network) as seen:
            logits = self.wrapper(images, *tables)
        return (logits, *(by_image(seen[name], images.shape[1]) for name in observed_layers(self.network)))


def _any_size(network: TripleScorer, sizes: tuple[int, ...], size: int) -> onnx.ModelProto:
    n = 4
    matrix = torch.from_numpy(tables.class_matrix(n))
    t = tables.triple_count(n)
    example = (
        torch.randn(2, n, 3, size, size),
        torch.tensor(tables.triples(n)),
        torch.tensor(tables.pairs(n)),
        matrix[:, :t],
        matrix[:, t : 2 * t],
        matrix[:, 2 * t :],
    )
    largest = max(sizes)
    triples = Dim("triples", min=1, max=tables.triple_count(largest))
    pairs = Dim("pairs", min=1, max=tables.pair_count(largest))
    classes = Dim("classes", min=1, max=class_count(largest))
    shapes = (
        {0: Dim("batch", min=1, max=65536), 1: Dim("n", min=min(sizes), max=largest)},
        {0: triples},
        {0: pairs},
        {0: classes, 1: triples},
        {0: classes, 1: triples},
        {0: classes, 1: pairs},
    )
    names = ["images", "triples", "pairs", "adjacent", "overall", "neighbours"]
    model = _export(_TableDriven(network), network, example, shapes, names)
    _cut_tables_by_size(model, sizes)
    return model


def _one_size(network: nn.Module, n: int, size: int) -> onnx.ModelProto:
    example = (torch.randn(2, n, 3, size, size),)
    return _export(network, network, example, ({0: Dim("batch", min=1, max=65536)},), ["images"])


def _export(
    wrapper: nn.Module,
    network: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[Any, ...],
    names: list[str],
) -> onnx.ModelProto:
    program = torch.onnx.export(
        _Observed(wrapper, network).eval(),
        example,
        dynamic_shapes=(shapes[0], shapes[1:]) if shapes[1:] else shapes,  # type: ignore[arg-type]
        input_names=names,
        output_names=["logits", *observed_layers(network)],
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


def _cut_tables_by_size(model: onnx.ModelProto, sizes: tuple[int, ...]) -> None:
    """Replace the table inputs by slices of constants, chosen by ``images.shape[1]``."""
    graph = model.graph
    largest = max(sizes)
    t_all, p_all = tables.triple_count(largest), tables.pair_count(largest)
    blocks: list[list[npt.NDArray[np.bool_]]] = []
    first_row = [0] * (largest + 1)
    last_row = [0] * (largest + 1)
    share = [0.0] * (largest + 1)
    for n in sizes:
        t = tables.triple_count(n)
        matrix = tables.class_matrix(n)
        thirds = (matrix[:, :t], matrix[:, t : 2 * t], matrix[:, 2 * t :])
        block = [
            np.pad(third > 0, ((0, 0), (0, width - third.shape[1])))
            for third, width in zip(thirds, (t_all, t_all, p_all), strict=True)
        ]
        share[n] = float(matrix[:, t : 2 * t].max())
        first_row[n] = sum(len(parts[0]) for parts in blocks)
        last_row[n] = first_row[n] + len(block[0])
        blocks.append(block)
    counts = range(largest + 1)
    constants: dict[str, npt.NDArray[np.generic]] = {
        "table.one": np.array([1], dtype=np.int64),
        "table.zero": np.array([0], dtype=np.int64),
        "table.axis0": np.array([0], dtype=np.int64),
        "table.axis1": np.array([1], dtype=np.int64),
        "table.triple_counts": np.array([tables.triple_count(n) for n in counts], dtype=np.int64),
        "table.pair_counts": np.array([tables.pair_count(n) for n in counts], dtype=np.int64),
        "table.first_rows": np.array(first_row, dtype=np.int64),
        "table.last_rows": np.array(last_row, dtype=np.int64),
        "table.shares": np.array(share, dtype=np.float32),
        "table.triples": np.array(tables.triples(largest), dtype=np.int64),
        "table.pairs": np.array(tables.pairs(largest), dtype=np.int64),
    }
    for index, name in enumerate(("adjacent", "overall", "neighbours")):
        constants[f"table.{name}"] = np.concatenate([block[index] for block in blocks]).astype(np.uint8)

    nodes = [
        helper.make_node("Shape", ["images"], ["table.shape"]),
        helper.make_node("Gather", ["table.shape", "table.one"], ["table.n"]),
    ]
    for name in ("triple_counts", "pair_counts", "first_rows", "last_rows", "shares"):
        nodes.append(helper.make_node("Gather", [f"table.{name}", "table.n"], [f"table.{name}.n"]))

    def cut(table: str, start: str, end: str, axis: int, result: str) -> None:
        inputs = [table, start, end, f"table.axis{axis}"]
        nodes.append(helper.make_node("Slice", inputs, [result]))

    cut("table.triples", "table.zero", "table.triple_counts.n", 0, "triples")
    cut("table.pairs", "table.zero", "table.pair_counts.n", 0, "pairs")
    for name, columns in (("adjacent", "triple"), ("overall", "triple"), ("neighbours", "pair")):
        cut(f"table.{name}", "table.first_rows.n", "table.last_rows.n", 0, f"table.{name}.rows")
        cut(f"table.{name}.rows", "table.zero", f"table.{columns}_counts.n", 1, f"table.{name}.cut")
        target = f"table.{name}.float" if name == "overall" else name
        nodes.append(helper.make_node("Cast", [f"table.{name}.cut"], [target], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Mul", ["table.overall.float", "table.shares.n"], ["overall"]))

    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    old_nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *old_nodes])
    images = next(value for value in graph.input if value.name == "images")
    del graph.input[:]
    graph.input.append(images)
    classes = graph.output[0].type.tensor_type.shape.dim[1]
    classes.dim_param = "classes"


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
