"""A network's settings, as they come from JSON or TOML, as its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Config = TypeVar("Config")


def make_config(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """A config dataclass of these settings; lists, as read from JSON, become tuples.

    Raises:
        TypeError: for an unknown setting.
    """
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})
