"""Errors that a user can act on. Each carries the exit code that the command line ends with.

The codes are documented in ``docs/exit-codes.md``. A message is one line: what is wrong, with the
file's name, and what to do about it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

EXIT_DONE = 0
EXIT_INPUT = 1
EXIT_USAGE = 2
EXIT_UNSURE = 3
EXIT_INTERRUPTED = 130


class ImgorderError(Exception):
    """Something in the input that stops the job."""

    exit_code = EXIT_INPUT


class PhotoError(ImgorderError):
    """A photo that cannot be found, read or understood."""


class SetSizeError(ImgorderError):
    """A set with too few or too many photos for the model."""


class ProblemsError(ImgorderError):
    """Several problems that have to be solved before the job can be done: one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ModelError(ImgorderError):
    """A model that cannot be found, or a file that is broken or not a model of imgorder."""


class UsageError(ImgorderError):
    """Options that do not fit together, or do not fit the photos."""

    exit_code = EXIT_USAGE


# What libraries say where memory is lacking: C++, ONNX Runtime, torch, the loader of libraries, threads, Windows.
_NO_MEMORY = (
    "bad allocation", "bad_alloc", "failed to allocate", "cannot allocate", "can't allocate", "not enough memory",
    "out of memory", "failed to map segment", "can't start new thread", "pthread_create", "paging file is too small",
)  # fmt: skip

NO_MEMORY = "too little memory is left"
MEMORY_CURE = "close other programs, or give fewer photos at once"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is too little memory."""
    if isinstance(error, OSError) and error.errno is not None:  # whose text has names of files
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(each in text for each in _NO_MEMORY)
