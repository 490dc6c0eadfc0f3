"""Runs pieces of work in several processes of this machine, with few of them in memory, and gives them in order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Protocol

from imgorder.library import use_one_thread
from imgorder.library.jobs import Done, Job

_PATIENCE = 5  # seconds for a process to end
_AHEAD = 4  # pieces for each process that are begun before the first of them is given


class Engine(Protocol):
    """What runs pieces of work."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """The outcome of each, in the order of the pieces; what is done already is not done again."""


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine.

    Attributes:
        workers: how many; all cores if None.
    """

    workers: int | None = None

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """See `Engine`. A process that dies costs no more than the photo at which it dies."""
        workers = self.workers or os.cpu_count() or 1
        waiting: deque[_Piece] = deque()
        held: _Piece | None = None  # the first one: if no other follows, it is not worth a process
        with _Pool(workers) as pool:
            for job in jobs:
                piece = _Piece(job, job.done())
                waiting.append(piece)
                if piece.done is None:
                    if workers == 1:
                        piece.done = job.run()
                    elif held is None and not pool.started:
                        held = piece
                    else:
                        for each in filter(None, (held, piece)):
                            pool.submit(each)
                        held = None
                while waiting and waiting[0] is not held and (waiting[0].ready or len(waiting) > _AHEAD * workers):
                    yield pool.settle(waiting)
            while waiting:
                if waiting[0] is held:
                    held.done = held.job.run()
                yield pool.settle(waiting)


@dataclass
class _Piece:
    job: Job
    done: Done | None
    future: Future[Done] | None = None

    @property
    def ready(self) -> bool:
        return self.done is not None or (self.future is not None and self.future.done())


class _Pool:
    """Processes that are started when the first piece comes, and again when one of them has died."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    @property
    def started(self) -> bool:
        return self._executor is not None

    def submit(self, piece: _Piece) -> None:
        self._executor = self._executor or _start(self._workers)
        try:
            piece.future = self._executor.submit(piece.job.run)
        except BrokenProcessPool:  # those that were under way will find it out
            _end(self._executor)
            self._executor = _start(self._workers)
            piece.future = self._executor.submit(piece.job.run)

    def settle(self, waiting: deque[_Piece]) -> Done:
        """The outcome of the first piece that waits, and away with it."""
        piece = waiting.popleft()
        if piece.done is None:
            assert piece.future is not None
            try:
                return piece.future.result()
            except BrokenProcessPool:
                # Nobody knows at which piece the process died: this one is done with care, the others once more.
                for other in waiting:
                    if other.future is not None and other.future.done() and other.future.exception() is not None:
                        self.submit(other)
                return run_with_care(piece.job)
        return piece.done

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            _end(self._executor)


def run_with_care(job: Job) -> Done:
    """Run a piece in a process of its own; if that dies, find the items at which it does, and leave these out."""
    done = _try_alone(job.run)
    if done is None:
        deadly = [item for item in range(job.size) if _try_alone(job.probe, item) is None]
        done = _try_alone(job.run, deadly)
    return done or Done("", job.size, ("a process that worked on this was killed again and again; run it once more",))


def _try_alone(function: Callable[..., Done | None], *arguments: object) -> Done | None:
    """What a call gives in a process of its own; None if that dies."""
    executor = _start(1)
    try:
        return executor.submit(function, *arguments).result() or Done("", 0)
    except BrokenProcessPool:
        return None
    finally:
        _end(executor)


def _start(workers: int) -> ProcessPoolExecutor:
    use_one_thread()
    # Not fork: libraries with threads of their own do not bear it.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)


def _end(executor: ProcessPoolExecutor) -> None:
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()  # whatever it does, a part is written whole or not at all
    for process in processes:
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()


def _begin() -> None:
    """As a worker starts: Ctrl-C is the parent's, and without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
