"""All settings of a training run in one dataclass, and the recipes that they start from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from imgorder.errors import UsageError
from imgorder.fields import Check, as_json, read_value
from imgorder.media.preprocess import DEFAULT, Preprocessing
from imgorder.names import show
from imgorder.permutations import SIZES, SIZES_TEXT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Backbone = Literal["resnet18", "resnet50", "tridab", "opn", "deepimseq"]


def within(low: float, high: float = 2**63 - 1) -> Check:  # where a 64-bit number ends
    """What a number has to be, for `Annotated`: the least and the largest value."""
    wanted = f"{low:g} to {high:g}" if high < 2**20 else f"at least {low:g}"
    return Check(lambda number: low <= number <= high, wanted)


Count = Annotated[int, within(0)]
Positive = Annotated[int, within(1)]
Share = Annotated[float, within(0, 1)]
Shares = Annotated[
    dict[int, float], Check(lambda shares: all(share > 0 for share in shares.values()), "a table of numbers above 0")
]


@dataclass
class TrainConfig:
    """Settings of a run; the defaults are the paper's recipe.

    recipe: the one that the others began as, a key of `RECIPES`.

    Network:
        backbone: what people call the network.
        network: fields of its config, such as ``width``, ``dab`` and ``window``.
        init: weights to begin with, a safetensors file or the name of a model; tensors are taken whose
            names and shapes are those of the network. Drawn from the seed if empty.
        frozen: parts of the network, such as ``trunk``, that stay as ``init`` has them.
        seq_len: set sizes n; more than one only for TriDAB.
        shares: n -> share of the steps, where several n are trained; equal if empty.

    Data:
        data: manifests, or folders of videos.
        validation_fraction: share of the clips, in whole groups, that is kept out of training where
            the data bring no validation split.
        held_out_groups: those groups, kept with the run. If not given, those that were held out from the
            weights of ``init``, else drawn with ``split_seed``. Where there are any, they are what is
            validated on, and not the validation split of manifests.
        permutations: "all" shows each set of a manifest once in each of its n!/2 classes an epoch,
            "one" shows it once, in one random order.
        validation_sets: at most so many sets for each validation figure, of all held-out clips alike.
        validation_spacings: for folders of videos, the spacings in frames that are validated.

    Sets from folders of videos (manifests say themselves which frames make a set):
        max_spacing: mean spacing is drawn from 1…max_spacing frames; from less in a clip that is too short.
        wide: 1 for log-uniform spacings; above, wide ones are drawn more often.
        uneven: share of sets whose gaps differ from one another.
        min_change: mean absolute difference (0…255) of 8 px cells below which two neighbouring
            frames hardly differ; sets with such a pair are drawn again.

    Crops, in px at a shorter edge of 136, shared by the images of a set:
        shorter_edge, image_size: of the preprocessing; the centre square that validation shows, and the
            side of the network's input, which every square is scaled to, in px. Frames are stored at
            a shorter edge of 136 px whatever they say, so a larger input is enlarged from that in training.
        crop_min, crop_max: side of the square in px of frames whose shorter edge is 136.
        squeeze: of the preprocessing: the longer edge is seen up to so many times the shorter one, and squeezed
            into the square. Above 1, training shows boxes of all ratios up to it.
        flip: share of sets that are mirrored.
        shift: share of sets whose images are shifted and zoomed a little each, as from a hand.
        turn: degrees by which each image of those sets is turned as well, at most, either way.
        tilt: how much nearer one edge of such an image is than the opposite one, at most, as a share: a camera that
            looks up, down or aside a little.
        cameras: share of sets that two cameras took, whose views and light differ, each about half of the images.
        light: whether exposure, white balance and a brightness offset vary.
        exposure: of four sets in ten, the log of the largest factor by which each image of its own is brighter or
            darker; 0.35 is half an exposure value.

    Optimisation:
        batch_size: sets a step and process. With several n it counts sets of 4, and a batch of any n
            holds as many images.
        optimizer: "sgd" (with ``momentum``) or "adamw".
        weight_decay: of either; of "adamw" on matrices and kernels alone.
        learning_rate: the highest; ``warmup`` steps lead up to it.
        schedule: "plateau" multiplies by ``plateau_factor`` after more than ``plateau_patience`` validations
            in a row whose loss is no better, and ends the run below ``min_learning_rate``; "cosine" falls to
            zero over the run; "linear" stays and falls to zero over the last ``decay`` steps.
        clip_gradient: largest norm of the gradient; 0 for any.
        ema: decay of the running average of the weights that is validated and kept; 0 for none.
        epochs: of a run on manifests; ``steps``, if not 0, counts instead.
        seed: of the first weights and of all that is drawn but the split.

    The machine:
        channels_last: whether the channels come last in memory, which is usually faster.
        precision: "fp32", "bf16", "fp16", or "auto": bf16 where the machine computes in it, else fp32.
        device: "auto", "cpu" or "cuda".
        frames_on: "device" keeps all decoded frames there, "host" sends each batch; "auto" chooses.
        threads: of the CPU; 0 leaves it to torch.
        validate_every: steps; 0 for once an epoch.
        save_every: steps.
        tensorboard: whether a TensorBoard log is written beside the CSV file.
        commit: of imgorder when the run began.
        sets: digest of the sets of manifests, by which a resumed run knows them again.
    """

    recipe: Literal["paper", "fast"] = "paper"
    backbone: Backbone = "resnet18"
    network: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    frozen: tuple[str, ...] = ()
    seq_len: tuple[int, ...] = (4,)
    shares: Shares = field(default_factory=dict)

    data: tuple[str, ...] = ()
    validation_fraction: Annotated[float, within(0, 0.9)] = 0.15
    held_out_groups: tuple[str, ...] = ()
    split_seed: Count = 0
    permutations: Literal["all", "one"] = "all"
    validation_sets: Positive = 2000
    validation_spacings: tuple[int, ...] = (2, 4, 8)

    max_spacing: Annotated[float, within(1)] = 8.0
    wide: Annotated[float, within(0.01, 100)] = 1.0
    uneven: Share = 0.0
    min_change: Annotated[float, within(0, 255)] = 1.5

    shorter_edge: Annotated[int, within(32, 8 * DEFAULT.shorter_edge)] = DEFAULT.shorter_edge
    image_size: Annotated[int, within(32, 1024)] = DEFAULT.crop
    crop_min: int = 112
    crop_max: int = 112
    squeeze: Annotated[float, within(1, 8)] = 1.0
    flip: Share = 0.0
    shift: Share = 0.0
    turn: Annotated[float, within(0, 45)] = 0.0
    tilt: Annotated[float, within(0, 0.5)] = 0.0
    cameras: Share = 0.0
    light: bool = False
    exposure: Annotated[float, within(0, 2)] = 0.08

    batch_size: Annotated[int, within(1, 2**20)] = 16
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, within(1e-12, 1e6)] = 0.1
    momentum: Share = 0.9
    weight_decay: Annotated[float, within(0, 1e6)] = 1e-3
    clip_gradient: Annotated[float, within(0, 1e12)] = 0.0
    ema: Share = 0.0
    schedule: Literal["plateau", "cosine", "linear"] = "plateau"
    plateau_factor: Annotated[float, within(0.0001, 0.9999)] = 0.1
    plateau_patience: Count = 2
    min_learning_rate: Annotated[float, within(0, 1e6)] = 1e-4
    warmup: Count = 0
    decay: Count = 0
    epochs: Annotated[int, within(1, 2**20)] = 30
    steps: Annotated[int, within(0, 2**31)] = 0
    seed: Count = 0

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    device: Literal["auto", "cpu", "cuda"] = "auto"
    frames_on: Literal["auto", "device", "host"] = "auto"
    threads: Annotated[int, within(0, 4096)] = 0
    validate_every: Count = 0
    save_every: Positive = 500
    tensorboard: bool = True
    commit: str = "unknown"
    sets: str = ""

    def __post_init__(self) -> None:
        for name, hint in _hints().items():
            setattr(self, name, _read_setting(name, hint, getattr(self, name)))
        if not self.seq_len or not set(self.seq_len) <= set(SIZES):
            raise UsageError(f"seq_len takes numbers from {SIZES_TEXT}; not {list(self.seq_len)}")
        if self.shares and set(self.shares) != set(self.seq_len):
            raise UsageError(f"shares are given for {sorted(self.shares)}, seq_len is {list(self.seq_len)}")
        if not 16 <= self.crop_min <= self.crop_max <= DEFAULT.shorter_edge:
            raise UsageError("crop_min and crop_max are sides from 16 to 136 px, crop_min the smaller one")
        if self.image_size > self.shorter_edge:
            raise UsageError(f"image_size is cut out of shorter_edge; it is at most {self.shorter_edge}")
        if (self.turn or self.tilt) and not self.shift:
            name = "turn" if self.turn else "tilt"
            raise UsageError(f"{name} is for the sets that shift shakes, and shift is 0; raise it, to 0.3 for example")
        if self.schedule == "plateau" and self.min_learning_rate > self.learning_rate:
            raise UsageError("min_learning_rate, below which the run ends, is above learning_rate; lower it")
        if not all(spacing > 0 for spacing in self.validation_spacings):
            raise UsageError("validation_spacings are whole numbers above 0")

    @property
    def family(self) -> str:
        """The network's family, a key of `imgorder.networks.families.FAMILIES`."""
        return family_of(self.backbone)

    @property
    def preprocessing(self) -> Preprocessing:
        """How photos become the network's input; it travels with the weights."""
        return Preprocessing(self.shorter_edge, self.image_size, squeeze=self.squeeze)

    def sets_a_step(self, n: int) -> int:
        """How many sets of n images a process sees in a step."""
        return self.batch_size if len(self.seq_len) == 1 else max(1, 4 * self.batch_size // n)


RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {
        "recipe": "fast",
        "backbone": "tridab",
        "seq_len": SIZES,
        "permutations": "one",
        "max_spacing": 16.0,
        "uneven": 0.4,
        "crop_min": 92,
        "crop_max": 136,
        "flip": 0.5,
        "shift": 0.3,
        "light": True,
        "batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "clip_gradient": 1.0,
        "ema": 0.998,
        "schedule": "cosine",
        "warmup": 200,
        "precision": "auto",
        "validate_every": 500,
    },
}


def family_of(backbone: str) -> str:
    """The network family of a backbone, a key of `imgorder.networks.families.FAMILIES`."""
    return f"dab-{backbone}" if backbone.startswith("resnet") else backbone


def make_config(*changes: Mapping[str, Any]) -> TrainConfig:
    """A recipe with changes, the later ones winning; ``recipe`` among them says which.

    Raises:
        UsageError: for an unknown setting or a value that does not fit; names it.
    """
    merged: dict[str, Any] = {}
    for each in changes:
        if not isinstance(each.get("network", {}), Mapping):
            raise UsageError(f"network is a table; not {each['network']!r}")
        network = {**merged.get("network", {}), **each.get("network", {})}
        merged |= each
        if network:
            merged["network"] = network
    known = [each.name for each in fields(TrainConfig)]
    unknown = sorted(merged.keys() - set(known))
    if unknown:
        raise UsageError(f"no such setting: {', '.join(unknown)}; there are {', '.join(known)}")
    recipe = merged.get("recipe", "paper")
    if recipe not in RECIPES:
        raise UsageError(f"recipe is {', '.join(RECIPES)}; not {recipe!r}")
    return TrainConfig(**{**RECIPES[recipe], **merged})


def read_toml(path: Path) -> dict[str, Any]:
    """Settings from a TOML file.

    Raises:
        UsageError: if the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{show(path)}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{show(path)}: not a TOML file ({error})") from error


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """``["weight_decay=0.02", "network.width=0.5", "optimizer=adamw"]`` as settings.

    Each is a line of TOML; a word without quotes is taken as a string.

    Raises:
        UsageError: for anything else.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, found, value = text.partition("=")
        if not found or not key.strip():
            raise UsageError(f"--set takes KEY=VALUE; not {text!r}")
        try:
            parsed = tomllib.loads(f"{key} = {value}")
        except tomllib.TOMLDecodeError:
            try:
                parsed = tomllib.loads(f'{key} = "{value.strip()}"')
            except tomllib.TOMLDecodeError as error:
                raise UsageError(f"--set takes KEY=VALUE as in a TOML file; not {text!r}") from error
        for name, each in parsed.items():
            both = isinstance(each, dict) and isinstance(settings.get(name), dict)
            settings[name] = {**settings[name], **each} if both else each
    return settings


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(TrainConfig, include_extras=True)


_LISTS = {tuple[int, ...]: "a list of whole numbers", tuple[str, ...]: "a list of words"}


def _read_setting(name: str, hint: Any, value: Any) -> Any:
    """A value as its annotation says; a list of numbers may be a single one.

    Raises:
        UsageError: if it does not fit.
    """
    base, *checks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    given = [value] if base == tuple[int, ...] and type(value) is int else as_json(value)
    try:
        read = read_value(base, given, name)
        for check in checks:
            if not check.fits(read):
                raise ValueError(f"{name} is not {check.wanted}")
        return read
    except ValueError as error:
        wanted = _LISTS.get(base) or str(error).removeprefix(f"{name} is not ").removeprefix("one of ")
        raise UsageError(f"{name} is {wanted}; not {value!r}") from error
