"""The flow of many videos: in several processes, and resumable.

Every result is appended to a progress file as soon as it is there. A line holds a video's name, size
and modification time, the settings, and what was measured; a video with an equal line is not decoded
again. Videos that cannot be read get no line and are tried again the next time.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from imgorder.datasets.flow import FLOW_SIDE, UNIT_SIDE, ClipFlow, measure_flow
from imgorder.datasets.manifest import Progress, Skipped
from imgorder.errors import ImgorderError
from imgorder.media.video import VideoError, opencv
from imgorder.names import show


@dataclass(frozen=True)
class Scan:
    """The flow of each video that could be read, by name in the order asked for; and the others."""

    flows: dict[str, ClipFlow]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Job:
    name: str
    path: Path
    spacings: tuple[int, ...]


def scan_videos(
    root: Path,
    names: Sequence[str],
    spacings: Sequence[int],
    progress_file: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> Scan:
    """Measure the flow of videos.

    Args:
        root: folder of the videos.
        names: videos relative to the root.
        spacings: distances in frames to measure between.
        progress_file: results of this and earlier runs; created where it is missing.
        workers: processes. The result does not depend on their number.
        progress: called after every video.

    Raises:
        ImgorderError: if OpenCV is missing, the progress file cannot be written, or a process dies.
    """
    opencv()
    jobs = [_Job(name, root / name, tuple(sorted(set(spacings)))) for name in names]
    flows: dict[str, ClipFlow] = {}
    failed: dict[str, str] = {}
    known = _read_progress(progress_file)
    keys = {job.name: _key(job) for job in jobs}
    for job in jobs:
        record = known.get(keys[job.name])
        if record is not None:
            flows[job.name] = _flow_of(record)
    waiting = [job for job in jobs if job.name not in flows]
    done = len(flows)
    if progress is not None:
        progress(done, len(jobs))
    if waiting:
        with _open_progress(progress_file) as out:
            for name, result in _measure_all(waiting, workers):
                if isinstance(result, ClipFlow):
                    flows[name] = result
                    try:
                        out.write(_line(keys[name], result))
                        out.flush()
                    except OSError as error:
                        raise _not_written(progress_file, error) from error
                else:
                    failed[name] = result
                done += 1
                if progress is not None:
                    progress(done, len(jobs))
    skipped = tuple(Skipped(name, failed[name]) for name in names if name in failed)
    return Scan({name: flows[name] for name in names if name in flows}, skipped)


def _measure_all(jobs: Sequence[_Job], workers: int) -> Iterator[tuple[str, ClipFlow | str]]:
    if workers <= 1 or len(jobs) == 1:
        for job in jobs:
            yield job.name, _measure(job)
        return
    # Fresh processes: a fork would copy OpenCV's locks in whatever state they are.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), initializer=_leave_interrupts_to_parent)
    try:
        names = {pool.submit(_measure, job): job.name for job in jobs}
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool as error:
        raise ImgorderError(
            "a process that reads videos has died; run the same command again with --workers 1 to go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _measure(job: _Job) -> ClipFlow | str:
    """The flow, or why it cannot be measured."""
    try:
        return measure_flow(job.path, job.spacings)
    except VideoError as error:
        return error.reason
    except Exception as error:  # one odd video must not cost the work on all others
        return " ".join(str(error).split()) or type(error).__name__


def _key(job: _Job) -> str:
    try:
        stat = job.path.stat()
        size, mtime = stat.st_size, stat.st_mtime_ns
    except OSError:  # `measure_flow` reports it
        size, mtime = -1, -1
    settings = {"spacings": job.spacings, "flow": "dis-ultrafast", "side": FLOW_SIDE, "unit": UNIT_SIDE}
    return json.dumps({"video": job.name, "size": size, "mtime_ns": mtime, "settings": settings})


def _line(key: str, flow: ClipFlow) -> str:
    between = {str(spacing): values.tolist() for spacing, values in flow.between.items()}
    return json.dumps({"key": json.loads(key), "frames": flow.frames, "between": between}) + "\n"


def _flow_of(record: Mapping[str, Any]) -> ClipFlow:
    between = {int(spacing): np.array(values, dtype=np.float64) for spacing, values in record["between"].items()}
    return ClipFlow(int(record["frames"]), between)


def _read_progress(path: Path) -> dict[str, dict[str, Any]]:
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be read ({error.strerror}); check the output folder") from error
    known = {}
    for line in lines:
        try:
            record = json.loads(line)
            _flow_of(record)
            known[json.dumps(record["key"])] = record
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # cut off by an interrupt; its video is measured again
    return known


def _open_progress(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_off = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
        out = path.open("a", encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error) from error
    if cut_off:
        out.write("\n")
    return out


def _not_written(path: Path, error: OSError) -> ImgorderError:
    return ImgorderError(f"{show(path)}: cannot be written ({error.strerror}); choose another --out")


def default_workers() -> int:
    """One process for each core."""
    return os.cpu_count() or 1
