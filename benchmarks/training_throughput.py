"""What the input pipeline costs: sets a second of a training run against the bare step of the model.

    python benchmarks/training_throughput.py [--json docs/results/training-throughput.json]

Both run the same network with the same batch on the same device and in the same precision. The bare step
is forward, loss, backward and optimizer on one batch that is there already; the run draws, crops, lights
and normalises every batch, checks every loss and keeps its averages. They take turns, and medians count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from imgorder.training.config import TrainConfig, make_config
from imgorder.training.sources import ClipSource
from imgorder.training.store import FrameStore, StoreWriter
from imgorder.training.trainer import Trainer

CASES = {
    "paper, resnet18 at width 0.25": {"backbone": "resnet18", "network": {"width": 0.25}, "batch_size": 16},
    "fast, tridab": {"recipe": "fast", "seq_len": 4},
}


def moving_noise(folder: Path, clips: int = 24, frames: int = 60) -> FrameStore:
    """Clips of a texture that moves, in the size of real ones."""
    writer = StoreWriter(folder, "moving noise")
    rng = np.random.default_rng(0)
    for index in range(clips):
        ground = rng.integers(0, 256, (136, 184 + 2 * frames, 3), dtype=np.uint8)
        shifted = [ground[:, 2 * t : 2 * t + 184] for t in range(frames)]
        writer.add(f"clip {index}", f"group {index}", np.stack(shifted))
    return writer.close()


def seconds(trainer: Trainer, steps: int) -> float:
    """Of so many further steps of a run, without validation and saving."""
    started = time.perf_counter()
    for done, plan in enumerate(trainer._plans(), start=1):
        trainer._step(*plan)
        if done % 10 == 0 or trainer.device.type == "cpu":
            trainer._settle()
        if done == steps:
            break
    trainer._settle()
    return time.perf_counter() - started


def bare_seconds(trainer: Trainer, steps: int) -> float:
    """Of so many steps of the model alone."""
    plan, images = trainer._prepare(0)
    batch = trainer._images(plan, images)
    target = torch.from_numpy(plan.target).to(trainer.device)
    started = time.perf_counter()
    for _ in range(steps):
        loss = F.cross_entropy(trainer.model(batch).float(), target)
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.optimizer.step()
    loss.item()
    return time.perf_counter() - started


def measure(config: TrainConfig, store: FrameStore, folder: Path, steps: int, rounds: int) -> dict[str, float]:
    """Median sets a second of both, and the share of the time that is not the model's."""
    trainer = Trainer(config, ClipSource(config, store), folder)
    trainer.model.train()
    seconds(trainer, 3)
    bare_seconds(trainer, 3)
    runs, bares = [], []
    for _ in range(rounds):
        runs.append(seconds(trainer, steps))
        bares.append(bare_seconds(trainer, steps))
    sets = steps * config.batch_size
    run, bare = statistics.median(runs), statistics.median(bares)
    return {"run": sets / run, "bare": sets / bare, "overhead": 1 - bare / run}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        store = moving_noise(Path(folder, "frames"))
        for name, settings in CASES.items():
            steps = arguments.steps * (arguments.rounds + 2)
            config = make_config({**settings, "steps": steps, "tensorboard": False})
            figures = measure(config, store, Path(folder, "run"), arguments.steps, arguments.rounds)
            device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
            results.append({"case": name, "device": device, "threads": torch.get_num_threads(), **figures})
            print(f"{name}: {figures['run']:.1f} sets/s, bare {figures['bare']:.1f}, {100 * figures['overhead']:.1f} %")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
