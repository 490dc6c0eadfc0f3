"""``python -m imgorder.training CLIPS… --run DIR``: train on folders of clips, or go on with a run."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import subprocess
from dataclasses import fields
from pathlib import Path

from imgorder.training.checkpoint import read_config
from imgorder.training.clips import ClipStore, pack_clips
from imgorder.training.config import TrainConfig
from imgorder.training.trainer import Trainer


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m imgorder.training", description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, help="folders with a clips.csv and its videos")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--store", type=Path, help="where the decoded frames go (default: RUN/clips)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop and save after this long")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=JSON", help="fields of TrainConfig, for example steps=500"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    changes = {key: json.loads(value) for key, _, value in (item.partition("=") for item in arguments.set)}
    unknown = changes.keys() - {field.name for field in fields(TrainConfig)}
    if unknown:
        parser.error(f"--set knows no {', '.join(sorted(unknown))}")
    state = arguments.run / "state.safetensors"
    if state.exists() and not arguments.resume:
        parser.error(f"{arguments.run} holds a run already; go on with --resume, or name another folder")
    if state.exists():
        config = read_config(state)
        for key, value in changes.items():
            setattr(config, key, value)
        config.__post_init__()
    else:
        config = TrainConfig(**{"commit": current_commit(), **changes})

    folder = arguments.store or arguments.run / "clips"
    if (folder / "clips.json").exists():
        logging.info("using the clips decoded in %s before", folder)
        store = ClipStore(folder)
    else:
        store = pack_clips(arguments.clips, folder)
    trainer = Trainer(config, store, arguments.run)
    trainer.resume()
    # A step is finished before a run stops, so that a checkpoint never holds half of one.
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: trainer.request_stop()) for number in signals}
    try:
        trainer.train(arguments.minutes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def current_commit() -> str:
    """Commit of the checkout that this code runs from, or ``"unknown"``."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


if __name__ == "__main__":
    main()
