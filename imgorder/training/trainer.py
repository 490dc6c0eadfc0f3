"""A plain trainer: sets from clips, cross-entropy over the permutation classes, checkpoint and resume."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from imgorder.networks.registry import build_network, sizes_of
from imgorder.permutations import order_to_class
from imgorder.preprocess import IMAGENET_MEAN, IMAGENET_STD
from imgorder.training.checkpoint import load_checkpoint, save_checkpoint
from imgorder.training.clips import ClipStore, split_by_group
from imgorder.training.config import TrainConfig
from imgorder.training.windows import Frames, WindowConfig, WindowSampler, validation_sets

Orders = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


class Trainer:
    """One run in one folder: ``run/state.safetensors`` and ``run/metrics.csv``."""

    def __init__(self, config: TrainConfig, store: ClipStore, run: Path) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        sizes = sizes_of(config.family, config.network)
        wrong = {*config.set_sizes, *(n for n, _ in config.validation)} - set(sizes)
        if wrong:
            raise ValueError(f"{config.family} takes sets of {sizes}; set_sizes or validation ask for {sorted(wrong)}")
        self.config = config
        self.run = run
        self.state_file = run / "state.safetensors"
        name = config.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(name)
        model = build_network(config.family, **config.network)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        averaging = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(self.model, multi_avg_fn=averaging, use_buffers=True)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in model.parameters() if p.ndim > 1]},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        if not config.held_out_groups:
            _, held_out = split_by_group(store.clips, config.validation_fraction)
            config.held_out_groups = sorted({clip.group for clip in held_out})
        train = [clip for clip in store.clips if clip.group not in config.held_out_groups]
        self.held_out = [clip for clip in store.clips if clip.group in config.held_out_groups]
        self.store = store
        self.sampler = WindowSampler(store, train, WindowConfig(**config.window))
        self.step = 0
        self._stop = False
        run.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Go on from the run's last checkpoint, if it has one."""
        if self.state_file.exists():
            self.step = load_checkpoint(self.state_file, self.model, self.ema, self.optimizer)
            log.info("resumed after step %d", self.step)

    def save(self) -> None:
        """Write the run's checkpoint."""
        save_checkpoint(self.state_file, self.config, self.step, self.model, self.ema, self.optimizer)

    def request_stop(self) -> None:
        """Make `train` save and return after the step in progress; safe to call from a signal handler."""
        self._stop = True

    def train(self, minutes: float = float("inf")) -> None:
        """Train until ``config.steps``, the time is up or a stop is requested; saves at the end.

        Raises:
            FloatingPointError: if the loss is no number; the last checkpoint stays as it is.
        """
        started = time.monotonic()
        seen, loss_sum, correct = 0, 0.0, 0.0
        for orders, images in self._batches():
            loss, accuracy = self._train_step(orders, images)
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
            if self._stop or time.monotonic() - started > 60 * minutes:
                break
        self.save()

    def validate(self) -> dict[str, float]:
        """Exact match, in percent, on sets from held-out groups, for each set size and spacing."""
        self.ema.eval()
        scores = {}
        for n, spacing in self.config.validation:
            sets = validation_sets(self.store, self.held_out, n, spacing)
            orders = draw_orders(np.random.default_rng(0), n, len(sets))
            hits = 0
            for start in range(0, len(sets), 32):
                shown = show_as(np.stack(sets[start : start + 32]), orders[start : start + 32])
                batch = normalise(torch.from_numpy(shown).to(self.device))
                with torch.inference_mode(), self._autocast():
                    answers = self.ema(batch).argmax(1).cpu()
                hits += int((answers == classes_of(orders[start : start + 32])).sum())
            scores[f"val_n{n}_s{spacing}"] = round(100 * hits / max(1, len(sets)), 2)
        return scores

    def _train_step(self, orders: Orders, images: Frames) -> tuple[float, float]:
        rate = self.config.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)  # dropout, alike after a resume
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        shown = torch.from_numpy(show_as(images, orders)).to(self.device)
        batch = normalise(vary_light(shown, generator))
        target = classes_of(orders).to(self.device)
        with self._autocast():
            logits = self.model(batch)
        loss = F.cross_entropy(logits.float(), target)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.step}; lower the learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient is {norm.item()} at step {self.step}; lower the learning rate")
        self.optimizer.step()
        self.ema.update_parameters(self.model)
        return loss.item(), (logits.argmax(1) == target).float().mean().item()

    def _batches(self) -> Iterator[tuple[Orders, Frames]]:
        """(orders to show, images in temporal order) of each remaining step, prepared one step ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._draw, self.step)
            for step in range(self.step, self.config.steps):
                orders, images = ahead.result()
                ahead = pool.submit(self._draw, step + 1)
                yield orders, images

    def _draw(self, step: int) -> tuple[Orders, Frames]:
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        sizes = list(config.set_sizes)
        shares = np.array(list(config.set_sizes.values()), dtype=float)
        n = int(rng.choice(sizes, p=shares / shares.sum()))
        count = max(1, config.batch_images // n)
        return draw_orders(rng, n, count), self.sampler.batch(rng, n, count)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _record(self, row: dict[str, float]) -> None:
        log.info("  ".join(f"{key} {value}" for key, value in row.items()))
        path = self.run / "metrics.csv"
        if path.exists() and path.read_text("utf-8").partition("\n")[0] != ",".join(row):
            path.rename(path.with_name(f"metrics-until-{self.step}.csv"))  # other validation figures from here on
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def draw_orders(rng: np.random.Generator, n: int, count: int) -> Orders:
    """An order for each set, any of the n!, int64 ``(count, n)``: image ``orders[s, t]`` is t-th in time."""
    return rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def show_as(images: Frames, orders: Orders) -> Frames:
    """Images ``(B, n, …)`` in temporal order, listed so that ``orders`` puts them back."""
    return np.asarray(images[np.arange(len(images))[:, None], np.argsort(orders, axis=1)])


def classes_of(orders: Orders) -> Tensor:
    """Class of each order, int64 ``(B,)``."""
    return torch.tensor([order_to_class(order) for order in orders.tolist()])


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
