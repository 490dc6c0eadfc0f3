"""Model files that are broken, foreign or say nonsense: one line that names the file and the cure."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import imgorder
from imgorder.cli import app
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.checksum import verify_file
from imgorder.model_format import ModelMetadata
from imgorder.names import first_line
from tests.conftest import ROOT
from tests.test_bad_input import fails


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x08\x0a" * 200])
def test_a_corrupt_onnx_file(photos: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    assert "broken.onnx: " in fails(photos, "--model", str(tmp_path / "broken.onnx"))


def test_a_foreign_onnx_file(photos: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    assert "other.onnx: an ONNX model, but not one that imgorder exported" in fails(
        photos, "--model", str(tmp_path / "other.onnx")
    )


def write_model(path: Path, logits: Callable[[Any], Any], inputs: str = "images", **properties: str) -> None:
    """An ONNX file that says it is of imgorder, with a graph of a test's own.

    Args:
        path: of the file.
        logits: from the onnx helpers, to the nodes that compute ``logits``.
        inputs: name of the graph's input.
        properties: metadata that differs from what imgorder writes.
    """
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    images = helper.make_tensor_value_info(inputs, onnx.TensorProto.FLOAT, ["B", "n", 3, "H", "W"])
    result = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(logits(helper), "g", [images], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    metadata = ModelMetadata("made", "tridab", {}, (3, 4, 5, 6)).to_properties() | properties
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def numbers(*values: float) -> Callable[[Any], Any]:
    """A graph that says the same of every set."""
    return lambda helper: [helper.make_node("Constant", [], ["logits"], value_floats=values)]


def one_set(*values: float) -> Callable[[Any], Any]:
    """The same for a batch of one set."""

    def nodes(helper: Any) -> Any:
        table = helper.make_tensor("t", 1, (1, len(values)), values)
        return [helper.make_node("Constant", [], ["logits"], value=table)]

    return nodes


@pytest.mark.parametrize(
    ("logits", "said"),
    [
        (one_set(*[math.nan] * 12), "its answer is not a number"),
        (one_set(math.inf, *[0.0] * 11), "its answer is not a number"),
        (one_set(*[0.0] * 11), "gives no probability for each order of 4 photos"),
        (lambda helper: [helper.make_node("SequenceConstruct", ["images"], ["logits"])], "not a readable ONNX model"),
        (lambda helper: [helper.make_node("Cast", ["images"], ["logits"], to=8)], "not a readable ONNX model"),
        (numbers(*[0.0] * 12), "gives no probability for each order of 4 photos"),
        (lambda helper: [helper.make_node("Reshape", ["images", "images"], ["logits"])], "not a readable ONNX model"),
        (
            lambda helper: [
                helper.make_node("Constant", [], ["far"], value_ints=[10**6]),
                helper.make_node("Gather", ["images", "far"], ["logits"]),
            ],
            "its network cannot be run on 4 photos",
        ),
    ],
    ids=["nan", "infinite", "too few", "a sequence", "strings", "no batch", "wrong types", "runs into an error"],
)
@pytest.mark.parametrize("votes", ["1", "3"])
def test_a_network_that_gives_no_answer(
    photos: Path, tmp_path: Path, logits: Callable[[Any], Any], said: str, votes: str
) -> None:
    write_model(tmp_path / "made.onnx", logits)
    message = fails(photos, "--model", str(tmp_path / "made.onnx"), "--votes", votes)
    assert "made.onnx: " in message
    assert said in message


def test_a_made_network_that_answers(photos: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11))  # the errors above are not of how it is made
    result = CliRunner().invoke(app, ["sort", str(photos), "--model", str(tmp_path / "made.onnx")])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "properties",
    [
        {"name": ""},
        {"name": "two\nlines"},
        {"name": "\x1b[31mred"},
        {"sizes": "[]"},
        {"sizes": '"456"'},
        {"sizes": "{}"},
        {"sizes": "[2, 4]"},
        {"temperatures": "[1, 1, 1]"},
        {"temperatures": "null"},
        {"temperatures": '{"4": 0}'},
        {"temperatures": '{"4": -1}'},
        {"temperatures": '{"4": NaN}'},
        {"temperatures": '{"4": 1e-320}'},
        {"temperatures": f'{{"4": {"9" * 400}}}'},
        {"settings": "[" * 100_000},
        {"sizes": "[4, 12]"},
        {"preprocessing": "null"},
        {"preprocessing": "[136, 112]"},
        {"preprocessing": '{"shorter_edge": 1000000}'},
        {"preprocessing": '{"shorter_edge": 96, "crop": 112}'},
        {"preprocessing": '{"crop": "112"}'},
        {"preprocessing": '{"crop": 96.5}'},
        {"preprocessing": '{"std": [0.2, 0.2, 0.0]}'},
        {"preprocessing": '{"std": ["a", "b", "c"]}'},
        {"preprocessing": '{"mean": [0.5]}'},
    ],
    ids=str,
)
def test_a_model_that_says_nonsense_of_itself(photos: Path, tmp_path: Path, properties: dict[str, str]) -> None:
    write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11), **properties)
    assert "made.onnx: an ONNX model, but not one that imgorder exported" in fails(
        photos, "--model", str(tmp_path / "made.onnx")
    )


def test_a_model_whose_input_has_another_name(photos: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11), inputs="x")
    assert "made.onnx: an ONNX model, but not one that imgorder exported" in fails(
        photos, "--model", str(tmp_path / "made.onnx")
    )


def test_a_model_file_of_any_name(photos: Path, tmp_path: Path) -> None:
    # Bytes that are not UTF-8 are a name like any other, and the ending counts in any case.
    for name in (os.fsdecode(b"caf\xe9.onnx"), "UPPER.ONNX"):
        write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11))
        (tmp_path / "made.onnx").rename(tmp_path / name)
        result = CliRunner().invoke(app, ["sort", str(photos), "--model", str(tmp_path / name)])
        assert (result.exit_code, result.stderr) == (0, "")


def test_a_model_file_that_may_not_be_read(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11))

    real = Path.open

    def refused(self: Path, *rest: Any, **named: Any) -> Any:
        if self.suffix == ".onnx":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *rest, **named)

    monkeypatch.setattr(Path, "open", refused)
    said = fails(photos, "--model", str(tmp_path / "made.onnx"))
    assert "made.onnx: cannot be read (Permission denied)" in said


ALLOCATION = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:"
    f"'/encoder/stage1/{'block/' * 20}conv/Conv' Message: Failed to allocate memory for requested buffer of size 9"
)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("bad allocation"), RuntimeError(ALLOCATION)])
@pytest.mark.parametrize("when", ["start_session", "OnnxBackend.logits"])
def test_too_little_memory_is_no_damaged_model(
    photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, when: str
) -> None:
    class Session:
        def run(self, *arguments: Any) -> None:
            raise error

    def failing(*arguments: Any) -> Any:
        raise error

    if when == "start_session":
        monkeypatch.setattr("imgorder.inference.backends.onnx.start_session", failing)
    else:
        real = OnnxBackend.open
        monkeypatch.setattr(OnnxBackend, "open", lambda *arguments: replace(real(*arguments), session=Session()))
    message = fails(photos)
    assert "tridab-s.onnx: too little memory is left to" in message
    assert "close other programs, or give fewer photos at once" in message
    assert "again" not in message


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("x.so: failed to map segment from shared object"), OSError(errno.ENOMEM, "x")]
)
def test_too_little_memory_anywhere_is_one_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr("imgorder.sorting.sort.find_lookalikes", failing)
    line = "imgorder: error: too little memory is left; close other programs, or give fewer photos at once\n"
    assert fails(photos) == line


def test_a_file_whose_name_speaks_of_memory_is_not_taken_at_its_word(photos: Path) -> None:
    (photos / "out of memory.jpg").write_text("not a photo")
    result = CliRunner().invoke(app, ["sort", str(photos)])
    assert result.exit_code == 1
    assert "out of memory.jpg: not a photo in a format known here" in result.stderr


def test_a_long_reason_loses_its_middle() -> None:
    line = first_line(RuntimeError(ALLOCATION + "\nmore"))
    assert len(line) <= 164
    assert line.startswith("[ONNXRuntimeError] : 6")
    assert line.endswith("requested buffer of size 9")


def test_onnx_runtime_keeps_quiet(photos: Path, tmp_path: Path) -> None:
    # A byte of an operator's name that is not UTF-8: it would try again, and say so on stdout.
    write_model(tmp_path / "made.onnx", one_set(5, *[0] * 11))
    content = (tmp_path / "made.onnx").read_bytes()
    (tmp_path / "made.onnx").write_bytes(content.replace(b"Constant", b"Constan\xff"))
    assert "made.onnx: not a readable ONNX model" in fails(photos, "--model", str(tmp_path / "made.onnx"))


def read_released(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors and metadata of a released checkpoint, to make another one of."""
    from safetensors import safe_open

    with safe_open(ROOT / "models" / f"{name}.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.parametrize("changes", [{"sizes": "[3, 4, 5, 6]"}, {"preprocessing": '{"shorter_edge": 8, "crop": 2}'}])
def test_a_checkpoint_whose_network_cannot_be_run(photos: Path, tmp_path: Path, changes: dict[str, str]) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors, metadata = read_released("dab-resnet18-n3")
    save_file(tensors, tmp_path / "made.safetensors", {**metadata, "sizes": "[3, 4]", **changes})
    said = fails(photos, "--model", str(tmp_path / "made.safetensors"))
    assert "made.safetensors: its network cannot be run on 4 photos" in said


def endless(helper: Any) -> Any:
    """A loop of more turns than anybody waits for."""
    turn = helper.make_tensor_value_info("turn", 7, [])
    more, on = (helper.make_tensor_value_info(name, 9, []) for name in ("more", "on"))
    before, after = (helper.make_tensor_value_info(name, 1, [1, 12]) for name in ("before", "after"))
    nodes = [helper.make_node("Identity", ["more"], ["on"]), helper.make_node("Sin", ["before"], ["after"])]
    body = helper.make_graph(nodes, "turn", [turn, more, before], [on, after])
    return [
        helper.make_node("Constant", [], ["turns"], value=helper.make_tensor("t", 7, (), [1 << 62])),
        helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", 9, (), [True])),
        helper.make_node("Constant", [], ["first"], value=helper.make_tensor("f", 1, (1, 12), [1.0] * 12)),
        helper.make_node("Loop", ["turns", "yes", "first"], ["logits"], body=body),
    ]


def test_a_network_that_never_answers(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgorder.inference.backends.onnx.LONGEST_RUN", 0.3)
    write_model(tmp_path / "made.onnx", endless)
    said = fails(photos, "--model", str(tmp_path / "made.onnx"))
    assert "made.onnx: its network cannot be run on 4 photos (it took more than 0.3 s)" in said


@pytest.mark.parametrize("name", ["large.onnx", "large.safetensors"])
def test_a_file_far_too_large_for_a_model_is_not_read(photos: Path, tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    assert f"{name}: cannot be read (more than 537 MB" in fails(photos, "--model", str(tmp_path / name))


def test_a_model_takes_no_weights_from_other_files(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    write_model(tmp_path / "made.onnx", lambda helper: [helper.make_node("Identity", ["far"], ["logits"])])
    model = onnx.load(tmp_path / "made.onnx")
    far = onnx.TensorProto(name="far", data_type=1, dims=[1, 12], data_location=1)
    for key, value in (("location", "far.bin"), ("length", "48")):
        far.external_data.add(key=key, value=value)
    model.graph.initializer.append(far)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "far.bin").write_bytes(bytes(48))
    monkeypatch.chdir(tmp_path)
    assert "made.onnx: not a readable ONNX model" in fails(photos, "--model", str(tmp_path / "made.onnx"))


def test_a_checkpoint_that_claims_to_be_larger_than_it_is_gets_no_memory(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from imgorder.networks.families import build_network

    real, devices = build_network, []

    def watched(family: str, **settings: Any) -> Any:
        devices.append(torch.empty(0).device.type)
        return real(family, **settings)

    monkeypatch.setattr("imgorder.networks.weights.build_network", watched)

    tensors, metadata = read_released("dab-resnet18-n4")
    settings = json.dumps({**json.loads(metadata["settings"]), "width": 4})
    save_file(tensors, tmp_path / "made.safetensors", {**metadata, "settings": settings})
    said = fails(photos, "--model", str(tmp_path / "made.safetensors"))
    assert "made.safetensors: not a readable checkpoint" in said
    assert devices == ["meta"]


@pytest.mark.parametrize("name", ["tridab-s.onnx", "tridab-s.safetensors"])
def test_the_bytes_that_were_checked_are_those_that_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = "onnx" if name.endswith(".onnx") else "torch"
    if backend == "torch":
        pytest.importorskip("torch")
    for file in (ROOT / "models").glob("tridab-s.*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr("imgorder.inference.cards.model_folders", lambda: [tmp_path])
    real = verify_file

    def and_replace(path: Path, entry: Any) -> Any:
        seen = real(path, entry)
        path.write_bytes(b"somebody else's")
        return seen

    monkeypatch.setattr("imgorder.inference.model_files.verify_file", and_replace)
    assert imgorder.load_model("tridab-s", backend).backend == backend
    assert (tmp_path / name).read_bytes() == b"somebody else's"


def test_a_missing_or_unknown_model_file(photos: Path, tmp_path: Path) -> None:
    assert "no such model file" in fails(photos, "--model", str(tmp_path / "gone.onnx"))
    assert "gone.safetensors: no such model file" in fails(photos, "--model", str(tmp_path / "gone.safetensors"))
    (tmp_path / "weights.bin").write_bytes(b"1234")
    assert "can run any program when they are opened" in fails(photos, "--model", str(tmp_path / "weights.bin"))
    (tmp_path / "weights.txt").write_bytes(b"1234")
    assert "ends in .onnx or .safetensors" in fails(photos, "--model", str(tmp_path / "weights.txt"))


def test_a_network_of_another_version_is_told_from_a_damaged_one(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    tensors, metadata = read_released("tridab-s")
    save_file(tensors, tmp_path / "other.safetensors", {**metadata, "family": "tridab-ensemble"})
    said = fails(photos, "--model", str(tmp_path / "other.safetensors"))
    assert "no network family 'tridab-ensemble'; there are dab-resnet18" in said
    assert "to order photos, the model's ONNX file" in said
    save_file(tensors, tmp_path / "long.safetensors", {**metadata, "family": "x" * 10_000})
    assert len(fails(photos, "--model", str(tmp_path / "long.safetensors"))) < 600


def test_a_corrupt_checkpoint(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    assert "not a readable checkpoint" in fails(photos, "--model", str(tmp_path / "broken.safetensors"))
