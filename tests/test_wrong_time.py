"""Libraries that do not load, Ctrl-C while they do, and disks that fail: one line each, and never a traceback."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from PIL import Image

from tests.conftest import EXAMPLE, is_one_error
from tests.test_bad_input import fails

BLOCKED = "cannot enable executable stack as shared object requires: Invalid argument"
INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


def start(*arguments: str | Path, libraries: Path | None = None, code: str = "") -> subprocess.CompletedProcess[str]:
    """imgorder in a process of its own, with other libraries first, or after some code."""
    path = os.pathsep.join(map(str, filter(None, (libraries, *sys.path))))
    how = ["-c", f"{code}\nfrom imgorder.__main__ import main; main()"] if code else ["-m", "imgorder"]
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, *how, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def library(folder: Path, name: str, code: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "code", "said", "cure"),
    [
        ("onnxruntime", f"raise ImportError('{BLOCKED}')", f"ONNX Runtime is installed but does not start ({BLOCKED}",
         "onnxruntime"),
        ("numpy", "try: import _none_\nexcept ImportError as error: raise ImportError('\\n\\nREAD THIS\\n') from error",
         "NumPy is installed but does not start (No module named '_none_'", "numpy"),
        ("PIL", "import ctypes; ctypes.CDLL('libnone.so')", "Pillow is installed but does not start (libnone.so: ",
         "pillow"),
        ("onnxruntime", "import sys; sys.none", "ONNX Runtime is installed but does not start (module 'sys' has no",
         "onnxruntime"),
    ],
)  # fmt: skip
def test_a_library_that_does_not_load(tmp_path: Path, name: str, code: str, said: str, cure: str) -> None:
    result = start("sort", EXAMPLE, libraries=library(tmp_path, name, code))
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    assert is_one_error(result.stderr, said, f"install it again: pip install --force-reinstall {cure}")


def test_a_heic_reader_that_does_not_load_is_named_with_the_photo(tmp_path: Path) -> None:
    # Slow enough that all threads want it at once.
    code = "sum(range(9**7)); raise ImportError('libheif.so.1: cannot open shared object file')"
    libraries = library(tmp_path, "pillow_heif", code)
    (tmp_path / "photos").mkdir()
    for name in ("1.heic", "2.heic", "3.heic"):
        (tmp_path / "photos" / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    result = start("sort", tmp_path / "photos", libraries=libraries)
    assert (result.returncode, result.stdout) == (1, "")
    assert is_one_error(result.stderr, ".heic: pillow-heif, which HEIC needs", "does not start (libheif.so.1: cannot")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("onnxruntime", INTERRUPTED),
        (
            "onnxruntime",
            f"try:\n{indent(INTERRUPTED, ' ')}\nexcept KeyboardInterrupt as stop: raise ImportError from stop",
        ),
        ("typer", INTERRUPTED),
    ],
)
def test_ctrl_c_while_a_library_loads(tmp_path: Path, name: str, code: str) -> None:
    result = start("sort", EXAMPLE, libraries=library(tmp_path, name, code))
    assert (result.returncode, result.stdout) == (128 + signal.SIGINT, ""), result.stderr
    assert "Traceback" not in result.stderr
    assert "does not start" not in result.stderr


FAILING = """
import os, sys
folder, number, left = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
def fail(event, arguments):
    global left
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(folder):
        left -= 1
        if left == 0:
            raise OSError(number, os.strerror(number))
sys.addaudithook(fail)
"""


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("turn", [1, 2])
def test_a_disk_that_fails_is_not_taken_for_the_output(photos: Path, number: int, turn: int) -> None:
    order = {"version": 1, "sets": [{"folder": str(photos), "order": sorted(os.listdir(photos)), "confidence": 0.9,
                                     "direction": "given", "model": "m", "backend": "b"}]}  # fmt: skip
    (photos.parent / "order.json").write_text(json.dumps(order), "utf-8")
    before = {path: path.read_bytes() for path in photos.iterdir()}
    result = start(photos, str(number), str(turn), "rename", "--order", photos.parent / "order.json", code=FAILING)
    assert (result.returncode, result.stderr == "") in ((0, True), (1, False)), result.stderr
    assert "the output could not be written" not in result.stderr
    assert all(line.startswith("imgorder: error: ") for line in result.stderr.splitlines())
    assert turn > 1 or os.strerror(number) in result.stderr
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_an_error_that_nothing_expects_is_told_of_the_disk(number: int) -> None:
    fail = f"def fail(*a): raise OSError({number}, 'odd', '/far/x.jpg')"
    code = f"import imgorder.media.photos as photos\n{fail}\nphotos.find_sets = fail"
    result = start("sort", EXAMPLE, code=code)
    assert (result.returncode, result.stdout) == (1, "")
    assert is_one_error(result.stderr, "/far/x.jpg: cannot be read or written (odd); check the disk")


def test_a_disk_that_fails_is_not_taken_for_a_damaged_picture(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **rest: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Image, "open", failing)
    assert "cannot be read (Input/output error); copy it again" in fails(photos)
