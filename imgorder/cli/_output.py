"""stdout and stderr as they really are: piped, full, closed, or of another encoding."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from imgorder.cli._errors import tell
from imgorder.errors import EXIT_INPUT

# A full disk or quota, a limit on a file's size, an error of the disk, and a stream that was closed.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


@contextmanager
def or_on_stderr(done: Iterable[str]) -> Iterator[None]:
    """Print what was done; where stdout does not take it, the lines ``done`` say it on stderr."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        for line in done:
            tell("done", line)
        raise


@contextmanager
def writable_output() -> Iterator[None]:
    """Run a command so that trouble with its output ends in one line, not in a traceback."""
    if sys.stdout is None:
        tell("error", "the output is closed; give it somewhere to go")
        raise SystemExit(EXIT_INPUT)
    if hasattr(signal, "SIGPIPE"):  # `imgorder … | head` ends as any other tool does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the encoding cannot show
    for library in ("PIL", "huggingface_hub"):  # what matters of it is said in an error that names the file
        warnings.filterwarnings("ignore", module=library)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        tell("error", f"the output could not be written ({error.strerror})")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at exit
        raise SystemExit(EXIT_INPUT) from None
