"""A finished run to a released model: averaged weights, fitted temperatures, ONNX file and card."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgorder.export import export_onnx
from imgorder.metadata import ModelMetadata
from imgorder.networks.registry import build_network, settings_of, sizes_of
from imgorder.networks.weights import read_network, write_network
from imgorder.registry import Card
from imgorder.training.checkpoint import read_config, read_ema_weights, read_step
from imgorder.training.clips import Clip, ClipStore
from imgorder.training.trainer import classes_of, draw_orders, normalise, show_as
from imgorder.training.windows import validation_sets


def release(
    run: Path, store: ClipStore, name: str, about: str, folder: Path, changes: Mapping[str, Any] | None = None
) -> Card:
    """Write ``name.safetensors``, ``name.onnx`` and ``name.json`` into a folder.

    Args:
        run: folder of the run.
        store: the clips it was trained on; the groups kept out of training fit the temperatures.
        about: one line for people.
        folder: of the three files.
        changes: settings of the network that need no training, such as ``{"mirror": True}``.
    """
    state = run / "state.safetensors"
    config = read_config(state)
    network = build_network(config.family, **{**config.network, **(changes or {})})
    network.load_state_dict(read_ema_weights(state))
    network.eval()
    train = [clip for clip in store.clips if clip.group not in config.held_out_groups]
    held_out = [clip for clip in store.clips if clip.group in config.held_out_groups]
    settings = settings_of(network)
    sizes = sizes_of(config.family, settings)
    metadata = ModelMetadata(
        name=name,
        family=config.family,
        settings=settings,
        sizes=sizes,
        temperatures={n: fit_temperature(*held_out_logits(network, store, held_out, n)) for n in sizes},
        training_commit=config.commit,
    )
    # Made aside, so that a failed check leaves the released files as they were.
    with TemporaryDirectory(dir=folder) as aside:
        weights, graph = Path(aside, f"{name}.safetensors"), Path(aside, f"{name}.onnx")
        write_network(network, metadata, weights)
        difference = export_onnx(*read_network(weights), weights, graph)
        print(f"{name}: largest difference of logits between torch and ONNX {difference:.1e}")
        weights, graph = weights.replace(folder / weights.name), graph.replace(folder / graph.name)
    card = Card(
        name,
        config.family,
        sizes,
        about,
        files={"onnx": _entry(graph), "torch": _entry(weights)},
        training={
            "commit": config.commit,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "clips": len(train),
            "groups": len({clip.group for clip in train}),
            "held_out_clips": len(held_out),
            "held_out_groups": len({clip.group for clip in held_out}),
            "steps": read_step(state),
            "images_a_step": config.batch_images,
            "share_of_set_sizes": {str(n): share for n, share in config.set_sizes.items()},
            "learning_rate": config.learning_rate,
            "decay_steps": config.decay,
            "temperatures": {str(n): t for n, t in metadata.temperatures.items()},
        },
    )
    (folder / f"{name}.json").write_text(json.dumps(asdict(card), indent=1) + "\n", "utf-8")
    return card


def held_out_logits(
    network: nn.Module, store: ClipStore, clips: Sequence[Clip], n: int, spacings: Sequence[int] = (1, 2, 3, 4, 6, 8)
) -> tuple[Tensor, Tensor]:
    """Logits ``(N, n!/2)`` and the right class ``(N,)`` of sets from groups kept out of training."""
    sets = [each for spacing in spacings for each in validation_sets(store, clips, n, spacing, per_clip=1)]
    orders = draw_orders(np.random.default_rng(0), n, len(sets))
    logits = []
    for start in range(0, len(sets), 32):
        shown = show_as(np.stack(sets[start : start + 32]), orders[start : start + 32])
        with torch.inference_mode():
            logits.append(network(normalise(torch.from_numpy(shown))))
    return torch.cat(logits), classes_of(orders)


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The divisor of the logits that makes their cross-entropy least."""
    candidates = torch.logspace(-1, 1, 401)
    losses = torch.stack([F.cross_entropy(logits / t, target) for t in candidates])
    return round(float(candidates[losses.argmin()]), 4)


def _entry(path: Path) -> dict[str, str | int]:
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def main(argv: list[str] | None = None) -> None:
    """``python -m imgorder.training.release RUN --store DIR --name NAME --about TEXT``."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.release", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True, help="decoded clips")
    parser.add_argument("--name", required=True)
    parser.add_argument("--about", required=True, help="one line for `imgorder models`")
    parser.add_argument("--network", default="{}", metavar="JSON", help='settings to change, as {"mirror": true}')
    parser.add_argument("--out", type=Path, default=Path("models"))
    arguments = parser.parse_args(argv)
    store = ClipStore(arguments.store)
    changes = json.loads(arguments.network)
    release(arguments.run, store, arguments.name, arguments.about, arguments.out, changes)


if __name__ == "__main__":
    main()
