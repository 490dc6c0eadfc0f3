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

from imgorder.media.preprocess import IMAGENET_MEAN, IMAGENET_STD, SCALING
from imgorder.training.batch_plan import BatchPlan, Box
from imgorder.training.store import Frames, FrameStore

# BatchPlan to images ``(B, n, size, size, 3)`` in 0…255 on the device; uint8 or float32.
Pixels = Callable[[BatchPlan], Tensor]

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

    def __call__(self, plan: BatchPlan) -> Tensor:
        """uint8 ``(B, n, size, size, 3)``."""
        return to_device(crop_images(self._store, plan), self._device)


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

    def __call__(self, plan: BatchPlan) -> Tensor:
        """float32 ``(B, n, size, size, 3)``; bilinear where a box is scaled or turned, and exact where not."""
        offset = self._put(self._store.offset[plan.frames])  # (B, n, 1, 1)
        width = self._put(self._store.width[plan.frames])
        if plan.turn.any() or plan.tilt.any():
            return self._turned(plan, offset, width)
        top, left = self._put(plan.top), self._put(plan.left)
        low, high, down = self._along(plan.height, plan.size)
        upper, lower = (top + each[..., :, None] for each in (low, high))
        low, high, across = self._along(plan.width, plan.size)
        mirrored = to_device(plan.flip, self._device)[:, None, None]
        low, high, across = (torch.where(mirrored, each.flip(2), each) for each in (low, high, across))
        first, second = (left + each[..., None, :] for each in (low, high))
        if bool((plan.height == plan.size).all() and (plan.width == plan.size).all()):
            return self._at(offset, width, upper, first)
        return self._between(offset, width, (upper, lower, down[..., :, None]), (first, second, across[..., None, :]))

    def _put(self, values: npt.NDArray[Any]) -> Tensor:
        """Values of each image on the device, ``(B, n) -> (B, n, 1, 1)``."""
        return to_device(values, self._device)[..., None, None]

    def _along(self, edge: npt.NDArray[np.int64], size: int) -> tuple[Tensor, Tensor, Tensor]:
        """The two px of an edge of each box between which each of ``size`` px falls, and the second one's share."""
        length = to_device(edge, self._device)[..., None]
        cell = torch.arange(size, device=self._device) + 0.5
        place = (cell * (length / size) - 0.5).clamp(min=0)  # (B, n, size), px from the box's edge
        place = torch.minimum(place, (length - 1).float())
        low = place.floor().long()
        return low, torch.minimum(low + 1, length - 1), place - low

    def _turned(self, plan: BatchPlan, offset: Tensor, width: Tensor) -> Tensor:
        """As `__call__` where boxes are turned, whose rows are no rows of a frame any more."""
        height = self._put(self._store.height[plan.frames])
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

    def _places(self, plan: BatchPlan, height: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Where in its frame each pixel of the images lies: x and y in px, ``(B, n, size, size)`` each."""
        from_middle = torch.arange(plan.size, device=self._device) - (plan.size - 1) / 2
        down = from_middle[:, None] * self._put((plan.height / plan.size).astype(np.float32))
        across = np.where(plan.flip[:, None], -plan.width, plan.width) / plan.size
        right = from_middle * self._put(across.astype(np.float32))
        turn = self._put(plan.turn)
        cos, sin = turn.cos(), turn.sin()
        tilt = [self._put(plan.tilt[..., along]) for along in (0, 1)]
        nearer = 1 + tilt[0] * right / self._put(plan.width) + tilt[1] * down / self._put(plan.height)
        right, down = right / nearer, down / nearer
        x = self._put((plan.left + (plan.width - 1) / 2).astype(np.float32)) + cos * right - sin * down
        y = self._put((plan.top + (plan.height - 1) / 2).astype(np.float32)) + sin * right + cos * down
        # What lies outside the frame shows its border.
        return torch.minimum(x.clamp(min=0), width - 1), torch.minimum(y.clamp(min=0), height - 1)


def to_device(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array on the device; on a GPU without waiting for the work that it has queued."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def crop_images(store: FrameStore, plan: BatchPlan) -> Frames:
    """Images of a plan, uint8 ``(B, n, size, size, 3)``, before the light is varied."""
    count, n = plan.frames.shape
    images = np.empty((count, n, plan.size, plan.size, 3), dtype=np.uint8)
    for b in range(count):
        for i in range(n):
            top, left, height, width = (int(each[b, i]) for each in (plan.top, plan.left, plan.height, plan.width))
            frame = store.frame(int(plan.frames[b, i]))
            if plan.turn[b, i] or plan.tilt[b, i].any():
                square = _turned(frame, (top, left, height, width), float(plan.turn[b, i]), plan.tilt[b, i], plan.size)
            else:
                square = frame[top : top + height, left : left + width]
                if (height, width) != (plan.size, plan.size):
                    square = _scaled(square, plan.size)
            images[b, i] = square[:, ::-1] if plan.flip[b] else square
    return images


def apply_light(images: Tensor, plan: BatchPlan) -> Tensor:
    """Images in the light of the plan, float32 in 0…255."""
    images = images.float()
    if not plan.varies_light:
        return images
    gain = to_device(plan.gain, images.device)[:, :, None, None, :]
    offset = to_device(plan.offset, images.device)[:, None, None, None, None]
    return (images * gain + offset).clamp_(0, 255)


def normalise(images: Tensor) -> Tensor:
    """``(B, n, H, W, 3)`` in 0…255 to ImageNet-normalised ``(B, n, 3, H, W)``, as `imgorder.media.preprocess` does."""
    mean, std = _imagenet(images.device, torch.get_default_dtype())
    return ((images.float() - mean) / std).permute(0, 1, 4, 2, 3)


@lru_cache
def _imagenet(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # kept for passes that take gradients as well
        mean, std = (255 * torch.tensor(each, dtype=dtype) for each in (IMAGENET_MEAN, IMAGENET_STD))
        return mean.to(device), std.to(device)


def _turned(frame: Frames, box: Box, turn: float, tilt: npt.NDArray[np.float32], size: int) -> Frames:
    import cv2

    top, left, height, width = box
    cos, sin = np.cos(turn), np.sin(turn)
    # Scaled to the box first, turned then: in the frame, where a box is no square yet, the turn is one.
    to_frame = np.array([[cos, -sin], [sin, cos]]) @ np.diag([width / size, height / size])
    middle = np.array([left + (width - 1) / 2, top + (height - 1) / 2])
    nearer = tilt / size
    from_middle = np.eye(3)
    from_middle[:2, 2] = -(size - 1) / 2
    whole = np.block([[to_frame + np.outer(middle, nearer), middle[:, None]], [nearer, np.ones(1)]]) @ from_middle
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    square = cv2.warpPerspective(
        np.ascontiguousarray(frame), whole, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(square, dtype=np.uint8)


def _scaled(box: Frames, size: int) -> Frames:
    return np.asarray(Image.fromarray(box).resize((size, size), SCALING))
