"""Videos and photos decoded into a `FrameStore`: whole clips from folders, chosen frames from manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from imgorder.datasets.frames import read_images
from imgorder.datasets.manifest import Manifest, Progress, SetEntry, read_manifest
from imgorder.datasets.videos import group_videos
from imgorder.errors import ImgorderError
from imgorder.files import orderly_end
from imgorder.media.preprocess import to_scaled
from imgorder.media.video import read_pictures
from imgorder.names import natural_key, show
from imgorder.permutations import SIZES, SIZES_TEXT
from imgorder.training.store import Frames, FrameStore, StoreWriter

# A longer video is cut here: it would fill the memory, and its windows would drown those of others.
LONGEST = 4000

# So many first bytes identify a file, together with its size.
BEGINNING = 2**16

# At most so many clips that are left out are named one by one.
COMPLAINTS = 20

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One clip to decode: all frames of a video, or the ``numbers`` of it."""

    path: Path
    name: str
    group: str
    numbers: tuple[int, ...] | None = None


@dataclass
class Data:
    """What a run trains on, as it was named.

    Attributes:
        sizes: set sizes of the manifests.
        entries: their sets, but those of the test split, each with the name of its clip in the store; empty for
            folders of videos.
        jobs: clips to decode, naturally sorted.
        left_out: messages about what is not used.
        source: digest that changes with the frames that are decoded.
        sets: digest that changes with the sets of manifests and their split as well; empty for folders of videos.
    """

    sizes: set[int] = field(default_factory=set)
    entries: list[SetEntry] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    source: str = ""
    sets: str = ""


def find_data(paths: Sequence[Path]) -> Data:
    """Look at manifests or folders of videos, without decoding anything.

    Raises:
        ImgorderError: if one cannot be read, has nothing to train on, or both kinds are given.
    """
    folders = [path for path in paths if path.is_dir()]
    if folders and len(folders) < len(paths):
        raise ImgorderError(f"{show(folders[0])}: a folder of videos and manifests do not go together; give one kind")
    return _from_folders(folders) if folders else _from_manifests(paths)


def open_store(
    data: Data, folder: Path, workers: int = 1, progress: Progress | None = None, warn: Warn = print
) -> FrameStore:
    """The decoded frames of the data, made where they are not there yet.

    Raises:
        ImgorderError: if the folder holds frames of other data, or nothing can be decoded.
    """
    if (folder / "clips.json").exists():
        store = FrameStore(folder)
        if store.source != data.source:
            raise ImgorderError(f"{show(folder)}: holds frames of other data; remove it, or give another --frames")
        return store
    for line in data.left_out:
        warn(line)
    writer = StoreWriter(folder, data.source)
    added = complaints = 0
    with orderly_end():  # files that are half written are removed
        try:
            for done, (job, frames, complaint) in enumerate(_decoded(data.jobs, workers), start=1):
                complaints += bool(complaint)
                if complaint and complaints <= COMPLAINTS:
                    warn(complaint)
                if frames is not None:
                    writer.add(job.name, job.group, frames, job.numbers)
                    added += 1
                if progress:
                    progress(done, len(data.jobs))
            if complaints > COMPLAINTS:
                warn(f"{complaints - COMPLAINTS} more clips were left out in the same way")
            if not added:
                raise ImgorderError(
                    f"{show(data.jobs[0].path)}: neither this nor any other clip could be decoded; "
                    "if the videos were moved, make the manifests anew"
                )
            return writer.close()
        finally:
            writer.abandon()


def _from_folders(folders: Sequence[Path]) -> Data:
    data = Data()
    marks = []
    for folder in folders:
        groups, skipped = group_videos(folder)
        data.left_out += [f"{show(each.name)}: left out: {each.reason}" for each in skipped]
        for name, group in groups.items():
            path = folder / name
            data.jobs.append(Job(path, name, group))
            marks.append([name, group, *_mark(path)])
    data.source = hashlib.sha256(json.dumps(marks).encode()).hexdigest()
    return data


def _from_manifests(paths: Sequence[Path]) -> Data:
    manifests = [read_manifest(path) for path in paths]
    for manifest, path in zip(manifests, paths, strict=True):
        if manifest.seq_len not in SIZES:
            size = "whole albums" if manifest.seq_len is None else f"sets of {manifest.seq_len}"
            raise ImgorderError(
                f"{show(path)}: has {size}; networks learn from sets of {SIZES_TEXT}, give a manifest of those"
            )
    _refuse_other_splits(manifests, paths)
    # Two manifests may use one name in different folders.
    entries = [
        replace(entry, video=str(manifest.root / entry.video))
        for manifest in manifests
        for entry in manifest.sets
        if entry.split != "test"
    ]
    if not entries:
        raise ImgorderError(f"{show(paths[0])}: no sets to train on; it is empty, or all are of the test split")
    data = Data({manifest.seq_len for manifest in manifests if manifest.seq_len is not None}, entries)
    wanted: dict[str, set[int]] = {}
    groups: dict[str, str] = {}
    for entry in entries:
        wanted.setdefault(entry.video, set()).update(entry.frames)
        groups[entry.video] = entry.group
    for name in sorted(wanted, key=natural_key):
        data.jobs.append(Job(Path(name), name, groups[name], tuple(sorted(wanted[name]))))
    listing = json.dumps([[job.name, job.group, job.numbers, *_mark(job.path)] for job in data.jobs])
    data.source = hashlib.sha256(listing.encode()).hexdigest()
    sets = [(each.video, each.frames, each.split, each.group) for each in entries]
    data.sets = hashlib.sha256(json.dumps(sets).encode()).hexdigest()
    return data


def _refuse_other_splits(manifests: Sequence[Manifest], paths: Sequence[Path]) -> None:
    """Raise ImgorderError if what one manifest trains on is for validation or tests in another of the same data."""
    for manifest, path in zip(manifests, paths, strict=True):
        trained = {entry.group for entry in manifest.split("train")}
        for other, place in zip(manifests, paths, strict=True):
            if other is manifest or other.root != manifest.root:
                continue
            for entry in other.sets:
                if entry.split != "train" and entry.group in trained:
                    raise ImgorderError(
                        f"{show(path)}: trains on group {show(entry.group)}, which {show(place)} keeps for "
                        f"{show(entry.split)}; make both in one go, or with one --seed"
                    )


def _mark(path: Path) -> tuple[int, str]:
    """What identifies a file: its size and its first bytes; zero and empty for a folder or a missing file.

    Not its time, which differs in a copy with the same frames.
    """
    if not path.is_file():
        return 0, ""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.sha256(file.read(BEGINNING)).hexdigest()


def _decoded(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Frames | None, str]]:
    """Clips in the order of the jobs, a few decoded ahead; threads do, as OpenCV leaves Python's lock."""
    with ThreadPoolExecutor(workers) as pool:
        rest = iter(jobs)
        ahead: list[tuple[Job, Future[tuple[Frames, str]]]] = []
        try:
            while True:
                ahead += [(job, pool.submit(decode, job)) for job in islice(rest, workers + 1 - len(ahead))]
                if not ahead:
                    return
                job, future = ahead.pop(0)
                try:
                    frames, complaint = future.result()
                except ImgorderError as error:
                    yield job, None, f"{error}; left out"
                except Exception as error:  # OpenCV and Pillow have many; one odd video must not end the job
                    yield job, None, f"{show(job.path)}: cannot be decoded ({error!r}); left out"
                else:
                    yield job, frames, complaint
        finally:
            pool.shutdown(cancel_futures=True)


def decode(job: Job) -> tuple[Frames, str]:
    """Scaled frames of a clip, uint8 ``(F, H, W, 3)``, and what there is to say about them.

    Raises:
        ImgorderError: if it cannot be read, or has not the frames asked for.
    """
    if job.numbers is None:
        return _whole_video(job.path)
    # One by one, so that only scaled frames are held; the video stays open and goes forward only.
    frames = [to_scaled(*read_images(job.path, (number,))) for number in job.numbers]
    if len({frame.shape for frame in frames}) > 1:
        raise ImgorderError(f"{show(job.path)}: its pictures differ in shape")
    return np.stack(frames), ""


def _whole_video(path: Path) -> tuple[Frames, str]:
    with closing(read_pictures(path)) as pictures:
        frames = [to_scaled(np.ascontiguousarray(each[:, :, ::-1])) for each in islice(pictures, LONGEST)]
        more = next(pictures, None) is not None
    if not frames:
        raise ImgorderError(f"{show(path)}: no frame of it can be decoded")
    complaint = f"{show(path)}: only its first {LONGEST} frames are used; cut it into clips" if more else ""
    return np.stack(frames), complaint
