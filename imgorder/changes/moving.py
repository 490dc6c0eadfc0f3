"""Give many files new names, and from any state in between bring them back, or to the end.

All files first get hidden names, then all get their new ones, so that swaps and chains need no order. A run that
stops anywhere leaves each file under one of its three names, or, where a rename is made of a link and a removal,
under two of them. `MoveRecovery` finds out from the disk alone which, so that it can itself be stopped anywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

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
        folder.rename(move.old, move.stage)
    folder.sync()
    for move in moves:
        folder.rename(move.stage, move.new)
    folder.sync()


class MoveRecovery:
    """Where the files of an interrupted run are, and how to bring them back, or forward to their new names.

    Each file is found by name and inode; by size and time of change where its inode is nowhere to be found.
    """

    def __init__(self, folder: Folder, moves: Sequence[Move]) -> None:
        self._folder = folder
        self._moves = moves
        self._names = folder.names()
        self._places: list[list[str]] = [[] for _ in moves]  # the names of each file; none if it is gone or changed
        self._foreign: dict[str, FileState] = {}  # what has an old or new name and is no file of the run
        self._doubtful: set[int] = set()  # moves whose file could be one of several
        self._find_by_inode()
        self._find_by_size_and_time()

    def is_possible(self, *, back: bool) -> bool:
        """Whether all files can have their old names (or their new ones)."""
        return not self._doubtful and not self._find_obstacles(back)

    def settle(self, *, back: bool) -> list[str]:
        """Bring every file to its old name (or its new one), in the reverse order of `move_all`.

        Returns:
            One line for each file that does not go there: somebody has changed or removed it, or it belongs to one.

        Raises:
            OSError: if that fails; it can be tried again from what is there then.
        """
        targets = self._choose_targets(back)
        now: list[str | None] = []
        for move, place, target in zip(self._moves, self._places, targets, strict=True):
            kept = next((name for name in (target, move.stage, *place) if name in place), None)
            if kept is not None:
                for second in set(place) - {kept}:
                    self._folder.remove_second_name(second, kept)
            now.append(kept)
        self._folder.sync()
        backwards = [*zip(self._moves, now, targets, strict=True)][::-1]
        for move, name, target in backwards:
            if name is not None and name not in (move.stage, target):
                self._folder.rename(name, move.stage)
        self._folder.sync()
        for move, name, target in backwards:
            if name is not None and name != target:
                self._folder.rename(move.stage, target)
        self._folder.sync()
        return self._describe_left_alone(targets, back)

    def cure(self) -> str:
        """What a person can do if neither way is possible."""
        taken = self._find_obstacles(back=True)
        return f"move {', '.join(map(show, taken))} elsewhere and try again" if taken else "see each file"

    def report(self) -> list[str]:
        """File by file: where each is."""
        lines = []
        for index, (move, place) in enumerate(zip(self._moves, self._places, strict=True)):
            where = " and ".join(map(show, place)) or "not found"
            if index in self._doubtful:
                where = "one of several files of the same size and time; it cannot be told which"
            lines.append(f"{show(move.old)} (to be {show(move.new)}): {where}")
        return lines

    def _find_by_inode(self) -> None:
        inodes = [{move.state.inode} for move in self._moves]
        for index, move in enumerate(self._moves):
            if move.stage in self._names and (status := self._folder.status(move.stage)):
                self._places[index].append(move.stage)  # nobody else uses such a name: it is the file in any state
                inodes[index] = {status.st_ino}
        for name, claimants in self._find_claims().items():
            status = self._folder.status(name) if self._is_listed(name) else None
            if status is None:
                continue
            state = FileState.of(status)
            owners = [
                index
                for index in claimants
                if state.inode in inodes[index] and (self._places[index] or state.like(self._moves[index].state))
            ]
            for index in owners:
                self._places[index].append(name)
            if not owners:
                self._foreign[name] = state

    def _find_by_size_and_time(self) -> None:
        claims = self._find_claims()
        lost = {index for index, place in enumerate(self._places) if not place}
        likely = {
            name: [index for index in claims[name] if index in lost and self._moves[index].state.like(state)]
            for name, state in self._foreign.items()
        }
        seen = [index for indices in likely.values() for index in indices]
        self._doubtful = {index for indices in likely.values() if len(indices) > 1 for index in indices}
        self._doubtful |= {index for index in seen if seen.count(index) > 1}
        for name, indices in likely.items():
            if len(indices) == 1 and indices[0] not in self._doubtful:
                self._places[indices[0]].append(name)
                del self._foreign[name]

    def _find_claims(self) -> dict[str, list[int]]:
        """For each old and new name, the moves that it is one of."""
        claims: dict[str, list[int]] = {}
        for index, move in enumerate(self._moves):
            for name in (move.old, move.new):
                claims.setdefault(name, []).append(index)
        return claims

    def _is_listed(self, name: str) -> bool:
        """Whether the folder lists a name; also in another Unicode form where the file system changes forms."""
        if name in self._names:
            return True
        if name.isascii() or self._folder.status(name) is None:
            return False
        form = unicodedata.normalize("NFC", name)
        return any(unicodedata.normalize("NFC", each) == form for each in self._names)

    def _choose_targets(self, back: bool) -> list[str]:
        """The name that each file is to have in the end: its old one (or its new one), with one exception.

        A photo that was edited under its new name stays there. Then its companions stay as well, if their new names
        are free: they would not be found beside their photo otherwise.
        """
        wanted = [_name_after(move, back) for move in self._moves]
        other = [_name_after(move, not back) for move in self._moves]
        edited = {
            move.group
            for index, move in enumerate(self._moves)
            if not self._places[index] and other[index] in self._foreign and wanted[index] not in self._foreign
        }
        for group in sorted(edited - {None}, key=str):
            members = [i for i, move in enumerate(self._moves) if move.group == group and self._places[i]]
            taken = {wanted[i] for i, place in enumerate(self._places) if place and i not in members}
            if not {other[i] for i in members} & (taken | self._foreign.keys()):
                for i in members:
                    wanted[i] = other[i]
        return wanted

    def _find_obstacles(self, back: bool) -> list[str]:
        """Names that files of the run need and that somebody else's files have."""
        targets = zip(self._choose_targets(back), self._places, strict=True)
        return [name for name, place in targets if place and name in self._foreign]

    def _describe_left_alone(self, targets: Sequence[str], back: bool) -> list[str]:
        lines = []
        for index, (move, place, target) in enumerate(zip(self._moves, self._places, targets, strict=True)):
            usual = _name_after(move, back)
            if place and target != usual:
                lines.append(f"{show(target)} ({show(usual)} otherwise): kept with the file it belongs to")
            if place or index in self._doubtful:
                continue
            there = next((name for name in (move.old, move.new) if name in self._foreign), None)
            what = f"{show(move.old)}, to be {show(move.new)}"
            lines.append(
                f"{what}: gone since" if there is None else f"{show(there)} ({what}): changed since; left alone"
            )
        return lines


def _name_after(move: Move, back: bool) -> str:
    return move.old if back else move.new
