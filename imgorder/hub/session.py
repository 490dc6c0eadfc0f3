"""huggingface_hub as imgorder uses it: its endpoint, its name, and silent but for a bar on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR

from huggingface_hub.utils import (  # type: ignore[attr-defined]  # loaded when they are asked for
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
)


def endpoint() -> str | None:
    """The Hub's address where it is not the usual one; huggingface_hub itself reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


@contextmanager
def quiet() -> Iterator[None]:
    """What goes wrong is said by us, in one line; a progress bar is shown only where stderr is a terminal."""
    level = logging.get_verbosity()
    hide = not (sys.stderr is not None and sys.stderr.isatty()) and not are_progress_bars_disabled()
    logging.set_verbosity(ERROR)
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if hide:
            enable_progress_bars()
