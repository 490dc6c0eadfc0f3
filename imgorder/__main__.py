"""``python -m imgorder``."""

from imgorder.cli import main

if __name__ == "__main__":
    main()
