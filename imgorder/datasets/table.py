"""Tables that a person wrote beside the pictures: CSV files with a header."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from imgorder.errors import ImgorderError
from imgorder.names import show

Row = dict[str, str]


def read_table(path: Path, columns: Sequence[str] = ()) -> list[tuple[int, Row]]:
    """The rows of a table, each with the number of its line, for errors. Cells that are missing are empty.

    Args:
        path: a CSV file in UTF-8 whose first line names the columns.
        columns: that it has to have.

    Raises:
        ImgorderError: if it cannot be read as a table, or lacks one of the columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [(reader.line_num, row) for row in reader]
            names = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImgorderError(f"{show(path)}: cannot be read as a table ({error}); save it as CSV in UTF-8") from error
    for column in columns:
        if column not in names:
            raise ImgorderError(f"{show(path)}: line 1 names no column {column}; needed are {', '.join(columns)}")
    return rows
