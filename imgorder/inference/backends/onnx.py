"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import numpy.typing as npt

# Its wheels report usage to their makers and keep an identifier in the home folder, unless this is set.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from imgorder.errors import MEMORY_CURE, NO_MEMORY, ModelError, UsageError, is_out_of_memory
from imgorder.inference.backends.answers import CURE, as_model_errors, check_logits, split, split_rows
from imgorder.inference.backends.triples import Scores, TripleBackend, check_scores, list_rows, scores_to_logits
from imgorder.inference.checksum import read_model_file
from imgorder.model_format import ModelMetadata
from imgorder.names import show

SCORER_INPUTS = ("images", "features", "triples", "pairs")
SCORER_OUTPUTS = ("encoded", "t_adj", "t_all", "p")
"""Of a graph with two parts: images to features, and features to scores; see `OnnxTripleBackend`."""

LONGEST_START = 60.0  # seconds; the largest model takes one
LONGEST_RUN = 600.0  # seconds; the largest batch of the largest model takes a small part of it
_IMAGES = 16  # that the network sees at once; more are not faster on a CPU


def start_session(path: Path, threads: int | None = None, content: bytes | None = None) -> onnxruntime.InferenceSession:
    """A quiet session on the CPU, with no more threads than there are cores.

    Args:
        path: of the model file.
        threads: how many it may use.
        content: the file's bytes, where they were read already.

    Raises:
        OSError: if the file cannot be read; other errors are ONNX Runtime's own.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised below, as one line
    # A model file is whole: weights in further files would be read from the current folder, or from anywhere.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    # Else it would keep, for each shape that it has seen, as much memory as that took; it is no faster for it.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if threads:
        options.intra_op_num_threads = min(threads, os.cpu_count() or 1)
    # A foreign file may be made so that to simplify it takes hours; it is stopped between two passes.
    stop = getattr(options, "set_load_cancellation_flag", lambda cancel: None)  # versions before 1.21 have none
    timer = Timer(LONGEST_START, stop, (True,))
    timer.daemon = True
    timer.start()
    try:
        # Read here, because ONNX Runtime takes only names in UTF-8, and calls a file damaged that it may not read.
        # Its second attempt after a failure would be the same, with a message on stdout.
        return onnxruntime.InferenceSession(
            content or read_model_file(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    finally:
        timer.cancel()


@dataclass(frozen=True)
class OnnxBackend:
    """An open ONNX Runtime session of a network that imgorder exported.

    Attributes:
        empty: for a graph in two parts, each input without a row, for the part that has nothing to do.
    """

    session: onnxruntime.InferenceSession
    metadata: ModelMetadata
    path: Path
    empty: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    name: str = "onnx"

    @classmethod
    def open(cls, path: Path, threads: int | None = None, content: bytes | None = None) -> OnnxBackend:
        """Open a model file; of one that was checked, the bytes that were looked at, so that no others run.

        Raises:
            ModelError: if the file cannot be read, is no ONNX model, or was not exported by imgorder.
        """
        try:
            session = start_session(path, threads, content)
        except Exception as error:  # ONNX Runtime has a dozen classes of its own, and none above them
            if is_out_of_memory(error):
                raise ModelError(f"{show(path)}: {NO_MEMORY} to open it; {MEMORY_CURE}") from error
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise ModelError(f"{show(path)}: cannot be read ({reason}); make it readable") from error
            raise ModelError(f"{show(path)}: not a readable ONNX model (damaged or cut off?); {CURE}") from error
        try:
            metadata = ModelMetadata.from_properties(session.get_modelmeta().custom_metadata_map)
            inputs = {each.name: each for each in session.get_inputs()}
            outputs = {each.name for each in session.get_outputs()}
            scorer = tuple(inputs) == SCORER_INPUTS and outputs.issuperset(SCORER_OUTPUTS)
            if not scorer and (tuple(inputs) != ("images",) or "logits" not in outputs):
                raise ValueError("other inputs or outputs")
            kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
            parts = inputs if scorer else {}
            empty = {name: np.zeros((0, *each.shape[1:]), kinds[each.type]) for name, each in parts.items()}
        except Exception as error:  # whatever nonsense in the metadata leads to
            raise ModelError(
                f"{show(path)}: an ONNX model, but not one that imgorder exported; give one of `imgorder models`"
            ) from error
        return (OnnxTripleBackend if scorer else cls)(session, metadata, path, empty)

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        return np.concatenate([self._logits(part) for part in split(tensors, _IMAGES)])

    def _logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        sets, n = tensors.shape[:2]
        with as_model_errors(self.path, n):
            (logits,) = self._run(["logits"], {"images": tensors})
            logits = np.asarray(logits, dtype=np.float32)
        return check_logits(logits, self.path, sets, n)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """What heat maps are made of, see `Backend`; files without further outputs have none."""
        names = [each.name for each in self.session.get_outputs() if each.name not in ("logits", *SCORER_OUTPUTS)]
        with as_model_errors(self.path, tensors.shape[1]):
            outputs = self._run(names, self._show(tensors)) if names else []
        return dict(zip(names, outputs, strict=True))

    def _show(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        """The graph's inputs for sets, or for images that are in none."""
        return {"images": tensors}

    def _run(self, names: Sequence[str], given: dict[str, npt.NDArray[Any]]) -> list[Any]:
        """Outputs of the network; raises TimeoutError where it does not come to an end, as a foreign file's may."""
        options = onnxruntime.RunOptions()
        timer = Timer(LONGEST_RUN, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            return list(self.session.run(list(names), given, options))
        except Exception as error:
            if options.terminate:
                raise TimeoutError(f"it took more than {LONGEST_RUN:g} s") from error
            raise
        finally:
            timer.cancel()

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Refused: ONNX Runtime has no gradients."""
        raise UsageError("what spoke for a decision needs gradients; give --backend torch")


@dataclass(frozen=True)
class OnnxTripleBackend(OnnxBackend, TripleBackend):
    """A graph in two parts, of which either may have nothing to do."""

    def encode(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `TripleBackend`."""
        with as_model_errors(self.path, len(images)):
            parts = [self._run(["encoded"], self._inputs(images=part))[0] for part in split_rows(images, _IMAGES)]
        return np.concatenate(parts)

    def score(
        self, features: npt.NDArray[np.float32], triples: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]
    ) -> Scores:
        """See `TripleBackend`."""
        with as_model_errors(self.path, len(features)):
            found = self._run(SCORER_OUTPUTS[1:], self._inputs(features=features, triples=triples, pairs=pairs))
        return check_scores(found, self.path, len(triples), len(pairs))

    def _logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        sets, n = tensors.shape[:2]
        triples, pairs = list_rows(sets, n)
        with as_model_errors(self.path, n):
            given = self._inputs(images=tensors.reshape(-1, *tensors.shape[2:]), triples=triples, pairs=pairs)
            found = self._run(SCORER_OUTPUTS[1:], given)
        return scores_to_logits(check_scores(found, self.path, len(triples), len(pairs)), n)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Backend`."""
        flat = tensors.reshape(-1, *tensors.shape[2:])
        parts = [super(OnnxTripleBackend, self).activations(part) for part in split_rows(flat, _IMAGES)]
        with as_model_errors(self.path, tensors.shape[1]):
            found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        by_set = {name: each.reshape(*tensors.shape[:2], *each.shape[1:]) for name, each in found.items() if len(each)}
        return found | by_set  # what a foreign file gives may have no images

    def _show(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        return self._inputs(images=tensors)

    def _inputs(self, **given: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """All inputs of the graph; those that are not given have no rows."""
        return {**self.empty, **given}
