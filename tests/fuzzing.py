"""Thousands of bad plans, journals, order files, cards and images: each ends in order, and costs no photo.

    python -m tests.fuzzing                     some minutes
    python -m tests.fuzzing --seed 7 --share 0.1
    python -m tests.fuzzing --seed 7 --only journal:12

A seed gives the same inputs each time. The program runs in processes forked off from this one, so that a crash, a
hang or too much memory is seen from outside; some inputs go to a new `python -m imgorder` instead. It is a fault if
a command ends in a traceback, a wrong exit code, more than one line for one bad file, text that a terminal would
obey, a photo that is not as before, or not at all. The folder of such an input is kept, with what was seen.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from imgorder.changes import journal
from imgorder.changes.plan import Plan
from imgorder.cli import main as run_command
from imgorder.inference import cards
from imgorder.inference.backends import onnx
from tests.conftest import APPLY, ROOT
from tests.crashing import build_once, write_part
from tests.killing import Kill, act, killed
from tests.mutations import images, mutate_image, mutate_text, mutate_value, write_json
from tests.renaming import TANGLED, fill, grouped, jpeg, jpegs, plan_of, tangled

LIMIT = 60  # seconds until a command counts as hanging
MEMORY = 4 << 30  # bytes of address space that a command may have
RUN_ID, TIME = "20240501-120000-abcdef", "2024-05-01T12:00:00"
START = ("--start", "2024-05-01 12:00:00")
Tree = dict[str, tuple[bytes, int]]


class Fault(Exception):
    """What a command should not have done."""


class Enough(Exception):
    """The input is made; nothing is to be run with it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    errors: str


class Trial:
    """One input, and the commands that get it.

    Attributes:
        home: an empty folder for it.
        random: the only source of what is random in it.
        plain: whether the input is to stay as it is: then all has to go well.
        ran: the commands so far.
    """

    def __init__(self, kind: str, seed: int, number: int, home: Path, *, only_make: bool = False) -> None:
        self.home = home
        self.random = Random(f"{seed}/{kind}/{number}")
        self.plain = number == 0
        self.ran: list[str] = []
        self.codes: list[int] = []
        self._only_make = only_make
        # A new process costs as much as a hundred inputs; it shows that the others are run as it is.
        self._apart = self.random.random() < 0.01 and kind != "card"  # whose folder is told to this process only

    def run(self, *arguments: str | Path, lines: int | None = 1, shown: bool = False, usage: str = "") -> Ended:
        """Run a command, and look at how it ended.

        Args:
            lines: how many errors stderr may have if the command fails, beside warnings; None: one for each problem.
            shown: whether something may have been printed before an error.
            usage: the error that may end with 2.
        """
        command = [str(argument) for argument in arguments]
        self.ran.append(shlex.join(["imgorder", *command]))
        if self._only_make:
            raise Enough
        ended = run_apart(command) if self._apart else run_here(command)
        self.codes.append(ended.code)
        told = ended.errors.splitlines()
        require("Traceback" not in ended.errors, "a traceback", ended)
        if usage and usage in ended.errors:
            require(ended.code == 2 and len(told) == 1, f"exit code {ended.code}", ended)
            return ended
        unsure = [line for line in told if line.startswith("imgorder: unsure: ")]
        require(bool(unsure) == (ended.code == 3), f"exit code {ended.code}, and {len(unsure)} are unsure", ended)
        require(ended.code in ((0,) if self.plain else (0, 1, 3)), f"exit code {ended.code}", ended)
        require(all(line.startswith("imgorder: ") for line in told), "a line on stderr that is not ours", ended)
        require(len(told) == len(set(told)), "the same line twice", ended)
        unsafe = [char for char in ended.out + ended.errors if not char.isprintable() and char != "\n"]
        require(not unsafe, f"characters that a terminal obeys: {unsafe[:3]}", ended)
        wrong = [line for line in told if line.startswith("imgorder: error: ")]
        require(bool(wrong) == (ended.code == 1), f"exit code {ended.code}, and stderr has {len(wrong)} errors", ended)
        if ended.code == 1:
            require(lines is None or len(wrong) <= lines, f"{len(wrong)} errors on stderr", ended)
            require(shown or not ended.out, "something on stdout", ended)
        return ended

    def mutated(self, value: Any) -> Any:
        """A value with changes, or nearly so: in some inputs it is only the text that is broken."""
        return value if self.plain or self.random.random() < 0.1 else mutate_value(self.random, value)

    def written(self, value: Any) -> bytes:
        """The JSON text of a value, with this folder in it."""
        text = json.dumps(value).encode() if self.plain else write_json(self.random, value)
        return text.replace(b"/@home@", str(self.home).encode())


def run_here(command: Sequence[str]) -> Ended:
    """A command in this process; what libraries write past Python is seen as well."""
    kept = os.dup(1), os.dup(2)
    old = sys.argv, sys.stdout, sys.stderr
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        os.dup2(out.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        sys.argv = ["imgorder", *command]
        sys.stdout, sys.stderr = (io.TextIOWrapper(open(each, "wb", closefd=False), "utf-8") for each in (1, 2))  # noqa: SIM115
        code = 0
        try:
            with warnings.catch_warnings():
                run_command()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
            code = -1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.close()
            sys.argv, sys.stdout, sys.stderr = old
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        out.seek(0)
        errors.seek(0)
        return Ended(code, out.read().decode("utf-8", "replace"), errors.read().decode("utf-8", "replace"))


def run_apart(command: Sequence[str]) -> Ended:
    """A command in a new Python."""
    done = subprocess.run([sys.executable, "-m", "imgorder", *command], capture_output=True, cwd=ROOT)
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def require(holds: bool, wrong: str, ended: Ended | None = None) -> None:
    """Raise a Fault unless something holds."""
    if not holds:
        told = "" if ended is None else f"; exit code {ended.code}; stderr: {ended.errors[-1500:]!r}"
        raise Fault(wrong + told + (f"; stdout: {ended.out[-300:]!r}" if ended and ended.out else ""))


def tree(home: Path, *, journals: bool = False) -> Tree:
    """Content and time of change of all files below a folder."""
    found = {}
    for folder, _, names in os.walk(home):
        for name in names:
            path = os.path.join(folder, name)
            if journals or not name.endswith(".jsonl"):
                status = os.lstat(path)
                content = os.readlink(path).encode() if os.path.islink(path) else Path(path).read_bytes()
                found[os.path.relpath(path, home)] = (content, status.st_mtime_ns)
    return found


def same(before: Tree, after: Tree, when: str) -> None:
    """Raise a Fault unless all files are as before."""
    gone = [name for name in before if name not in after]
    changed = [name for name in before if name in after and before[name] != after[name]]
    new = [name for name in after if name not in before]
    require(before == after, f"{when}: gone {gone}, changed {changed}, new {new}")


def contents(state: Tree, folder: str) -> Counter[bytes]:
    """The contents in a folder, whatever the names."""
    return Counter(content for name, (content, _) in state.items() if name.startswith(f"{folder}/"))


def undo_all(trial: Trial, before: Tree) -> None:
    """Take back what a command has done, and find all as it was."""
    for folder in sorted({file.parent for file in trial.home.rglob(".imgorder-*.jsonl")}):
        ended = trial.run("undo", folder)
        require(ended.code == 0, "what was done cannot be undone", ended)
    same(before, tree(trial.home), "after undo")


def outside(home: Path) -> None:
    """Photos that nothing is to reach."""
    fill(home / "outside", {"o.jpg": b"outside", "a.jpg": b"outside a"})
    fill(home, {"o.jpg": b"above"})


def with_tokens(trial: Trial, record: Any, folder: Path) -> tuple[Any, dict[str, str]]:
    """A record with numbers that are the same each time in place of inodes; and what has to be put in for them."""
    inodes = {entry.inode(): 710_000_000 + index for index, entry in enumerate(sorted(os.scandir(folder), key=str))}

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(each) for key, each in value.items()}
        if isinstance(value, list):
            return [replaced(each) for each in value]
        if isinstance(value, str):
            return value.replace(str(trial.home), "/@home@")
        return inodes.get(value, value) if type(value) is int else value

    return replaced(record), {str(token): str(inode) for inode, token in inodes.items()}


def put_in(data: bytes, tokens: dict[str, str]) -> bytes:
    """A text with the inodes of this time."""
    for token, inode in tokens.items():
        data = data.replace(token.encode(), inode.encode())
    return data


def try_plan(trial: Trial) -> None:
    """A plan that was changed, most often with a digest that fits it."""
    random, home = trial.random, trial.home
    outside(home)
    folder = tangled(home / "photos")
    names = random.choice((TANGLED, {"a.jpg": "x.jpg", "b.jpg": "a.jpg"}, {name: name for name in TANGLED}))
    make: Callable[..., Plan] = random.choice((plan_of, grouped))
    plan = make(folder, names)
    if random.random() < 0.3:
        plan = replace(plan, copy_to=home / "copies")
    record, tokens = with_tokens(trial, plan.record, folder)
    data = put_in(trial.written(trial.mutated(record)), tokens)
    if random.random() < 0.85:
        with suppress(ValueError, AttributeError, RecursionError, TypeError):
            changed = json.loads(data)
            content = {key: value for key, value in changed.items() if key != "digest"}
            text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
            changed["digest"] = hashlib.blake2b(text, digest_size=16).hexdigest()
            data = json.dumps(changed).encode()
    (home / "plan.json").write_bytes(data)
    before = tree(home)
    options = random.choice(([], [], ["--json"], [folder] if not trial.plain else []))
    ended = trial.run("rename", *options, "--plan", home / "plan.json", *APPLY, lines=None, shown=True)
    after = tree(home)
    if ended.code:
        same(before, tree(home, journals=True), "after an error")
        return
    copies = {name for name in after if name.startswith("copies/")}
    for name, value in before.items():
        if not name.startswith("photos/") or copies:
            require(after.get(name) == value, f"{name} was changed")
    require(contents(before, "photos") == contents(after, "photos"), "photos are lost")
    for made in {*after} - {*before}:
        bare = os.path.basename(made)
        require(made.startswith(("photos/", "copies/")), f"{made} was made")
        require(not bare.startswith("."), f"a photo got the hidden name {bare!r}")
        olds = [old for old, value in before.items() if value[0] == after[made][0]]
        ending = os.path.splitext(bare)[1].casefold()
        require(any(ending == os.path.splitext(old)[1].casefold() for old in olds), f"{olds} became {bare!r}")
    shutil.rmtree(home / "copies", ignore_errors=True)
    undo_all(trial, before)


def try_order(trial: Trial) -> None:
    """An order file that was changed."""
    random, home = trial.random, trial.home
    outside(home)
    folder = jpegs(home / "photos", 4)
    names = [f"{index}.jpg" for index in random.sample(range(4), 4)]
    facts = {"confidence": 0.9, "direction": "unknown", "model": "path", "backend": "numpy", "votes": 1, "classes": []}
    record = {"version": 1, "sets": [{"folder": "/@home@/photos", "order": names, **facts}]}
    if random.random() < 0.2 and not trial.plain:
        record["sets"] *= 2  # type: ignore[operator]
    (home / "order.json").write_bytes(trial.written(trial.mutated(record)))
    if random.random() < 0.9:  # else it may count as older than the photos
        os.utime(home / "order.json", ns=(0, 1_700_000_000_000_000_000))
    command = random.choice((["rename"], ["rename", "--template", "{folder}_{index}{ext}"], ["stamp", *START]))
    photos = random.choice(([], [folder], [folder, "--first", folder / "0.jpg"], ["--reverse"]))
    if trial.plain:
        photos = []
    apply = random.choice(([], [*APPLY], ["--apply"]))
    before = tree(home)
    given = [command[0], *photos, *command[1:], "--order", home / "order.json", *apply]
    first = "--first" in photos
    if first:  # a photo that is not at an end is wrong usage
        given = [each for each in given if each not in ("--first", folder / "0.jpg")]
    # One set at a time is stamped; two of them are wrong usage.
    ended = trial.run(*given, lines=None, shown=bool(apply), usage="takes one set at a time")
    if ended.code == 0 and apply:
        after = tree(home)
        require(contents(before, "outside") == contents(after, "outside"), "photos outside were changed")
        if command[0] == "rename":
            require(contents(before, "photos") == contents(after, "photos"), "photos are lost")
        undo_all(trial, before)
    same(before, tree(home), "after all")


@lru_cache
def base_cards() -> dict[str, dict[str, Any]]:
    """The cards of the released models, with as few rows of figures as show their shape."""
    read = {path.stem: json.loads(path.read_bytes()) for path in sorted((ROOT / "models").glob("*.json"))}
    for card in read.values():
        if "figures" in card:
            card["figures"] = card["figures"][:2]
    return read


def try_card(trial: Trial) -> None:
    """A card that was changed, beside others that are in order."""
    random, home = trial.random, trial.home
    folder = fill(home / "photos", {f"{index}.jpg": jpeg(60 * index) for index in range(4)})
    models = home / "models"
    models.mkdir()
    name = random.choice(("tridab-s", "tridab-s", "dab-resnet18", "dab-resnet18-n4"))
    for each, card in base_cards().items():
        if each in ("tridab-s", "dab-resnet18", "dab-resnet18-n4"):
            data = trial.written(trial.mutated(card)) if each == name else json.dumps(card).encode()
            (models / f"{each}.json").write_bytes(data)
            for entry in card.get("files", {}).values():
                (models / entry["file"]).symlink_to(ROOT / "models" / entry["file"])
    real, cards.PACKAGE_FOLDER = cards.PACKAGE_FOLDER, models
    before = tree(home)
    try:
        command = random.choice((
            ["models"], ["models", "--json"], ["models", "--verbose"], ["models", "verify", name],
            ["sort", folder, "--model", name], ["sort", folder, "--model", name, "--json"], ["sort", folder],
            ["models", "pull", name, "--offline"],
        ))  # fmt: skip
        trial.run(*command, lines=None if "verify" in command else 1, shown="verify" in command)
    finally:
        cards.PACKAGE_FOLDER = real
    same(before, tree(home), "after all")


def try_image(trial: Trial) -> None:
    """A set in which one image was changed."""
    random, home = trial.random, trial.home
    kinds = images()
    bad = random.choice([name for name in kinds if name.startswith("plain") or random.random() < 0.5])
    changed = kinds[bad] if trial.plain else mutate_image(random, kinds[bad])
    stamped = bad.endswith(("jpg", "jpeg")) and random.random() < 0.6
    good = ["plain.jpg", "progressive.jpg", "exif.jpg"] if stamped else random.sample(sorted(kinds), 2)
    ending = bad if stamped or random.random() < 0.9 else random.choice(("x.jpg", "x.png", "x.tif", "x.heic", "x.dng"))
    files = {**{f"{index}{each}": kinds[each] for index, each in enumerate(good)}, f"bad{ending}": changed}
    folder = fill(home / "photos", files)
    before = tree(home)
    if stamped:
        names = list(files)
        random.shuffle(names)
        facts = {"confidence": 0.9, "direction": "unknown", "model": "path", "backend": "numpy", "classes": []}
        record = {"version": 1, "sets": [{"folder": str(folder), "order": names, **facts}]}
        (home / "order.json").write_text(json.dumps(record))
        before = tree(home)
        over = ["--overwrite-times"] if trial.plain or random.random() < 0.8 else []
        way = random.choice((["stamp", *START, *over], ["rename", "--template", "{date}_{index}{ext}"]))
        ended = trial.run(*(way if not trial.plain else ["stamp", *START, *over]), "--order", home / "order.json",
                          *APPLY, lines=None, shown=True)  # fmt: skip
        if ended.code == 0:
            if way[0] == "stamp":
                for name, (content, _) in tree(folder).items():
                    require(look_of(content) == look_of(files[name]), f"{name} looks otherwise when it is stamped")
            undo_all(trial, before)
    else:
        commands: list[list[str | Path]] = [
            ["sort", "--model", "path"], ["sort", "--model", "path", "--json"], ["sort"],
            ["sort", "--model", "path", "--sheet", home / "sheet.png"],
            ["sort", "--model", "path", "--animate", home / "loop.gif"],
            ["report", "--model", "path", "--out", home / "report.html"], ["heatmap", "--out", home / "maps"],
        ]  # fmt: skip
        command = random.choice(commands)
        trial.run(command[0], folder, *command[1:], shown=command[0] == "sort")  # the photos beside a bad one
        for name in ("sheet.png", "loop.gif", "report.html"):
            (home / name).unlink(missing_ok=True)
        shutil.rmtree(home / "maps", ignore_errors=True)
    same(before, tree(home), "after all")


def look_of(data: bytes) -> bytes | str:
    """The pixels of an image, or why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    except Exception as error:
        return type(error).__name__


def try_journal(trial: Trial) -> None:
    """A journal that was changed, of a run that is done or died on the way."""
    random, home = trial.random, trial.home
    outside(home)
    folder = home / "photos"
    action = random.choice(("rename", "stamp", "undo rename", "undo stamp"))
    if trial.plain:  # and not an undo, after which there is nothing to undo
        action = "rename"
    of = action.split()[-1]
    jpegs(folder) if of == "stamp" else tangled(folder)
    original = tree(home)
    if of == "rename":
        make: Callable[..., Plan] = random.choice((plan_of, grouped))
        (home / "plan.json").write_text(json.dumps(make(folder, TANGLED).record))
    made = 0

    def next_id() -> str:
        nonlocal made
        made += 1
        return f"{RUN_ID[:-1]}{made}"

    real, journal.new_run_id = journal.new_run_id, next_id
    try:
        if action.startswith("undo"):
            with killed(Kill(0)):
                act(folder, of)
        start = tree(home)
        at = 0 if trial.plain or random.random() < 0.4 else random.randrange(1, 32)
        with killed(Kill(at, random.choice(("before", "after", "torn")))):
            act(folder, action.split()[0])
    finally:
        journal.new_run_id = real
    ends = [original, start, tree(home)]
    files = sorted(folder.glob(".imgorder-*.jsonl"))
    pristine = {file: file.read_bytes() for file in files}
    if files:
        _spoil_journal(trial, random.choice(files), folder)
    before, known = tree(home, journals=True), tree(home)
    commands: list[list[str | Path]] = [
        ["undo", folder], ["undo", folder, "--recover"], ["undo", folder, "--recover"], ["undo", folder, "--list"],
        ["undo", folder, f"{RUN_ID[:-1]}1"], ["rename", folder, "--model", "path"],
    ]  # fmt: skip
    command = commands[0] if trial.plain else random.choice(commands)
    ended = trial.run(*command, lines=None, shown=command[0] == "undo")
    after = tree(home)
    for name, value in original.items():
        if not name.startswith("photos/"):
            require(after.get(name) == value, f"{name} was changed")
    if of == "rename":
        require(contents(after, "photos") == contents(known, "photos"), "photos are lost")
    else:
        for name in (name for name in original if name.startswith("photos/")):
            known_as = {each[name][0] for each in ends if name in each}
            require(after.get(name, (b"",))[0] in known_as, f"{name} has other bytes")
    if ended.code and "--recover" not in command and not ended.out:
        same(before, tree(home, journals=True), "after an error")
    if tree(home, journals=True) != before:
        return
    for file, content in pristine.items():  # the journal is back: nothing that was refused has done harm
        file.write_bytes(content)
    trial.plain = True
    trial.run("undo", folder, "--recover")
    same(start if at else ends[2], tree(home), "after --recover") if tree(home) != ends[2] else None


def _spoil_journal(trial: Trial, file: Path, folder: Path) -> None:
    """Change lines of a journal, or its text."""
    random = trial.random
    lines: list[Any] = []
    for line in file.read_bytes().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:  # cut by the death
            lines.append({})
    for line in lines:
        if "time" in line and "imgorder" in line:
            line["time"] = TIME
    lines, tokens = with_tokens(trial, lines, folder)
    if not trial.plain:
        for _ in range(random.choice((0, 1, 1, 2, 4)) if lines else 0):
            at = random.choice((0, random.randrange(len(lines)), random.randrange(len(lines))))
            way = random.randrange(6)
            if way <= 2:
                lines[at] = mutate_value(random, lines[at])
            elif way == 3 and len(lines) > 1:
                del lines[at]
            elif way == 4:
                lines.insert(random.randrange(len(lines) + 1), lines[at])
            else:
                random.shuffle(lines)
    texts = [write_json(random, line) if random.random() < 0.1 and not trial.plain else json.dumps(line).encode()
             for line in lines]  # fmt: skip
    data = b"".join(text + b"\n" for text in texts)
    if not trial.plain and random.random() < 0.2:
        data = mutate_text(random, data)
    file.write_bytes(put_in(data.replace(b"/@home@", str(trial.home).encode()), tokens))


# What is tried with each kind of input, and how many inputs there are.
KINDS: dict[str, tuple[Callable[[Trial], None], int]] = {
    "plan": (try_plan, 2000),
    "journal": (try_journal, 2500),
    "order": (try_order, 1500),
    "card": (try_card, 800),
    "image": (try_image, 2000),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Try all, print what came of it; exit code 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of inputs")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", metavar="KIND:NUMBER", help="only this input, as a fault names it")
    parser.add_argument("--faults", type=Path, default=ROOT / ".fuzz", help="where faulty inputs are kept")
    parser.add_argument("--json", type=Path, help="write the figures into this results file")
    given = parser.parse_args(arguments)
    if given.only:
        kind, _, number = given.only.partition(":")
        wanted = {kind: (int(number), int(number) + 1)}
    else:
        wanted = {kind: (0, max(1, round(KINDS[kind][1] * given.share))) for kind in given.kinds}
    print(f"seed {given.seed}", flush=True)
    rows, faults = [], 0
    with tempfile.TemporaryDirectory() as home:
        fuzz = Fuzz(given.seed, Path(home).resolve(), given.faults)
        for kind, (first, last) in wanted.items():
            done = fuzz.try_kind(kind, first, last)
            faults += done["faults"]
            print(
                f"{kind:8} {done['inputs']:6} inputs: {done['done']} done, {done['refused']} refused, "
                f"{done['faults']} faults",
                flush=True,
            )
            rows.append({"kind": kind, **done})
    if given.json is not None:
        write_part(given.json, "fuzz", {"seed": given.seed, "rows": rows})
    if faults:
        raise SystemExit(1)


class Fuzz:
    """Inputs of one seed, tried in processes of their own."""

    def __init__(self, seed: int, home: Path, faults: Path) -> None:
        self._seed, self._home, self._faults = seed, home, faults
        os.environ.update(HF_HUB_OFFLINE="1", NO_COLOR="1", COLUMNS="200", ORT_DISABLE_TELEMETRY="1")
        os.environ.pop("FORCE_COLOR", None)
        os.environ["OMP_NUM_THREADS"] = "1"
        build_once()

    def try_kind(self, kind: str, first: int, last: int) -> dict[str, int]:
        """Try the inputs with these numbers; counts of how the first command of each ended."""
        counts: Counter[str] = Counter(inputs=last - first, done=0, refused=0, faults=0)
        workers = min(os.cpu_count() or 1, last - first)
        step = -(-(last - first) // workers)
        waiting = [(start, min(start + step, last)) for start in range(first, last, step)]
        running: list[Worker] = []
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(Worker(self._seed, kind, *waiting.pop(), self._home / f"{kind}-{time.monotonic_ns()}"))
            time.sleep(0.05)
            for worker in list(running):
                if worker.goes_on():
                    continue
                running.remove(worker)
                counts.update(worker.counts())
                for number, wrong in worker.faults():
                    self._keep(kind, number, wrong)
                    counts["faults"] += 1
                if (left := worker.rest()) is not None:
                    waiting.append(left)
        return dict(counts)

    def _keep(self, kind: str, number: int, wrong: str) -> None:
        """Keep the folder of an input as it was before the first command, and what was seen."""
        place = self._faults / f"{self._seed}-{kind}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        trial = Trial(kind, self._seed, number, place, only_make=True)
        with suppress(Exception):
            KINDS[kind][0](trial)  # which ends at its first command
        text = f"{kind}:{number} of seed {self._seed}\n{wrong}\n$ {trial.ran[0] if trial.ran else '?'}\n"
        (place / "fault.txt").write_text(text, "utf-8", "backslashreplace")
        print(f"fault: {kind}:{number}: {wrong} (kept in {place})".encode("utf-8", "backslashreplace").decode(),
              file=sys.stderr)  # fmt: skip


class Worker:
    """A process that tries some inputs, one after the other, and writes down at which it is and what it saw."""

    def __init__(self, seed: int, kind: str, first: int, last: int, home: Path) -> None:
        home.mkdir()
        self._kind, self._last, self._log = kind, last, home / "log"
        self._log.write_text("")
        self._ended: int | None = None
        self._hangs = False
        sys.stdout.flush()
        self._process = os.fork()
        if self._process == 0:
            try:
                self._try_all(seed, first, home)
            except BaseException:
                traceback.print_exc()
                os._exit(2)
            os._exit(0)

    def _try_all(self, seed: int, first: int, home: Path) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.fsync = lambda fd: None  # no power is cut here
        onnx.start_session = lru_cache(onnx.start_session)
        place = home / "work"
        with self._log.open("a") as log:
            for number in range(first, self._last):
                print(json.dumps({"at": number}), file=log, flush=True)
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                trial = Trial(self._kind, seed, number, place)
                wrong = None
                try:
                    KINDS[self._kind][0](trial)
                except Fault as fault:
                    wrong = str(fault)
                except Exception:
                    wrong = f"the fuzz itself failed: {traceback.format_exc()}"
                code = trial.codes[0] if trial.codes else None
                print(json.dumps({"ended": number, "code": code, "wrong": wrong}), file=log, flush=True)
        shutil.rmtree(place, ignore_errors=True)

    def goes_on(self) -> bool:
        """Whether it is still at work; a process that hangs is ended."""
        done, status = os.waitpid(self._process, os.WNOHANG)
        if done:
            self._ended = os.waitstatus_to_exitcode(status)
            return False
        if time.time() - self._log.stat().st_mtime > LIMIT:
            self._hangs = True
            os.kill(self._process, signal.SIGKILL)
        return True

    def _records(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._log.read_text().splitlines())

    def counts(self) -> dict[str, int]:
        """How many inputs were carried out and refused."""
        codes = Counter(record["code"] for record in self._records() if "ended" in record and not record["wrong"])
        return {"done": codes[0], "refused": codes[1] + codes[3]}

    def faults(self) -> list[tuple[int, str]]:
        """The number of each faulty input, and what is wrong."""
        found = [(record["ended"], record["wrong"]) for record in self._records() if record.get("wrong")]
        if self._ended:
            why = f"no end after {LIMIT} s" if self._hangs else f"the process ended with {self._ended}"
            found.append((self._at(), why))
        return found

    def rest(self) -> tuple[int, int] | None:
        """What is left to be tried when the process has died."""
        left = self._at() + 1, self._last
        return left if self._ended and left[0] < left[1] else None

    def _at(self) -> int:
        return max((record["at"] for record in self._records() if "at" in record), default=self._last)


if __name__ == "__main__":
    main()
