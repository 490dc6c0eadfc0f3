"""ONNX constants at half their size where half precision holds their very values.

The numbers of the graph stay float32: a cast behind each constant brings them back, and ONNX Runtime
does it once, when it opens the file.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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
