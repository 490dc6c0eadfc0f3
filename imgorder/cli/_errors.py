"""Errors that a user can act on become one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

import typer

from imgorder.errors import EXIT_INPUT, ImgorderError, ProblemsError

P = ParamSpec("P")
R = TypeVar("R")


def tell(kind: str, message: str) -> None:
    """One line on stderr: ``imgorder: error: …`` or ``imgorder: warning: …``."""
    if sys.stderr is None:  # closed by the caller; printing would go to stdout instead
        return
    line = f"imgorder: {kind}: {message}"
    with suppress(OSError):  # stderr is full or gone: the exit code has to do
        print(line.encode("utf-8", "backslashreplace").decode("utf-8"), file=sys.stderr)


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Decorator for commands."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ImgorderError as error:
            for message in error.problems if isinstance(error, ProblemsError) else (str(error),):
                tell("error", message)
            raise typer.Exit(error.exit_code) from error
        except FileNotFoundError as error:
            if _is_somewhere():
                raise
            tell("error", "the current folder is gone; change to one that is there")
            raise typer.Exit(EXIT_INPUT) from error

    return wrapped


def _is_somewhere() -> bool:
    """Whether the current folder is still there; names without a folder mean nothing where it is not."""
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False
