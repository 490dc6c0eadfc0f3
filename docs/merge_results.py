"""Merge what several runs of ``imgorder evaluate --json`` measured on the same data into one results file.

    python docs/merge_results.py OUT.json IN.json [IN.json …]

A row takes the place of one of the same model, data set, kind, set size and spacing in an earlier file. To add to an
OUT.json that is there, name it as the first input as well. Files of different data are refused, and so are figures
that do not belong together: of models that were shown other sets or in another number of listings, and pooled ones of
other spacings than there are rows of. The first file decides which parts the result has: to rows alone, rows are added.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from imgorder.datasets.manifest import name_size
from imgorder.errors import ImgorderError
from imgorder.files import atomic_write
from imgorder.names import show

Entry = dict[str, Any]
Results = dict[str, Any]
Key = tuple[Any, ...]

# The lists of a results file, and by what their entries are told apart; all else at its top are facts.
PARTS: dict[str, tuple[str, ...]] = {
    "rows": ("dataset", "kind", "seq_len", "spacing", "model"),
    "pooled": ("dataset", "seq_len", "model"),
    "videos": ("dataset", "kind", "seq_len", "spacing", "model"),
}
Types = dict[str, type | tuple[type, ...]]
NUMBER = (int, float)
# A set size of null is of whole albums; a kind is told where there are several.
TYPES: Types = {
    "dataset": str,
    "model": str,
    "kind": (str, NoneType),
    "seq_len": (int, NoneType),
    "spacing": NUMBER,
}
MORE_TYPES: dict[str, Types] = {"rows": {}, "pooled": {"spacings": list}, "videos": {"accuracy": dict}}


def merge(files: Sequence[tuple[Path, Results]]) -> Results:
    """One result of several.

    Args:
        files: of each its name, for errors, and what `read` found in it.

    Returns:
        The first one's facts and parts; entries by data set, set size, spacing and model, data sets and models in the
        order in which they first appear.

    Raises:
        ImgorderError: if they do not belong together.
    """
    first_file, first = files[0]
    parts = [part for part in PARTS if part in first]
    for file, results in files:
        _check_alike(first_file, first, file, results, parts)
    merged = {name: value for name, value in first.items() if name not in PARTS}
    sources: dict[str, dict[Key, Path]] = {}
    for part in parts:
        found: dict[Key, Entry] = {}
        for _, results in files:  # an entry that is replaced keeps its place
            found |= {_key(part, entry): entry for entry in results[part]}
        merged[part] = list(found.values())
        sources[part] = {_key(part, entry): file for file, results in files for entry in results[part]}
    _check_cases(merged, sources)
    _check_pooled(merged, sources)
    place = _places(merged["rows"])
    for part in parts:
        merged[part].sort(key=place)
    return merged


def read(path: Path) -> Results:
    """A results file.

    Raises:
        ImgorderError: if it cannot be read or is none, if it has entries that cannot be told apart, or if its parts
            are not of the same rows.
    """
    try:
        results = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ImgorderError(f"{show(path)}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError):
        results = None
    if not _is_results(results):
        raise ImgorderError(f"{show(path)}: no results of version 1; write them with: imgorder evaluate --json")
    keys: dict[str, set[Key]] = {}
    for part in PARTS:
        keys[part] = own = set()
        for entry in results.get(part, []):
            key = _key(part, entry)
            if key in own:
                raise ImgorderError(f"{show(path)}: {_told(part, key)}: is twice in {part}; evaluate one data set each")
            own.add(key)
    for key in sorted(keys["rows"] ^ keys["videos"], key=str) if "videos" in results else []:
        raise ImgorderError(f"{show(path)}: {_told('rows', key)}: is not in both rows and videos; evaluate it again")
    _check_pooled(results, {part: dict.fromkeys(own, path) for part, own in keys.items()})
    return dict(results)


def main(argv: list[str] | None = None) -> None:
    """``python docs/merge_results.py OUT.json IN.json [IN.json …]``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT.json", help="the merged results")
    parser.add_argument("inputs", type=Path, nargs="+", metavar="IN.json", help="results; later ones take precedence")
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    try:
        if os.path.lexists(out) and os.path.realpath(out) not in map(os.path.realpath, arguments.inputs):
            raise ImgorderError(f"{show(out)}: is there already; name it as the first input as well, or remove it")
        merged = merge([(path, read(path)) for path in arguments.inputs])
        with atomic_write(out) as partial:
            partial.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")
    except ImgorderError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _is_results(results: Any) -> bool:
    if not isinstance(results, dict) or results.get("version") != 1 or not results.get("rows"):
        return False
    for part, fields in PARTS.items():
        types = {name: TYPES[name] for name in fields} | MORE_TYPES[part]
        entries = results.get(part, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return False
        if not all(isinstance(entry.get(name), kind) for entry in entries for name, kind in types.items()):
            return False
    return all(isinstance(each, NUMBER) for entry in results.get("pooled", []) for each in entry["spacings"])


def _check_alike(first_file: Path, first: Results, file: Path, results: Results, parts: Iterable[str]) -> None:
    """Refuse a file that tells of other things than the first one, or in another shape."""
    both = f"{show(first_file)} and {show(file)}"
    for name in dict.fromkeys([*first, *results]):
        if name not in PARTS and first.get(name) != results.get(name):
            values = f"{json.dumps(first.get(name))} and {json.dumps(results.get(name))}"
            raise ImgorderError(f"{both}: differ in {name} ({values}); evaluate all alike")
    own, other = ({row["dataset"] for row in each["rows"]} for each in (first, results))
    if own != other:
        names = " and ".join(", ".join(sorted(each)) for each in (own, other))
        raise ImgorderError(f"{both}: are of different data sets ({names}); merge those of one")
    for part in parts:
        if part not in results:
            raise ImgorderError(f"{show(file)}: has no {part}, as {show(first_file)} has; evaluate again with --json")
        shapes = {frozenset(entry) for each in (first, results) for entry in each[part]}
        if len(shapes) > 1:
            names = ", ".join(sorted(frozenset().union(*shapes) - frozenset.intersection(*shapes)))
            raise ImgorderError(f"{both}: only some of their {part} have {names}; evaluate all anew")


def _check_cases(merged: Results, sources: dict[str, dict[Key, Path]]) -> None:
    """Refuse models side by side that were not shown the same."""
    shown: dict[tuple[str, Key], tuple[Key, Any]] = {}
    for part, fields in (("rows", ("sets", "permutations")), ("videos", ("accuracy",))):
        for entry in merged.get(part, []):
            key = _key(part, entry)
            for field in fields:
                # Of videos the names count, not the figures.
                value = sorted(entry[field]) if part == "videos" else entry.get(field)
                before, first = shown.setdefault((field, key[:-1]), (key, value))
                if value != first:
                    files = " and ".join(dict.fromkeys(show(sources[part][each]) for each in (before, key)))
                    what = "videos" if part == "videos" else field
                    both = f"{_told(part, key)}: its {what} are not those of {before[-1]}"
                    raise ImgorderError(f"{files}: {both}; evaluate both alike")


def _check_pooled(merged: Results, sources: dict[str, dict[Key, Path]]) -> None:
    """Refuse figures over all spacings that are not those of the spacings that there are."""
    if "pooled" not in merged:
        return
    pooled = {_key("pooled", entry): sorted(entry["spacings"]) for entry in merged["pooled"]}
    rows: dict[Key, list[float]] = {}
    files: dict[Key, Path] = {}
    for entry in merged["rows"]:
        key = _key("pooled", entry)
        rows.setdefault(key, []).append(entry["spacing"])
        files[key] = sources["pooled"].get(key, sources["rows"][_key("rows", entry)])
    for key in dict.fromkeys([*rows, *pooled]):
        there, together = sorted(rows.get(key, [])), pooled.get(key, [])
        if there != together:
            told = [", ".join(f"{each:g}" for each in spacings) or "none" for spacings in (there, together)]
            what = f"{_told('pooled', key)}: rows of spacings {told[0]}, but pooled figures of {told[1]}"
            file = files.get(key) or sources["pooled"][key]
            raise ImgorderError(f"{show(file)}: {what}; evaluate all its spacings at once")


def _places(rows: Sequence[Entry]) -> Callable[[Entry], Key]:
    """Sort key of the entries of any part."""
    datasets, models = (list(dict.fromkeys(row[name] for row in rows)) for name in ("dataset", "model"))

    def place(entry: Entry) -> Key:
        dataset, model = datasets.index(entry["dataset"]), models.index(entry["model"])
        n = entry["seq_len"]
        return dataset, n is None, n or 0, entry.get("kind") or "", entry.get("spacing", 0), model

    return place


def _key(part: str, entry: Entry) -> Key:
    return tuple(entry.get(name) for name in PARTS[part])


def _told(part: str, key: Key) -> str:
    facts = dict(zip(PARTS[part], key, strict=True))
    spacing = f", spacing {facts['spacing']:g}" if "spacing" in facts else ""
    kind = f", {facts['kind']}" if facts.get("kind") else ""
    return f"{facts['model']} on {facts['dataset']}{kind}, n = {name_size(facts['seq_len'])}{spacing}"


if __name__ == "__main__":
    main()
