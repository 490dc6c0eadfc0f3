"""Whether motion heat maps are bright where something moves; see docs/heatmaps.md.

    python benchmarks/heatmap_motion.py DAVIS/ [--json docs/results/heatmaps.json]

For sets of four frames of DAVIS, each map is compared with what moved on its own: the difference of a
frame from its neighbours after the camera's motion was taken out (a homography from tracked corners),
averaged in the cells of the map. Told are the mean correlation over maps, and how much brighter the fifth
of the cells is where most moves than the rest. Chance is a correlation of 0 and a ratio of 1.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from imgorder.evaluation.sets import FRAMES
from imgorder.heatmaps.maps import motion_maps
from imgorder.predictor import OrderingModel, load_model
from imgorder.preprocess import normalise, to_pixels

Pixels = npt.NDArray[np.uint8]


def moved(frame: Pixels, other: Pixels) -> npt.NDArray[np.float32]:
    """Absolute difference of a frame from another that was laid over it; NaN where that does not reach."""
    one, two = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, other))
    corners = cv2.goodFeaturesToTrack(two, 200, 0.01, 5)
    warped, reach = two.astype(np.float32), np.ones(two.shape, np.uint8)
    if corners is not None:
        tracked, found, _ = cv2.calcOpticalFlowPyrLK(two, one, corners, None)
        good = found[:, 0] == 1
        if good.sum() >= 8:
            matrix, _ = cv2.findHomography(corners[good], tracked[good], cv2.RANSAC, 1.5)
            if matrix is not None:
                size = (two.shape[1], two.shape[0])
                warped = cv2.warpPerspective(warped, matrix, size)
                reach = cv2.warpPerspective(reach, matrix, size, flags=cv2.INTER_NEAREST)
    return np.where(reach > 0, np.abs(one.astype(np.float32) - warped), np.nan)


def cells(values: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Means over the cells of a map."""
    rows, columns = shape
    height, width = values.shape[0] // rows, values.shape[1] // columns
    blocks = values[: rows * height, : columns * width].reshape(rows, height, columns, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell that no neighbour reaches has no mean
        return np.asarray(np.nanmean(blocks, axis=(1, 3)))


def measure(model: OrderingModel, sequences: Sequence[list[Pixels]], spacing: int, n: int = 4) -> dict[str, float]:
    """Mean correlation and median ratio over all maps of all windows, every fourth start."""
    correlations, ratios, sets = [], [], 0
    for frames in sequences:
        for start in range(0, len(frames) - (n - 1) * spacing, 4):
            window = frames[start : start + (n - 1) * spacing + 1 : spacing]
            activations = model.backend.activations(normalise(np.stack(window), model.preprocessing)[None])
            name, activation = list(activations.items())[-1]
            sets += 1
            for place, heat in enumerate(motion_maps(name, activation[0], range(n))):
                near = [other for other in (place - 1, place + 1) if 0 <= other < n]
                truth = np.mean([cells(moved(window[place], window[o]), heat.shape) for o in near], axis=0).ravel()
                known = ~np.isnan(truth)
                truth, shown = truth[known], heat.ravel()[known]
                if truth.std() < 0.5:
                    continue  # nothing moves
                correlations.append(np.corrcoef(truth, shown)[0, 1])
                most = truth >= np.quantile(truth, 0.8)
                ratios.append(shown[most].mean() / shown[~most].mean())
    return {
        "sets": sets,
        "maps": len(ratios),
        "correlation": round(float(np.mean(correlations)), 3),
        "ratio": round(float(np.median(ratios)), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="root of DAVIS")
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    model = load_model(arguments.model)
    folders = sorted(folder for folder in (arguments.davis / FRAMES).iterdir() if folder.is_dir())
    sequences = [[to_pixels(file, model.preprocessing) for file in sorted(folder.glob("*.jpg"))] for folder in folders]
    rows = []
    for spacing in (1, 2, 4, 8):
        facts = {"model": model.name, "dataset": f"davis-{len(sequences)}", "seq_len": 4, "spacing": spacing}
        rows.append({**facts, **measure(model, sequences, spacing)})
        print(rows[-1], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
