"""Moving many files at once: forward through hidden names, and from any state in between back or forward.

All files first get hidden names, then all get their new ones, so that swaps and chains need no order. A
run that stops anywhere leaves each file under one of its three names, or, where a rename is made of a
link and a removal, under two of them. `whereabouts` finds that out from the disk alone, so that going
back can itself be stopped anywhere and begun again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgorder.changes.folder import Folder, present
from imgorder.changes.journal import Move
from imgorder.changes.records import FileState
from imgorder.names import show


def perform(folder: Folder, moves: Sequence[Move]) -> None:
    """Move all files.

    Raises:
        OSError: as soon as one cannot be moved; the others are where they are then.
    """
    for move in moves:
        folder.rename(move.old, move.stage)
    folder.sync()
    for move in moves:
        folder.rename(move.stage, move.new)
    folder.sync()


@dataclass(frozen=True)
class Whereabouts:
    """Where the files of a run are.

    Attributes:
        places: for each move, the names of its file; none where it is gone or was changed since.
        foreign: old and new names under which there is a file that is none of the run's.
        doubtful: moves whose file cannot be told from another.
    """

    places: tuple[tuple[str, ...], ...]
    foreign: frozenset[str]
    doubtful: tuple[Move, ...]


def whereabouts(folder: Folder, moves: Sequence[Move]) -> Whereabouts:
    """Find each file by name and inode; by size and time of change where its inode is nowhere to be found."""
    names = folder.names()
    places: list[list[str]] = [[] for _ in moves]
    inodes = [{move.state.inode} for move in moves]
    claims: dict[str, list[int]] = {}
    for index, move in enumerate(moves):
        if move.stage in names and (status := folder.status(move.stage)):
            places[index].append(move.stage)  # nobody else has such a name: it is the file whatever its state
            inodes[index] = {status.st_ino}
        for name in (move.old, move.new):
            claims.setdefault(name, []).append(index)
    unknown: dict[str, FileState] = {}
    for name, claimants in claims.items():
        status = folder.status(name) if present(names, folder, name) else None
        if status is None:
            continue
        state = FileState.of(status)
        owners = [i for i in claimants if state.inode in inodes[i] and (places[i] or state.like(moves[i].state))]
        for index in owners:
            places[index].append(name)
        if not owners:
            unknown[name] = state
    doubtful = _find_by_size_and_time(moves, places, claims, unknown)
    return Whereabouts(tuple(map(tuple, places)), frozenset(unknown), doubtful)


def _find_by_size_and_time(
    moves: Sequence[Move], places: list[list[str]], claims: dict[str, list[int]], unknown: dict[str, FileState]
) -> tuple[Move, ...]:
    """Place files whose inode is nowhere; returns those for which there are two ways to do so."""
    lost = {index for index, place in enumerate(places) if not place}
    likely = {name: [i for i in claims[name] if i in lost and moves[i].state.like(unknown[name])] for name in unknown}
    several = [name for name, indices in likely.items() if len(indices) > 1]
    seen = [index for indices in likely.values() for index in indices]
    doubtful = {i for name in several for i in likely[name]} | {i for i in seen if seen.count(i) > 1}
    for name, indices in likely.items():
        if len(indices) == 1 and indices[0] not in doubtful:
            places[indices[0]].append(name)
            del unknown[name]
    return tuple(moves[index] for index in sorted(doubtful))


def destinations(moves: Sequence[Move], found: Whereabouts, *, back: bool) -> list[str]:
    """The name that each file is to have in the end: its old one (or its new one), except where it is kept with others.

    A photo that was edited under its new name stays there. What belongs to it is then not taken back
    either, if its new name is free: it would not be found beside its photo again.
    """
    wanted = [_wanted(move, back) for move in moves]
    edited = {
        move.group
        for move, place in zip(moves, found.places, strict=True)
        if not place and _wanted(move, not back) in found.foreign and _wanted(move, back) not in found.foreign
    }
    for group in sorted(edited - {None}, key=str):
        turned = [i for i, move in enumerate(moves) if move.group == group and found.places[i]]
        others = {wanted[i] for i in range(len(moves)) if i not in turned and found.places[i]}
        names = {_wanted(moves[i], not back) for i in turned}
        if not names & (others | found.foreign):
            for i in turned:
                wanted[i] = _wanted(moves[i], not back)
    return wanted


def obstacles(moves: Sequence[Move], found: Whereabouts, *, back: bool) -> list[str]:
    """Names that foreign files have taken and that files of the run would need; empty if the way is free."""
    needed = [name for name, place in zip(destinations(moves, found, back=back), found.places, strict=True) if place]
    return [name for name in needed if name in found.foreign]


def settle(folder: Folder, moves: Sequence[Move], found: Whereabouts, *, back: bool) -> None:
    """Bring every file that was found under its old name (or its new one), in the reverse order of `perform`.

    Raises:
        OSError: if that fails; it can be tried again from what is there then.
    """
    now: list[str | None] = []
    targets = destinations(moves, found, back=back)
    for move, place, wanted in zip(moves, found.places, targets, strict=True):
        kept = next((name for name in (wanted, move.stage, *place) if name in place), None)
        if kept is not None:
            for second in set(place) - {kept}:
                folder.remove_second_name(second, kept)
        now.append(kept)
    backwards = [*zip(moves, now, targets, strict=True)][::-1]
    folder.sync()
    for move, name, wanted in backwards:
        if name is not None and name not in (move.stage, wanted):
            folder.rename(name, move.stage)
    folder.sync()
    for move, name, wanted in backwards:
        if name is not None and name != wanted:
            folder.rename(move.stage, wanted)
    folder.sync()


def losses(moves: Sequence[Move], found: Whereabouts, *, back: bool) -> list[str]:
    """One line for each file that is no longer what it was, or is kept with one: it does not go the way."""
    lines = []
    for move, place, wanted in zip(moves, found.places, destinations(moves, found, back=back), strict=True):
        if place and wanted != _wanted(move, back):
            lines.append(f"{show(wanted)} ({show(_wanted(move, back))} otherwise): kept with the file it belongs to")
        if place or move in found.doubtful:
            continue
        there = next((name for name in (move.old, move.new) if name in found.foreign), None)
        what = f"{show(move.old)}, to be {show(move.new)}"
        lines.append(f"{what}: gone since" if there is None else f"{show(there)} ({what}): changed since; left alone")
    return lines


def report(moves: Sequence[Move], found: Whereabouts) -> list[str]:
    """File by file: where each is."""
    lines = []
    for move, place in zip(moves, found.places, strict=True):
        if move in found.doubtful:
            where = "one of several files of one size and time, which it is cannot be told"
        else:
            where = " and ".join(map(show, place)) or "not found"
        lines.append(f"{show(move.old)} (to be {show(move.new)}): {where}")
    return lines


def _wanted(move: Move, back: bool) -> str:
    return move.old if back else move.new
