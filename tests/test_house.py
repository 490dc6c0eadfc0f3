"""How the package is built: which module imports which, drawn from the sources without running them.

An arrow is an import anywhere in a file: at the top, inside a function, or for type checkers alone.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From the ground up: what a room imports stands to its left. `imgorder`, the front door, hands out names of all rooms.
ORDER = (
    *("errors", "names", "files", "fields", "permutations", "ordering", "search", "known", "evidence"),
    *("media", "model_format", "networks", "inference", "sorting", "library"),
    *("pictures", "heatmaps", "report", "changes", "datasets", "evaluation", "training"),
    *("cli", "imgorder", "__main__"),
)
MOST_LOOSE_MODULES = 8

BASE_COMMANDS = ("sort", "group", "decide", "cache", "rename", "stamp", "undo", "report", "heatmap", "models")
# What a base install has, besides Python itself. pillow_heif is asked for only where it is installed.
BASE_LIBRARIES = {"PIL", "huggingface_hub", "numpy", "onnxruntime", "pillow_heif", "platformdirs", "rich", "typer"}
# Imports that lead a base command to more than that, and when it goes through them. Of what lies behind such a door
# only what runs as it is loaded is looked at.
DOORS = {
    ("imgorder.inference.predictor", "imgorder.inference.backends.torch"): "--backend torch, or a GPU is in sight",
    ("imgorder.library.parts", "imgorder.library.parquet"): "part files are to be Parquet",
    ("imgorder.library.remote", "fsspec"): "photos beyond this machine's files",
    ("imgorder.cli._library", "imgorder.library.ray_engine"): "--engine ray",
    ("imgorder.pictures.animation", "imgorder.media.video"): "--animate with a video as output",
    ("imgorder.cli._formats", "imgorder.cli._parquet"): "--parquet",
    ("imgorder.cli.models", "imgorder.cli.model_tools"): "release, grow and held-out need imgorder[train]",
}


@dataclass(frozen=True)
class Arrow:
    """One import: of a module of the package, or of a library."""

    source: str
    target: str
    kind: str  # "load": runs as the source is imported; "call": inside a function; "types": for type checkers

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


class House:
    """The modules of a package and its imports."""

    def __init__(self, package: Path) -> None:
        self.modules = {_module_name(file, package): file for file in sorted(package.rglob("*.py"))}
        self.arrows = [
            arrow
            for module, file in self.modules.items()
            for arrow in self._arrows(module, ast.parse(file.read_text("utf-8")), "load")
        ]
        self._leaving: dict[str, list[Arrow]] = defaultdict(list)
        for arrow in self.arrows:
            self._leaving[arrow.source].append(arrow)

    def _arrows(self, module: str, node: ast.AST, kind: str) -> Iterator[Arrow]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.body:
                yield from self._arrows(module, statement, "types")
            for statement in node.orelse:
                yield from self._arrows(module, statement, kind)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Arrow(module, alias.name, kind)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written with full names"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                # The version stands in the front door itself, which imports nothing as it is loaded: no arrow.
                if inner != "imgorder.__version__":
                    yield Arrow(module, inner if inner in self.modules else str(node.module), kind)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            kind = "types" if kind == "types" else "call"
        for child in ast.iter_child_nodes(node):
            yield from self._arrows(module, child, kind)

    def inner(self) -> list[Arrow]:
        """The arrows between modules of the package."""
        return [arrow for arrow in self.arrows if arrow.target in self.modules]

    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other, directly or by way of others."""
        targets: dict[str, set[str]] = defaultdict(set)
        for arrow in self.inner():
            targets[arrow.source].add(arrow.target)
        reached = {module: _reached(targets, module) for module in self.modules}
        groups = {
            tuple(sorted(other for other in reached[module] if module in reached[other]))
            for module in self.modules
            if module in reached[module]
        }
        return [list(group) for group in sorted(groups)]

    def upward(self) -> list[str]:
        """Imports of a room that stands above the module's own."""
        return [str(arrow) for arrow in self.inner() if _height(arrow.target) > _height(arrow.source)]

    def loose_modules(self) -> list[str]:
        """Modules in the package's root, without its two entrances."""
        inner = [module.split(".")[1:] for module, file in self.modules.items() if file.stem != "__init__"]
        return sorted(names[0] for names in inner if len(names) == 1 and names != ["__main__"])

    def ways_beyond(self, libraries: set[str], doors: Iterable[tuple[str, str]]) -> list[str]:
        """How base commands reach a library that is not one of these: each way from module to module.

        A command's own imports inside functions count, and those of all modules that it reaches. Of the other
        commands, which are loaded with it, only what runs as they are loaded does.
        """
        closed = set(doors)
        ways: dict[tuple[str, bool], list[str]] = {}
        found = []
        waiting = deque([([f"imgorder.cli.{command}"], True) for command in BASE_COMMANDS])
        while waiting:
            way, called = waiting.popleft()
            module = way[-1]
            if (module, called) in ways or (module, True) in ways:
                continue
            if module not in self.modules:
                if module.split(".")[0] not in libraries | sys.stdlib_module_names:
                    ways[module, called] = way
                    found.append(" -> ".join(way))
                continue
            ways[module, called] = way
            if "." in module:  # Python loads a package before what is in it
                waiting.append(([*way, module.rpartition(".")[0]], False))
            for arrow in self._leaving[module]:
                calls = called and (module, arrow.target) not in closed
                if arrow.kind == "load" or (arrow.kind == "call" and calls):
                    waiting.append(([*way, arrow.target], calls))
        return found


def _module_name(file: Path, package: Path) -> str:
    names = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def _height(module: str) -> int:
    return ORDER.index(module.split(".")[1] if "." in module else module)


def _reached(targets: dict[str, set[str]], start: str) -> set[str]:
    """All modules that arrows lead to from this one; itself only if a circle leads back."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in targets[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT / "imgorder")


def test_every_room_has_its_place_in_the_order(house: House) -> None:
    rooms = {module.split(".")[1] if "." in module else module for module in house.modules}
    assert sorted(rooms) == sorted(ORDER)


def test_no_imports_run_in_circles(house: House) -> None:
    assert house.circles() == []


def test_no_import_runs_upward(house: House) -> None:
    assert house.upward() == []


def test_the_root_holds_few_modules(house: House) -> None:
    assert len(house.loose_modules()) <= MOST_LOOSE_MODULES, house.loose_modules()


def test_commands_for_photos_reach_nothing_but_what_a_base_install_has(house: House) -> None:
    assert house.ways_beyond(BASE_LIBRARIES, DOORS) == []


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door[1])
def test_every_door_is_there_and_needed(house: House, door: tuple[str, str]) -> None:
    assert door in {(arrow.source, arrow.target) for arrow in house.arrows}
    others = [each for each in DOORS if each != door]
    assert house.ways_beyond(BASE_LIBRARIES, others) != []


def test_the_front_door_imports_nothing_as_it_is_loaded(house: House) -> None:
    assert [str(each) for each in house.inner() if each.source == "imgorder" and each.kind != "types"] == []


def test_the_front_door_alone_imports_by_names_in_strings(house: House) -> None:
    """Elsewhere such imports would be missing from all that is drawn here."""
    by_string = ("import_module(", "__import__(")
    loading = [name for name, file in house.modules.items() if any(how in file.read_text("utf-8") for how in by_string)]
    assert loading == ["imgorder"]


def planted(tmp_path: Path, sources: dict[str, str]) -> House:
    """A house of these files, beside empty ones for the commands; written over what an earlier call has written."""
    commands = {f"cli/{command}": "" for command in BASE_COMMANDS}
    for name, source in {"__init__": "", "cli/__init__": "", **commands, **sources}.items():
        file = tmp_path / "imgorder" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")
    return House(tmp_path / "imgorder")


UNDER_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
IN_FUNCTION = "def inside():\n    "


@pytest.mark.parametrize("where", ["", UNDER_TYPES, IN_FUNCTION])
def test_a_circle_is_seen_wherever_its_imports_stand(tmp_path: Path, where: str) -> None:
    sources = {"media/photos": "from imgorder.media import exif", "media/exif": "import imgorder.media.capture"}
    assert planted(tmp_path, {**sources, "media/capture": ""}).circles() == []
    circle = planted(tmp_path, {**sources, "media/capture": where + "from imgorder.media.photos import find_sets"})
    assert circle.circles() == [[f"imgorder.media.{each}" for each in ("capture", "exif", "photos")]]


@pytest.mark.parametrize("where", ["", UNDER_TYPES, IN_FUNCTION])
def test_an_import_that_runs_upward_is_seen_wherever_it_stands(tmp_path: Path, where: str) -> None:
    sources = {"heatmaps/maps": "", "networks/opn": where + "from imgorder.heatmaps.maps import maps"}
    assert planted(tmp_path, sources).upward() == ["imgorder.networks.opn -> imgorder.heatmaps.maps"]


def test_more_than_the_version_from_the_front_door_runs_upward(tmp_path: Path) -> None:
    assert planted(tmp_path, {"sorting": "from imgorder import __version__"}).upward() == []
    assert planted(tmp_path, {"sorting": "from imgorder import load_model"}).upward() == [
        "imgorder.sorting -> imgorder"
    ]


@pytest.mark.parametrize("where", ["", IN_FUNCTION, "if True:\n    ", "class Inner:\n    "])
def test_a_way_to_a_heavy_library_is_seen_wherever_its_imports_stand(tmp_path: Path, where: str) -> None:
    sources = {"cli/sort": where + "from imgorder.sorting import sort", "sorting": where + "import torch.nn"}
    house = planted(tmp_path, sources)
    assert house.ways_beyond({"numpy"}, []) == ["imgorder.cli.sort -> imgorder.sorting -> torch.nn"]


@pytest.mark.parametrize("behind", ["", IN_FUNCTION])
@pytest.mark.parametrize("where", ["", IN_FUNCTION])
def test_a_door_hides_what_is_called_behind_it_and_not_what_loads_with_a_command(
    tmp_path: Path, where: str, behind: str
) -> None:
    sources = {"cli/sort": where + "from imgorder.sorting import sort", "sorting": behind + "import torch"}
    hidden = planted(tmp_path, sources).ways_beyond({"numpy"}, [("imgorder.cli.sort", "imgorder.sorting")]) == []
    assert hidden == (IN_FUNCTION in (where, behind))


def test_what_loads_with_a_command_counts_and_what_others_do_later_does_not(tmp_path: Path) -> None:
    package = "from imgorder.cli.sort import sort\nfrom imgorder.cli.train import train"
    later = planted(tmp_path, {"cli/__init__": package, "cli/train": IN_FUNCTION + "import torch"})
    assert later.ways_beyond({"numpy"}, []) == []
    at_once = planted(tmp_path, {"cli/__init__": package, "cli/train": "import torch"})
    assert at_once.ways_beyond({"numpy"}, []) == ["imgorder.cli.sort -> imgorder.cli -> imgorder.cli.train -> torch"]


def test_what_type_checkers_alone_import_is_not_reached(tmp_path: Path) -> None:
    assert planted(tmp_path, {"cli/sort": UNDER_TYPES + "import torch"}).ways_beyond({"numpy"}, []) == []


def test_loose_modules_are_counted_without_the_entrances(tmp_path: Path) -> None:
    house = planted(tmp_path, dict.fromkeys(["__main__", "errors", "names", "media/photos", "media/__init__"], ""))
    assert house.loose_modules() == ["errors", "names"]
