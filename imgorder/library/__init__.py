"""Trees of photos: listed, looked at once, cut into scenes, and each scene ordered; on one machine or on many."""

from __future__ import annotations

import os


def use_one_thread() -> None:
    """Let NumPy compute in one thread, where it is not loaded yet, here and in processes that are started from here.

    With several it adds up in another order, which shows in the last digits: an answer must not depend on the machine.
    """
    for library in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
