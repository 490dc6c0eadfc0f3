"""Records from files that may be foreign: read into dataclasses, or refused with the name of the field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from imgorder.fields import Check, Inline, Line, PathText, Probability, as_record, read_record


@dataclass(frozen=True)
class Size:
    width: int
    height: int


@dataclass(frozen=True)
class Everything:
    flag: bool
    count: Annotated[int, Check(lambda n: n in (3, 4), "3 or 4")]
    share: Probability
    ratio: float
    text: Line
    path: Path
    name: PathText
    kind: Literal["one", "two"]
    note: str | None
    list: tuple[int, ...]
    table: dict[int, str]
    inner: Size
    size: Annotated[Size, Inline]
    more: str = "none"


GOOD: dict[str, Any] = {
    "flag": True,
    "count": 3,
    "share": 1,
    "ratio": -2.5,
    "text": "a line",
    "path": "/photos/\udcff.jpg",
    "name": "\udcff.jpg",
    "kind": "two",
    "note": None,
    "list": [1, 2],
    "table": {"3": "three"},
    "inner": {"width": 1, "height": 2},
    "width": 3,
    "height": 4,
}


def test_a_record_becomes_a_dataclass_and_a_record_again() -> None:
    read = read_record(Everything, json.loads(json.dumps(GOOD)), only=True)
    assert (read.path, read.table, read.size, read.inner) == (
        Path("/photos/\udcff.jpg"),
        {3: "three"},
        Size(3, 4),
        Size(1, 2),
    )
    assert isinstance(read.share, float)
    assert as_record(read) == {**GOOD, "more": "none"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flag", 1),
        ("count", True),
        ("count", 5),
        ("count", 3.0),
        ("share", 1.01),
        ("share", float("nan")),
        ("ratio", float("inf")),
        ("ratio", 10**400),
        ("ratio", "1"),
        ("text", "two\nlines"),
        ("text", None),
        ("path", "a\0b"),
        ("name", "\ud800"),
        ("kind", "three"),
        ("kind", []),
        ("note", 3),
        ("list", [1, "2"]),
        ("list", "12"),
        ("table", {"x": "three"}),
        ("table", [3]),
        ("inner", {"width": 1}),
        ("inner", 3),
        ("width", None),
    ],
)
def test_a_field_that_does_not_fit_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field if field != "table" else "table|'x'"):
        read_record(Everything, {**GOOD, field: value})


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(ValueError, match=f"has no {field}"):
        read_record(Everything, {name: value for name, value in GOOD.items() if name != field})


def test_unknown_fields_are_refused_only_where_asked() -> None:
    with pytest.raises(ValueError, match="extra"):
        read_record(Size, {"width": 1, "height": 2, "extra": 3}, only=True)
    assert read_record(Size, {"width": 1, "height": 2, "extra": 3}) == Size(1, 2)


@pytest.mark.parametrize("record", [None, [], "text", 3])
def test_what_is_no_table_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="table"):
        read_record(Size, record)
