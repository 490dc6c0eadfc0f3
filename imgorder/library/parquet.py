"""Part files as Parquet: the same records, with columns for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgorder.errors import ImgorderError
from imgorder.names import show

Record = dict[str, Any]

try:
    import pyarrow
    import pyarrow.parquet as parquet
except ImportError as error:
    raise ImgorderError("Parquet needs pyarrow; run: pip install 'imgorder[parquet]'") from error


def write_parquet(path: Path, records: list[Record]) -> None:
    """A row for each record: ``folder`` and ``name`` as people read them, and ``record``, all of it as JSON."""
    columns = {
        "folder": [show(str(record["folder"])) for record in records],
        "name": [show(str(record["name"])) for record in records],
        "record": [json.dumps(record, separators=(",", ":")) for record in records],
    }
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    parquet.write_table(pyarrow.table(columns, schema=schema), path, compression="zstd")


def read_parquet(path: Path) -> list[Record] | None:
    """The records; None if the file is not there, or damaged."""
    try:
        return [json.loads(line) for line in parquet.read_table(path)["record"].to_pylist()]
    except (OSError, ValueError, KeyError, pyarrow.ArrowException):
        return None
