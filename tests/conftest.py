"""Photos for tests, rendered by the project's own scene script."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache, partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from PIL import Image, ImageDraw
from typer.testing import CliRunner

# A run that fails must fail again: the same examples are drawn each time, unless new ones are asked for.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("explore" if os.environ.get("IMGORDER_EXPLORE", "0") not in ("", "0") else "repeatable")

# A shell that runs the tests in the background has them ignore Ctrl-C, which some of them are about.
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that start ONNX Runtime themselves
if "PYTEST_XDIST_WORKER" in os.environ:  # the other workers need their cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
APPLY = ("--apply", "--either-direction")  # orders of tests rarely say which end is the first
EXAMPLE = ROOT / "examples" / "balloon"


def load_script(path: Path) -> ModuleType:
    """A script outside the package as a module; it may import those beside it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def open_the_way(folder: Path) -> None:
    """Where root runs the tests, let other users get to a folder in a test's own, past the four above it.

    pytest keeps those to itself.
    """
    if os.geteuid() != 0:
        return
    for each in (folder, *folder.parents[:4]):
        each.chmod(each.stat().st_mode | 0o555)


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No colours, terminal, GPU or cache of the machine that the tests run on."""
    monkeypatch.setenv("IMGORDER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("imgorder.inference.predictor._gpu_in_sight", lambda: False)
    # Without this the runner turns any exception into exit code 1, which tests of errors expect.
    monkeypatch.setattr(CliRunner, "invoke", partialmethod(CliRunner.invoke, catch_exceptions=False))


@pytest.fixture(autouse=True, scope="session")
def shared_sessions() -> Iterator[None]:
    """Opening a released model takes longer than asking it: each is opened once for all tests of a process.

    A session keeps nothing from one run to the next. Files that tests have written, and may write again, are
    opened each time.
    """
    # Not above: it reads its variables, which are set above, as it is imported.
    import onnxruntime

    from imgorder.inference.backends.onnx import start_session

    released = (ROOT / "models").resolve()
    opened = lru_cache(start_session)

    def shared(path: Path, threads: int | None = None, content: bytes | None = None) -> onnxruntime.InferenceSession:
        if path.resolve().parent == released:
            return opened(path, threads)
        return start_session(path, threads, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("imgorder.inference.backends.onnx.start_session", shared)
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are drawn into pictures, one after the other."""
    texts: list[str] = []
    real = ImageDraw.ImageDraw.text

    def watched(self: Any, xy: Any, text: Any, *arguments: Any, **rest: Any) -> None:
        texts.append(text)
        real(self, xy, text, *arguments, **rest)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", watched)
    return texts


@pytest.fixture(scope="session")
def scene() -> list[Image.Image]:
    """Six photos of one rendered scene in temporal order, 400×300."""
    images: list[Image.Image] = load_script(ROOT / "examples" / "render_scene.py").render_set(6, 3, 400, 300)
    return images


@pytest.fixture
def photos(tmp_path: Path, scene: list[Image.Image]) -> Path:
    """A folder with four photos of the scene under names that do not tell the order."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, image in zip(("img10.jpg", "img2.jpg", "img33.jpg", "img1.jpg"), scene, strict=False):
        image.save(folder / name, quality=92)
    return folder


def is_one_error(stderr: str, *parts: str) -> bool:
    """Whether stderr is one line, an error that says each of these: the file, and what to do."""
    line = stderr.removesuffix("\n")
    return line.startswith("imgorder: error: ") and "\n" not in line and all(part in line for part in parts)
