"""The command ``imgorder``, and ``python -m imgorder``."""

from __future__ import annotations

import sys


def main() -> None:
    """Start the command line; Ctrl-C ends it in order from the first moment on."""
    try:
        from imgorder.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
