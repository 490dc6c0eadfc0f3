"""Commands that a message tells the user to run: whatever the folder's name, they can be pasted."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from imgorder.names import show


def undo_command(folder: Path, more: str = "") -> str:
    """``imgorder undo 'my photos' --recover``."""
    return f"imgorder undo {quoted(folder)} {more}".rstrip()


def quoted(path: Path) -> str:
    """A path as one word of a command, never taken for an option."""
    text = show(path)
    return shlex.quote(os.path.join(".", text) if text.startswith("-") else text)
