"""Commands that a message tells the user to run: whatever the folder's name, they can be pasted."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def undo_command(folder: Path, more: str = "") -> str:
    """``imgorder undo 'my photos' --recover``."""
    return f"imgorder undo {quoted(folder)} {more}".rstrip()


def quoted(path: Path) -> str:
    """A path as one word of a command, never taken for an option.

    What a terminal does not show as it is stands in ``$'…'`` by its bytes, as Bash, Zsh and Ksh read it.
    """
    text = os.path.join(".", path) if os.fspath(path).startswith("-") else os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(char if char.isprintable() and char not in "\\'" else _escaped(char) for char in text) + "'"


def _escaped(char: str) -> str:
    return f"\\{char}" if char in "\\'" else "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
