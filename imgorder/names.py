"""File names and other texts for people: sorted as people count, safe to show on a terminal."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePath

_LENGTH = 160  # of a library's error message
_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``img2`` before ``img10``; case matters only between equal names."""
    parts = _DIGITS.split(name)
    key = [
        (0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part.casefold()) for part in parts if part
    ]
    return (*key, (2, 0, name))


def show(path: str | os.PathLike[str]) -> str:
    r"""A name on one line: control characters and bytes that are not UTF-8 as ``\n``, ``\x1b``, ``\xff``."""
    text = os.fspath(path)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def is_line(text: str) -> bool:
    """Whether a text is one line without control characters."""
    return not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def fold_name(name: str) -> str:
    """Equal for names that some file system takes for the same: names that differ in case or Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_inside(name: str) -> bool:
    """Whether a name relative to a folder stays in it, or below."""
    path = PurePath(name)
    return bool(path.parts) and not (path.drive or path.root or ".." in path.parts)


def first_line(error: Exception) -> str:
    """The first line of an error message, to go into one line of ours; if it is empty, the kind of error.

    A long one loses its middle: libraries put the reason at the end.
    """
    line = show((str(error).strip().splitlines() or [""])[0])
    if len(line) > _LENGTH:
        line = f"{line[: _LENGTH // 2].rstrip()} … {line[-_LENGTH // 2 :].lstrip()}"
    return line or type(error).__name__


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def word_count(number: int, noun: str, plural: str = "") -> str:
    """``1 photo``, ``2 photos``; where the plural is not the noun with an s, it is given."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def common_folder(files: list[Path]) -> Path:
    """The folder that holds all files, directly or below."""
    return Path(os.path.commonpath([os.path.abspath(file.parent) for file in files]))


def short_names(files: Sequence[Path]) -> list[str]:
    """The files' names; equal ones with as many of their folders as are needed to tell them apart."""
    parts = [Path(os.path.abspath(file)).parts for file in files]
    names = []
    for own in parts:
        taken = 1
        while taken < len(own) and sum(each[-taken:] == own[-taken:] for each in parts) > 1:
            taken += 1
        names.append(os.path.join(*own[-taken:]))
    return names


def undo_command(folder: Path, more: str = "") -> str:
    """``imgorder undo 'my photos' --recover``."""
    return f"imgorder undo {quote_path(folder)} {more}".rstrip()


def quote_path(path: Path) -> str:
    """A path as one word of a shell command, never taken for an option.

    Unprintable characters become bytes within ``$'…'``, as Bash, Zsh and Ksh read it.
    """
    text = os.path.join(".", path) if os.fspath(path).startswith("-") else os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(char if char.isprintable() and char not in "\\'" else _escaped(char) for char in text) + "'"


def _escaped(char: str) -> str:
    return f"\\{char}" if char in "\\'" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
