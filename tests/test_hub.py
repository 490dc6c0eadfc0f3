"""Models from the Hub, against a server on this machine that speaks its protocol."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socket import gaierror
from ssl import SSLError
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants  # noqa: F401  # reads its variables once: before a test changes them
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import imgorder
from imgorder.cli import app
from imgorder.inference import cards as registry
from imgorder.inference.backends.onnx import OnnxBackend
from imgorder.inference.hub import cache
from imgorder.inference.model_files import usable_file
from imgorder.media.preprocess import Preprocessing
from tests.conftest import ROOT, open_the_way
from tests.hub_server import HubServer, Repository

REPO = "someone/order"
ENTRY = json.loads((ROOT / "models" / "tridab-s.json").read_text("utf-8"))
FILES = {entry["file"]: (ROOT / "models" / entry["file"]).read_bytes() for entry in ENTRY["files"].values()}
ONNX, WEIGHTS = ENTRY["files"]["onnx"]["file"], ENTRY["files"]["torch"]["file"]
SIZE = ENTRY["files"]["onnx"]["bytes"]
HUB_VARIABLES = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub with one model, and an empty cache."""
    for name in (*HUB_VARIABLES, "TRANSFORMERS_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    server = HubServer()
    server.repositories[REPO] = Repository()
    server.repositories[REPO].commit(FILES)
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # huggingface_hub waits before it tries again
    yield server
    if not server.dies:
        server.stop()


@pytest.fixture
def models(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the card of a model whose files only the Hub has."""
    folder = tmp_path / "models"
    folder.mkdir()
    (revision,) = hub.repositories[REPO].commits
    write_card(folder, hub={"repo_id": REPO, "revision": revision, "files": {"onnx": ONNX, "torch": WEIGHTS}})
    monkeypatch.setattr(registry, "model_folders", lambda: [folder])
    return folder


def write_card(folder: Path, **changes: Any) -> None:
    (folder / "far.json").write_text(json.dumps({**ENTRY, "name": "far", **changes}), "utf-8")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path, code: int = 1) -> str:
    """The one line on stderr of a command that ends with an error, and prints nothing else."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1), result.output
    assert result.stderr.startswith("imgorder: error: ")
    return result.stderr


def kept() -> list[Path]:
    """Model files in the cache, whole or in part."""
    files = (path for path in cache.folder().rglob("*") if path.is_file() and path.stat().st_size)
    return [path for path in files if path.name != "CACHEDIR.TAG"]


def cached() -> Path:
    path = cache.cached_file(registry.find_card("far"), "onnx")
    assert path is not None
    return path


def test_a_model_comes_from_the_hub_once_and_then_from_the_cache(
    hub: HubServer, models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("sort", photos, "--json", "--model", "far")
    assert (result.exit_code, result.stderr) == (0, "")
    assert cached().read_bytes() == FILES[ONNX]
    assert hub.downloads() == 1
    requests = len(hub.seen)
    assert run("sort", photos, "--json", "--model", "far").stdout == result.stdout
    assert len(hub.seen) == requests
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("sort", photos, "--json", "--model", "far").stdout == result.stdout


def test_a_cached_model_needs_no_network_code_and_one_that_comes_along_neither(
    hub: HubServer, models: Path, photos: Path
) -> None:
    assert run("models", "pull", "far").exit_code == 0
    hub.stop()
    hub.dies = True
    code = (
        "import sys; from pathlib import Path; from imgorder.inference import cards as registry\n"
        "from imgorder.cli import app\n"
        "import imgorder.inference.predictor; imgorder.inference.predictor._gpu_in_sight = lambda: False\n"
        "def run(*arguments):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert end.code == 0, end.code\n"
        "run('sort', sys.argv[1])\n"
        "registry.model_folders = lambda: [Path(sys.argv[2])]\n"
        "run('sort', sys.argv[1], '--model', 'far')\n"
        "run('models', 'verify'); run('models', 'pull', 'far'); run('models', 'push', 'far', '--repo', 'a/b')\n"
        "network = {'huggingface_hub', 'httpx', 'httpx2', 'requests', 'urllib3'} & set(sys.modules)\n"
        "assert not network, network\n"
    )
    command = [sys.executable, "-c", code, str(photos), str(models)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_pull_brings_all_files_and_says_where_they_are(hub: HubServer, models: Path) -> None:
    result = run("models", "pull", "far")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(r"far onnx: right, (.+)\nfar torch: right, (.+)\n", result.stdout)
    for line, name in zip(result.stdout.splitlines(), (ONNX, WEIGHTS), strict=True):
        assert Path(line.split(", ", 1)[1]).read_bytes() == FILES[name]
    assert run("models", "pull", "far").stdout == result.stdout
    assert run("models", "pull", "far", "--offline").stdout == result.stdout
    assert hub.downloads() == 2


def test_in_a_process_of_its_own_the_variables_of_the_hub_hold(hub: HubServer, models: Path) -> None:
    """HF_ENDPOINT and HF_HOME as huggingface_hub reads them; a bar on a terminal, and nowhere else."""
    code = (
        "import sys; from pathlib import Path; from imgorder.inference import cards as registry\n"
        "folder = Path(sys.argv.pop(1)); registry.model_folders = lambda: [folder]\n"
        "from imgorder.cli import main; main()"
    )
    arguments = [sys.executable, "-c", code, str(models), "models", "pull", "far"]
    plain = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": "~/x", "HOME": str(models)},
        check=False,
    )
    assert (plain.returncode, plain.stderr) == (0, "")
    assert str(models / "x" / "hub" / "models--someone--order" / "snapshots") in plain.stdout
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=follower, check=False)
    os.close(follower)
    assert shown.returncode == 0
    assert b"100%" in os.read(leader, 100_000)
    os.close(leader)
    assert hub.downloads() == 4


@pytest.mark.parametrize(
    ("name", "value"), [("HF_ENDPOINT", "http://[::1"), ("HF_HUB_DOWNLOAD_TIMEOUT", "soon")], ids=lambda text: text
)
def test_a_variable_of_the_hub_that_makes_no_sense_is_named(name: str, value: str, tmp_path: Path) -> None:
    # In a process of its own, because huggingface_hub reads its variables as it is imported.
    command = [sys.executable, "-m", "imgorder", "models", "push", "tridab-s", "--repo", "me/order", "--yes"]
    others = {key: each for key, each in os.environ.items() if not key.startswith("HF_")}
    variables = {**others, "HF_HOME": str(tmp_path), name: value}
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert result.stderr.startswith("imgorder: error: the Hub cannot be asked")
    assert name in result.stderr


def test_a_mirror_at_another_address_is_not_asked_again_later(
    hub: HubServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint + "/mirror")
    assert "the Hub answered 404 (someone/order); check HF_ENDPOINT" in refused("models", "pull", "far")
    assert len(hub.seen) == 1


def test_a_name_in_the_cache_that_leads_out_of_it_is_replaced_and_nothing_else(
    hub: HubServer, models: Path, tmp_path: Path
) -> None:
    assert run("models", "pull", "far").exit_code == 0
    own = tmp_path / "own.onnx"
    own.write_bytes(b"somebody's own")
    cached().unlink()
    cached().symlink_to(own)
    result = run("models", "pull", "far")
    assert (result.exit_code, result.stderr) == (0, "")
    assert own.read_bytes() == b"somebody's own"
    assert cached().read_bytes() == FILES[ONNX]


def test_wrong_bytes_do_not_stay_in_a_cache_that_is_a_link(
    hub: HubServer, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    hub.repositories[REPO] = Repository()
    revision = hub.repositories[REPO].commit({name: bytes(len(content)) for name, content in FILES.items()})
    write_card(models, hub={"repo_id": REPO, "revision": revision, "files": {"onnx": ONNX, "torch": WEIGHTS}})
    assert "fetched twice" in refused("models", "pull", "far")
    assert kept() == []


def test_a_folder_in_the_place_of_a_file_of_the_cache_is_one_line(hub: HubServer, models: Path, photos: Path) -> None:
    cached().mkdir(parents=True)
    for command in (("models", "pull", "far"), ("sort", photos, "--model", "far")):
        line = refused(*command)
        assert str(cached()) in line
        assert line.endswith("remove it by hand\n")


@pytest.mark.parametrize(
    ("status", "token", "said"),
    [
        (400, None, "check HF_ENDPOINT"),
        (409, "mine", "the Hub answered 409 and refused: no"),
        (401, None, "the Hub wants to know who asks for me/order; set HF_TOKEN"),
        (401, "mine", "the Hub does not accept the token"),
        (403, None, "the Hub wants to know who asks for me/order; set HF_TOKEN"),
        (403, "mine", "the token may not do that"),
        (429, None, "try again later"),
        (502, None, "try again later"),
    ],
)
def test_every_answer_has_its_cure(
    hub: HubServer, status: int, token: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgorder.inference.hub.client import explain

    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    else:
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", os.devnull)
    error = Exception("no")
    error.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    assert said in explain(error, "me/order")


@pytest.mark.parametrize(
    ("error", "again", "said"),
    [
        (gaierror(errno.ENOENT, "Name or service not known"), True, "me/order cannot be reached"),
        (SSLError(errno.EPERM, "certificate verify failed"), True, "me/order cannot be reached"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False, "check HF_HOME"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a/token"), False, "/a/token: Not a directory; check"),
        (OSError(errno.EROFS, "Read-only file system"), False, "cannot be written"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), True, "me/order cannot be reached"),
        ("é".encode, False, "check HF_ENDPOINT and the other variables"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_is_the_disk_s_and_what_the_network_s(
    hub: HubServer, error: Any, again: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgorder.inference.hub.client import explain, is_temporary

    monkeypatch.setenv("HF_TOKEN", "mine")
    if callable(error):
        with pytest.raises(UnicodeEncodeError) as raised:
            error("ascii")
        error = raised.value
    assert said in explain(error, "me/order")
    assert is_temporary(error) == again


def test_a_token_that_cannot_be_one(hub: HubServer, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "schlüssel")
    assert "the token has characters that no token has" in refused("models", "pull", "far")


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE"])
def test_a_cache_that_is_a_file(
    hub: HubServer, models: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(name, str(tmp_path / "file"))
    line = refused("models", "pull", "far")
    assert f"{tmp_path / 'file'}" in line
    assert "check HF_HOME" in line
    assert hub.downloads() <= 1


def test_a_file_that_is_damaged_in_the_cache_is_an_error_until_it_is_fetched_again(
    hub: HubServer, models: Path, photos: Path
) -> None:
    run("models", "pull", "far")
    content = bytearray(FILES[ONNX])
    content[len(content) // 2] ^= 1
    blob = cached().resolve()
    for broken in (bytes(content), FILES[ONNX][:-1], b""):
        blob.write_bytes(broken)
        line = refused("sort", photos, "--model", "far")
        assert str(cached()) in line
        assert "run: imgorder models pull far" in line
        assert refused("models", "verify") == refused("models", "verify", "far") == line
        assert "is damaged in" in refused("models", "pull", "far", "--offline")
        assert run("models", "pull", "far").exit_code == 0
        assert cached().read_bytes() == FILES[ONNX]
    assert run("sort", photos, "--model", "far").exit_code == 0


def test_a_damaged_file_of_the_package_is_not_made_good_by_another(hub: HubServer, models: Path, photos: Path) -> None:
    run("models", "pull", "far")
    (models / ONNX).write_bytes(FILES[ONNX][:-1])
    for command in (("sort", photos, "--model", "far"), ("models", "pull", "far"), ("models", "verify")):
        line = refused(*command)
        assert f"{models / ONNX}: has {SIZE - 1} bytes instead of {SIZE}; install imgorder again" in line
    shutil.copy(ROOT / "models" / ONNX, models)
    assert str(models / ONNX) in run("models", "pull", "far").stdout


def test_wrong_bytes_are_tried_once_more_and_not_kept(hub: HubServer, models: Path) -> None:
    hub.spoil = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    line = refused("models", "pull", "far")
    assert ONNX in line
    assert REPO in line
    assert "other bytes than its card says" in line
    assert hub.downloads() == 2
    assert kept() == []
    hub.spoil = bytes
    assert run("models", "pull", "far").exit_code == 0


def test_bytes_that_are_wrong_only_the_first_time_do_no_harm(hub: HubServer, models: Path) -> None:
    hub.spoil = lambda content: content if hub.downloads() > 1 else content[:-1] + b"!"
    result = run("models", "pull", "far")
    assert (result.exit_code, result.stderr) == (0, "")
    assert cached().read_bytes() == FILES[ONNX]


def test_another_file_at_the_pinned_revision_is_refused(hub: HubServer, models: Path, photos: Path) -> None:
    hub.repositories[REPO].commits = {key: {ONNX: b"short"} for key in hub.repositories[REPO].commits}
    assert f"has 5 bytes instead of {SIZE}" in refused("sort", photos, "--model", "far")
    assert kept() == []


def test_what_arrives_cut_off_is_tried_again_and_not_kept(hub: HubServer, models: Path) -> None:
    hub.spoil = lambda content: content[: len(content) // 2]
    assert f"{REPO} cannot be reached" in refused("models", "pull", "far")
    assert kept() == []
    hub.seen.clear()
    hub.spoil = lambda content: content if hub.downloads() > 1 else content[: len(content) // 2]
    assert run("models", "pull", "far").exit_code == 0
    assert cached().read_bytes() == FILES[ONNX]


def test_a_server_that_is_gone_in_the_middle_and_then_altogether(hub: HubServer, models: Path) -> None:
    hub.spoil = lambda content: content[: len(content) // 2]
    hub.dies = True
    for _ in range(2):
        line = refused("models", "pull", "far")
        assert f"far: {REPO} cannot be reached (" in line
        assert "check the network and HF_ENDPOINT" in line
        assert kept() == []


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ETag", '"{}"'),
        ("X-Linked-Etag", '"{}"'),
        ("X-Linked-Etag", 'W/"{}"'),
        ("X-Repo-Commit", "{}"),
        ("Content-Disposition", "attachment; filename=\"{}\"; filename*=UTF-8''{}"),
        ("Link", '<{}>; rel="xet-auth", <{}>; rel="duplicate"'),
        ("X-Xet-Hash", "{}"),
        ("X-Linked-Size", "{}"),
    ],
)
def test_no_name_that_a_server_says_becomes_a_path(
    hub: HubServer, models: Path, tmp_path: Path, header: str, value: str, right: bool
) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"somebody's own")
    outside = everything_in(tmp_path)
    way = os.path.relpath(own, cache.folder() / "models--someone--order" / "blobs")
    if not right:
        hub.spoil = lambda content: b"!" * len(content)
    for path in (way, way.removeprefix("../"), str(own), "x/../" + way):
        hub.headers = {header: value.format(path, path)}
        result = run("models", "pull", "far")
        assert result.exit_code == (0 if right else 1), result.output
        inside = everything_in(cache.folder())
        assert everything_in(tmp_path) == outside | inside
        assert inside.keys() - {cache.folder() / "CACHEDIR.TAG"} == (places() if right else set())
        shutil.rmtree(cache.folder())


def places() -> set[Path]:
    """Where the cache has the model's files."""
    blobs = {cached().parents[2] / "blobs" / entry["sha256"] for entry in ENTRY["files"].values()}
    return blobs | {cached().with_name(name) for name in FILES}


def test_where_a_server_sends_on_to_gives_no_name_and_gets_no_token(
    hub: HubServer, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "reader")
    hub.stored["../../../own"] = FILES[ONNX]
    hub.headers = {"Location": f"{hub.storage}/large/../../../own"}
    write_card(models, files={"onnx": ENTRY["files"]["onnx"]})
    assert run("models", "pull", "far").exit_code in (0, 1)  # clients tidy such an address up, or do not
    assert hub.storage_authorisation == []
    assert not (tmp_path / "own").exists()
    for nowhere in ("file:///etc/passwd", hub.endpoint + f"/{REPO}/resolve/main/{ONNX}", "//", "http://[::1"):
        hub.headers = {"Location": nowhere}
        shutil.rmtree(cache.folder(), ignore_errors=True)
        refused("models", "pull", "far")
        assert kept() == []


def test_no_more_is_taken_than_the_card_says(hub: HubServer, models: Path) -> None:
    hub.endless = True
    line = refused("models", "pull", "far")
    assert f"{ONNX}: has more than {SIZE} bytes" in line
    assert "fetched twice and not kept" in line
    assert hub.sent < 20 * SIZE  # what sockets hold comes on top; on and on would be 100 times
    assert kept() == []


@pytest.mark.parametrize("stalls", ["silence", "byte by byte", "header"])
def test_a_server_that_stalls_is_waited_for_so_long_and_no_longer(
    hub: HubServer, models: Path, stalls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr("imgorder.inference.hub.download.PATIENCE", 0.3)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.stalls = stalls
    line = refused("models", "pull", "far")
    assert f"far: {REPO} sent next to nothing for 0.3 s; check the network" in line
    assert kept() == []
    hub.stalls = ""
    assert run("models", "pull", "far").exit_code == 0


def test_ctrl_c_while_a_model_is_fetched_leaves_nothing(hub: HubServer, models: Path) -> None:
    hub.stalls = "silence"

    def interrupt() -> None:
        while not hub.downloads():
            hub.over.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert run("models", "pull", "far").exit_code == 130
    assert everything_in(cache.folder()).keys() <= {cache.folder() / "CACHEDIR.TAG"}


def test_a_broken_connection_is_taken_up_where_it_broke(hub: HubServer, models: Path) -> None:
    hub.spoil = lambda content: content[: min(len(content), hub.downloads() * len(content) // 4)]
    assert run("models", "pull", "far").exit_code == 0
    assert cached().read_bytes() == FILES[ONNX]


def test_bytes_that_another_revision_had_are_not_fetched_again(hub: HubServer, models: Path) -> None:
    assert run("models", "pull", "far").exit_code == 0
    revision = hub.repositories[REPO].commit({"README.md": b"new"})
    write_card(models, hub={"repo_id": REPO, "revision": revision, "files": {"onnx": ONNX, "torch": WEIGHTS}})
    assert run("models", "pull", "far").exit_code == 0
    assert hub.downloads() == 2
    assert cached().read_bytes() == FILES[ONNX]


def test_a_cache_without_links(hub: HubServer, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: str) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert run("models", "pull", "far").exit_code == 0
    assert not cached().is_symlink()
    assert cached().read_bytes() == FILES[ONNX]


def test_a_server_that_is_busy_once_is_asked_again(hub: HubServer, models: Path) -> None:
    hub.busy = 1
    assert run("models", "pull", "far").exit_code == 0
    shutil.rmtree(cache.folder())
    hub.busy = 100
    assert "the Hub answered 503" in refused("models", "pull", "far")


def test_what_the_hub_does_not_have_is_said(hub: HubServer, models: Path) -> None:
    place = {"repo_id": REPO, "revision": next(iter(hub.repositories[REPO].commits)), "files": {"onnx": ONNX}}
    for change, expected in (
        ({"files": {"onnx": "gone.onnx"}}, f"{REPO} has no such file"),
        ({"revision": "0" * 40}, f"{REPO} no longer has the revision"),
        ({"repo_id": "some/thing"}, "the Hub has no some/thing, or it is private; if it is, set HF_TOKEN"),
    ):
        write_card(models, hub={**place, **change})
        assert expected in refused("models", "pull", "far")
    assert all(line.startswith("HEAD") for line in hub.seen)
    assert len(hub.seen) == 3  # refusals are not tried again


def test_private_and_gated_repositories_want_a_token(
    hub: HubServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = hub.repositories[REPO]
    repository.private = True
    assert "or it is private; if it is, set HF_TOKEN or run `hf auth login`" in refused("models", "pull", "far")
    repository.private, repository.gated = False, True
    assert f"{REPO} is gated; ask for access" in refused("models", "pull", "far")
    monkeypatch.setenv("HF_TOKEN", "nonsense")
    assert "the Hub does not accept the token" in refused("models", "pull", "far")
    monkeypatch.setenv("HF_TOKEN", "reader")
    repository.private = True
    assert run("models", "pull", "far").exit_code == 0
    assert hub.storage_authorisation == []  # the token is for the Hub, not for where it keeps its files


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk(hub: HubServer, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def opened(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        return real(Path("/dev/full") if path.suffix == ".incomplete" else path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", opened)
    line = refused("models", "pull", "far")
    assert f"{cache.folder()}: no space left; free some, or choose another place with HF_HOME" in line
    assert hub.downloads() == 1
    assert kept() == []


@pytest.fixture
def read_only(models: Path, photos: Path) -> Iterator[Path]:
    """A cache that cannot be written; for root, by a user that may not."""
    home = Path(os.environ["HF_HOME"])
    home.mkdir()
    open_the_way(home)
    yield home
    os.seteuid(os.getuid())
    for path in (home, *home.rglob("*")):
        path.chmod(0o755)


def close(home: Path) -> None:
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("no other user can be")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users to switch between")
def test_a_cache_that_cannot_be_written(hub: HubServer, models: Path, photos: Path, read_only: Path) -> None:
    run("models", "pull", "far")  # imports what the next one needs, while everything can be read
    for path in read_only.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    close(read_only)
    line = refused("models", "pull", "far")
    assert f"{cache.folder()}: cannot be written; make it writable, or choose another place with HF_HOME" in line


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no users to switch between")
def test_a_model_in_a_cache_that_cannot_be_written_is_used(
    hub: HubServer, models: Path, photos: Path, read_only: Path
) -> None:
    assert run("models", "pull", "far").exit_code == 0
    expected = run("sort", photos, "--model", "far").stdout
    close(read_only)
    result = run("sort", photos, "--model", "far")
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")


def test_offline_nothing_is_asked(hub: HubServer, models: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = refused("models", "pull", "far", "--offline")
    assert f"far: its onnx file is not in {cache.folder()}" in line
    assert "run `imgorder models pull far` with a network" in line
    with pytest.raises(imgorder.ModelError, match="offline is what was asked for"):
        imgorder.load_model("far", offline=True)
    for value in ("1", "on", "True"):
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
        assert "HF_HUB_OFFLINE is set" in refused("sort", photos, "--model", "far")
        assert "HF_HUB_OFFLINE is set" in refused("models", "pull", "far")
    assert hub.seen == []


def test_the_cache_is_where_huggingface_hub_has_it() -> None:
    code = (
        "import json, os, sys; from importlib import reload; from huggingface_hub import constants\n"
        "from imgorder.inference.hub import cache\n"
        "for variables in json.loads(sys.argv[1]):\n"
        "    os.environ.update(variables)\n"
        "    assert str(cache.folder()) == reload(constants).HF_HUB_CACHE, (variables, cache.folder())\n"
    )
    steps = [
        {},
        {"XDG_CACHE_HOME": "/a"},
        {"HF_HOME": "~/b"},
        {"HUGGINGFACE_HUB_CACHE": "/c"},
        {"HF_HUB_CACHE": "$HOME/d"},
    ]
    plain = {key: value for key, value in os.environ.items() if key not in (*HUB_VARIABLES, "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", code, json.dumps(steps)]
    result = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_verify_without_a_name_checks_what_is_here(hub: HubServer, models: Path) -> None:
    result = run("models", "verify")
    assert result.exit_code == 0
    assert result.stdout == "far onnx: not fetched\nfar torch: not fetched\npath: needs no files\n"
    assert "far: none of its files is here; run: imgorder models pull far" in refused("models", "verify", "far")
    assert run("models", "verify", "path").exit_code == 0
    assert hub.seen == []
    run("models", "pull", "far")
    for backend in ("onnx", "torch"):
        path = cache.cached_file(registry.find_card("far"), backend)
        assert path is not None
        path.resolve().write_bytes(b"x")
    both = run("models", "verify")
    assert (both.exit_code, both.stdout, both.stderr.count("has 1 bytes instead of")) == (1, "", 2)


def test_a_file_that_the_package_has_lost_is_a_fault(hub: HubServer, models: Path, photos: Path) -> None:
    write_card(models, hub=None)
    cure = "is not there; install imgorder again"
    for command in (("models", "verify"), ("models", "verify", "far")):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (1, "")
        problems = [f"imgorder: error: {models / name}: {cure}" for name in (ONNX, WEIGHTS)]
        assert result.stderr.splitlines() == problems
    (models / WEIGHTS).write_bytes(FILES[WEIGHTS])
    for arguments in (("verify",), ("verify", "far"), ("pull", "far"), ("push", "far", "--repo", "me/order")):
        assert f"{models / ONNX}: {cure}" in refused("models", *arguments)
    assert f"{models / ONNX}: {cure}" in refused("sort", photos, "--model", "far")


def test_the_models_that_come_along_are_right() -> None:
    result = run("models", "verify")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"tridab-s onnx: right, {ROOT / 'models' / ONNX}" in result.stdout


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "pkl", "PT", "ckpt"])
def test_pickles_are_refused_whether_they_are_there_or_not(photos: Path, tmp_path: Path, ending: str) -> None:
    there = tmp_path / f"weights.{ending}"
    there.touch()
    for name in (there, f"nowhere.{ending}"):
        for command in (("sort", photos, "--model", name), ("models", "pull", name)):
            assert "can run any program when they are opened" in refused(*command)


def test_a_card_pins_a_commit_and_names_only_safe_files(hub: HubServer, models: Path) -> None:
    place = {"repo_id": REPO, "revision": "main", "files": {"onnx": ONNX}}
    write_card(models, hub=place)
    assert "hub: revision is not a full commit hash" in refused("models", "pull", "far")
    write_card(models, hub={**place, "revision": "0" * 40, "files": {"onnx": "model.bin"}})
    assert "'model.bin' is no file for the 'onnx' backend; only .onnx" in refused("models", "pull", "far")
    for name in ("../../x.onnx", "/x.onnx", "a/../x.onnx", "./x.onnx", "a//x.onnx", "..\\x.onnx", "c:x.onnx"):
        write_card(models, hub={**place, "revision": "0" * 40, "files": {"onnx": name}})
        assert "far.json: hub: files is not the name of a file in a repository" in refused("models", "pull", "far")
    for digest in ("../../x", "0" * 63, "A" * 64):
        write_card(models, files={"onnx": {**ENTRY["files"]["onnx"], "sha256": digest}})
        assert "sha256 is not a SHA-256 in hexadecimal digits" in refused("models", "pull", "far")


def test_a_card_without_the_newer_fields_is_read(hub: HubServer, models: Path) -> None:
    old = ("name", "family", "sizes", "about", "files", "training", "figures")
    (models / "far.json").write_text(json.dumps({key: ENTRY[key] for key in old} | {"name": "far"}), "utf-8")
    card = registry.find_card("far")
    assert (card.hub, card.licence, card.data, card.preprocessing) == (None, "", "", Preprocessing())
    assert "tridab-s.onnx: is not there; install imgorder again" in refused("models", "pull", "far")


def test_every_entry_says_what_there_is_to_say() -> None:
    for card in registry.cards():
        if not card.files:
            continue
        assert card.licence
        assert card.data
        metadata = OnnxBackend.open(usable_file(card, "onnx")).metadata
        assert metadata.preprocessing == card.preprocessing
        assert card.training["commit"] == metadata.training_commit


def test_the_list_of_models_is_as_before(hub: HubServer, models: Path) -> None:
    listed = json.loads(run("models", "--json").stdout)
    assert listed["version"] == 1
    assert [card["name"] for card in listed["models"]] == ["far", "path"]
    assert listed["models"][0]["hub"]["repo_id"] == REPO
    assert "far: TriDAB" in run("models", "--verbose").stdout
    assert re.search("^far +3 to 6 +– +not here +TriDAB", run("models").stdout, re.MULTILINE)
    (models / ONNX).write_bytes(FILES[ONNX])
    size = f"{len(FILES[ONNX]) / 1e6:.1f} MB"
    assert re.search(f"^far +3 to 6 +{size} +onnx +TriDAB", run("models").stdout, re.MULTILINE)
    assert hub.seen == []
    assert "--json is for the list" in refused("models", "--json", "verify", code=2)


@pytest.fixture
def pushing(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """Uploads by the protocol that the server speaks; huggingface_hub prefers its newer storage where it can."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_TOKEN", "writer")
    return hub


def push(hub: HubServer, *arguments: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        # As in a process that starts with HF_ENDPOINT; older versions compare addresses with it.
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        return run("models", "push", *arguments)


def test_push_does_nothing_until_it_is_told_to(pushing: HubServer) -> None:
    result = run("models", "push", "tridab-s", "--repo", "me/order", "--private")
    assert (result.exit_code, result.stderr) == (0, "")
    for name in (ONNX, WEIGHTS, "config.json", "README.md"):
        assert name in result.stdout
    assert "made, private" in result.stdout
    assert "Nothing was uploaded; --yes does it." in result.stdout
    assert pushing.seen == []


def test_what_is_pushed_can_be_pulled_with_the_lines_that_were_printed(
    pushing: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: list[Image.Image]
) -> None:
    result = push(pushing, "tridab-s", "--repo", "me/order", "--private", "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    repository = pushing.repositories["me/order"]
    assert repository.private
    revision, files = repository.at("main") or ("", {})
    assert f"uploaded to me/order, commit {revision}\n" in result.stdout
    assert {name: files[name] for name in FILES} == FILES
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: mit\nlibrary_name: imgorder\n")
    for expected in (ENTRY["data"], ENTRY["training"]["commit"], ENTRY["files"]["onnx"]["sha256"], "| davis-8 | 4 |"):
        assert expected in card
    config = json.loads(files["config.json"])
    assert config["preprocessing"]["crop"] == imgorder.load_model("tridab-s").preprocessing.crop
    assert config["files"] == ENTRY["files"]
    assert pushing.storage_authorisation == []

    again = push(pushing, "tridab-s", "--repo", "me/order", "--yes")
    assert again.stdout == result.stdout  # nothing had changed, so the commit is the same
    assert len(repository.commits) == 2

    folder = tmp_path / "models"
    folder.mkdir()
    lines = result.stdout.split('"hub": ')[1]
    write_card(folder, hub=json.loads(lines))
    expected_order = imgorder.load_model().order(scene[:4])
    monkeypatch.setattr(registry, "model_folders", lambda: [folder])
    assert imgorder.load_model("far").order(scene[:4]).confidence == expected_order.confidence
    assert cached().read_bytes() == FILES[ONNX]


def test_push_is_refused_in_one_line(pushing: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("models", "push", "tridab-s", "--yes", "--repo")
    for wrong in ("order", "me/order/more", "../order", "https://huggingface.co/me/order", "me/", "me/x.", "me/x.git"):
        assert "--repo is OWNER/NAME" in refused(*command, wrong, code=2)
        assert "--repo is OWNER/NAME" in refused("models", "push", "tridab-s", "--repo", wrong, code=2)
    assert "there is nothing to upload" in refused("models", "push", "path", "--repo", "me/order")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "while HF_HUB_OFFLINE is set" in refused(*command, "me/order")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_TOKEN", "reader")
    assert "the token may not do that (me/order)" in refused(*command, "me/order")
    monkeypatch.setenv("HF_TOKEN", "nonsense")
    assert "the Hub does not accept the token (me/order)" in refused(*command, "me/order")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "uploading needs a token that may write; set HF_TOKEN" in refused(*command, "me/order")
    assert "me/order" not in pushing.repositories
    monkeypatch.setenv("HF_TOKEN", "writer")
    pushing.stop()
    pushing.dies = True
    assert "not uploaded: me/order cannot be reached" in refused(*command, "me/order")


@pytest.mark.parametrize("oid", ["main", "../../x", "\x1b[31mred", "0" * 39])
def test_a_commit_that_is_no_commit_is_not_pinned(pushing: HubServer, oid: str) -> None:
    pushing.oid = oid
    result = push(pushing, "tridab-s", "--repo", "me/order", "--yes")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "is no commit hash" in result.stderr
    assert "\x1b" not in result.stderr


def test_what_is_not_here_or_damaged_is_not_pushed(pushing: HubServer, models: Path) -> None:
    command = ("models", "push", "far", "--repo", "me/order", "--yes")
    assert "its onnx file is not here; run: imgorder models pull far" in refused(*command)
    (models / ONNX).write_bytes(FILES[ONNX][::-1])
    digest = hashlib.sha256(FILES[ONNX][::-1]).hexdigest()[:8]
    assert f"SHA-256 {digest}…" in refused(*command)
    assert "me/order" not in pushing.repositories


@pytest.fixture
def group(hub: HubServer, models: Path) -> Path:
    """Cards of a group of two models, each in a repository of its own; no file is here."""
    members = {"3": "near-n3", "4": "near-n4"}
    for n, name in members.items():
        hub.repositories[f"me/{name}"] = Repository()
        hub.repositories[f"me/{name}"].commit(FILES)
        (revision,) = hub.repositories[f"me/{name}"].commits
        place = {"repo_id": f"me/{name}", "revision": revision, "files": {"onnx": ONNX, "torch": WEIGHTS}}
        card = {**ENTRY, "name": name, "sizes": [int(n)], "hub": place}
        (models / f"{name}.json").write_text(json.dumps(card), "utf-8")
    card = {"name": "near", "family": "tridab", "about": "two of them", "members": members}
    (models / "near.json").write_text(json.dumps(card), "utf-8")
    return models


def test_a_group_is_pulled_and_verified_member_by_member(hub: HubServer, group: Path, photos: Path) -> None:
    for name in ("near-n3", "near-n4"):
        assert f"{name}: none of its files is here" in run("models", "verify", "near").stderr
    assert run("models", "verify", "near-n4").stderr.count("\n") == 1
    assert run("sort", photos, "--model", "near").exit_code == 0  # fetches what four photos need
    assert hub.downloads() == 1
    pulled = run("models", "pull", "near")
    assert [line.split(", ")[0] for line in pulled.stdout.splitlines()] == [
        f"{name} {backend}: right" for name in ("near-n3", "near-n4") for backend in ("onnx", "torch")
    ]
    assert hub.downloads() == 4
    assert run("models", "verify", "near").stdout == pulled.stdout
    assert run("models", "verify").stdout.count("near") == pulled.stdout.count("near")
    damaged = cache.cached_file(registry.find_card("near-n3"), "torch")
    assert damaged is not None
    damaged.resolve().write_bytes(b"x")
    assert "run: imgorder models pull near-n3" in refused("models", "verify", "near")
    assert run("models", "verify", "near-n4").exit_code == 0
    assert run("models", "pull", "near").exit_code == 0
    last = cache.cached_file(registry.find_card("near-n4"), "torch")
    assert last is not None
    last.unlink()  # of the files before it nothing is told
    assert "near-n4: its torch file is not in" in refused("models", "pull", "--offline", "near")


def test_a_group_is_pushed_into_a_repository_for_each_member(pushing: HubServer, group: Path) -> None:
    command = ("near", "--repo", "me/new")
    assert "near-n3: its onnx file is not here" in refused("models", "push", *command, "--yes")
    for name in FILES:
        shutil.copy(ROOT / "models" / name, group)
    shown = run("models", "push", *command).stdout
    assert "near-n3 would go to me/new-n3" in shown
    assert "near-n4 would go to me/new-n4" in shown
    assert shown.count("Nothing was uploaded") == 1
    result = push(pushing, *command, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    for n in (3, 4):
        revision, files = pushing.repositories[f"me/new-n{n}"].at("main") or ("", {})
        assert f"near-n{n}: uploaded to me/new-n{n}, commit {revision}\nFor models/near-n{n}.json:" in result.stdout
        assert {name: files[name] for name in FILES} == FILES
        assert f"It puts {n} photos of one moving scene" in files["README.md"].decode()
        assert json.loads(files["config.json"])["sizes"] == [n]
    assert "me/new" not in pushing.repositories
