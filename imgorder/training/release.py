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
from imgorder.training.config import as_plain
from imgorder.training.held_out import held_out_clips
from imgorder.training.pixels import crop, normalise
from imgorder.training.plan import draw_orders, plain_plan
from imgorder.training.setup import network_settings
from imgorder.training.sources import even_windows
from imgorder.training.store import FrameStore
from imgorder.training.trainer import STATE


def release(
    run: Path, store: FrameStore, name: str, about: str, folder: Path, changes: Mapping[str, Any] | None = None
) -> Card:
    """Write ``name.safetensors``, ``name.onnx`` and ``name.json`` into a folder.

    Args:
        run: folder of the run.
        store: the clips it was trained on; those kept out of training fit the temperatures.
        about: one line for people.
        folder: of the three files.
        changes: settings of the network that need no training, such as ``{"mirror": True}``.
    """
    state = run / STATE
    config = read_config(state)
    network = build_network(config.family, **{**network_settings(config), **(changes or {})})
    network.load_state_dict(read_ema_weights(state))
    network.eval()
    held_out = held_out_clips(store, run)
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
            "clips": len(store.clips) - len(held_out),
            "groups": len({clip.group for clip in store.clips} - set(config.held_out_groups)),
            "held_out_clips": len(held_out),
            "held_out_groups": len(config.held_out_groups),
            "steps": read_step(state),
            "recipe": {
                key: value
                for key, value in as_plain(config).items()
                if key not in ("data", "held_out_groups", "commit")
            },
            "temperatures": {str(n): t for n, t in metadata.temperatures.items()},
        },
    )
    (folder / f"{name}.json").write_text(json.dumps(asdict(card), indent=1) + "\n", "utf-8")
    return card


def held_out_logits(
    network: nn.Module, store: FrameStore, clips: Sequence[int], n: int, spacings: Sequence[int] = (1, 2, 3, 4, 6, 8)
) -> tuple[Tensor, Tensor]:
    """Logits ``(N, n!/2)`` and the right class ``(N,)`` of sets from clips kept out of training."""
    sets = np.concatenate([even_windows(store, clips, n, spacing, per_clip=1) for spacing in spacings])
    orders = draw_orders(np.random.default_rng(0), n, len(sets))
    logits, target = [], []
    for start in range(0, len(sets), 32):
        part = sets[start : start + 32]
        plan = plain_plan(part, orders[start : start + 32], store.height[part[:, 0]], store.width[part[:, 0]])
        with torch.inference_mode():
            logits.append(network(normalise(torch.from_numpy(crop(store, plan)))))
        target.append(torch.from_numpy(plan.target))
    return torch.cat(logits), torch.cat(target)


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """The divisor of the logits that makes their cross-entropy least."""
    candidates = torch.logspace(-1, 1, 401)
    losses = torch.stack([F.cross_entropy(logits / t, target) for t in candidates])
    return round(float(candidates[losses.argmin()]), 4)


def _entry(path: Path) -> dict[str, str | int]:
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def main(argv: list[str] | None = None) -> None:
    """``python -m imgorder.training.release RUN --frames DIR --name NAME --about TEXT``."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training.release", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of the run")
    parser.add_argument("--name", required=True)
    parser.add_argument("--about", required=True, help="one line for `imgorder models`")
    parser.add_argument("--network", default="{}", metavar="JSON", help='settings to change, as {"mirror": true}')
    parser.add_argument("--out", type=Path, default=Path("models"))
    arguments = parser.parse_args(argv)
    store = FrameStore(arguments.frames)
    changes = json.loads(arguments.network)
    release(arguments.run, store, arguments.name, arguments.about, arguments.out, changes)


if __name__ == "__main__":
    main()
