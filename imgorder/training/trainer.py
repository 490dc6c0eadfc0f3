"""A plain trainer: sets from clips, cross-entropy over the permutation classes, checkpoint and resume."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from imgorder.networks.registry import build_network
from imgorder.permutations import class_to_order, class_count
from imgorder.preprocess import IMAGENET_MEAN, IMAGENET_STD
from imgorder.training.checkpoint import load_checkpoint, save_checkpoint
from imgorder.training.clips import ClipStore, split_by_group
from imgorder.training.config import TrainConfig
from imgorder.training.windows import Frames, WindowConfig, WindowSampler, validation_sets

log = logging.getLogger(__name__)


class Trainer:
    """One run in one folder: ``run/state.safetensors`` and ``run/metrics.csv``."""

    def __init__(self, config: TrainConfig, store: ClipStore, run: Path) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config = config
        self.run = run
        self.state_file = run / "state.safetensors"
        name = config.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(name)
        model = build_network(config.family, **config.network)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.ema = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in model.parameters() if p.ndim > 1]},
                {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        train, self.held_out = split_by_group(store.clips, config.validation_fraction)
        self.store = store
        self.sampler = WindowSampler(store, train, WindowConfig(**config.window))
        self.step = 0
        run.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Go on from the run's last checkpoint, if it has one."""
        if self.state_file.exists():
            self.step = load_checkpoint(self.state_file, self.model, self.ema, self.optimizer)
            log.info("resumed after step %d", self.step)

    def save(self) -> None:
        """Write the run's checkpoint."""
        save_checkpoint(self.state_file, self.config, self.step, self.model, self.ema, self.optimizer)

    def train(self, minutes: float = float("inf")) -> None:
        """Train until ``config.steps`` or the time is up, whichever comes first; saves at the end."""
        started = time.monotonic()
        seen, loss_sum, correct = 0, 0.0, 0.0
        try:
            for order, images in self._batches():
                loss, accuracy = self._train_step(order, images)
                self.step += 1
                seen += 1
                loss_sum += loss
                correct += accuracy
                if self.step % self.config.validate_every == 0:
                    row: dict[str, float] = {
                        "step": self.step,
                        "minutes": round((time.monotonic() - started) / 60, 2),
                        "loss": round(loss_sum / seen, 4),
                        "accuracy": round(100 * correct / seen, 2),
                    }
                    row |= self.validate()
                    self._record(row)
                    seen, loss_sum, correct = 0, 0.0, 0.0
                if self.step % self.config.save_every == 0:
                    self.save()
                if time.monotonic() - started > 60 * minutes:
                    break
        finally:
            self.save()

    def validate(self) -> dict[str, float]:
        """Exact match, in percent, on sets from held-out groups, for each set size and spacing."""
        self.ema.eval()
        scores = {}
        for n, spacing in self.config.validation:
            sets = validation_sets(self.store, self.held_out, n, spacing)
            # Shown in an order that is not the first class, lest equal scores count as a hit.
            order = class_count(n) // 2
            hits = 0
            for start in range(0, len(sets), 32):
                batch = torch.from_numpy(np.stack(sets[start : start + 32])).to(self.device)
                with torch.inference_mode(), self._autocast():
                    hits += int((self.ema(show_as(normalise(batch), order)).argmax(1) == order).sum())
            scores[f"val_n{n}_s{spacing}"] = round(100 * hits / max(1, len(sets)), 2)
        return scores

    def _train_step(self, order: int, images: Frames) -> tuple[float, float]:
        rate = self.config.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        batch = normalise(vary_light(torch.from_numpy(images).to(self.device), generator))
        target = torch.full((len(batch),), order, device=self.device)
        with self._autocast():
            logits = self.model(show_as(batch, order))
        loss = F.cross_entropy(logits.float(), target)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.step}; lower the learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient)
        self.optimizer.step()
        self.ema.update_parameters(self.model)
        return loss.item(), (logits.argmax(1) == target).float().mean().item()

    def _batches(self) -> Iterator[tuple[int, Frames]]:
        """(class shown, images) of each remaining step, prepared one step ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._draw, self.step)
            for step in range(self.step, self.config.steps):
                order, images = ahead.result()
                ahead = pool.submit(self._draw, step + 1)
                yield order, images

    def _draw(self, step: int) -> tuple[int, Frames]:
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        sizes = list(config.set_sizes)
        shares = np.array(list(config.set_sizes.values()), dtype=float)
        n = int(rng.choice(sizes, p=shares / shares.sum()))
        order = int(rng.integers(class_count(n)))
        return order, self.sampler.batch(rng, n, max(1, config.batch_images // n))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _record(self, row: dict[str, float]) -> None:
        log.info("  ".join(f"{key} {value}" for key, value in row.items()))
        path = self.run / "metrics.csv"
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def show_as(batch: Tensor, order: int) -> Tensor:
    """Images ``(B, n, …)`` in temporal order, listed so that the right answer is class ``order``."""
    positions = torch.tensor(class_to_order(batch.shape[1], order), device=batch.device)
    return batch.index_select(1, torch.argsort(positions))


def vary_light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random exposure, white balance and contrast for each set, and a little for each image.

    ``uint8 (B, n, H, W, 3) -> float32 (B, n, H, W, 3)`` in 0…255.
    """
    b, n = images.shape[:2]

    def around_one(shape: tuple[int, ...], spread: float) -> Tensor:
        draw = torch.rand(shape, generator=generator) * 2 - 1
        return (draw * spread).exp().to(images.device)

    gain = around_one((b, 1, 1, 1, 1), 0.35) * around_one((b, 1, 1, 1, 3), 0.12)
    each = torch.rand((b, 1, 1, 1, 1), generator=generator).to(images.device) < 0.4
    gain = gain * torch.where(each, around_one((b, n, 1, 1, 1), 0.08), 1.0)
    offset = (torch.rand((b, 1, 1, 1, 1), generator=generator).to(images.device) - 0.5) * 40
    return (images.float() * gain + offset).clamp_(0, 255)


def normalise(images: Tensor) -> Tensor:
    """``(B, n, H, W, 3)`` in 0…255 to ImageNet-normalised ``(B, n, 3, H, W)``, as `preprocess` does."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device) * 255
    std = torch.tensor(IMAGENET_STD, device=images.device) * 255
    return ((images.float() - mean) / std).permute(0, 1, 4, 2, 3)
