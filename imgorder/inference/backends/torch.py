"""PyTorch, on an accelerator where there is one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from imgorder.errors import MEMORY_CURE, NO_MEMORY, ModelError, is_out_of_memory
from imgorder.inference.backends.answers import CURE, as_model_errors, check_logits, split, split_rows
from imgorder.inference.backends.triples import Scores, TripleBackend, check_scores
from imgorder.inference.checksum import read_model_file
from imgorder.model_format import ModelMetadata
from imgorder.names import first_line, show
from imgorder.networks.activations import activations, by_image
from imgorder.networks.families import UnknownFamilyError
from imgorder.networks.scoring import TripleScorer
from imgorder.networks.weights import read_network
from imgorder.permutations import order_to_class

GPU_CURE = "free the GPU, or take --backend onnx"


def open_network(path: Path, content: bytes | None = None) -> tuple[torch.nn.Module, ModelMetadata]:
    """The network in a safetensors checkpoint; of one that was checked, in the bytes that were looked at.

    Raises:
        ModelError: if the file cannot be read, is damaged, or not one of imgorder's.
    """
    try:
        return read_network(content or read_model_file(path))
    except OSError as error:
        raise ModelError(f"{show(path)}: cannot be read ({error.strerror or error}); {CURE}") from error
    except UnknownFamilyError as error:
        cure = "take the version of imgorder that wrote it or, to order photos, the model's ONNX file"
        raise ModelError(f"{show(path)}: {error.args[0]}; {cure}") from error
    except Exception as error:  # safetensors raises its own class, torch RuntimeError or KeyError
        if is_out_of_memory(error):
            raise ModelError(f"{show(path)}: {NO_MEMORY} to open it; {MEMORY_CURE}") from error
        raise ModelError(f"{show(path)}: not a readable checkpoint of imgorder; {CURE}") from error


@dataclass(frozen=True)
class TorchBackend:
    """A network in evaluation mode on one device."""

    network: torch.nn.Module
    metadata: ModelMetadata
    device: torch.device
    path: Path
    name: str = "torch"

    @classmethod
    def open(cls, path: Path, threads: int | None = None, content: bytes | None = None) -> TorchBackend:
        """Load a safetensors checkpoint; of one that was checked, the bytes that were looked at.

        Raises:
            ModelError: as `open_network` does, and if the network cannot be moved to the GPU.
        """
        network, metadata = open_network(path, content)
        if threads:
            torch.set_num_threads(min(threads, os.cpu_count() or 1))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            network = network.to(device).eval()
        except RuntimeError as error:
            raise ModelError(f"{show(path)}: cannot be moved to the GPU ({first_line(error)}); {GPU_CURE}") from error
        return (TorchTripleBackend if isinstance(network, TripleScorer) else cls)(network, metadata, device, path)

    def logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 ``(B, n, 3, H, W) -> (B, n!/2)``."""
        return np.concatenate([self._logits(part) for part in split(tensors, self._images)])

    @property
    def _images(self) -> int:
        """How many are computed at once; more would only take memory."""
        return 512 if self.device.type == "cuda" else 16

    def _logits(self, tensors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        sets, n = tensors.shape[:2]
        with as_model_errors(self.path, n, self._cure), torch.inference_mode(), self._exact():
            logits = self.network(torch.from_numpy(tensors).to(self.device)).float().cpu().numpy()
        return check_logits(np.asarray(logits), self.path, sets, n)

    def activations(self, tensors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """See `Backend`."""
        n = tensors.shape[1]
        with (
            as_model_errors(self.path, n, self._cure),
            torch.inference_mode(),
            self._exact(),
            activations(self.network) as seen,
        ):
            self._observe(torch.from_numpy(tensors).to(self.device))
        found = {name: by_image(output, n) for name, output in seen.items()}
        return {name: np.asarray(value.float().cpu().numpy()) for name, value in found.items()}

    def _observe(self, sets: torch.Tensor) -> None:
        """Let the network see ``(B, n, 3, H, W)`` for the sake of its layers."""
        self.network(sets)

    @property
    def _cure(self) -> str:
        # What fails on a GPU mostly fails because its memory is full; the CPU has more.
        return GPU_CURE if self.device.type == "cuda" else CURE

    def _exact(self) -> AbstractContextManager[None]:
        # TF32 would move logits by more than the 1e-4 within which all backends agree.
        return torch.backends.cudnn.flags(allow_tf32=False) if self.device.type == "cuda" else nullcontext()

    def decision(
        self, tensors: npt.NDArray[np.float32], winner: Sequence[int], other: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Gradient × activation of the winner's logit less the other's, at the last observed layer.

        Summed over channels; only what speaks for the winner is kept.
        """
        n = tensors.shape[1]
        with as_model_errors(self.path, n, self._cure), torch.enable_grad(), activations(self.network) as seen:
            # The weights need no gradient; the photos do, so that the layers in between have one.
            logits = self.network(torch.from_numpy(tensors).to(self.device).requires_grad_())
        if not seen:
            raise ModelError(f"{self.metadata.name}: has no heat maps; choose a TriDAB or DAB-ResNet model")
        layer = list(seen.values())[-1]
        with as_model_errors(self.path, n, self._cure):
            margin = logits[0, order_to_class(winner)] - logits[0, order_to_class(other)]
            (gradient,) = torch.autograd.grad(margin, layer)
            contribution = by_image(gradient * layer, n).sum(dim=2)[0].clamp(min=0)
            return np.asarray(contribution.detach().float().cpu().numpy())


@dataclass(frozen=True)
class TorchTripleBackend(TorchBackend, TripleBackend):
    """A network in two parts."""

    network: TripleScorer

    def encode(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """See `TripleBackend`."""
        with as_model_errors(self.path, len(images), self._cure), torch.inference_mode(), self._exact():
            parts = [
                self.network.encode(torch.from_numpy(part).to(self.device)).float().cpu().numpy()
                for part in split_rows(images, self._images)
            ]
        return np.concatenate(parts)

    def score(
        self, features: npt.NDArray[np.float32], triples: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64]
    ) -> Scores:
        """See `TripleBackend`."""
        given = (torch.from_numpy(each).to(self.device) for each in (features, triples, pairs))
        with as_model_errors(self.path, len(features), self._cure), torch.inference_mode(), self._exact():
            found = [each.float().cpu().numpy() for each in self.network.score(*given)]
        return check_scores(found, self.path, len(triples), len(pairs))

    def _observe(self, sets: torch.Tensor) -> None:
        self.network.encode(sets.flatten(0, 1))  # all maps are of the trunk, so nothing need be scored
