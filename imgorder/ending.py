"""Being told to end: what else would stop the process at once becomes an exception, so that it can clear up first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from imgorder.errors import EXIT_INTERRUPTED

_NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def exit_code(stop: KeyboardInterrupt | SystemExit) -> int:
    """What a command ends with that Ctrl-C or a signal to end has stopped."""
    return stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else EXIT_INTERRUPTED


@contextmanager
def orderly_end() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP raise SystemExit, with the exit code that a shell gives for the signal.

    A signal that is ignored, as under ``nohup``, or handled already stays so; and so does everything outside the
    main thread, to which signals do not come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _NUMBERS if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for each in taken:  # a second one shall not disturb the clearing up
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
