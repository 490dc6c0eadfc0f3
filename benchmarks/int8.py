"""What a network loses and saves as 8-bit integers; see docs/models.md.

    python benchmarks/int8.py --models tridab-s … --run RUN --frames RUN/frames [--json docs/results/int8.json]

Static quantisation of the convolutions (QDQ, weights per channel), calibrated on real sets of the clips that
the run was trained on, and measured on the clips that it held out. Time is that of the network alone, as a
ratio of processor time on one thread.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from imgorder.evaluation.pooling import pool_rows
from imgorder.inference.cards import find_card
from imgorder.inference.model_files import usable_file
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.training.held_out import find_held_out_clips, make_held_out_sets, measure_held_out
from imgorder.training.store import FrameStore

Images = npt.NDArray[np.float32]

CALIBRATION_CLIPS = 60
REPEATS = 15


class Sets(CalibrationDataReader):  # type: ignore[misc]
    """Sets as the calibration reads them."""

    def __init__(self, sets: Sequence[Images]) -> None:
        """Of the given sets, ``(n, 3, crop, crop)`` each."""
        self._sets: Iterator[Images] = iter(sets)

    def get_next(self) -> dict[str, Images] | None:
        """One set as the graph's input, None at the end."""
        images = next(self._sets, None)
        return None if images is None else {"images": images[None]}


def quantise(source: Path, target: Path, sets: Sequence[Images]) -> None:
    """Write an ONNX file with its convolutions in 8 bits."""
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        Sets(sets),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(target)
    properties = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, target)


def time_ratio(model: OrderingModel, other: OrderingModel, n: int) -> float:
    """Processor time of the other model by that of the first, medians of runs in turn on one set."""
    crop = model.preprocessing.crop
    images = np.random.default_rng(0).normal(size=(1, n, 3, crop, crop)).astype(np.float32)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for each, times in zip((model, other), taken, strict=True):
            before = time.process_time()
            each.networks[n].backend.logits(images)
            times.append(time.process_time() - before)
    return float(np.median(taken[1]) / np.median(taken[0]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tridab-s"], help="names of released networks")
    parser.add_argument("--run", type=Path, required=True, help="the run that kept groups out")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of the run")
    parser.add_argument("--spacing", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # the quantiser advises on its own options
    store = FrameStore(arguments.frames)
    held_out = find_held_out_clips(store, arguments.run)
    trained = sorted(set(range(len(store.clips))) - set(held_out))
    chosen = np.random.default_rng(0).choice(trained, CALIBRATION_CLIPS, replace=False).tolist()
    path = load_model("path")
    rows: list[dict[str, Any]] = []
    for name in arguments.models:
        full = load_model(name, "onnx", 1)
        source = usable_file(find_card(name), "onnx")
        with TemporaryDirectory() as folder:
            target = Path(folder, "int8.onnx")
            spec, middle = full.preprocessing, 4 if 4 in full.sizes else full.sizes[0]
            sets = [each.tensors for gap in (2, 6) for each in make_held_out_sets(store, chosen, middle, gap, spec)]
            quantise(source, target, sets)
            small = load_model(target, threads=1)
            for n in full.sizes:
                before, after, baseline = (
                    pool_rows(measure_held_out([model], store, held_out, [n], arguments.spacing))[0]
                    for model in (full, small, path)
                )
                rows.append(
                    {
                        "model": name,
                        "dataset": before.dataset,
                        "seq_len": n,
                        "spacings": arguments.spacing,
                        "sets": before.sets,
                        "permutations": before.permutations,
                        "accuracy": before.accuracy,
                        "accuracy_int8": after.accuracy,
                        "baseline": baseline.accuracy,
                        "time_ratio": round(time_ratio(full, small, n), 2),
                        "bytes": source.stat().st_size,
                        "bytes_int8": target.stat().st_size,
                    }
                )
                print(rows[-1], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
