"""Numbers as people type them: ``4``, ``1-8``, ``1,2,4``, ``all``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgorder.errors import UsageError


def number_or_all(text: str, option: str) -> int | None:
    """``"all"`` to None, else a number from 1 up.

    Raises:
        UsageError: for anything else; names the option.
    """
    if text == "all":
        return None
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < 1:
        raise UsageError(f"{option} takes a number from 1 up, or all; not {text!r}")
    return int(text)


def parse_numbers(texts: Sequence[str], option: str, least: int, most: int) -> list[int]:
    """``["3-5", "8,9"]`` as ``[3, 4, 5, 8, 9]``.

    Raises:
        UsageError: for anything else, and for numbers outside ``least`` … ``most``; names the option.
    """
    numbers: set[int] = set()
    for part in re.split(r"[,\s]+", " ".join(texts).strip()):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part, re.ASCII)
        if not match:
            raise UsageError(f"{option} takes a number, or numbers as in 3-5 or 3,5; not {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UsageError(f"{option}: {part} is an empty range")
        if first < least or last > most:
            raise UsageError(f"{option} takes numbers from {least} to {most}; not {part}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)
