"""Ask huggingface_hub quietly, and turn its errors into one line: the problem and its cure."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from socket import gaierror
from ssl import SSLError

from huggingface_hub import errors, get_token
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # loaded when they are asked for
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
)

from imgorder.inference.hub import cache
from imgorder.names import first_line, show

_LOG_IN = "set HF_TOKEN or run `hf auth login`"
_BUSY = (408, 425, 429)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Errors of a file or a folder, never of a network.
_MISPLACED = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EFBIG,
    errno.ENODEV,
    errno.EINVAL,
)


def explain(error: Exception, repo_id: str) -> str:
    """One line: the problem and its cure."""
    error = _cause(error)
    status = _status(error)
    said = first_line(error)
    if status is not None:
        return _answered(status, error, said, repo_id)
    number = _number(error)
    if number in _FULL:
        return f"{show(cache.folder())}: no space left; free some, or choose another place with HF_HOME"
    if number in _FORBIDDEN:
        return f"{show(cache.folder())}: cannot be written; make it writable, or choose another place with HF_HOME"
    if isinstance(error, OSError) and number in _MISPLACED:
        where = f"{show(error.filename)}: " if error.filename else ""
        return f"{where}{error.strerror}; check HF_HOME ({show(cache.folder())}) and SSL_CERT_FILE"
    if isinstance(error, UnicodeEncodeError):
        if not _token().isascii():
            return f"the token has characters that no token has ({repo_id}); {_LOG_IN}"
        return f"{repo_id} cannot be asked for ({said}); check HF_ENDPOINT and the other variables of the Hub"
    if isinstance(error, ValueError | TypeError | KeyError):
        return f"the Hub's answer is not understood ({said}; {repo_id}); check HF_ENDPOINT, or update huggingface-hub"
    certificates = ", and SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else ""
    return f"{repo_id} cannot be reached ({said}); check the network and HF_ENDPOINT{certificates}, and try again"


def _answered(status: int, error: Exception, said: str, repo_id: str) -> str:
    """`explain` for an error that the Hub answered with."""
    if isinstance(error, errors.GatedRepoError):
        return f"{repo_id} is gated; ask for access on its page, then {_LOG_IN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo_id} no longer has the revision that this imgorder knows; install a newer imgorder"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hub has no {repo_id}, or it is private; if it is, {_LOG_IN}"
    if isinstance(error, errors.EntryNotFoundError):
        return f"{repo_id} has no such file at the revision that this imgorder knows; install a newer imgorder"
    if status in (401, 403) and not _token():
        return f"the Hub wants to know who asks for {repo_id}; {_LOG_IN}"
    if status == 401:
        return f"the Hub does not accept the token ({repo_id}); {_LOG_IN}"
    if status == 403:
        return f"the token may not do that ({repo_id}); give one with that right: {_LOG_IN}"
    if status in (400, 404, 405):
        return f"the Hub answered {status} ({repo_id}); check HF_ENDPOINT"
    why = "" if status in _BUSY or status >= 500 else f" and refused: {said}"
    return f"the Hub answered {status}{why} ({repo_id}); try again later"


def is_temporary(error: Exception) -> bool:
    """Whether a second attempt may work: after an error of the network or the server, not of the disk or a refusal."""
    error = _cause(error)
    status = _status(error)
    if status is not None:
        return status >= 500
    if isinstance(error, UnicodeEncodeError):
        return False
    return _number(error) not in (*_FULL, *_FORBIDDEN, *_MISPLACED)


def _number(error: Exception) -> int | None:
    # These two have error numbers of their own.
    if isinstance(error, OSError) and not isinstance(error, SSLError | gaierror):
        return error.errno
    return None


def _token() -> str:
    try:
        return get_token() or ""
    except Exception:  # its file cannot be read
        return ""


def _cause(error: Exception) -> Exception:
    # huggingface_hub wraps the real error in others that say less: "force download failed", "not found locally".
    while isinstance(error, ValueError | RuntimeError | errors.LocalEntryNotFoundError):
        if not isinstance(error.__cause__, Exception):
            break
        error = error.__cause__
    return error


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def endpoint() -> str | None:
    """The Hub's address where it is not the usual one; huggingface_hub itself reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence huggingface_hub's warnings, and its progress bar where stderr is not a terminal."""
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
