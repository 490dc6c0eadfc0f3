"""The metadata of a model file: the same strings in ONNX and in safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.names import is_line
from imgorder.permutations import MAX_EXACT

FORMAT = "imgorder/2"
FORMER = "imgorder/1"  # whose DAB-ResNets summed over the images on both sides, and pooled each image by itself
LEAST_TEMPERATURE = 1e-3  # far below any that was fitted; logits divided by less become infinite
CLASS_ORDER = "lexicographic, first element smaller than last"

# Beginnings of the names of a model's further outputs, its activations: they say how a map is made from one.
DAB = "dab."
FEATURES = "features."


@dataclass(frozen=True)
class ModelMetadata:
    """Facts that travel inside a model file.

    Attributes:
        name: of the model, as `imgorder models` shows it.
        family, settings: the network, and the fields of its config.
        sizes: set sizes n that it takes.
        preprocessing: how photos become its input.
        temperatures: set size -> divisor of the logits, fitted so that of sets ordered with 80 % confidence
            80 % come out right.
        steady: whether each set is shown twice, the second time steadied; see `imgorder.media.steady`.
        votes: in how many listings each set is shown where nobody asks for another number; the mean counts.
        place_temperature: divisor of the log-odds of a place, in sets of more than `MAX_EXACT`; fitted in the same way.
        training_commit: commit of imgorder with which it was trained.
        held_out_groups: groups of videos that were kept out of training, where they are known.
        weights_sha256: of the safetensors file that holds the weights (empty in that file itself).
        opset: of the ONNX graph; 0 in a safetensors file.
    """

    name: str
    family: str
    settings: dict[str, Any]
    sizes: tuple[int, ...]
    preprocessing: Preprocessing = DEFAULT
    temperatures: dict[int, float] = field(default_factory=dict)
    steady: bool = False
    votes: int = 1
    place_temperature: float = 1.0
    training_commit: str = "unknown"
    held_out_groups: tuple[str, ...] = ()
    weights_sha256: str = ""
    opset: int = 0

    def to_properties(self) -> dict[str, str]:
        """Strings for a file's metadata."""
        return {
            "format": FORMAT,
            "name": self.name,
            "family": self.family,
            "settings": json.dumps(self.settings),
            "sizes": json.dumps(self.sizes),
            "preprocessing": self.preprocessing.to_json(),
            "class_order": CLASS_ORDER,
            "temperatures": json.dumps(self.temperatures),
            "steady": json.dumps(self.steady),
            "votes": json.dumps(self.votes),
            "place_temperature": json.dumps(self.place_temperature),
            "training_commit": self.training_commit,
            "held_out_groups": json.dumps(self.held_out_groups),
            "weights_sha256": self.weights_sha256,
            "opset": str(self.opset),
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> ModelMetadata:
        """Back from a file's metadata.

        Raises:
            Exception: KeyError, TypeError or ValueError, if these are not imgorder's properties; others if a value
                makes no sense, such as a number of a thousand digits.
        """
        if properties["format"] not in (FORMAT, FORMER) or properties["class_order"] != CLASS_ORDER:
            raise ValueError(f"format {properties['format']!r} is not {FORMAT!r}")
        if not properties["name"] or not is_line(properties["name"]):
            raise ValueError(f"name {properties['name']!r}")  # it is shown on terminals
        sizes = tuple(json.loads(properties["sizes"]))
        if not sizes or not all(isinstance(n, int) and 2 < n <= MAX_EXACT for n in sizes):
            raise ValueError(f"set sizes {sizes}")
        temperatures = {int(n): float(t) for n, t in dict(json.loads(properties["temperatures"])).items()}
        place_temperature = float(json.loads(properties.get("place_temperature", "1.0")))
        if not all(
            LEAST_TEMPERATURE <= t <= 1 / LEAST_TEMPERATURE for t in (*temperatures.values(), place_temperature)
        ):
            raise ValueError(f"temperatures {temperatures}, of places {place_temperature}")
        votes = json.loads(properties.get("votes", "1"))
        if type(votes) is not int or votes < 1:
            raise ValueError(f"votes {votes!r}")
        return cls(
            name=properties["name"],
            family=properties["family"],
            settings=read_settings(properties["family"], json.loads(properties["settings"]), properties["format"]),
            sizes=sizes,
            preprocessing=Preprocessing.from_json(properties["preprocessing"]),
            temperatures=temperatures,
            steady=json.loads(properties.get("steady", "false")) is True,
            votes=votes,
            place_temperature=place_temperature,
            training_commit=properties["training_commit"],
            held_out_groups=tuple(map(str, json.loads(properties.get("held_out_groups", "[]")))),
            weights_sha256=properties["weights_sha256"],
            opset=int(properties["opset"]),
        )


def read_settings(family: str, settings: dict[str, Any], version: str) -> dict[str, Any]:
    """A network's settings as they are written today, of a file of today's format or the former one.

    The former format's DAB-ResNets keep their sums, which have another name today, and so their answers.
    """
    if version != FORMER or not family.startswith("dab-resnet"):
        return settings
    today = {"signed": "symmetric", "magnitude": "symmetric-magnitude"}
    accumulator = settings.get("dab", "signed")
    return {"pool": "image", **settings, "dab": today.get(accumulator, accumulator)}
