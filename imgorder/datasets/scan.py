"""Sets from many videos by their flow, which is measured in several processes, and resumable.

Every result is appended to a progress file as soon as it is there. A line holds a video's name, size
and modification time, the settings, and what was measured; a video with an equal line is not decoded
again. Videos that cannot be read get no line and are tried again the next time.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from imgorder.datasets.flow import FLOW_SIDE, UNIT_SIDE, ClipFlow, find_moving_windows, measure_flow
from imgorder.datasets.manifest import DataSet, Progress, SeqLen, SetEntry, Skipped, make_even_set
from imgorder.errors import ImgorderError
from imgorder.media.video import VideoError, opencv
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES


@dataclass(frozen=True)
class Scan:
    """How videos are read, and how much has to move in a set of their frames.

    Attributes:
        progress_file: results of this and earlier runs; created where it is missing.
        spacings: distances between neighbours in frames.
        min_flow: least mean flow between neighbours, in px at a shorter side of 240.
        workers: processes. The result does not depend on their number.
        progress: called after every video.
    """

    progress_file: Path
    spacings: Sequence[int]
    min_flow: float = 1.0
    workers: int = 1
    progress: Progress | None = None


def build_moving(
    name: str,
    root: Path,
    groups: Mapping[str, str],
    skipped: Iterable[Skipped],
    scan: Scan,
    windows: Mapping[SeqLen, tuple[int, int]],
    held_out: tuple[str, set[str]],
    seed: int,
) -> DataSet:
    """Evenly spaced sets of the windows of videos in which enough moves; all that is not held out is for training.

    Args:
        name: of the data set.
        root: folder of the videos.
        groups: video, relative to the root -> group.
        skipped: what was left out already.
        scan: how the videos are read.
        windows: for each number of images n, the frames of a window, and the place of the set's first frame in it,
            in spacings. A set that the video does not reach is left out. For None the whole video is the set.
        held_out: the other side of the split, and its groups.
        seed: of the split.

    Raises:
        ImgorderError: as `scan_videos`.
    """
    flows, failed = scan_videos(root, list(groups), scan)

    def make_sets(n: SeqLen) -> Iterator[SetEntry]:
        window, first = windows[n]
        for video, flow in flows.items():
            side = held_out[0] if groups[video] in held_out[1] else "train"
            for spacing in scan.spacings:
                length = n or (flow.frames - 1) // spacing + 1
                begins = find_moving_windows(flow, window, spacing, scan.min_flow) if n else [0]
                for begin in begins:
                    start = begin + first * spacing
                    if length >= SIZES[0] and start >= 0 and start + (length - 1) * spacing < flow.frames:
                        mean = flow.mean(start, length, spacing)
                        if n or mean >= scan.min_flow:
                            yield make_even_set(video, start, length, spacing, side, groups[video], mean)

    left_out = sorted((*skipped, *failed), key=lambda each: natural_key(each.name))
    return DataSet.make(name, root, windows, make_sets, len(flows), left_out, seed)


def scan_videos(root: Path, names: Sequence[str], scan: Scan) -> tuple[dict[str, ClipFlow], list[Skipped]]:
    """Measure the flow of videos.

    Returns:
        The flow of each video that could be read, by name in the order of ``names``; and the others.

    Raises:
        ImgorderError: if OpenCV is missing, the progress file cannot be written, or a process dies.
    """
    opencv()
    spacings = tuple(sorted(set(scan.spacings)))
    keys = {name: _key(name, root / name, spacings) for name in names}
    known = _read_progress(scan.progress_file)
    found: dict[str, ClipFlow | str] = {name: known[keys[name]] for name in names if keys[name] in known}
    waiting = {name: root / name for name in names if name not in found}
    if scan.progress is not None:
        scan.progress(len(found), len(names))
    if waiting:
        with _open_progress(scan.progress_file) as out:
            for name, result in _measure_all(waiting, spacings, scan.workers):
                found[name] = result
                if isinstance(result, ClipFlow):
                    try:
                        out.write(_line(keys[name], result))
                        out.flush()
                    except OSError as error:
                        raise _not_written(scan.progress_file, error) from error
                if scan.progress is not None:
                    scan.progress(len(found), len(names))
    results = [(name, found[name]) for name in names]
    flows = {name: result for name, result in results if isinstance(result, ClipFlow)}
    return flows, [Skipped(name, result) for name, result in results if isinstance(result, str)]


def _measure_all(
    paths: Mapping[str, Path], spacings: tuple[int, ...], workers: int
) -> Iterator[tuple[str, ClipFlow | str]]:
    if workers <= 1 or len(paths) == 1:
        for name, path in paths.items():
            yield name, _measure(path, spacings)
        return
    # Fresh processes: a fork would copy OpenCV's locks in whatever state they are.
    pool = ProcessPoolExecutor(min(workers, len(paths)), get_context("spawn"), initializer=_leave_interrupts_to_parent)
    try:
        names = {pool.submit(_measure, path, spacings): name for name, path in paths.items()}
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


def _measure(path: Path, spacings: tuple[int, ...]) -> ClipFlow | str:
    """The flow, or why it cannot be measured."""
    try:
        return measure_flow(path, spacings)
    except VideoError as error:
        return error.reason
    except Exception as error:  # one odd video must not cost the work on all others
        return " ".join(str(error).split()) or type(error).__name__


def _key(name: str, path: Path, spacings: tuple[int, ...]) -> str:
    try:
        stat = path.stat()
        size, mtime = stat.st_size, stat.st_mtime_ns
    except OSError:  # `measure_flow` reports it
        size, mtime = -1, -1
    settings = {"spacings": spacings, "flow": "dis-ultrafast", "side": FLOW_SIDE, "unit": UNIT_SIDE}
    return json.dumps({"video": name, "size": size, "mtime_ns": mtime, "settings": settings})


def _line(key: str, flow: ClipFlow) -> str:
    between = {str(spacing): values.tolist() for spacing, values in flow.between.items()}
    return json.dumps({"key": json.loads(key), "frames": flow.frames, "between": between}) + "\n"


def _flow_of(record: Mapping[str, Any]) -> ClipFlow:
    between = {int(spacing): np.array(values, dtype=np.float64) for spacing, values in record["between"].items()}
    return ClipFlow(int(record["frames"]), between)


def _read_progress(path: Path) -> dict[str, ClipFlow]:
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
            known[json.dumps(record["key"])] = _flow_of(record)
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
