"""Whether motion heat maps are bright where something moves; see docs/heatmaps.md.

    python benchmarks/heatmap_motion.py DAVIS/ --models tridab-s dab-resnet18 runs/NAME/model.safetensors

For sets of four frames of DAVIS, each map is compared with what moved on its own: the difference of a
frame from its neighbours after the camera's motion was taken out (a homography from tracked corners),
averaged in the cells of the map. Told are the mean correlation over maps, and how much brighter the fifth
of the cells is where most moves than the rest. Chance is a correlation of 0 and a ratio of 1.

On rendered sets what moves is known to the pixel (disc.py). Told are, for each layer, the mean value on the
disc over that where nothing moves, and the share of the whole map in the disc's region. All sets are of four.
Maps of a DAB-ResNet depend on the listing, and are measured in the one that `sort` shows and as the mean over more.
Results go to docs/results/heatmaps.json, where those of models that are not measured stay; they are the same on each
run.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from disc import look, ratio, render

from imgorder.datasets.davis import find_davis_sequences
from imgorder.heatmaps.heatmap import LISTINGS, maps_in_order
from imgorder.heatmaps.maps import depend_on_listing, last_layer, name_layer
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.media.preprocess import Preprocessing, normalise, to_pixels
from imgorder.ordering import from_probabilities
from imgorder.permutations import class_count, order_to_class

Pixels = npt.NDArray[np.uint8]
Sequences = list[list[Pixels]]

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "heatmaps.json"
N = 4
SHAKES = (0, 4)


def moved(frame: Pixels, other: Pixels) -> npt.NDArray[np.float32]:
    """Absolute difference of a frame from another that was laid over it; NaN where that does not reach."""
    one, two = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (frame, other))
    corners = cv2.goodFeaturesToTrack(two, 200, 0.01, 5)
    warped: npt.NDArray[Any] = two.astype(np.float32)
    reach: npt.NDArray[Any] = np.ones(two.shape, np.uint8)
    if corners is not None:
        tracked, found, _ = cv2.calcOpticalFlowPyrLK(two, one, corners, None)  # type: ignore[call-overload]
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


def on_videos(model: OrderingModel, sequences: Sequence[list[Pixels]], spacing: int) -> dict[str, float]:
    """Mean correlation and median ratio over all maps of all windows, every fourth start."""
    correlations, ratios, sets = [], [], 0
    for frames in sequences:
        for start in range(0, len(frames) - (N - 1) * spacing, 4):
            window = frames[start : start + (N - 1) * spacing + 1 : spacing]
            tensors = normalise(np.stack(window), model.preprocessing)
            # The maps of the true order: what is asked here is where they are bright, not whether the order is right.
            ordering = from_probabilities(np.eye(class_count(N))[order_to_class(range(N))], tuple(range(N)))
            layers = maps_in_order(model, tensors, ordering).layers
            sets += 1
            for place, heat in enumerate(last_layer(layers)):
                near = [other for other in (place - 1, place + 1) if 0 <= other < N]
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


def on_discs(model: OrderingModel, shake: int, seeds: int) -> Iterator[dict[str, Any]]:
    """A row for each layer, over so many rendered sets; the ratio is None where the map is 0 on what is still."""
    scenes = [look(model, render(N, shake, seed)) for seed in range(seeds)]
    right = sum(scene.right for scene in scenes)
    for layer, cell in scenes[0].cells.items():
        lights = [light for scene in scenes for light in scene.lights[layer]]
        brighter = ratio(lights)
        yield {
            "layer": name_layer(layer),
            "cell": round(cell),
            "shake": shake,
            "seq_len": N,
            "sets": seeds,
            "right": right,
            "ratio": round(brighter, 2) if np.isfinite(brighter) else None,
            **{
                share: round(100 * float(np.mean([getattr(light, share) for light in lights])), 1)
                for share in ("share", "area", "best")
            },
        }


def find_layers(model: OrderingModel) -> list[str]:
    """The layers of which a model has maps."""
    size = model.preprocessing.crop
    return list(model.networks[N].backend.activations(np.zeros((1, N, 3, size, size), np.float32)))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="root of DAVIS")
    parser.add_argument("--models", nargs="+", default=["default"], help="names or files; they have to take sets of 4")
    parser.add_argument("--seeds", type=int, default=12, help="rendered sets for each camera")
    parser.add_argument("--listings", nargs="+", type=int, default=[1, LISTINGS], help="of a DAB-ResNet's maps")
    parser.add_argument("--threads", type=int, help="CPU threads of a network")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    models = [load_model(name, threads=arguments.threads) for name in arguments.models]
    for model in models:
        model.check_size(N)
    sequences = find_davis_sequences(arguments.davis)
    decoded: dict[Preprocessing, Sequences] = {}
    davis, rendered = [], []
    for model in models:
        spec = model.preprocessing
        if spec not in decoded:
            decoded[spec] = [[to_pixels(file, spec) for file in files] for files in sequences.values()]
        for listings in arguments.listings if depend_on_listing(find_layers(model)) else [1]:
            asked = model.with_votes(listings)
            named = {"model": model.name, "listings": listings}
            for spacing in (1, 2, 4, 8):
                facts = {**named, "dataset": f"davis-{len(sequences)}", "seq_len": N, "spacing": spacing}
                davis.append({**facts, **on_videos(asked, decoded[spec], spacing)})
                print(davis[-1], flush=True)
            for shake in SHAKES:
                for row in on_discs(asked, shake, arguments.seeds):
                    rendered.append({**named, **row})
                    print(rendered[-1], flush=True)
    former = json.loads(arguments.json.read_text("utf-8")) if arguments.json.exists() else {"davis": [], "rendered": []}
    anew = {model.name for model in models}
    results = {
        kind: [row for row in former[kind] if row["model"] not in anew] + rows
        for kind, rows in (("davis", davis), ("rendered", rendered))
    }
    arguments.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
