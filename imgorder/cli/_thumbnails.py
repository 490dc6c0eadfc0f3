"""What ``sort --thumbnails`` comes to: whether the output takes pictures and how, and the pictures as they are sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgorder.cli._terminal import print_message, print_warning
from imgorder.errors import UsageError

if TYPE_CHECKING:
    from imgorder.sorting import SortedSet


def protocol(thumbnails: bool, graphics: str | None, as_json: bool) -> str | None:
    """How thumbnails are sent; None where there are none, be it that the output does not take them: a warning says so.

    Raises:
        UsageError: for options that do not fit together.
    """
    if not thumbnails:
        if graphics is not None:
            raise UsageError("--graphics says how the terminal takes thumbnails; add --thumbnails")
        return None
    if as_json:
        raise UsageError("--json is for programs, --thumbnails for people at a terminal; give one of them")
    from imgorder.pictures import graphics as terminal  # only now: sorting needs no drawing

    known = tuple(terminal.ENCODERS)
    if graphics not in (None, "auto", *known):
        raise UsageError(f"--graphics is auto, {', '.join(known)}; not {graphics!r}")
    if not sys.stdout.isatty():
        print_message(
            "warning", "--thumbnails: the output is no terminal, none are shown; --sheet FILE.png writes a picture"
        )
        return None
    if graphics in known:
        return graphics
    detected = terminal.detect(os.environ)
    if detected is None:
        cure = f"if it does, add --graphics {', '.join(known[:-1])} or {known[-1]}"
        print_warning(f"--thumbnails: this terminal is not known to show pictures, none are shown; {cure}")
    return detected


def strips(results: Sequence[SortedSet], chosen: str) -> list[str]:
    """The thumbnails of each set, as the terminal takes them; raises PhotoError."""
    from imgorder.pictures import graphics as terminal

    width = terminal.width_of(sys.stdout)
    return [terminal.thumbnails(result, chosen, width) for result in results]
