"""The Hugging Face Hub: its cache, fetching files that a card pins, and publishing a model.

`client` and `download` import huggingface_hub, and are imported only where a file has to be fetched or sent.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from imgorder.errors import ModelError
from imgorder.names import first_line

LIBRARY = "imgorder"


@contextmanager
def importing() -> Iterator[None]:
    """Put around imports of huggingface_hub, whose modules read their variables when they are imported.

    Raises:
        ModelError: if one cannot be imported; names the variables of its kind that are set.
    """
    try:
        with redirect_stdout(io.StringIO()):  # it prints there what it cannot import
            yield
    except Exception as error:  # whatever the reading of a variable raises
        names = [name for name in sorted(os.environ) if name.startswith("HF_")]
        cure = f"check {', '.join(names)}, or install it again" if names else "install it again"
        raise ModelError(
            f"the Hub cannot be asked: huggingface_hub does not start ({first_line(error)}); {cure}"
        ) from error
