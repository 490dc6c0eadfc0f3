"""The real program is killed, and its system calls fail, one after the other: no photo is lost, and all is taken back.

    python -m tests.crashing            every call: some minutes
    python -m tests.crashing --every 30 only one of 30
    python -m tests.crashing --only "rename/link/kill/unlink:3"

Each command runs in a process of its own under `strace`, which first lists the calls by which it changes its
folders. Then it runs again for each of these calls: killed just before it, with an error instead of it (once, or
each time from then on), and with Ctrl-C at it. After that every photo's bytes are there; the folder is as before
the command or as after it, if need be after `imgorder undo --recover`; and an error is one line. Where there is no
`strace`, or it may not trace, one line says so. In `tests/killing.py` a death is an exception, which is quicker.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn

import typer.main

from imgorder.changes import journal
from imgorder.changes.plan import write_plan
from imgorder.cli import main as run_command
from tests.conftest import APPLY
from tests.killing import Kill, act, hidden, killed, reached
from tests.renaming import TANGLED, Snapshot, done, jpegs, plan_of, snapshot, tangled, without_journals, write_order

# What can go wrong at a call that changes a folder. A call that a system does not have is left out (`?`).
_NAMES = ("EIO", "EACCES", "ENOSPC")
_FACTS = ("EIO", "EPERM", "EROFS")
ATTRIBUTES = ("chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utimensat")
ERRORS = {
    **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "symlink"), _NAMES),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), ("EIO", "EACCES", "EROFS")),
    **dict.fromkeys(("openat", "open", "creat"), ("EIO", "EACCES", "ENOSPC", "EMFILE")),
    **dict.fromkeys(("write", "pwrite64", "writev", "sendfile", "copy_file_range"), ("EIO", "ENOSPC", "EDQUOT")),
    **dict.fromkeys(("fsync", "fdatasync", "ftruncate", "truncate"), ("EIO", "ENOSPC")),
    **dict.fromkeys(ATTRIBUTES, _FACTS),
    **dict.fromkeys(("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"), _FACTS),
}
# How files are renamed: the kernel refuses to replace; or has no such call; or there are no hard links either.
WAYS = {
    "renameat2": (),
    "link": ("?renameat2:error=ENOSYS",),
    "checked": ("?renameat2:error=EINVAL", "?link,?linkat:error=EPERM"),
}
MOVES = ("rename", "undo rename", "recover rename", "finish rename")
ACTIONS = (*MOVES, "copy", "stamp", "undo stamp", "recover stamp")
KINDS = ("kill", "error", "errors", "ctrl-c")
LIMIT = 60  # seconds until a run counts as hanging
_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1)


class CannotTrace(Exception):
    """There is no `strace` here, or the system does not let it trace."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (negative: by this signal), its stderr, and its calls."""

    code: int
    errors: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """What is done to which call: the `number`-th one of a name."""

    kind: str
    call: str
    number: int
    error: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.call}:{self.number}{self.error and ':'}{self.error}"

    @property
    def injection(self) -> str:
        """As `strace -e inject=` wants it."""
        signals = {"kill": "signal=KILL", "ctrl-c": "signal=INT"}
        return f"{self.call}:{signals.get(self.kind, f'error={self.error}')}:when={self.number}" + (
            "+" if self.kind == "errors" else ""
        )


@dataclass
class Row:
    """What was done to one action, and what came of it."""

    action: str
    way: str
    calls: int
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    recovered: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all, print a table and each fault; exit code 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only one of N of all that can be done")
    parser.add_argument("--commands", nargs="+", choices=ACTIONS, default=ACTIONS, help="only these commands")
    parser.add_argument("--only", metavar="ACTION/WAY/POINT", help="only this one, as a fault names it")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--json", type=Path, help="write the figures into this results file")
    given = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(dir=given.folder) as home:
            rows, faults = run_all(Path(home).resolve(), given.commands, given.every, given.only)
            system = f"{platform.system()} {platform.release().partition('-')[0]}, {_file_system(home)}"
    except CannotTrace as reason:
        print(f"skipped: {reason}")
        return
    runs = sum(sum(row.done.values()) for row in rows)
    print(f"{runs} runs, {len(faults)} faults; {system}")
    if given.json is not None:
        figures = [
            {"action": row.action, "way": row.way, "calls": row.calls, **row.done, "recovered": row.recovered}
            for row in rows
        ]
        write_part(given.json, "crash", {"system": system, "runs": runs, "faults": len(faults), "rows": figures})
    if faults:
        raise SystemExit(1)


def write_part(file: Path, part: str, figures: dict[str, object]) -> None:
    """Put one part into a results file; the others stay."""
    results = json.loads(file.read_bytes()) if file.exists() else {"version": 1}
    file.write_text(json.dumps({**results, part: figures}, indent=1) + "\n", "utf-8")


def run_all(home: Path, actions: Sequence[str], every: int, only: str | None) -> tuple[list[Row], list[str]]:
    """All that can be done to each action; a row for each, and one line for each fault."""
    rows: list[Row] = []
    faults: list[str] = []
    print(f"{'command':16} {'way':10} {'calls':>6} {''.join(f'{kind:>8}' for kind in KINDS)} {'recovered':>10}")
    cases = [(action, way) for action in actions for way in WAYS if way == "renameat2" or action in (*MOVES, "copy")]
    if only is not None:
        cases = [case for case in cases if only.startswith(f"{case[0]}/{case[1]}/")]
    _find_tracer(home)
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(cases)), get_context("fork")) as pool:
        for row, found in pool.map(_run_case, repeat(home), cases, repeat(every), repeat(only)):
            done = "".join(f"{row.done[kind]:8}" for kind in KINDS)
            print(f"{row.action:16} {row.way:10} {row.calls:6} {done} {row.recovered:10}", flush=True)
            for fault in found:
                print(f"fault: {fault}", file=sys.stderr, flush=True)
            rows.append(row)
            faults += found
    return rows, faults


def _run_case(home: Path, names: tuple[str, str], every: int, only: str | None) -> tuple[Row, list[str]]:
    action, way = names
    home /= f"{action}-{way}".replace(" ", "-")
    home.mkdir()
    case = Case(home, action, way)
    row = Row(action, way, len(case.calls))
    faults = []
    for point in case.points():
        name = f"{action}/{way}/{point}"
        if zlib.crc32(name.encode()) % every if only is None else only != name:  # the same ones each time
            continue
        row.done[point.kind] += 1
        try:
            row.recovered += case.survives(point)
        except AssertionError as fault:
            faults.append(f"{name}: {' '.join(str(fault).splitlines())}")
    return row, faults


def _find_tracer(home: Path) -> None:
    """Raise CannotTrace where that is so; and load the modules that processes forked off from this one need."""
    build_once()
    for action in ("rename", "stamp"):
        Case(home, action, "renameat2").load()


class Case:
    """One command that changes a folder, in one way of renaming, and the calls by which it does."""

    def __init__(self, home: Path, action: str, way: str) -> None:
        self._home, self._action, self._way = home, action, way
        self._bytes_alone = False
        command = self._prepare()
        self._before = self._look()
        outcome = run_traced(command, home, WAYS[way])
        if outcome.code:
            raise RuntimeError(f"{action}/{way}: {outcome.errors}")
        self._after = self._look()
        numbers: dict[str, int] = {}
        self.calls = []
        for line in outcome.calls:
            name = line.partition("(")[0]
            numbers[name] = numbers.get(name, 0) + 1
            reads = name in ("openat", "open") and not re.search(r"O_(CREAT|WRONLY|RDWR|TRUNC)", line)
            if str(home) in line and not reads and "(INJECTED)" not in line:
                self.calls.append((name, numbers[name]))

    def load(self) -> None:
        """Run once in this process, so that those forked off from it have all modules."""
        for command in (self._prepare(), ["undo", str(self._folder)], ["undo", str(self._folder), "--recover"]):
            done(*command)

    def points(self) -> Iterator[Point]:
        """All that can be done to the calls."""
        for name, number in self.calls:
            yield Point("kill", name, number)
            yield Point("ctrl-c", name, number)
            for error in ERRORS[name]:
                yield Point("error", name, number, error)
            yield Point("errors", name, number, ERRORS[name][number % len(ERRORS[name])])

    def survives(self, point: Point) -> bool:
        """Do it, and look; gives whether `undo --recover` had something to do.

        Raises:
            AssertionError: says what is wrong.
        """
        outcome = run_traced(self._prepare(), self._home, (*WAYS[self._way], point.injection))
        check("Traceback" not in outcome.errors, f"a traceback: {outcome.errors[-300:]}")
        lines = outcome.errors.splitlines()
        check(all(line.startswith("imgorder: ") for line in lines), f"stderr has {lines}")
        # Where the file system takes no mode or time, a warning says so, and the bytes are what counts.
        warned = [line for line in lines if line.startswith("imgorder: warning: ")]
        self._bytes_alone = bool(warned) and point.call in ATTRIBUTES
        check(self._bytes_alone or not warned, f"stderr has {warned}")
        lines = [line for line in lines if line not in warned]
        state = self._look()
        self._nothing_is_lost(state)
        if point.kind == "kill":
            check(outcome.code == -signal.SIGKILL, f"was not killed, but ended with {outcome.code}")
            check(not lines, f"stderr has {lines}")
        elif point.kind == "ctrl-c":
            check(outcome.code in (0, 130), f"ended with {outcome.code}")
        else:
            check(any("(INJECTED)" in line and point.error in line for line in outcome.calls), "no call failed")
            check(outcome.code in (0, 1), f"ended with {outcome.code}")
            mute = (point.kind, point.call) == ("errors", "write")  # then stderr cannot be written either
            check(len(lines) == outcome.code or mute, f"exit code {outcome.code}, and stderr has {lines}")
        if outcome.code == 0:
            check(self._agree(state, self._after), f"ended with 0, but the folder has {sorted(state)}")
            return False
        copies = self._action == "copy"
        needed = self._is_interrupted() if not copies else False
        if point.kind != "kill":
            told = "--recover" in outcome.errors
            check(told or not needed or not lines, f"was interrupted, and stderr has {lines}")
            if not told and lines and not copies:
                check(
                    self._agree(state, self._before), f"ended with {outcome.code}, but the folder has {sorted(state)}"
                )
        if copies:
            return False
        if needed:
            self._others_refuse()
        self._recover()
        state = self._look()
        # A recovery that was interrupted is carried on with to its end.
        ends = [self._after] if self._action.split()[0] in ("recover", "finish") else [self._before, self._after]
        check(any(self._agree(state, end) for end in ends), f"after --recover the folder has {sorted(state)}")
        check(not self._is_interrupted(), "there is something to recover after --recover")
        return needed

    def _prepare(self) -> list[str]:
        """Make what the command works on, and give the command."""
        for name in os.listdir(self._home):
            shutil.rmtree(self._home / name) if os.path.isdir(self._home / name) else os.unlink(self._home / name)
        self._folder, target = self._home / "photos", self._home / "copies"
        kind, of = self._action.split()[0], self._action.split()[-1]
        plan = self._home / "plan.json"
        with killed(Kill(0)):  # which does not wait for the disk
            if of == "stamp":
                jpegs(self._folder)
                order = write_order(self._home, self._folder, ["0.jpg", "1.jpg", "2.jpg"])
            else:
                tangled(self._folder)
                write_plan(plan_of(self._folder, TANGLED, target if of == "copy" else None), plan)
            self._original = without_journals(snapshot(self._folder))
            if kind == "undo":
                act(self._folder, of)
        if kind in ("recover", "finish"):
            first = self._original.get("0.jpg")
            until = (
                reached(self._folder, len(TANGLED), 2)
                if of == "rename"
                else lambda: without_journals(snapshot(self._folder)).get("0.jpg") != first
            )
            with killed(Kill(until=until)):
                act(self._folder, of)
            if kind == "finish":
                (self._folder / "d.jpg").write_bytes(b"somebody's new photo")
                os.utime(self._folder / "d.jpg", ns=(0, 1_700_000_000_000_000_000))
        if kind in ("undo", "recover", "finish"):
            return ["undo", str(self._folder), *(["--recover"] if kind != "undo" else [])]
        if of == "stamp":
            return [
                "stamp",
                "--order",
                str(order),
                "--start",
                "2024-05-01 12:00:00",
                "--step",
                "500ms",
                *APPLY,
            ]
        return ["rename", "--plan", str(plan), *APPLY]

    def _look(self) -> Snapshot:
        """All files but journals, with contents and times; those of the folder with copies too."""
        found = without_journals(snapshot(self._folder))
        if os.path.isdir(self._home / "copies"):
            found |= {f"copies/{name}": value for name, value in snapshot(self._home / "copies").items()}
        return found

    def _agree(self, one: Snapshot, other: Snapshot) -> bool:
        """Whether two looks show the same files, with their times unless those were refused."""
        if not self._bytes_alone:
            return one == other
        return {name: value[0] for name, value in one.items()} == {name: value[0] for name, value in other.items()}

    def _is_interrupted(self) -> bool:
        return bool(journal.read_history(self._folder).unfinished or hidden(self._folder))

    def _nothing_is_lost(self, state: Snapshot) -> None:
        here = {name: value for name, value in state.items() if not name.startswith("copies/")}
        if self._action.endswith("rename"):
            known = {value for name, value in self._original.items()}
            check(known <= set(here.values()), f"something is lost; the folder has {sorted(here)}")
            new = [name for name, value in here.items() if value not in known and value[0] != b"somebody's new photo"]
            check(not new, f"new contents: {new}")
            return
        for name, value in self._original.items():
            ends = [{name: end} for end in (self._before.get(name), self._after.get(name), value) if end is not None]
            found = {name: here[name]} if name in here else {}
            check(any(self._agree(found, end) for end in ends), f"{name} is neither as before nor as after")
        if self._action == "copy":
            check(here == self._original, "the originals have changed")
            for name, value in state.items():
                copied = name in self._after and self._agree({name: self._after[name]}, {name: value})
                is_part = name.startswith("copies/.imgorder-") and ".copy-" in name
                check(name in here or copied or is_part, f"{name} is no whole copy")

    def _others_refuse(self) -> None:
        """Other commands do not touch an interrupted folder, and say so in one line."""
        before = snapshot(self._folder)
        outcome = run_here(["undo", str(self._folder)])
        check(outcome.code == 1 and "--recover" in outcome.errors, f"undo says {outcome.errors!r}")
        check(snapshot(self._folder) == before, "undo changed an interrupted folder")

    def _recover(self) -> None:
        outcome = run_here(["undo", str(self._folder), "--recover"])
        check(outcome.code == 0, f"--recover ended with {outcome.code}: {outcome.errors}")


def build_once() -> None:
    """Let all runs in this process, and in those forked off from it, share the tree of commands.

    Typer builds it anew for each run, which takes longer than nearly all commands.
    """
    typer.main.get_command = lru_cache(typer.main.get_command)


def check(holds: bool, message: str) -> None:
    """Raise an AssertionError with this message unless something holds."""
    if not holds:
        raise AssertionError(message)


def run_here(command: Sequence[str]) -> Outcome:
    """A command in a process of its own, not traced."""
    return _run(command, None, ())


def run_traced(command: Sequence[str], home: Path, injections: Sequence[str]) -> Outcome:
    """A command in a process of its own, with what `strace` does to its calls; gives those that change something."""
    return _run(command, home, injections)


def _run(command: Sequence[str], traced: Path | None, injections: Sequence[str]) -> Outcome:
    with tempfile.TemporaryFile() as errors, tempfile.NamedTemporaryFile("r") as log, _gate() as (gate, opened):
        process = os.fork()  # whose modules are loaded: a start of Python takes longer than all the rest
        if process == 0:
            _be_the_program(command, errors.fileno(), gate)
        tracer = None
        try:
            if traced is not None:
                tracer = _trace(process, log.name, injections)
            os.write(opened, b"x")
            code = _wait(process)
        finally:
            if tracer is not None:
                tracer.wait(LIMIT)
        errors.seek(0)
        return Outcome(code, errors.read().decode("utf-8", "replace"), tuple(log.read().splitlines()))


def _be_the_program(command: Sequence[str], errors: int, gate: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(errors, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout, sys.stderr = (os.fdopen(each, "w", buffering=1, closefd=False) for each in (1, 2))
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANY, 0, 0, 0)  # a process that is not above this one may trace it
        os.read(gate, 1)
        sys.argv = ["imgorder", *command]
        run_command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _trace(process: int, log: str, injections: Sequence[str]) -> subprocess.Popen[bytes]:
    """Trace a process; it is traced when this returns."""
    options = [option for each in injections for option in ("-e", f"inject={each}")]
    calls = ",".join(f"?{name}" for name in ERRORS)
    command = ["strace", "-y", "-s", "0", "-o", log, "-e", f"trace={calls}", *options, "-p", str(process)]
    try:
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    except OSError as error:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise CannotTrace(f"strace cannot be run ({error.strerror}); install it") from error
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if b"attached" not in said:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise CannotTrace(f"strace cannot trace here ({said.decode().strip()})")
    return tracer


def _wait(process: int) -> int:
    """The exit code of a process, which is killed if it hangs."""
    end = os.pidfd_open(process)
    try:
        if not select.select([end], [], [], LIMIT)[0]:
            os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    finally:
        os.close(end)


@contextmanager
def _gate() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for each in ends:
            os.close(each)


def _file_system(folder: str) -> str:
    told = subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True)
    return (told.stdout.split() or ["unknown file system"])[-1]


if __name__ == "__main__":
    main()
