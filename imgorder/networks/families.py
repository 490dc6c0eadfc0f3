"""All networks: from a family's name and its settings to a `torch.nn.Module`.

All networks share the signature ``(B, n, 3, S, S) -> (B, n!/2)``: logits of the permutation
classes listed in `imgorder.permutations`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from imgorder.fields import as_json, read_record
from imgorder.networks.dab_resnet import DABResNet, DABResNet18Config, DABResNet50Config
from imgorder.networks.deepimseq import DeepImSeq, DeepImSeqConfig
from imgorder.networks.opn import OPN, OPNConfig
from imgorder.networks.tridab import TriDAB, TriDABConfig
from imgorder.permutations import SIZES


class UnknownFamilyError(KeyError):
    """A network of a family that this version does not have; another one may."""


@dataclass(frozen=True)
class Family:
    """A kind of network.

    Attributes:
        config: dataclass of its settings.
        build: from such a config to a module.
        sizes: the set sizes n that one set of weights serves, or None where the config fixes n.
    """

    config: type
    build: Callable[[Any], nn.Module]
    sizes: tuple[int, ...] | None


FAMILIES: dict[str, Family] = {
    "tridab": Family(TriDABConfig, TriDAB, sizes=SIZES),
    "dab-resnet18": Family(DABResNet18Config, DABResNet, sizes=None),
    "dab-resnet50": Family(DABResNet50Config, DABResNet, sizes=None),
    "opn": Family(OPNConfig, OPN, sizes=None),
    "deepimseq": Family(DeepImSeqConfig, DeepImSeq, sizes=None),
}


def family_config(family: str, settings: Mapping[str, Any]) -> Any:
    """The config of a family, of settings as they come from JSON or TOML.

    Raises:
        UnknownFamilyError: for a family that is not among them.
        ValueError: for an unknown setting, or a value of another type.
    """
    if family not in FAMILIES:
        raise UnknownFamilyError(f"no network family {reprlib.repr(family)}; there are {', '.join(sorted(FAMILIES))}")
    return read_record(FAMILIES[family].config, as_json(dict(settings)), only=True)


def build_network(family: str, **settings: Any) -> nn.Module:
    """A freshly initialised network of a family; the settings are the fields of its config."""
    config = family_config(family, settings)
    return FAMILIES[family].build(config)


def apply_width(family: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that a family's config takes, where ``width``, a factor on all channels, may be among them.

    TriDAB's config lists its channels; its ``width`` multiplies those of the trunk and the head.

    Raises:
        ValueError: for a width that leaves no channels, or too many.
    """
    plain = dict(settings)
    factor = float(plain.get("width", 1))
    if not 0 < factor < 1000:
        raise ValueError(f"a width of {factor} leaves no channels, or too many")
    if family == "tridab" and plain.pop("width", None):
        usual = TriDABConfig()
        trunk = plain.get("trunk_widths", usual.trunk_widths)
        plain["trunk_widths"] = [max(1, round(factor * channels)) for channels in trunk]
        plain["head_width"] = max(2, round(factor * plain.get("head_width", usual.head_width)))
    return plain


def settings_of(network: nn.Module) -> dict[str, Any]:
    """The settings with which `build_network` makes a network of the same shape."""
    return asdict(network.config)  # type: ignore[call-overload, no-any-return]


def sizes_of(family: str, settings: dict[str, Any]) -> tuple[int, ...]:
    """The set sizes n that a network of these settings takes."""
    return FAMILIES[family].sizes or (int(family_config(family, settings).seq_len),)
