"""How much moves along a clip (the mean magnitude of the optical flow), and in which windows of it enough moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgorder.media.video import VideoError, opencv, read_pictures

# Flow is estimated on grey frames whose shorter side has this many px, …
FLOW_SIDE = 80
# … and given in px of a frame whose shorter side has 240, the size of UCF101, for videos of any size.
UNIT_SIDE = 240


@dataclass(frozen=True)
class ClipFlow:
    """Motion along one clip.

    Attributes:
        frames: how many frames could be decoded.
        between: for each spacing s the mean flow magnitude between frames t and t + s, float64
            ``(frames - s,)`` with three decimals, in px at a shorter side of 240.
    """

    frames: int
    between: dict[int, npt.NDArray[np.float64]]

    def mean(self, start: int, n: int, spacing: int) -> float:
        """Mean magnitude between the neighbours of a set of n frames, with three decimals."""
        return round(float(self.between[spacing][start : start + (n - 1) * spacing : spacing].mean()), 3)


def measure_flow(path: Path, spacings: Sequence[int]) -> ClipFlow:
    """Decode a clip once and measure the flow between all frames that lie a spacing apart.

    Raises:
        VideoError: if no frame can be decoded.
    """
    cv2 = opencv()
    # Dense inverse search: a millisecond a frame, and no model to load.
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    recent: deque[Any] = deque(maxlen=max(spacings) + 1)  # the newest frame is last
    between: dict[int, list[float]] = {spacing: [] for spacing in spacings}
    count = 0
    with _one_thread():
        for frame in read_grey_frames(path):
            recent.append(frame)
            count += 1
            for spacing, magnitudes in between.items():
                if count > spacing:
                    flow = estimator.calc(recent[-1 - spacing], frame, None)
                    mean = float(np.hypot(flow[..., 0], flow[..., 1]).mean(dtype=np.float64))
                    magnitudes.append(round(mean * UNIT_SIDE / FLOW_SIDE, 3))
    if count == 0:
        raise VideoError(path, "no frame could be decoded")
    return ClipFlow(count, {spacing: np.array(values) for spacing, values in between.items()})


def find_moving_windows(flow: ClipFlow, n: int, spacing: int, min_flow: float) -> list[int]:
    """Starts of windows of n frames, ``spacing`` apart, that do not overlap, in rising order.

    A window counts if the flow between each two neighbours reaches ``min_flow`` px, so that no two of
    its images look alike. Windows are taken from the largest mean flow down, each unless it overlaps one
    taken before; of equal ones the earlier is taken.
    """
    length = (n - 1) * spacing + 1
    starts = np.arange(max(0, flow.frames - length + 1))
    if not len(starts):
        return []
    gaps = flow.between[spacing][starts[:, None] + spacing * np.arange(n - 1)]
    mean = gaps.mean(axis=1)
    free = gaps.min(axis=1) >= min_flow
    taken = []
    for start in np.lexsort((starts, -mean)):
        if free[start]:
            taken.append(int(start))
            free[max(0, start - length + 1) : start + length] = False
    return sorted(taken)


def read_grey_frames(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a video, grey, uint8 ``(H, W)`` with a shorter side of 80.

    Raises:
        VideoError: if the video cannot be opened.
    """
    cv2 = opencv()
    size: tuple[int, int] | None = None
    for frame in read_pictures(path):
        if size is None:
            height, width = frame.shape[:2]
            scale = FLOW_SIDE / min(height, width)
            size = max(FLOW_SIDE, round(width * scale)), max(FLOW_SIDE, round(height * scale))
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        yield cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


@contextmanager
def _one_thread() -> Iterator[None]:
    # OpenCV cuts the picture into as many stripes as it has threads, and the flow differs a little at
    # their borders. With one thread it is the same on any number of cores and in any number of processes.
    cv2 = opencv()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
