"""One run: sets, cross-entropy over the permutation classes, validation, checkpoint and resume."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from imgorder.errors import ImgorderError, UsageError
from imgorder.metadata import ModelMetadata
from imgorder.networks.registry import FAMILIES, build_network, scaled, settings_of, sizes_of
from imgorder.networks.weights import write_network
from imgorder.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from imgorder.training.config import TrainConfig
from imgorder.training.journal import Journal
from imgorder.training.pixels import Pixels, lit, make_pixels, normalise
from imgorder.training.plan import Indices, Plan, draw_orders, make_plan, plain_plan
from imgorder.training.schedule import Schedule
from imgorder.training.sources import Source
from imgorder.training.sync_norm import synchronise_batch_norm

if TYPE_CHECKING:
    from accelerate import Accelerator

STATE = "state.safetensors"
WEIGHTS = "model.safetensors"
VALIDATION_BATCH = 32


@dataclass
class _Pending:
    """Figures of a step that are still on the device."""

    step: int
    sets: int
    loss: Tensor
    hits: Tensor
    norm: Tensor


class Trainer:
    """A run in a folder: ``state.safetensors``, ``model.safetensors``, ``metrics.csv``, ``tensorboard/``.

    Args:
        config: of the run.
        source: of its sets.
        run: its folder; made if missing.
        accelerator: what it runs on; one process on the config's device if not given.

    Raises:
        UsageError: if the network does not take the sets of the config.
    """

    def __init__(self, config: TrainConfig, source: Source, run: Path, accelerator: Accelerator | None = None) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.config = config
        self.source = source
        self.run = run
        self.accelerator = accelerator or make_accelerator(config)
        self.device = self.accelerator.device
        self.processes = self.accelerator.num_processes
        self.progress = Progress()
        self.settings = network_settings(config)
        torch.manual_seed(config.seed)
        network = build_network(config.family, **self.settings).to(self.device)
        if config.channels_last:
            network = network.to(memory_format=torch.channels_last)
        if self.processes > 1:
            network = synchronise_batch_norm(network, self.device)
        averaging = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self.ema = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        self.network = network
        self._optimizer = make_optimizer(config, network)
        self.model, self.optimizer = self.accelerator.prepare(network, self._optimizer)
        self._of_step, self._position = self._sizes_of_steps()
        self.schedule = Schedule(config, self.steps, self._optimizer)
        self.validation = source.validation()
        self.pixels: Pixels = make_pixels(source.store, self.device, config.frames_on)
        self._pending: list[_Pending] = []
        self._stop = False
        run.mkdir(parents=True, exist_ok=True)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return len(self._of_step)

    @property
    def validate_every(self) -> int:
        """Steps from one validation to the next; an epoch, where the config does not say."""
        return self.config.validate_every or max(1, self.steps // self.config.epochs)

    def resume(self) -> None:
        """Go on from the run's last checkpoint.

        Raises:
            ImgorderError: if there is none.
        """
        state = self.run / STATE
        if not state.exists():
            raise ImgorderError(f"{state}: nothing to resume; leave out --resume")
        self.progress = load_checkpoint(state, self.network, self.ema, self._optimizer)
        self.schedule.load(self.progress.schedule)
        if self.accelerator.scaler is not None and self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)

    def save(self) -> None:
        """Write the run's checkpoint."""
        self._settle()
        self.progress.schedule = self.schedule.state()
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        if self.accelerator.is_main_process:
            save_checkpoint(self.run / STATE, self.config, self.progress, self.network, self.ema, self._optimizer)
            if not self.validation:
                self._write_weights()

    def request_stop(self) -> None:
        """Make `train` save and return after the step in progress; safe to call from a signal handler."""
        self._stop = True

    def train(self, minutes: float = float("inf")) -> bool:
        """Train to the end, until the time is up or a stop is requested; saves when it returns.

        Returns:
            whether the run has come to its end.

        Raises:
            ImgorderError: if the loss or the gradient is no number, or memory runs out; the last
                checkpoint stays as it is.
        """
        config, started = self.config, time.monotonic()
        sets, beside = 0, 0.0  # sets seen by all processes; seconds of validation, which are not training
        journal = Journal(self.run, self.steps, config.tensorboard, self.accelerator.is_main_process)
        try:
            for plan in self._plans():
                self._guarded_step(plan)
                done = self.progress.step
                sets += self.processes * len(plan[0].target)
                speed = sets / (time.monotonic() - started - beside)
                if done % 10 == 0 or self.device.type == "cpu":
                    self._settle(journal, speed)
                if done % self.validate_every == 0 or done == self.steps:
                    before = time.monotonic()
                    self._validate(journal, speed)
                    beside += time.monotonic() - before
                if done % config.save_every == 0:
                    self.save()
                if self.schedule.finished or self._stops(time.monotonic() - started > 60 * minutes):
                    break
            self.save()
        finally:
            journal.close()
        return self.progress.step == self.steps or self.schedule.finished

    def validate(self) -> tuple[float, dict[str, float]]:
        """Mean loss over all held-out sets, and exact match in percent for each figure."""
        self.ema.eval()
        loss_sum, sets, scores = 0.0, 0, {}
        for name, frames in self.validation.items():
            n = frames.shape[1]
            orders = draw_orders(np.random.default_rng(0), n, len(frames))
            mine = slice(self.accelerator.process_index, None, self.processes)
            totals = torch.zeros(2, device=self.device, dtype=torch.float64)
            for part, listed in _batches(frames[mine], orders[mine]):
                store = self.source.store
                plan = plain_plan(part, listed, store.height[part[:, 0]], store.width[part[:, 0]])
                target = torch.from_numpy(plan.target).to(self.device)
                with torch.inference_mode(), self.accelerator.autocast():
                    logits = self.ema(self._images(plan, self.pixels(plan))).float()
                totals[0] += F.cross_entropy(logits, target, reduction="sum")
                totals[1] += (logits.argmax(1) == target).sum()
            totals = self.accelerator.reduce(totals)
            loss_sum += float(totals[0])
            sets += len(frames)
            scores[name] = round(100 * float(totals[1]) / len(frames), 2)
        return loss_sum / max(1, sets), scores

    def _validate(self, journal: Journal, speed: float) -> None:
        self._settle(journal, speed)
        progress = self.progress
        seen, loss, hits = progress.seen
        row = {
            "step": float(progress.step),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "loss": round(loss / max(1, seen), 6),
            "accuracy": round(100 * hits / max(1, seen), 2),
            "sets_per_second": round(speed, 1),
        }
        progress.seen = (0, 0.0, 0)
        if self.validation:
            val_loss, scores = self.validate()
            row |= {"val_loss": round(val_loss, 6), **{f"val_{name}": score for name, score in scores.items()}}
            if progress.best_loss is None or val_loss < progress.best_loss:
                progress.best_loss, progress.best_step = val_loss, progress.step
                if self.accelerator.is_main_process:
                    self._write_weights()
        self.schedule.after_validation(row.get("val_loss", row["loss"]))
        journal.validated(row)

    def _guarded_step(self, plan: tuple[Plan, Tensor]) -> None:
        try:
            self._step(*plan)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            sets, n = plan[0].frames.shape
            raise ImgorderError(
                f"out of memory at step {self.progress.step} with {sets} sets of {n} on {self.device}; "
                "lower --batch-size or --width, or keep the frames off the device with --set frames_on=host"
            ) from error

    def _step(self, plan: Plan, images: Tensor) -> None:
        rate_step = self.progress.step
        self.schedule.before(rate_step)
        self.model.train()
        # Dropout, alike after a resume and unlike in each process.
        torch.manual_seed((self.config.seed * 1_000_003 + rate_step) * self.processes + self.accelerator.process_index)
        target = torch.from_numpy(plan.target).to(self.device)
        logits = self.model(self._images(plan, images)).float()
        loss = F.cross_entropy(logits, target)
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        limit = self.config.clip_gradient or float("inf")
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        self.optimizer.step()
        self.ema.update_parameters(self.network)
        hits = (logits.argmax(1) == target).sum()
        self._pending.append(_Pending(rate_step, len(target), loss.detach(), hits, torch.as_tensor(norm)))
        self.progress.step += 1

    def _settle(self, journal: Journal | None = None, speed: float = 0.0) -> None:
        """Fetch the figures of the last steps and check them; at once on a CPU, seldom on a GPU, which waits then."""
        if not self._pending:
            return
        losses = torch.stack([each.loss for each in self._pending])
        hits = torch.stack([each.hits for each in self._pending]).double()
        if self.processes > 1:
            losses, hits = (self.accelerator.reduce(each) for each in (losses, hits))
            losses = losses / self.processes
        for each, loss, right in zip(self._pending, losses.tolist(), hits.tolist(), strict=True):
            # With fp16 the scaler leaves out steps whose gradient overflows.
            bad_gradient = self.accelerator.scaler is None and not torch.isfinite(each.norm)
            if bad_gradient or not np.isfinite(loss):
                value = each.norm.item() if np.isfinite(loss) else loss
                what = "gradient" if np.isfinite(loss) else "loss"
                raise ImgorderError(f"the {what} is {value} at step {each.step}; lower --lr, or raise warmup")
            sets = each.sets * self.processes
            seen, loss_sum, hit_sum = self.progress.seen
            self.progress.seen = (seen + sets, loss_sum + sets * loss, hit_sum + int(right))
            if journal is not None:
                rate = self._optimizer.param_groups[0]["lr"]
                journal.step(each.step + 1, loss, 100 * right / sets, rate, speed)
        self._pending.clear()

    def _images(self, plan: Plan, images: Tensor) -> Tensor:
        return normalise(lit(images, plan))

    def _plans(self) -> Iterator[tuple[Plan, Tensor]]:
        """This process's sets of each remaining step, prepared one step ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._prepare, self.progress.step)
            for step in range(self.progress.step, self.steps):
                ready = ahead.result()
                if step + 1 < self.steps:
                    ahead = pool.submit(self._prepare, step + 1)
                yield ready

    def _prepare(self, step: int) -> tuple[Plan, Tensor]:
        plan = self.plan(step).rows(self.accelerator.process_index, self.processes)
        return plan, self.pixels(plan)

    def plan(self, step: int) -> Plan:
        """The sets of all processes in a step; the seed and the step decide."""
        n = int(self._of_step[step])
        rng = np.random.default_rng((self.config.seed, step))
        count = self.config.sets_a_step(n) * self.processes
        drawn = self.source.draw(rng, n, int(self._position[step]) * count, count)
        store, first = self.source.store, drawn.frames[:, 0]
        return make_plan(rng, self.config, drawn, store.height[first], store.width[first])

    def _sizes_of_steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """n of every step, and how many steps had that n before it."""
        config = self.config
        sizes = sorted(config.seq_len)
        if config.steps:
            steps = config.steps
            weights = [config.shares.get(n, 1.0) for n in sizes]
        else:
            needed = [ceil((self.source.samples(n) or 1) / (config.sets_a_step(n) * self.processes)) for n in sizes]
            steps = config.epochs * sum(needed)
            weights = [config.shares.get(n, float(count)) for n, count in zip(sizes, needed, strict=True)]
        # The first steps stay the same when a run is prolonged.
        rng = np.random.default_rng((config.seed, len(sizes)))
        bounds = np.cumsum(weights) / sum(weights)
        of_step: Indices = np.array(sizes)[np.searchsorted(bounds[:-1], rng.random(steps), side="right")]
        position = np.zeros(steps, dtype=np.int64)
        for n in sizes:
            position[of_step == n] = np.arange((of_step == n).sum())
        return of_step, position

    def _stops(self, late: bool) -> bool:
        """Whether to stop now, on which all processes agree."""
        wanted = self._stop or late
        if self.processes == 1:
            return wanted
        votes = self.accelerator.reduce(torch.tensor(float(wanted), device=self.device))
        return bool(votes > 0)

    def _write_weights(self) -> None:
        network = self.ema.module
        sizes = sizes_of(self.config.family, self.settings)
        metadata = ModelMetadata(
            name=self.run.resolve().name,
            family=self.config.family,
            settings=settings_of(network),
            sizes=sizes,
            temperatures=dict.fromkeys(sizes, 1.0),
            training_commit=self.config.commit,
        )
        partial = self.run / f"{WEIGHTS}.partial"
        write_network(network, metadata, partial)
        partial.replace(self.run / WEIGHTS)


def make_accelerator(config: TrainConfig) -> Accelerator:
    """What the run is on: the processes that ``accelerate launch`` has started, or this one.

    Raises:
        UsageError: if the config asks for a GPU that is not there, or a precision it has not.
    """
    from datetime import timedelta

    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch sees no GPU here; leave out --device cuda")
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if config.precision == "fp16" and on_cpu:
        raise UsageError("fp16 is for GPUs; take --precision bf16 or fp32 on a CPU")
    # The other processes wait while the first one decodes the videos.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=24))
    # accelerate keeps its first settings for good, where a second run in this process may have others.
    AcceleratorState._reset_state(reset_partial_state="WORLD_SIZE" not in os.environ)
    precision = "no" if config.precision == "fp32" else config.precision
    try:
        return Accelerator(mixed_precision=precision, cpu=on_cpu, kwargs_handlers=[patience])
    except ValueError as error:  # bf16 on a GPU without it
        raise UsageError(f"--precision {config.precision}: {error}") from error


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """SGD on all weights, as in the paper; or AdamW, which decays matrices and kernels only."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), config.learning_rate, config.momentum, weight_decay=config.weight_decay
        )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim > 1]},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay)


def network_settings(config: TrainConfig) -> dict[str, object]:
    """Settings of the network, with n where a network serves one n only.

    Raises:
        UsageError: if the network has no such settings, or does not take the sets of the config.
    """
    settings = scaled(config.family, config.network)
    if FAMILIES[config.family].sizes is None:
        if len(config.seq_len) > 1:
            raise UsageError(f"{config.backbone} has one set size; give one --seq-len, for example --seq-len 4")
        settings = {"seq_len": config.seq_len[0], **settings}
    try:
        sizes = sizes_of(config.family, settings)
        with torch.device("meta"):
            build_network(config.family, **settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{config.backbone}: {error}") from error
    if not set(config.seq_len) <= set(sizes):
        raise UsageError(f"{config.backbone} takes sets of {sizes}, seq_len is {list(config.seq_len)}")
    return settings


def _batches(frames: Indices, orders: Indices) -> Iterator[tuple[Indices, Indices]]:
    for start in range(0, len(frames), VALIDATION_BATCH):
        yield frames[start : start + VALIDATION_BATCH], orders[start : start + VALIDATION_BATCH]
