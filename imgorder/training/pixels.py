"""The images of a plan: cropped from the memory map, or from frames that live on the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from imgorder.preprocess import IMAGENET_MEAN, IMAGENET_STD, SCALING
from imgorder.training.plan import Plan
from imgorder.training.store import Frames, FrameStore

# Plan to images ``(B, n, size, size, 3)`` in 0…255 on the device; uint8 or float32.
Pixels = Callable[[Plan], Tensor]

# Of the memory that is free on a device, how much the frames may take.
SHARE_OF_DEVICE = 0.6


def make_pixels(store: FrameStore, device: torch.device, frames_on: str) -> Pixels:
    """Frames on the device where the config wants them there, or where they fit a GPU."""
    if frames_on == "auto":
        fits = device.type == "cuda" and store.bytes.size < SHARE_OF_DEVICE * torch.cuda.mem_get_info(device)[0]
        frames_on = "device" if fits else "host"
    return DevicePixels(store, device) if frames_on == "device" else HostPixels(store, device)


class HostPixels:
    """Crops on the CPU, images go to the device batch by batch."""

    def __init__(self, store: FrameStore, device: torch.device) -> None:
        self._store = store
        self._device = device

    def __call__(self, plan: Plan) -> Tensor:
        """uint8 ``(B, n, size, size, 3)``."""
        return to_device(crop(self._store, plan), self._device)


class DevicePixels:
    """All frames as one uint8 tensor on the device; only plans, which are small, go there."""

    def __init__(self, store: FrameStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._bytes = torch.empty(store.bytes.size, dtype=torch.uint8, device=device)
        chunk = 2**28
        for start in range(0, store.bytes.size, chunk):
            part = np.array(store.bytes[start : start + chunk])
            self._bytes[start : start + len(part)] = torch.from_numpy(part)

    def __call__(self, plan: Plan) -> Tensor:
        """float32 ``(B, n, size, size, 3)``; bilinear where a square is scaled or turned, and exact where not."""

        def on_device(values: npt.NDArray[Any]) -> Tensor:
            return to_device(values, self._device)

        offset = on_device(self._store.offset[plan.frames])[..., None, None]  # (B, n, 1, 1)
        width = on_device(self._store.width[plan.frames])[..., None, None]
        top, left, side = (on_device(each) for each in (plan.top, plan.left, plan.side))
        if plan.turn.any():
            return self._turned(plan, offset, width)
        cell = torch.arange(plan.size, device=self._device) + 0.5
        place = (cell * (side[..., None] / plan.size) - 0.5).clamp(min=0)  # (B, n, size), px from the square's edge
        place = torch.minimum(place, (side[..., None] - 1).float())
        low = place.floor().long()
        high = torch.minimum(low + 1, side[..., None] - 1)
        share = place - low
        mirrored = on_device(plan.flip)[:, None, None]
        low_x, high_x, share_x = (torch.where(mirrored, each.flip(2), each) for each in (low, high, share))

        upper, lower = ((top[..., None] + each)[..., :, None] for each in (low, high))
        first, second = ((left[..., None] + each)[..., None, :] for each in (low_x, high_x))
        if bool((plan.side == plan.size).all()):
            return self._at(offset, width, upper, first)
        down, across = share[..., :, None], share_x[..., None, :]
        return self._between(offset, width, (upper, lower, down), (first, second, across))

    def _turned(self, plan: Plan, offset: Tensor, width: Tensor) -> Tensor:
        """As `__call__` where squares are turned, whose rows are no rows of a frame any more."""
        height = to_device(self._store.height[plan.frames], self._device)[..., None, None]
        x, y = self._places(plan, height, width)
        left, top = x.floor().long(), y.floor().long()
        right, bottom = torch.minimum(left + 1, width - 1), torch.minimum(top + 1, height - 1)
        return self._between(offset, width, (top, bottom, y - top), (left, right, x - left))

    def _between(
        self,
        offset: Tensor,
        width: Tensor,
        rows: tuple[Tensor, Tensor, Tensor],
        columns: tuple[Tensor, Tensor, Tensor],
    ) -> Tensor:
        """Bilinear values ``(B, n, size, size, 3)``.

        Args:
            offset, width: of each frame, ``(B, n, 1, 1)``.
            rows: upper and lower row of each pixel in its frame, and the lower one's share; of shapes that
                broadcast to ``(B, n, size, size)``.
            columns: left and right likewise.
        """
        top, bottom, down = rows
        left, right, across = columns
        down, across = down[..., None], across[..., None]
        upper = torch.lerp(self._at(offset, width, top, left), self._at(offset, width, top, right), across)
        lower = torch.lerp(self._at(offset, width, bottom, left), self._at(offset, width, bottom, right), across)
        return torch.lerp(upper, lower, down)

    def _at(self, offset: Tensor, width: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """The pixels of frames in row y and column x, float32 ``(B, n, size, size, 3)``."""
        index = offset + 3 * (y * width + x)
        return self._bytes[index[..., None] + torch.arange(3, device=self._device)].float()

    def _places(self, plan: Plan, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Where in its frame each pixel of the images lies: x and y in px, ``(B, n, size, size)`` each."""

        def on_device(values: npt.NDArray[Any]) -> Tensor:
            return to_device(values.astype(np.float32), self._device)[..., None, None]

        from_middle = torch.arange(plan.size, device=self._device) - (plan.size - 1) / 2
        down = from_middle[:, None] * on_device(plan.side / plan.size)
        right = from_middle * on_device(np.where(plan.flip[:, None], -plan.side, plan.side) / plan.size)
        turn = on_device(plan.turn)
        cos, sin = turn.cos(), turn.sin()
        half = (plan.side - 1) / 2
        x = on_device(plan.left + half) + cos * right - sin * down
        y = on_device(plan.top + half) + sin * right + cos * down
        # What lies outside the frame shows its border.
        return torch.minimum(x.clamp(min=0), width - 1), torch.minimum(y.clamp(min=0), height - 1)


def to_device(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array on the device; on a GPU without waiting for the work that it has queued."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def crop(store: FrameStore, plan: Plan) -> Frames:
    """Images of a plan, uint8 ``(B, n, size, size, 3)``, before the light is varied."""
    count, n = plan.frames.shape
    images = np.empty((count, n, plan.size, plan.size, 3), dtype=np.uint8)
    for b in range(count):
        for i in range(n):
            top, left, side = plan.top[b, i], plan.left[b, i], plan.side[b, i]
            frame = store.frame(int(plan.frames[b, i]))
            if plan.turn[b, i]:
                square = _turned(frame, top, left, side, float(plan.turn[b, i]), plan.size)
            else:
                square = frame[top : top + side, left : left + side]
                if side != plan.size:
                    square = _scaled(square, plan.size)
            images[b, i] = square[:, ::-1] if plan.flip[b] else square
    return images


def lit(images: Tensor, plan: Plan) -> Tensor:
    """Images in the light of the plan, float32 in 0…255."""
    images = images.float()
    if not plan.varies_light:
        return images
    gain = to_device(plan.gain, images.device)[:, :, None, None, :]
    offset = to_device(plan.offset, images.device)[:, None, None, None, None]
    return (images * gain + offset).clamp_(0, 255)


def normalise(images: Tensor) -> Tensor:
    """``(B, n, H, W, 3)`` in 0…255 to ImageNet-normalised ``(B, n, 3, H, W)``, as `imgorder.preprocess` does."""
    mean, std = _imagenet(images.device, torch.get_default_dtype())
    return ((images.float() - mean) / std).permute(0, 1, 4, 2, 3)


@lru_cache
def _imagenet(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # kept for passes that take gradients as well
        mean, std = (255 * torch.tensor(each, dtype=dtype) for each in (IMAGENET_MEAN, IMAGENET_STD))
        return mean.to(device), std.to(device)


def _turned(frame: Frames, top: int, left: int, side: int, turn: float, size: int) -> Frames:
    import cv2

    cos, sin = np.array([np.cos(turn), np.sin(turn)]) * side / size
    middle = (size - 1) / 2
    x, y = left + (side - 1) / 2, top + (side - 1) / 2
    to_frame = np.array([[cos, -sin, x - (cos - sin) * middle], [sin, cos, y - (sin + cos) * middle]])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(
        np.ascontiguousarray(frame), to_frame, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(square, dtype=np.uint8)


def _scaled(square: Frames, size: int) -> Frames:
    return np.asarray(Image.fromarray(square).resize((size, size), SCALING))
