"""``python tests/double.py ARGUMENTS``: the command line in double precision.

Two processes add up in another order than one. In single precision the difference, of the last bits at
first, grows from step to step; in double precision it stays far below what a wrong gradient would cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from imgorder.cli import main


@contextmanager
def double_precision() -> Iterator[None]:
    """What computes inside does so in double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    with double_precision():
        main()
