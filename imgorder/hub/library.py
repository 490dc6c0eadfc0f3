"""huggingface_hub, imported so that what it makes of its variables is said in one line."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout

from imgorder.errors import ModelError
from imgorder.names import show

# Each reads variables of its own as it is imported, and cannot be imported where one of them makes no sense.
_NEEDED = ("hf_hub_download", "HfApi")


def import_library() -> None:
    """Import what imgorder needs of huggingface_hub.

    Raises:
        ModelError: if it cannot be imported; names the variables of its kind that are set.
    """
    try:
        with redirect_stdout(io.StringIO()):  # it prints there what it cannot import
            import huggingface_hub

            for name in _NEEDED:
                getattr(huggingface_hub, name)
    except Exception as error:  # whatever the reading of a variable raises
        said = show((str(error).splitlines() or [""])[0])
        names = [name for name in sorted(os.environ) if name.startswith("HF_")]
        cure = f"check {', '.join(names)}, or install it again" if names else "install it again"
        raise ModelError(f"the Hub cannot be asked: huggingface_hub does not start ({said}); {cure}") from error
