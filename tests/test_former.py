"""Journals, plans, orders and networks that version 0.2.0.dev0 wrote are still undone, recovered, carried out and read.

`tests/former` was made by the code of commit 199512c: the same three photos and one XMP file ``before``, ``renamed``
and ``stamped``, and in the middle of both, where the process was killed (``renaming``, ``stamping``); a plan for
``before``; and an order of the photos in `examples/balloon`. Git keeps neither inodes nor times of change, so
``state.json`` tells which each file had. A test gives a copy of a file its time back, and writes the inode of the
copy in the place of the old one wherever that stands in a journal or in the plan. The rest is as it was written.

``dab-signed.safetensors`` and ``dab-magnitude.safetensors`` are DAB-ResNets of the first model format, which summed
over the images on both sides; ``logits.json`` has what they made of the images below then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from imgorder.changes.plan import read_plan
from tests.conftest import APPLY, EXAMPLE, ROOT
from tests.renaming import command, done, snapshot, without_journals

FORMER = ROOT / "tests" / "former"
STATES = json.loads((FORMER / "state.json").read_text())


def rebuild(home: Path, name: str) -> Path:
    """A folder as the former version left it."""
    folder = home / "photos"
    shutil.copytree(FORMER / name, folder)
    for file, state in STATES[name].items():
        if file.endswith(".jsonl"):
            (folder / file).write_text(with_new_inodes((folder / file).read_text(), folder, name))
        os.utime(folder / file, ns=(state["mtime_ns"], state["mtime_ns"]))
    return folder


def with_new_inodes(text: str, folder: Path, name: str) -> str:
    """A journal or plan in which the files of a rebuilt folder have the inodes that they have now."""
    inodes = {str(state["inode"]): str((folder / file).stat().st_ino) for file, state in STATES[name].items()}
    return re.sub(r"(?<=: )\d+(?=[,}\n])", lambda number: inodes.get(number[0], number[0]), text)


def before(home: Path) -> dict[str, tuple[bytes, int]]:
    """The files as they were before any run."""
    return snapshot(rebuild(home / "expected", "before"))


@pytest.mark.parametrize(("name", "files"), [("renamed", 4), ("stamped", 3)])
def test_a_run_that_is_done_is_listed_and_undone(tmp_path: Path, name: str, files: int) -> None:
    folder = rebuild(tmp_path, name)
    assert without_journals(snapshot(folder)) != before(tmp_path)
    assert done("undo", folder, "--list").strip().endswith(f"{files} files, done")
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before(tmp_path / "again")
    assert "undone" in done("undo", folder, "--list")


@pytest.mark.parametrize("name", ["renaming", "stamping"])
def test_a_run_that_was_interrupted_is_recovered(tmp_path: Path, name: str) -> None:
    folder = rebuild(tmp_path, name)
    refusal = command("rename", folder)
    assert refusal.exit_code == 1
    assert "--recover" in refusal.stderr
    done("undo", folder, "--recover")
    assert snapshot(folder) == before(tmp_path)


def test_inodes_count_in_former_journals(tmp_path: Path) -> None:
    folder = rebuild(tmp_path, "renamed")
    status = (folder / "001_c.jpg").stat()
    (folder / "copy").write_bytes((folder / "001_c.jpg").read_bytes())
    os.utime(folder / "copy", ns=(0, status.st_mtime_ns))
    os.replace(folder / "copy", folder / "001_c.jpg")
    result = command("undo", folder)
    assert result.exit_code == 1
    assert "001_c.jpg: another file by now" in result.stderr


def test_a_plan_has_the_digest_that_it_had() -> None:
    plan = read_plan(FORMER / "plan.json")
    assert plan.digest == json.loads((FORMER / "plan.json").read_text())["digest"]
    assert [(file.old, file.new, file.companion_of) for file in plan.sets[0].files] == [
        ("c.jpg", "001_c.jpg", None),
        ("a.jpg", "002_a.jpg", None),
        ("a.xmp", "002_a.xmp", "a.jpg"),
        ("b.jpg", "003_b.jpg", None),
    ]


def test_a_plan_is_carried_out(tmp_path: Path) -> None:
    folder = rebuild(tmp_path, "before")
    plan = tmp_path / "plan.json"
    content = json.loads(with_new_inodes((FORMER / "plan.json").read_text(), folder, "before"))
    content["sets"][0]["folder"] = str(folder)
    del content["digest"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["digest"] = hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
    plan.write_text(json.dumps(content))
    done("rename", "--plan", plan, *APPLY)
    assert sorted(without_journals(snapshot(folder))) == ["001_c.jpg", "002_a.jpg", "002_a.xmp", "003_b.jpg"]
    done("undo", folder)
    assert without_journals(snapshot(folder)) == before(tmp_path)


def test_an_order_is_read() -> None:
    (record,) = json.loads((FORMER / "order.json").read_text())["sets"]
    shown = json.loads(done("rename", EXAMPLE, "--order", FORMER / "order.json", "--json"))["sets"][0]
    assert [file["old"] for file in shown["files"]] == record["order"]
    assert shown["confidence"] == record["confidence"]


@pytest.mark.parametrize(("name", "accumulator"), [("signed", "symmetric"), ("magnitude", "symmetric-magnitude")])
def test_a_former_dab_resnet_gives_the_same_answers_and_names_its_sum_anew(
    tmp_path: Path, name: str, accumulator: str
) -> None:
    torch = pytest.importorskip("torch")
    from imgorder.networks.weights import read_network, write_network

    ramp = torch.linspace(-1, 1, 4 * 3 * 32 * 32).reshape(1, 4, 3, 32, 32)
    images = torch.sin(40 * ramp * torch.arange(1, 5).reshape(1, 4, 1, 1, 1))
    network, metadata = read_network(FORMER / f"dab-{name}.safetensors")
    assert metadata.settings["dab"] == accumulator
    write_network(network, metadata, tmp_path / "again.safetensors")  # in today's format
    expected = torch.tensor(json.loads((FORMER / "logits.json").read_text())[name])
    for each in (network, read_network(tmp_path / "again.safetensors")[0]):
        with torch.inference_mode():
            torch.testing.assert_close(each(images)[0], expected, rtol=1e-4, atol=1e-4)


def test_a_former_training_run_goes_on_with_its_sum(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from imgorder.networks.weights import write_tensors
    from imgorder.training.checkpoint import read_config

    state = tmp_path / "state.safetensors"
    former = {"backbone": "resnet18", "network": {"width": 0.5, "window": 1}}
    for settings, accumulator in ((former, "symmetric"), ({"backbone": "tridab"}, None)):
        metadata = {"config": json.dumps(settings), "progress": json.dumps({"step": 4})}
        write_tensors({"model.weight": torch.zeros(1)}, metadata, state)
        assert read_config(state).network.get("dab") == accumulator
