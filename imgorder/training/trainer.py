"""One run: sets, cross-entropy over the permutation classes, validation, checkpoint and resume."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from imgorder.errors import ImgorderError, UsageError
from imgorder.files import atomic_write
from imgorder.names import show
from imgorder.networks.families import build_network
from imgorder.networks.weights import write_network
from imgorder.training.batch_plan import BatchPlan, plan_batch, plan_held_out
from imgorder.training.build import (
    describe_network,
    freeze_parts,
    make_accelerator,
    make_average,
    make_optimizer,
    network_settings,
)
from imgorder.training.checkpoint import WEIGHTS, Progress, load_checkpoint, read_config, save_checkpoint
from imgorder.training.config import TrainConfig
from imgorder.training.metrics_log import MetricsLog
from imgorder.training.pixels import Pixels, apply_light, make_pixels, normalise, to_device
from imgorder.training.schedule import Schedule
from imgorder.training.sources import Source
from imgorder.training.store import Indices
from imgorder.training.sync_norm import synchronise_batch_norm
from imgorder.training.warm_start import take_weights

if TYPE_CHECKING:
    from accelerate import Accelerator

STATE = "state.safetensors"
VALIDATION_BATCH = 32
SEEDS = 2**63  # torch takes no larger ones

# fp16 leaves out steps whose gradient overflows; after so many in a row the run stops.
LOST_STEPS = 50


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
        settings = network_settings(config)
        torch.manual_seed(config.seed % SEEDS)
        network = build_network(config.family, **settings)
        self.taken = take_weights(network, config.init) if config.init and not (run / STATE).exists() else ""
        self.frozen = freeze_parts(network, config.frozen)
        network = network.to(self.device)
        if config.channels_last:
            network = network.to(memory_format=torch.channels_last)
        if self.processes > 1:
            network = synchronise_batch_norm(network, self.device)
        self.ema = AveragedModel(network, multi_avg_fn=make_average(config.ema), use_buffers=True)
        self.network = network
        self._optimizer = make_optimizer(config, network)
        self.model, self.optimizer = self.accelerator.prepare(network, self._optimizer)
        self._of_step, self._position = self._sizes_of_steps()
        self.schedule = Schedule(config, self.steps, self._optimizer)
        self.validation = source.validation()
        self.pixels: Pixels = make_pixels(source.store, self.device, config.frames_on)
        self._pending: list[_Pending] = []
        self._log: MetricsLog | None = None  # of the first process, while it trains
        self._speed = 0.0  # sets a second
        self._lost = 0
        self.stopped = False  # whether a stop was requested
        run.mkdir(parents=True, exist_ok=True)

    @property
    def weights(self) -> Path | None:
        """File for ``--model``; None before the first validation."""
        path = self.run / WEIGHTS
        return path if path.exists() else None

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return len(self._of_step)

    @property
    def validate_every(self) -> int:
        """Steps from one validation to the next; where the config does not say an epoch, or a 30th of the run."""
        return self.config.validate_every or self._epoch or max(1, self.steps // 30)

    def resume(self) -> None:
        """Go on from the run's last checkpoint.

        Raises:
            ImgorderError: if there is none, or it cannot be read.
            UsageError: if it was made by another number of processes, or has gone further than the run's steps.
        """
        state = self.run / STATE
        self.progress = load_checkpoint(state, self.network, self.ema, self._optimizer)
        before = read_config(state)
        figures = (before.validation_sets, before.validation_spacings)
        if figures != (self.config.validation_sets, self.config.validation_spacings):
            self.progress.best_loss = None  # of other sets, so that no loss from here on compares with it
        done, processes = self.progress.step, self.progress.processes
        if processes != self.processes:
            raise UsageError(f"{show(state)}: made by {processes} processes, not {self.processes}; start as many")
        if done > self.steps:
            raise UsageError(f"{show(state)}: {done} steps are done, more than the {self.steps} asked for")
        self.schedule.load(self.progress.schedule)
        if self.accelerator.scaler is not None and self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)

    def save(self) -> None:
        """Write the run's checkpoint."""
        self._settle()
        self.progress.schedule = self.schedule.state()
        self.progress.processes = self.processes
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        if self.accelerator.is_main_process:
            save_checkpoint(self.run / STATE, self.config, self.progress, self.network, self.ema, self._optimizer)
            if not self.validation:
                self.progress.best_step = self.progress.step
                self._write_weights()
        self.accelerator.wait_for_everyone()

    def request_stop(self) -> None:
        """Make `train` save and return after the step in progress; safe to call from a signal handler."""
        self.stopped = True

    def train(self, minutes: float = float("inf")) -> bool:
        """Train to the end, until the time is up or a stop is requested; saves when it returns.

        Returns:
            whether the run has come to its end.

        Raises:
            ImgorderError: if the loss or the gradient is not finite, or memory runs out; the last
                checkpoint stays as it is.
        """
        config, started = self.config, time.monotonic()
        sets, beside = 0, 0.0  # sets seen by all processes; seconds of validation, which are not training
        if self.finished:
            return True
        if self.accelerator.is_main_process:
            self._log = MetricsLog(self.run, self.progress.step, self.steps, config.tensorboard)
        try:
            for plan in self._plans():
                with self._out_of_memory_named(plan[0]):
                    self._step(*plan)
                done = self.progress.step
                sets += self.processes * len(plan[0].target)
                self._speed = sets / (time.monotonic() - started - beside)
                if done % 10 == 0 or self.device.type == "cpu":
                    self._settle()
                if done % self.validate_every == 0 or done == self.steps:
                    before = time.monotonic()
                    self._validate()
                    beside += time.monotonic() - before
                if done % config.save_every == 0:
                    self.save()
                if self.schedule.finished or self._stops(time.monotonic() - started > 60 * minutes):
                    break
            self.save()
        finally:
            if self._log:
                self._log.close()
            self._log = None
        return self.finished

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.progress.step >= self.steps or self.schedule.finished

    def summary(self) -> str:
        """The run in a line, for people."""
        sizes = ", ".join(map(str, sorted(self.config.seq_len)))
        samples = sum(self.source.samples(n) or 0 for n in self.config.seq_len)
        endless = f"sets of {sizes} drawn from clips"
        parts = [f"{samples} samples of {sizes} images an epoch" if samples else endless]
        parts.append(f"{sum(map(len, self.validation.values()))} sets held out")
        if self.config.held_out_groups:
            groups = self.config.held_out_groups
            named = ", ".join(map(show, groups[:5])) + (" …" if len(groups) > 5 else "")
            parts[-1] += f" (groups {named})"
        left = self.steps - self.progress.step
        parts.append(f"{left} of {self.steps} steps to go" if self.progress.step else f"{self.steps} steps")
        precision = self.accelerator.mixed_precision.replace("no", "fp32")
        parts.append(f"{self.config.backbone} on {self.device} in {precision}")
        return "; ".join(parts)

    def validate(self) -> tuple[float, dict[str, float]]:
        """Mean loss over all held-out sets, and exact match in percent for each figure."""
        self.ema.eval()
        loss_sum, sets, scores = 0.0, 0, {}
        for name, frames in self.validation.items():
            mine = slice(self.accelerator.process_index, None, self.processes)
            totals = torch.zeros(2, device=self.device, dtype=torch.float64)
            spec = self.config.preprocessing
            for plan in plan_held_out(self.source.store, frames, spec, VALIDATION_BATCH, mine):
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

    def _validate(self) -> None:
        self._settle()
        progress = self.progress
        seen, loss, hits = progress.seen
        row = {
            "step": float(progress.step),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "loss": round(loss / max(1, seen), 6),
            "accuracy": round(100 * hits / max(1, seen), 2),
            "sets_per_second": round(self._speed, 1),
        }
        progress.seen = (0, 0.0, 0)
        if self.validation:
            with self._out_of_memory_named():
                val_loss, scores = self.validate()
            if not np.isfinite(val_loss):
                cure = self._cure("lower --lr")
                raise ImgorderError(f"the validation loss is {val_loss} after step {progress.step}; {cure}")
            row |= {"val_loss": round(val_loss, 6), **{f"val_{name}": score for name, score in scores.items()}}
            if progress.best_loss is None or val_loss < progress.best_loss:
                progress.best_loss, progress.best_step = val_loss, progress.step
                if self.accelerator.is_main_process:
                    self._write_weights()
        self.schedule.after_validation(row.get("val_loss", row["loss"]))
        if self._log:
            self._log.validated(row)

    @contextmanager
    def _out_of_memory_named(self, plan: BatchPlan | None = None) -> Iterator[None]:
        """Say which flags to lower where memory runs out, in whatever way a device or library says so."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
            known = isinstance(error, MemoryError | torch.OutOfMemoryError)
            if not known and not any(words in str(error) for words in ("allocate memory", "ALLOC_FAILED")):
                raise
            sets = f" with {plan.frames.shape[0]} sets of {plan.frames.shape[1]}" if plan else ""
            raise ImgorderError(
                f"out of memory at step {self.progress.step}{sets} on {self.device}; lower --batch-size or --width, "
                "or keep the frames off the device with --set frames_on=host"
            ) from error

    def _step(self, plan: BatchPlan, images: Tensor) -> None:
        rate_step = self.progress.step
        self.schedule.before(rate_step)
        self.model.train()
        for part in self.frozen:
            part.eval()  # nor do the averages of its normalisation change
        # Dropout, alike after a resume and unlike in each process.
        seed = (self.config.seed * 1_000_003 + rate_step) * self.processes + self.accelerator.process_index
        torch.manual_seed(seed % SEEDS)
        target = to_device(plan.target, self.device)
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

    def _settle(self) -> None:
        """Fetch the figures of the last steps and check them; at once on a CPU, seldom on a GPU, which waits then."""
        if not self._pending:
            return
        losses = torch.stack([each.loss for each in self._pending])
        hits = torch.stack([each.hits for each in self._pending]).double()
        if self.processes > 1:
            losses, hits = (self.accelerator.reduce(each) for each in (losses, hits))
            losses = losses / self.processes
        for each, loss, right in zip(self._pending, losses.tolist(), hits.tolist(), strict=True):
            bad_gradient = not torch.isfinite(each.norm)
            self._lost = self._lost + 1 if bad_gradient else 0
            if self.accelerator.scaler is not None:
                bad_gradient = self._lost >= LOST_STEPS
            if bad_gradient or not np.isfinite(loss):
                value = each.norm.item() if np.isfinite(loss) else loss
                what = "gradient" if np.isfinite(loss) else "loss"
                cure = self._cure("lower --lr, or raise warmup")
                raise ImgorderError(f"the {what} is {value} at step {each.step}; {cure}")
            sets = each.sets * self.processes
            seen, loss_sum, hit_sum = self.progress.seen
            self.progress.seen = (seen + sets, loss_sum + sets * loss, hit_sum + int(right))
            if self._log:
                rate = self._optimizer.param_groups[0]["lr"]
                self._log.step(each.step + 1, loss, 100 * right / sets, rate, self._speed)
        self._pending.clear()

    def _cure(self, otherwise: str) -> str:
        """What to do about a loss that is not finite.

        Half precision ends at 65,504, and what is accumulated over the images of a set can pass that.
        """
        return "take --precision bf16 or fp32" if self.accelerator.mixed_precision == "fp16" else otherwise

    def _images(self, plan: BatchPlan, images: Tensor) -> Tensor:
        return normalise(apply_light(images, plan))

    def _plans(self) -> Iterator[tuple[BatchPlan, Tensor]]:
        """This process's sets of each remaining step, prepared one step ahead in a thread."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._prepare, self.progress.step)
            for step in range(self.progress.step, self.steps):
                with self._out_of_memory_named():
                    ready = ahead.result()
                if step + 1 < self.steps:
                    ahead = pool.submit(self._prepare, step + 1)
                yield ready

    def _prepare(self, step: int) -> tuple[BatchPlan, Tensor]:
        plan = self.plan(step).rows(self.accelerator.process_index, self.processes)
        return plan, self.pixels(plan)

    def plan(self, step: int) -> BatchPlan:
        """The sets of all processes in a step; the seed and the step decide."""
        n = int(self._of_step[step])
        rng = np.random.default_rng((self.config.seed, step))
        count = self.config.sets_a_step(n) * self.processes
        drawn = self.source.draw(rng, n, int(self._position[step]) * count, count)
        store, first = self.source.store, drawn.frames[:, 0]
        return plan_batch(rng, self.config, drawn, store.height[first], store.width[first])

    def _sizes_of_steps(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """n of every step, and how many steps had that n before it."""
        config = self.config
        sizes = sorted(config.seq_len)
        if config.steps:
            # Drawn one by one: the first steps stay the same when a run is prolonged.
            bounds = np.cumsum([config.shares.get(n, 1.0) for n in sizes])
            drawn = np.random.default_rng((config.seed, len(sizes))).random(config.steps)
            of_step: Indices = np.array(sizes)[np.searchsorted(bounds[:-1] / bounds[-1], drawn, side="right")]
        else:
            if config.shares:
                raise UsageError("shares are of the steps, and epochs show all sets alike; give steps as well")
            of_epoch = np.repeat(sizes, [self._steps_an_epoch(n) for n in sizes])
            epochs = range(config.epochs)
            of_step = np.concatenate([np.random.default_rng((config.seed, e)).permutation(of_epoch) for e in epochs])
        position = np.zeros(len(of_step), dtype=np.int64)
        for n in sizes:
            position[of_step == n] = np.arange((of_step == n).sum())
        return of_step, position

    @property
    def _epoch(self) -> int:
        """Steps of an epoch; 0 where there is none."""
        return sum(self._steps_an_epoch(n) for n in self.config.seq_len)

    def _steps_an_epoch(self, n: int) -> int:
        return ceil((self.source.samples(n) or 0) / (self.config.sets_a_step(n) * int(self.processes)))

    def _stops(self, late: bool) -> bool:
        """Whether to stop now, on which all processes agree."""
        wanted = self.stopped or late
        if self.processes == 1:
            return wanted
        if self.device.type != "cpu" and self.progress.step % 10:
            return False  # a vote waits for the GPU
        votes = self.accelerator.reduce(torch.tensor(float(wanted), device=self.device))
        return bool(votes > 0)

    def _write_weights(self) -> None:
        network = self.ema.module
        metadata = describe_network(self.config, network, show(self.run.resolve().name))
        with atomic_write(self.run / WEIGHTS) as partial:
            write_network(network, metadata, partial)
