"""``python tests/double.py ARGUMENTS``: the command line in double precision.

Two processes add up in another order than one. In single precision the difference, of the last bits at
first, grows from step to step; in double precision it stays far below what a wrong gradient would cause.
"""

from __future__ import annotations

import torch

from imgorder.cli import main

if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main()
