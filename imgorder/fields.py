"""JSON that may be foreign or damaged, read into dataclasses: each field is checked against its annotation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from imgorder.names import is_line

Record = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """What a value has to be beyond its type, for `Annotated`.

    Where ``fits`` uses names of its module, the `Annotated` type has to stand outside the class: inside, they are
    not seen.

    Attributes:
        fits: whether it is so; a ValueError counts as no.
        wanted: in words: "a number from 0 to 1".
    """

    fits: Callable[[Any], bool]
    wanted: str


class Inline:
    """For `Annotated`: the fields of this dataclass stand among those of the one that holds it."""


def _is_path(text: str) -> bool:
    return b"\0" not in os.fsencode(text)  # what cannot be encoded raises a ValueError


Probability = Annotated[float, Check(lambda value: 0 <= value <= 1, "a number from 0 to 1")]
PathText = Annotated[str, Check(_is_path, "a path")]
Line = Annotated[
    str, Check(lambda text: text.isprintable() or is_line(text), "a line of text")
]  # safe to show on a terminal

_PLAIN = (bool, int, str)
_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a table"}


def read_record(kind: type[T], record: Any, *, only: bool = False) -> T:
    """A dataclass from a JSON object.

    Args:
        kind: the dataclass. Fields with a default may be missing. Understood are bool, int, float, str, Path, Any,
            Literal, ``X | None``, tuple, list, dict, other dataclasses, and `Annotated` with `Check` and `Inline`.
        record: what was read.
        only: refuse fields that the dataclass, or one within it, does not have.

    Raises:
        ValueError: names the field and says what it has to be.
    """
    if not isinstance(record, dict):
        raise ValueError("not a table of fields")
    values: dict[str, Any] = {}
    for name, hint, inline, needed in _fields_of(kind):  # type: ignore[arg-type]
        if inline:
            values[name] = read_record(hint, record)  # whose other fields are not its own
        elif name in record:
            value = record[name]
            plain = type(value) is hint and hint in (str, int, bool)  # no call for what most fields are
            values[name] = value if plain else read_value(hint, value, name, only)
        elif needed:
            raise ValueError(f"has no {name}")
    if only and (unknown := record.keys() - _names_of(kind)):  # type: ignore[arg-type]
        raise ValueError(f"has a field {min(unknown)!r} that is not known")
    return kind(**values)


def as_record(value: Any) -> dict[str, Any]:
    """A dataclass as a JSON object that `read_record` reads back; `Inline` fields lie among the others."""
    record: dict[str, Any] = {}
    for name, _, inline, _ in _fields_of(type(value)):  # type: ignore[arg-type]
        own = getattr(value, name)
        if inline:
            record |= as_record(own)
        else:
            record[name] = own if own is None or isinstance(own, str | int) else as_json(own)  # no call for most
    return record


def as_json(value: Any) -> Any:
    """A value of a dataclass's field in the types of JSON; tuples become lists, and keys text."""
    if is_dataclass(value):
        return as_record(value)
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    return str(value) if isinstance(value, Path) else value


@cache
def _names_of(kind: type) -> set[str]:
    names = set()
    for name, hint, inline, _ in _fields_of(kind):  # type: ignore[arg-type]
        names |= _names_of(hint) if inline else {name}
    return names


@cache
def _fields_of(kind: type) -> tuple[tuple[str, Any, bool, bool], ...]:
    """Name, annotation, whether it is inline, and whether it is needed, of each field that can be given."""
    hints = get_type_hints(kind, include_extras=True)
    rows = []
    for each in fields(kind):
        if each.init:
            hint = hints[each.name]
            inline = Inline in get_args(hint)
            needed = each.default is MISSING and each.default_factory is MISSING
            rows.append((each.name, get_args(hint)[0] if inline else hint, inline, needed))
    return tuple(rows)


def read_value(hint: Any, value: Any, key: str, only: bool = False) -> Any:
    """A value of a JSON object as its annotation says; raises and refuses as `read_record` does.

    Args:
        hint: the annotation.
        value: what was read.
        key: name of the field.
        only: see `read_record`.
    """
    if type(value) is hint and hint in _PLAIN:
        return value  # most are: a manifest has millions of them
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, *checks = arguments
        wanted = [check.wanted for check in checks if isinstance(check, Check)]
        try:
            read = value if type(value) is base is str else read_value(base, value, key, only)
            if all(check.fits(read) for check in checks if isinstance(check, Check)):
                return read
        except ValueError as error:
            raise ValueError(f"{key} is not {wanted[-1]}" if wanted else str(error)) from error
        raise ValueError(f"{key} is not {wanted[-1]}")
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (each for each in arguments if each is not NoneType)
        return read_value(hint, value, key, only)
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise ValueError(f"{key} is not a list")
        return origin([read_value(arguments[0], each, key, only) for each in value])
    if origin is dict:
        _check_type(dict, value, key)
        if arguments[0] is int and not all(name.isascii() and name.isdigit() for name in value):
            raise ValueError(f"{key} is not a table from numbers")
        return {arguments[0](name): read_value(arguments[1], each, key, only) for name, each in value.items()}
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{key} is not one of {', '.join(map(str, arguments))}")
        return value
    if is_dataclass(hint):
        try:
            return read_record(hint, value, only=only)  # type: ignore[arg-type]  # a class, by its place
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    if hint is Path:
        return Path(read_value(PathText, value, key, only))
    if hint is not Any:
        _check_type(hint, value, key)
    return float(value) if hint is float else value


def _check_type(kind: type, value: Any, key: str) -> None:
    kinds: tuple[type, ...] = (int, float) if kind is float else (kind,)
    fits = isinstance(value, kinds) and (kind is bool or not isinstance(value, bool))
    if fits and kind is float:
        fits = abs(value) <= sys.float_info.max  # no infinity, and no NaN
    if not fits:
        raise ValueError(f"{key} is not {_WANTED[kind]}")
