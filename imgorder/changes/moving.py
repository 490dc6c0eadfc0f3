"""Give many files new names, and from any state in between bring them back, or to the end.

All files first get hidden names, then all get their new ones, so that swaps and chains need no order. A run that
stops anywhere leaves each file under one of its three names, or, where a rename is made of a link and a removal,
under two of them. `MoveRecovery` finds out from the disk alone which, so that it can itself be stopped anywhere.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from imgorder.changes.folder import Folder
from imgorder.changes.journal import Move
from imgorder.changes.records import FileState
from imgorder.names import show


def move_all(folder: Folder, moves: Sequence[Move]) -> None:
    """Move all files.

    Raises:
        OSError: as soon as one cannot be moved; the others stay where they are then.
    """
    for move in moves:
        folder.hide(move.old, move.stage)
    folder.sync()
    for move in moves:
        folder.rename(move.stage, move.new)
    folder.sync()


@dataclass(eq=False)
class _File:
    """A file of the run: where it is now.

    Attributes:
        inode: by which it is known.
        names: all that it has, its hidden one first; none if it is gone or changed.
        doubtful: whether it could be one of several files.
    """

    move: Move
    inode: int
    names: list[str] = field(default_factory=list)
    doubtful: bool = False

    def target(self, back: bool) -> str:
        """The name that it is to have in the end: its old one (or its new one)."""
        return self.move.old if back else self.move.new


class MoveRecovery:
    """Where the files of an interrupted run are, and how to bring them back, or forward to their new names.

    Each file is found by name and inode; by size and time of change where its inode is nowhere to be found.

    Args:
        folder: where the run was interrupted.
        moves: those of the run.
        copied: whether the folder is a copy: it has other inodes, and times may be coarser.
    """

    def __init__(self, folder: Folder, moves: Sequence[Move], *, copied: bool = False) -> None:
        self.refused: list[str] = []  # as of `RewriteRecovery`: a file that is moved keeps all that it has
        self._folder = folder
        self._files = [_File(move, move.state.inode) for move in moves]
        self._foreign: dict[str, FileState] = {}  # what has an old or new name and is no file of the run
        claims: dict[str, list[_File]] = {}  # for each old and new name, the files that it is one of
        for file in self._files:
            for name in (file.move.old, file.move.new):
                claims.setdefault(name, []).append(file)
        self._find_by_inode(claims, copied)
        self._find_by_size_and_time(claims, lambda before, now: before.size_and_time == now.size_and_time)
        self._find_by_size_and_time(claims, partial(FileState.like, copied=copied))  # the rest

    def is_possible(self, *, back: bool) -> bool:
        """Whether all files can have their old names (or their new ones)."""
        return not any(file.doubtful for file in self._files) and not self._find_obstacles(back)

    def settle(self, *, back: bool) -> list[str]:
        """Bring every file to its old name (or its new one), in the reverse order of `move_all`.

        Returns:
            One line for each file that does not go there: somebody has changed or removed it, or it belongs to one.

        Raises:
            OSError: if that fails; it can be tried again from what is there then.
        """
        targets = self._choose_targets(back)
        there = [file for file in self._files if file.names][::-1]
        now: dict[_File, str] = {}
        for file in there:
            seen = [name for name in dict.fromkeys(file.names) if name != file.move.stage]
            now[file] = targets[file] if targets[file] in seen else next(iter(seen), file.move.stage)
            for second in dict.fromkeys(file.names):  # the hidden name, if it is one, comes first
                if second != now[file]:
                    self._folder.remove_second_name(second, now[file], file.move.stage)
        self._folder.sync()
        for file in there:
            if now[file] not in (file.move.stage, targets[file]):
                self._folder.hide(now[file], file.move.stage)
        self._folder.sync()
        for file in there:
            if now[file] != targets[file]:
                self._folder.rename(file.move.stage, targets[file])
        self._folder.sync()
        return self._describe_left_alone(targets, back)

    def report(self) -> list[str]:
        """What a person can do if neither way is possible; then, file by file, where each is."""
        taken = self._find_obstacles(back=True)
        lines = [f"move {', '.join(map(show, taken))} elsewhere and try again" if taken else "see each file"]
        for file in self._files:
            where = " and ".join(map(show, file.names)) or "not found"
            if file.doubtful:
                where = "one of several files of the same size and time; it cannot be told which"
            lines.append(f"{show(file.move.old)} (to be {show(file.move.new)}): {where}")
        return lines

    def _find_by_inode(self, claims: Mapping[str, Sequence[_File]], copied: bool) -> None:
        names = self._folder.names()
        for file in self._files:
            if file.move.stage in names and (status := self._folder.status(file.move.stage)):
                file.names.append(file.move.stage)  # nobody else uses such a name: it is the file in any state
                file.inode = status.st_ino
        for name, claimants in claims.items():
            status = self._folder.status(name)
            if status is None or not _is_listed(name, names):
                continue
            state = FileState.of(status)
            owners = [  # in a copy an inode is the same by chance only, unless it is one that was found here
                file
                for file in claimants
                if state.inode == file.inode and (file.names or (not copied and file.move.state.like(state)))
            ]
            for file in owners:
                file.names.append(name)
            if not owners:
                self._foreign[name] = state

    def _find_by_size_and_time(
        self, claims: Mapping[str, Sequence[_File]], like: Callable[[FileState, FileState], bool]
    ) -> None:
        likely = {
            name: [file for file in claims[name] if not file.names and like(file.move.state, state)]
            for name, state in self._foreign.items()
        }
        seen = Counter(file for files in likely.values() for file in files)
        for files in likely.values():
            for file in files:
                file.doubtful |= len(files) > 1 or seen[file] > 1
        for name, files in likely.items():
            if files and not files[0].doubtful:
                files[0].names.append(name)
                del self._foreign[name]

    def _choose_targets(self, back: bool) -> dict[_File, str]:
        """The name that each file is to have in the end: its old one (or its new one), with one exception.

        A photo that was edited under its new name stays there. Then its companions stay as well, if their new names
        are free: they would not be found beside their photo otherwise.
        """
        targets = {file: file.target(back) for file in self._files}
        edited = {
            file.move.group
            for file in self._files
            if not file.names and file.target(not back) in self._foreign and targets[file] not in self._foreign
        }
        for group in sorted(edited - {None}, key=str):
            staying = {f: f.target(not back) for f in self._files if f.move.group == group and f.names}
            taken = {targets[file] for file in self._files if file.names and file not in staying}
            if not {*staying.values()} & (taken | self._foreign.keys()):
                targets |= staying
        return targets

    def _find_obstacles(self, back: bool) -> list[str]:
        """Names that files of the run need and that somebody else's files have."""
        return [name for file, name in self._choose_targets(back).items() if file.names and name in self._foreign]

    def _describe_left_alone(self, targets: Mapping[_File, str], back: bool) -> list[str]:
        lines = []
        for file, target in targets.items():
            usual = file.target(back)
            if file.names and target != usual:
                lines.append(f"{show(target)} ({show(usual)} otherwise): kept with the file it belongs to")
            if file.names or file.doubtful:
                continue
            there = next((name for name in (file.move.old, file.move.new) if name in self._foreign), None)
            what = f"{show(file.move.old)}, to be {show(file.move.new)}"
            lines.append(
                f"{what}: gone since" if there is None else f"{show(there)} ({what}): changed since; left alone"
            )
        return lines


def _is_listed(name: str, names: set[str]) -> bool:
    """Whether a folder lists a name that is there; also in another Unicode form where the file system changes forms."""
    if name in names or name.isascii():
        return name in names
    form = unicodedata.normalize("NFC", name)
    return any(unicodedata.normalize("NFC", each) == form for each in names)
