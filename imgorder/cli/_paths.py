"""Paths among the arguments of a command."""

from __future__ import annotations

from pathlib import Path

import typer


def named_path(text: str | Path) -> Path:
    """A path that is not empty: `Path("")` would mean the current folder, as of a variable that is not set."""
    if text == "":
        raise typer.BadParameter("an empty name; give a path, or . for the current folder")
    return Path(text)
