"""What is written in a model's card, checked field by field: a broken card is one line that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

from imgorder.errors import ModelError
from imgorder.names import is_line, show

SIZES = (3, 4, 5, 6)
CURE = "mend this card or remove it"

# Backend -> ending of the model files that it runs.
ENDINGS = {"onnx": ".onnx", "torch": ".safetensors"}

Check = Callable[[Any], bool]


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a card, as they are in the file.

    Raises:
        ModelError: if it cannot be read, or a field is missing, unknown or of another kind than it has to be.
    """
    try:
        card = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{show(path)}: this card cannot be read ({error.strerror}); {CURE}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{show(path)}: not JSON ({error}); {CURE}") from error
    for fault in _faults(card):
        raise ModelError(f"{show(path)}: {fault}; {CURE}")
    fields: dict[str, Any] = card
    return fields


def _faults(card: Any) -> Iterator[str]:
    if not isinstance(card, dict):
        yield "not a table of fields"
        return
    needed = ("name", "family", "about") if card.get("members") else ("name", "family", "about", "sizes")
    for name in needed:
        if name not in card:
            yield f"has no {name}"
    for name, value in card.items():
        if name not in FIELDS:
            yield f"has a field {show(name)} that no card has"
        else:
            fits, wanted = FIELDS[name]
            if not fits(value):
                yield f"{name} is not {wanted}"
    hub = card.get("hub")
    if hub and not re.fullmatch("[0-9a-f]{40}", hub["revision"]):
        yield f"the Hub revision {hub['revision']!r} is no full commit hash; pin one"
    if hub and not re.fullmatch(r"[\w.-]+/[\w.-]+", hub["repo_id"], re.ASCII):
        yield f"the Hub repository {hub['repo_id']!r} is not OWNER/NAME"
    names = [(backend, entry["file"]) for backend, entry in card.get("files", {}).items()]
    for _, name in names:
        if PurePath(name).name != name:
            yield f"the file {name!r} does not lie beside the card"
    for backend, name in (*names, *(hub["files"].items() if hub else ())):
        if not name.endswith(tuple(ENDINGS.values())):
            yield f"{name!r} is neither .onnx nor .safetensors; nothing else is ever loaded"
        elif not name.endswith(ENDINGS.get(backend, ())):
            yield f"{name!r} is no file for the {backend} backend"


def _is(*kinds: type) -> Check:
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool)


def _list_of(fits: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _table_of(fits: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _with(fields: dict[str, Check], only: bool = False) -> Check:
    """A table that has these fields, and perhaps others."""

    def fits(value: Any) -> bool:
        if not isinstance(value, dict) or (only and value.keys() != fields.keys()):
            return False
        return all(name in value and fit(value[name]) for name, fit in fields.items())

    return fits


def _sizes(value: Any) -> bool:
    return bool(value) and _list_of(lambda n: _WHOLE(n) and n in SIZES)(value)


def _members(value: Any) -> bool:
    return _table_of(_text)(value) and value.keys() <= {str(n) for n in SIZES}


def _text(value: Any) -> bool:
    return isinstance(value, str) and is_line(value)  # it is shown on terminals


_TEXT, _WHOLE, _NUMBER = _text, _is(int), _is(int, float)
_FILE = _with({"file": _TEXT, "bytes": _WHOLE, "sha256": _TEXT})
_FIGURE = {"dataset": _TEXT, "seq_len": _WHOLE, "spacing": _NUMBER, "sets": _WHOLE}
_FIGURE |= {"accuracy": _NUMBER, "baseline": _NUMBER}
_HUB = _with({"repo_id": _TEXT, "revision": _TEXT, "files": _table_of(_TEXT)}, only=True)

# Field -> whether a value fits, and what it has to be.
FIELDS: dict[str, tuple[Check, str]] = {
    "name": (_TEXT, "a line of text"),
    "family": (_TEXT, "a line of text"),
    "about": (_TEXT, "a line of text"),
    "licence": (_TEXT, "a line of text"),
    "data": (_TEXT, "a line of text"),
    "sizes": (_sizes, "a list of numbers from 3 to 6"),
    "files": (_table_of(_FILE), 'a table {"onnx": {"file": …, "bytes": …, "sha256": …}}'),
    "training": (_is(dict), "a table"),
    "preprocessing": (_table_of(lambda v: _NUMBER(v) or _list_of(_NUMBER)(v)), "a table of numbers"),
    "figures": (_list_of(_with(_FIGURE)), f"a list of tables with {', '.join(_FIGURE)}"),
    "limits": (_list_of(_TEXT), "a list of lines of text"),
    "hub": (lambda value: value is None or _HUB(value), "a table with repo_id, revision and files, or null"),
    "members": (_members, 'a table from set sizes, "3" to "6", to names of models'),
}
