"""From data and settings to a trained network: what `imgorder train` does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from imgorder.datasets.manifest import Progress
from imgorder.errors import ImgorderError, UsageError
from imgorder.fields import as_record
from imgorder.files import atomic_write, make_folder
from imgorder.inference.cards import known_card
from imgorder.media.preprocess import DEFAULT
from imgorder.names import show
from imgorder.training.build import make_accelerator, network_settings
from imgorder.training.checkpoint import read_config
from imgorder.training.config import TrainConfig, make_config
from imgorder.training.packing import Data, find_data, open_store
from imgorder.training.sources import make_source, need_steps
from imgorder.training.trainer import STATE, Trainer
from imgorder.training.warm_start import check_weights

CONFIG = "config.toml"
# What a run keeps: its state, or the place in its order of samples, would mean something else.
KEPT = (
    "recipe",
    "backbone",
    "network",
    "seq_len",
    "data",
    "shares",
    "validation_fraction",
    "held_out_groups",
    "split_seed",
    "permutations",
    "seed",
    "shorter_edge",
    "image_size",
    "squeeze",
    "batch_size",
    "optimizer",
)
FRAMES = "frames"


def train_network(
    run: Path,
    changes: Sequence[Mapping[str, Any]],
    *,
    resume: bool = False,
    frames: Path | None = None,
    minutes: float = float("inf"),
    workers: int | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] = print,
    say: Callable[[str], None] = print,
) -> Trainer:
    """Train, or go on with a run.

    Args:
        run: its folder.
        changes: settings that differ from the recipe, later ones winning; on a resume, from those of the run.
        resume: go on after the run's last checkpoint.
        frames: folder of the decoded frames; ``run/frames`` if not given.
        minutes: stop and save after so long.
        workers: threads that decode.
        progress, warn, say: called with the decoding's progress, with what is left out, and with what comes next.

    Returns:
        The trainer, when it has come to its end or was stopped.

    Raises:
        ImgorderError: for data that cannot be read, a run that exists or does not exist, a loss that is not
            finite, or too little memory.
        UsageError: for settings that do not fit.
    """
    config = _settings(run, changes, resume)
    data = find_data([Path(name) for name in config.data])
    if resume and config.sets and config.sets != data.sets:
        raise UsageError("data cannot change on --resume, and the manifests have other sets or another split now")
    config = replace(config, sets=data.sets)
    _check(config, data)
    if config.init and not resume:
        check_weights(config)
    accelerator = make_accelerator(config)
    if config.shorter_edge > DEFAULT.shorter_edge and accelerator.is_main_process:
        warn(f"frames are stored at a shorter edge of {DEFAULT.shorter_edge} px; shorter_edge enlarges them")
    make_folder(run)
    folder = frames or run / FRAMES
    if not (folder / "clips.json").exists() and accelerator.is_main_process:
        say(f"decoding {len(data.jobs)} clips into {show(folder)}")
    # One process decodes, the others find it done.
    with accelerator.main_process_first():
        progress = progress if accelerator.is_main_process else None
        try:
            store = open_store(data, folder, workers or os.cpu_count() or 1, progress, warn)
        except OSError as error:
            raise ImgorderError(f"{show(folder)}: frames cannot be written ({error.strerror}); try --frames") from error
    trainer = Trainer(config, make_source(config, data, store, resume), run, accelerator)
    if resume:
        trainer.resume()
    if accelerator.is_main_process:
        with atomic_write(run / CONFIG) as partial:
            partial.write_text(tomli_w.dumps(as_record(config)), "utf-8")
        if trainer.taken:
            say(f"beginning with {trainer.taken}")
        say(trainer.summary())
        if not trainer.validation:
            warn(
                "nothing is held out for validation, so the last weights are kept; data of two groups or more allow it"
            )
    with _finishing_the_step(trainer):
        trainer.train(minutes)
    accelerator.end_training()
    return trainer


def _settings(run: Path, changes: Sequence[Mapping[str, Any]], resume: bool) -> TrainConfig:
    state = run / STATE
    if resume:
        if not state.exists():
            raise ImgorderError(f"{show(run)}: holds no run to go on with; leave out --resume")
        before = read_config(state)
        config = _absolute(make_config(as_record(before), *changes))
        for name in KEPT:
            if getattr(config, name) != getattr(before, name):
                raise UsageError(f"{name} cannot change on --resume; begin another run with another --out")
        if len(config.seq_len) > 1 and bool(config.steps) != bool(before.steps):
            # The sizes of the steps are drawn in another way, and so is which sets have been seen.
            raise UsageError("a run of several set sizes cannot change between epochs and steps on --resume")
        return config
    if state.exists():
        raise UsageError(f"{show(run)}: holds a run already; go on with --resume, or name another --out")
    config = make_config(*changes)
    if not config.data:
        raise UsageError("nothing to train on; give manifests, or folders of videos")
    return replace(_absolute(config), commit=current_commit())


def _absolute(config: TrainConfig) -> TrainConfig:
    init = config.init
    if init and os.path.exists(init) and not known_card(init):  # the name of a model wins over a file of that name
        init = os.path.abspath(init)
    return replace(config, data=tuple(os.path.abspath(name) for name in config.data), init=init)


def _check(config: TrainConfig, data: Data) -> None:
    """Find what does not fit before hours of decoding.

    Raises:
        UsageError: if the settings do not fit the network or the data.
    """
    network_settings(config)
    if not data.entries:
        need_steps(config)
        return
    for n in sorted(set(config.seq_len) - data.sizes):
        sizes = ",".join(map(str, sorted(data.sizes)))
        raise UsageError(f"no manifest has sets of {n}; give one, or --seq-len {sizes}, of which there are")
    for n in sorted(data.sizes - set(config.seq_len)):
        raise UsageError(f"a manifest has sets of {n}, which --seq-len leaves out; leave the manifest out as well")


@contextmanager
def _finishing_the_step(trainer: Trainer) -> Iterator[None]:
    """On Ctrl-C or a request to end, the step in progress is finished and the run saved; a second one ends at once."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(number: int, _: object) -> None:
        trainer.request_stop()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def current_commit() -> str:
    """Commit of the checkout that this code runs from, or ``"unknown"``."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # fails where another repository holds an installed copy
        return git("rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        return "unknown"
