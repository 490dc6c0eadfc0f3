"""Runs pieces of work as tasks of Ray, on one machine or many; the part files are those of the local engine.

All machines have to see the photos and the folder of the parts under the same paths.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from imgorder.errors import ImgorderError
from imgorder.library import use_one_thread
from imgorder.library.engine import run_with_care
from imgorder.library.jobs import Done, Job
from imgorder.names import first_line

_AHEAD = 4  # pieces for each CPU that are begun before the first of them is given
_RETRIES = 3  # of a piece whose worker died; what dies again and again is then done with care, here


@dataclass(frozen=True)
class RayEngine:
    """Tasks of Ray: of the cluster that ``RAY_ADDRESS`` names, or of one that is started here.

    Attributes:
        workers: CPUs of a cluster that is started here; all if None.
        gpus: what each task asks for; may be a part of one.
    """

    workers: int | None = None
    gpus: float = 0.0

    def run(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """See `Engine`."""
        ray = _import_ray()
        if not ray.is_initialized():
            _start(ray, self.workers)  # Ray ends it with this process
        task = ray.remote(_run).options(num_cpus=1, num_gpus=self.gpus, max_retries=_RETRIES)
        most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[tuple[Job, Any]] = deque()
        for job in jobs:
            done = job.done()
            waiting.append((job, done if done is not None else task.remote(job)))
            while waiting and (isinstance(waiting[0][1], Done) or len(waiting) > most):
                yield _settle(ray, *waiting.popleft())
        while waiting:
            yield _settle(ray, *waiting.popleft())


def _run(job: Job) -> Done:
    return job.run()


def _settle(ray: Any, job: Job, outcome: Any) -> Done:
    if isinstance(outcome, Done):
        return outcome
    try:
        done = ray.get(outcome)
        assert isinstance(done, Done)
        return done
    except ray.exceptions.WorkerCrashedError:
        return run_with_care(job)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImgorderError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise ImgorderError(f"Ray could not run a piece of work ({first_line(error)}); run this again") from error


def _start(ray: Any, workers: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error", "configure_logging": True}
    use_one_thread()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    except Exception as error:  # whatever Ray raises where it does not start
        raise ImgorderError(
            f"Ray does not start ({first_line(error)}); check the cluster, or leave --engine out"
        ) from error


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImgorderError("--engine ray needs Ray; run: pip install 'imgorder[ray]'") from error
    return ray
