"""The rows of sorted photos in a Parquet file; needs pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from imgorder.cli._terminal import print_warning
from imgorder.errors import ImgorderError, UsageError
from imgorder.files import atomic_write
from imgorder.media.photos import PhotoSet
from imgorder.names import show
from imgorder.pictures.outputs import check_ending, check_targets

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise ImgorderError("--parquet needs pyarrow; run: pip install 'imgorder[parquet]'") from error

_ROWS = 50_000  # of a group, and in memory
_NUMBERS = {"index": pa.int64(), "n": pa.int64(), "confidence": pa.float64(), "sure": pa.float64()}


@contextmanager
def parquet_table(
    target: Path, sets: Sequence[PhotoSet], columns: Sequence[str], force: bool
) -> Iterator[Callable[[Iterable[dict[str, Any]]], None]]:
    """A function that adds rows; when the block ends, the file is there with all of them, or there is none.

    Args:
        target: the file.
        sets: all that will be sorted, none of whose photos may be replaced.
        columns: of the table; all are text but the numbers.
        force: another file may be replaced.

    Raises:
        UsageError: for a name with another ending, and for photos whose names are not UTF-8.
        ImgorderError: if the file cannot be written.
    """
    check_ending("--parquet", target, (".parquet",))
    check_targets([target], sets, force, print_warning)
    for photos in sets:
        for file in photos.files:
            if any("\ud800" <= char <= "\udfff" for char in str(file)):
                raise UsageError(f"{show(file)}: its name is not UTF-8, as Parquet wants it; give --csv or --jsonl")
    schema = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in columns])
    waiting: list[dict[str, Any]] = []
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def flush() -> None:
            nonlocal writer
            if writer is None:
                partial = stack.enter_context(atomic_write(target))
                writer = stack.enter_context(pq.ParquetWriter(partial, schema))
            writer.write_table(pa.Table.from_pylist(waiting, schema))
            waiting.clear()

        def add(rows: Iterable[dict[str, Any]]) -> None:
            waiting.extend(rows)
            if len(waiting) >= _ROWS:
                flush()

        yield add
        if waiting:
            flush()
