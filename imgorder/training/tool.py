"""What the tools that run as ``python -m imgorder.training.…`` share."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from imgorder.errors import ImgorderError


@contextmanager
def one_line_errors(parser: ArgumentParser) -> Iterator[None]:
    """End with one line on stderr, and with its exit code, for an error that a user can act on."""
    try:
        yield
    except ImgorderError as error:
        parser.exit(error.exit_code, f"imgorder: {error}\n")
