"""Colours for values from 0 to 1: lightness rises evenly, so that equal steps look equal.

A map is a line through OKLab (B. Ottosson's space of even perceived steps): lightness grows linearly from
dark to bright while the hue turns. Only the ends of that line are stored.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

LEVELS = 256


# Hue in degrees at both ends (it may run past 360), and the largest chroma.
PATHS = {
    "ember": (300, 460, 0.15),  # violet, red, orange, yellow
    "ocean": (280, 120, 0.12),  # violet, blue, green, yellow
    "grey": (0, 0, 0.0),
}


@lru_cache
def make_colours(name: str) -> npt.NDArray[np.uint8]:
    """A table from dark to bright, uint8 ``(256, 3)``.

    Raises:
        KeyError: for an unknown name.
    """
    first, last, most = PATHS[name]
    t = np.linspace(0, 1, LEVELS)
    lightness = 0.2 + 0.74 * t
    hue = np.radians(first + (last - first) * t)
    chroma = np.full(LEVELS, most)
    for _ in range(60):  # less chroma where screens cannot show the colour
        rgb = _linear_rgb(lightness, chroma * np.cos(hue), chroma * np.sin(hue))
        outside = ((rgb < 0) | (rgb > 1)).any(axis=1)
        chroma = np.where(outside, chroma * 0.95, chroma)
    rgb = rgb.clip(0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), dtype=np.uint8)


def _linear_rgb(lightness: npt.NDArray[np.float64], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]):  # type: ignore[no-untyped-def]
    cube_roots = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    return (to_rgb @ cube_roots**3).T
