"""Pieces of work for tests of engines: they note what was run, and some of them kill their process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgorder.library.jobs import Done


@dataclass(frozen=True)
class NotedJob:
    """A piece whose items are numbers; its part is a file with their names.

    Attributes:
        folder: where parts and notes are.
        items: its items.
        deadly: those at which the process dies, always.
        once: whether the process is killed at the first try.
        slow: seconds that it takes.
    """

    folder: Path
    items: tuple[int, ...]
    deadly: tuple[int, ...] = ()
    once: bool = False
    slow: float = 0.0

    @property
    def size(self) -> int:
        return len(self.items)

    @property
    def name(self) -> str:
        return "part-" + "-".join(map(str, self.items))

    def done(self) -> Done | None:
        return Done(self.name, self.size, kept=self.size) if (self.folder / self.name).exists() else None

    def run(self, deadly: Sequence[int] = ()) -> Done:
        note = self.folder / f"begun-{self.name}"
        if self.once and not note.exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.slow)
        for place in range(self.size):
            if place not in deadly:
                self.probe(place)
        left = [item for place, item in enumerate(self.items) if place not in deadly]
        (self.folder / self.name).write_text(f"{left}\n")
        return Done(self.name, self.size, tuple(f"{self.items[place]} is deadly" for place in deadly))

    def probe(self, item: int) -> None:
        if self.items[item] in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
