"""What photos go through outside the laboratory, as changes to the frames of a set.

A `Condition` draws other frames from a window of a video, or changes the pixels of the whole frames before
any preprocessing, so that networks which see other parts of a photo all start from the same one. All that
is random comes from the generator that is passed in. Lengths are shares of a frame's shorter edge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Change = Callable[[np.random.Generator, Pixels], Pixels]
Places = tuple[int, ...]

MOST_UNEVEN = 3  # the widest gap of a set over its narrowest, at most
EXPOSURE = 0.5  # EV up or down
BALANCE = 0.15  # EV by which red goes up and blue down, or the other way round
BLUR = 0.01  # standard deviation
QUALITY = 30
SHIFT, TURN, ZOOM = 0.02, 2.0, 0.03  # up or down; the turn in degrees
MARGIN = 1.15  # a shaken frame is enlarged by this much, so that no border comes into sight
DARKER = 1.5  # EV
BESIDE, LENS = 0.05, 0.2  # how far away the second camera's picture is, and how much nearer, at most
REFERENCE = 136  # the noise is that of a frame of this shorter edge, whatever its size


def _same(rng: np.random.Generator, frame: Pixels) -> Pixels:
    return frame


@dataclass(frozen=True)
class Condition:
    """One way in which photos differ from evenly spaced, untouched frames.

    Attributes:
        name: in results and tables.
        about: for people, one line.
        change: one frame, uint8 ``(H, W, 3)``, to another; called once for each photo of a set.
        uneven: whether the gaps of a set are drawn.
        second: what the half of the photos that a second camera took goes through in its place, with the same draws for
            all of a set; None where there is one camera.
        crop: width over height of a crop from the middle, which comes first; None for the whole frame.
    """

    name: str
    about: str
    change: Change = _same
    uneven: bool = False
    second: Change | None = None
    crop: float | None = None

    def places(self, rng: np.random.Generator, n: int, spacing: int) -> Places:
        """Which frames of a window make the set, rising from 0 to (n − 1)·spacing."""
        return uneven_places(rng, n, spacing) if self.uneven else tuple(range(0, n * spacing, spacing))

    def photos(self, rng: np.random.Generator, frames: Sequence[Pixels]) -> list[Pixels]:
        """The photos of a set in temporal order."""
        shaped = frames if self.crop is None else [cropped(frame, self.crop) for frame in frames]
        if self.second is None:
            return [self.change(rng, frame) for frame in shaped]
        taken_by, seed = rng.permutation(len(shaped)) % 2, int(rng.integers(2**32))
        return [
            self.second(np.random.default_rng(seed), frame) if other else self.change(rng, frame)
            for other, frame in zip(taken_by, shaped, strict=True)
        ]

    def applies(self, frame: Pixels) -> bool:
        """False for a crop to the shape that a frame has already."""
        return self.crop is None or cropped(frame, self.crop).shape != frame.shape


def uneven_places(rng: np.random.Generator, n: int, spacing: int) -> Places:
    """Rising places from 0 to (n − 1)·spacing whose gaps differ, by a factor of up to `MOST_UNEVEN`.

    The spacing has to be at least 2: frames that lie side by side leave nothing to draw.
    """
    if spacing < 2:
        raise ValueError(f"gaps of {spacing} frame cannot differ; the spacing has to be at least 2")
    while True:
        gaps = float(MOST_UNEVEN) ** rng.uniform(-0.5, 0.5, n - 1)
        places = np.rint(np.concatenate([[0.0], np.cumsum(gaps)]) / gaps.sum() * (n - 1) * spacing).astype(int)
        whole = np.diff(places)
        # Rounding may have made two places one, all gaps alike, or the factor too large.
        if 0 < whole.min() < whole.max() <= MOST_UNEVEN * whole.min():
            return tuple(places.tolist())


def cropped(frame: Pixels, shape: float) -> Pixels:
    """The largest crop from the middle that is ``shape`` times as wide as high."""
    height, width = frame.shape[:2]
    high, wide = min(height, round(width / shape)), min(width, round(height * shape))
    top, left = (height - high) // 2, (width - wide) // 2
    return frame[top : top + high, left : left + wide]


def exposed(frame: Pixels, ev: Sequence[float]) -> Pixels:
    """Each channel as if it had been exposed ``ev`` longer: twice the light for each whole one, then clipped."""
    table = np.stack([_encoded(_LINEAR * np.float32(2.0**each)) for each in ev])
    return np.stack([table[channel][frame[..., channel]] for channel in range(3)], axis=-1)


def _exposure(rng: np.random.Generator, frame: Pixels) -> Pixels:
    return exposed(frame, [float(rng.uniform(-EXPOSURE, EXPOSURE))] * 3)


def _white_balance(rng: np.random.Generator, frame: Pixels) -> Pixels:
    warmer = float(rng.uniform(-BALANCE, BALANCE))
    return exposed(frame, [warmer, 0.0, -warmer])


def _blurred(rng: np.random.Generator, frame: Pixels) -> Pixels:
    blur = ImageFilter.GaussianBlur(BLUR * min(frame.shape[:2]))
    return np.asarray(Image.fromarray(frame).filter(blur))


def _as_jpeg(rng: np.random.Generator, frame: Pixels) -> Pixels:
    file = BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=QUALITY)
    with Image.open(file) as image:
        return np.asarray(image)


def _shaken(rng: np.random.Generator, frame: Pixels) -> Pixels:
    """Seen by a camera that is not quite where, and not quite as upright as, it was before."""
    height, width = frame.shape[:2]
    down, right = rng.uniform(-SHIFT, SHIFT, 2) * min(height, width)
    turn = np.deg2rad(rng.uniform(-TURN, TURN))
    zoom = MARGIN * (1 + rng.uniform(-ZOOM, ZOOM))
    cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = (cos, -sin, x + right - cos * x + sin * y, sin, cos, y + down - sin * x - cos * y)
    moved = Image.fromarray(frame).transform(
        (width, height), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC
    )
    return np.asarray(moved)


def _from_beside(rng: np.random.Generator, frame: Pixels) -> Pixels:
    """As a phone beside the first one takes it: another view, light, white balance and number of pixels."""
    height, width = frame.shape[:2]
    zoom = 1 + LENS * rng.random()
    high, wide = height / zoom, width / zoom
    down, right = BESIDE * min(height, width) * rng.choice([-1, 1], 2) * rng.uniform(0.5, 1, 2)
    top = min(max((height - high) / 2 + down, 0.0), height - high)
    left = min(max((width - wide) / 2 + right, 0.0), width - wide)
    seen = Image.fromarray(frame).resize(
        (round(0.75 * width), round(0.75 * height)), Image.Resampling.BICUBIC, (left, top, left + wide, top + high)
    )
    ev, warmer = rng.uniform(-EXPOSURE, EXPOSURE), rng.uniform(-BALANCE, BALANCE)
    return exposed(np.asarray(seen), [ev + warmer, ev, ev - warmer])


def _low_light(rng: np.random.Generator, frame: Pixels) -> Pixels:
    """Darker, and with the noise of few photons and of the sensor."""
    dark = exposed(frame, [-DARKER] * 3).astype(np.float32)
    # Scaling a frame down takes noise away; this much is left of it at the reference size.
    strength = max(1.0, min(frame.shape[:2]) / REFERENCE)
    noise = rng.standard_normal(frame.shape, dtype=np.float32) * np.sqrt(0.5 * dark + 20)
    return np.asarray(np.clip(dark + strength * noise + 0.5, 0, 255), dtype=np.uint8)


def _encoded(linear: Floats) -> Pixels:
    """Linear light, 0…1, as sRGB values."""
    light = np.clip(linear, 0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curved), dtype=np.uint8)


def _decoded() -> Floats:
    """Linear light of each of the 256 sRGB values."""
    value = np.arange(256, dtype=np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _decoded()

PLAIN = Condition("plain", "even spacing, frames as they are")
CONDITIONS = (
    PLAIN,
    Condition("uneven", f"gaps that differ by a factor of up to {MOST_UNEVEN}, of the same mean", uneven=True),
    Condition("portrait 3:4", "a tall crop from the middle", crop=3 / 4),
    Condition("portrait 9:16", "a taller crop from the middle", crop=9 / 16),
    Condition("landscape 16:9", "a wide crop from the middle; DAVIS has that shape", crop=16 / 9),
    Condition("exposure", f"each photo up to {EXPOSURE} EV brighter or darker", _exposure),
    Condition("white balance", f"each photo warmer or colder: red and blue by up to {BALANCE} EV", _white_balance),
    Condition("blur", f"all photos out of focus: {100 * BLUR:g} % of the shorter edge", _blurred),
    Condition("JPEG 30", f"JPEG of quality {QUALITY}, at the size of the frame", _as_jpeg),
    Condition(
        "hand-held",
        f"each photo shifted by up to {100 * SHIFT:g} %, turned by up to {TURN:g}°, zoomed by up to {100 * ZOOM:g} %",
        _shaken,
    ),
    Condition(
        "two cameras",
        f"half of the photos from a camera beside: {50 * BESIDE:g} to {100 * BESIDE:g} % away each way, up to "
        f"{100 * LENS:g} % nearer, exposure and balance as above but alike, three quarters of the size",
        second=_from_beside,
    ),
    Condition("low light", f"{DARKER} EV darker, with noise", _low_light),
)
