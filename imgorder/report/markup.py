"""Fill HTML templates safely: whatever is not HTML already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from string import Template


class Html(str):
    """Text that is HTML already."""


def fill(template: str, **values: object) -> Html:
    """Put values in place of ``$name``; they are escaped, quotes too, unless they are `Html`.

    Raises:
        KeyError: for a name without a value.
    """
    safe = {name: value if isinstance(value, Html) else html.escape(str(value)) for name, value in values.items()}
    return Html(Template(template).substitute(safe))


def join_lines(parts: Iterable[Html]) -> Html:
    """Pieces of HTML one after the other, a line each."""
    return Html("\n".join(parts))
