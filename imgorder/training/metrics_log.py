"""What a run reports: a bar on a terminal, a line at each validation, a CSV file, a TensorBoard log."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError
from imgorder.files import atomic_write


class MetricsLog:
    """Kept by the first process of a run.

    Args:
        run: folder of the run; gets ``metrics.csv`` and ``tensorboard/``.
        done, steps: of the whole run. Rows of later steps, which an interrupted part
            of the run has left, are removed.
        tensorboard: whether to write its log.
    """

    def __init__(self, run: Path, done: int, steps: int, tensorboard: bool) -> None:
        self._csv = run / "metrics.csv"
        self._board: Any = _summary_writer(run / "tensorboard", done) if tensorboard else None
        self._bar: Any = None
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar, self._task = _bar(done, steps)
        self._remove_rows_after(done)

    def step(self, step: int, loss: float, accuracy: float, rate: float, sets_per_second: float) -> None:
        """After a step: accuracy in percent, the learning rate, and the sets of all processes a second."""
        if self._board is not None:
            figures = {"loss": loss, "accuracy": accuracy, "learning_rate": rate, "sets_per_second": sets_per_second}
            for name, value in figures.items():
                self._board.add_scalar(f"train/{name}", value, step)
        if self._bar is not None:
            said = f"loss {loss:.3f}  right {accuracy:.1f} %  {sets_per_second:.0f} sets/s"
            self._bar.update(self._task, completed=step, said=said)

    def validated(self, row: dict[str, float]) -> None:
        """A line of figures at a validation; ``row["step"]`` says when."""
        line = "  ".join(f"{name} {value:g}" for name, value in row.items())
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        elif sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)
        if self._board is not None:
            for name, value in row.items():
                if name.startswith("val_") and math.isfinite(value):
                    self._board.add_scalar(f"validation/{name.removeprefix('val_')}", value, int(row["step"]))
            self._board.flush()
        self._append(row)

    def close(self) -> None:
        """Take the bar away and close the log."""
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()

    def _remove_rows_after(self, done: int) -> None:
        if not self._csv.exists():
            return
        header, *rows = self._csv.read_text("utf-8").splitlines() or [""]
        if not header:  # a kill or a full disk left an empty file
            self._csv.unlink()
            return
        kept = [row for row in rows if float(row.partition(",")[0] or "inf") <= done]
        if len(kept) < len(rows):
            with atomic_write(self._csv) as partial:
                partial.write_text("".join(f"{line}\n" for line in [header, *kept]), "utf-8")

    def _append(self, row: dict[str, float]) -> None:
        header = ",".join(row)
        if self._csv.exists() and self._csv.read_text("utf-8").partition("\n")[0] != header:
            # Other validation figures from here on.
            self._csv.replace(self._csv.with_name(f"metrics-until-{int(row['step'])}.csv"))
        new = not self._csv.exists()
        with self._csv.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)


def _summary_writer(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImgorderError("no TensorBoard here; pip install tensorboard, or give --no-tensorboard") from error
    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)  # type: ignore[no-untyped-call]


def _bar(done: int, steps: int) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("training", total=steps, completed=done, said="")
    bar.start()
    return bar, task
