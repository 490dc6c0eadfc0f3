"""How far the places of larger sets can be believed, and the temperature that makes them so.

    python benchmarks/places.py --model tridab-s --run RUN --frames RUN/frames --write

For sets of held-out clips: the probability of each place, "nothing is missing or swapped between these two", and
whether that is so. The temperature that is fitted on them divides the log-odds; its calibration error is that of
groups which were left out of the fit, five parts of them in turn. `--write` puts it into the model's files and card.
Results go to docs/results/places.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from robustness import spread

from imgorder.evaluation.measure import Answers, measure_all
from imgorder.evaluation.metrics import expected_calibration_error
from imgorder.inference.cards import card_path, read_card
from imgorder.inference.checksum import describe_file
from imgorder.inference.predictor import OrderingModel, load_model
from imgorder.model_format import ModelMetadata
from imgorder.networks.weights import read_network, write_network
from imgorder.search.windows import temper
from imgorder.training.held_out import find_held_out_clips, make_held_out_sets
from imgorder.training.store import FrameStore

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "places.json"
SIZES, SPACINGS = (9, 12, 16, 35), (1, 2, 4, 8, 16)
CLIPS = 12  # of each size and spacing
CANDIDATES = np.arange(0.5, 3.01, 0.05)
PARTS = 5

Places = npt.NDArray[np.float64]


def measure(model: OrderingModel, store: FrameStore, clips: list[int]) -> tuple[Places, list[str]]:
    """Probability and truth of each place, ``(K, 2)``, with the group of its set."""
    places, groups = [], []
    for n in SIZES:
        for spacing in SPACINGS:
            reach = [index for index in clips if store.clips[index].frames > (n - 1) * spacing]
            sets = make_held_out_sets(store, spread(reach, CLIPS), n, spacing, model.preprocessing) if reach else []
            for measured in measure_all([model], "held-out", sets, n, spacing):
                answers: Answers = measured.answers
                places.append(answers.places)
                groups += [group for group in answers.groups for _ in range(n - 1)]
                print(f"{n} photos, spacing {spacing}: {measured.row.accuracy:.1f} %", flush=True)
    return np.concatenate(places), groups


def error(places: Places, temperature: float) -> float:
    """Expected calibration error of places at a temperature."""
    return expected_calibration_error(np.array(temper(places[:, 0].tolist(), temperature)), places[:, 1])


def fit(places: Places) -> float:
    """The temperature with the least calibration error."""
    return round(float(min(CANDIDATES, key=lambda temperature: error(places, temperature))), 2)


def error_left_out(places: Places, groups: list[str]) -> float:
    """Calibration error of all places, each at the temperature that fits the other parts of the groups."""
    names = sorted(set(groups))
    part = np.array([names.index(group) % PARTS for group in groups])
    tempered = places.copy()
    for index in range(PARTS):
        temperature = fit(places[part != index])
        tempered[part == index, 0] = temper(places[part == index, 0].tolist(), temperature)
    return expected_calibration_error(tempered[:, 0], tempered[:, 1])


def write(name: str, temperature: float) -> None:
    """Put the temperature into the files and the card of a model."""
    path = card_path(name)
    assert path is not None
    card = read_card(path)
    weights, graph = (path.with_name(card.files[backend].file) for backend in ("torch", "onnx"))
    network, metadata = read_network(weights)
    metadata = replace(metadata, place_temperature=temperature)
    write_network(network, metadata, weights)
    model = onnx.load(graph)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    exported = ModelMetadata.from_properties(properties)
    exported = replace(exported, place_temperature=temperature, weights_sha256=describe_file(weights).sha256)
    helper.set_model_props(model, exported.to_properties())
    onnx.save(model, graph)
    files = {"onnx": describe_file(graph), "torch": describe_file(weights)}
    training = {**card.training, "place_temperature": temperature}
    record = asdict(replace(card, files=files, training=training))
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def main() -> None:
    """Measure, fit, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tridab-s")
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs that kept the groups out")
    parser.add_argument("--frames", type=Path, required=True, help="decoded frames of these runs")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--write", action="store_true", help="put the temperature into the model's files")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    model = load_model(arguments.model, threads=arguments.threads)
    plain = {n: replace(network, place_temperature=1.0) for n, network in model.networks.items()}
    store = FrameStore(arguments.frames)
    clips = find_held_out_clips(store, *arguments.run)
    places, groups = measure(replace(model, networks=plain), store, clips)
    temperature = fit(places)
    result = {
        "version": 1,
        "model": model.name,
        "sizes": SIZES,
        "spacings": SPACINGS,
        "groups": len(set(groups)),
        "places": len(places),
        "right": round(float(places[:, 1].mean()), 4),
        "ece_plain": round(error(places, 1.0), 4),
        "ece_fitted": round(error(places, temperature), 4),
        "ece_left_out": round(error_left_out(places, groups), 4),
        "temperature": temperature,
    }
    print(json.dumps(result, indent=1))
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    if arguments.write:
        write(model.name, temperature)


if __name__ == "__main__":
    main()
