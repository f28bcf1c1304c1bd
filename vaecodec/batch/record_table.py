"""A record of a batch as a Parquet table: a row for each file, as it was last."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vaecodec.batch.record_lines import COLUMNS, LastLines, not_a_record, read_lines, record_of
from vaecodec.errors import UsageError
from vaecodec.streams import write_output

_ROWS = 100_000  # of a group, which is held at a time


def check_installed(table: Path) -> None:
    """Raise UsageError where there is nothing to write Parquet with, before any work is done."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        told = "needs another package: pip install 'vaecodec[parquet]'; or name a .jsonl file"
        raise UsageError(f"{table}: {told}") from None


def write_table(lines: Path, table: Path) -> None:
    """Make the table of a record's lines, whole or not at all. Raises VaecodecError."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"bytes": pa.int64(), "quality": pa.float64(), "seconds": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])

    def write(file: BinaryIO) -> None:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for rows in _groups(lines):
                writer.write_table(pa.Table.from_pylist(rows, schema))

    write_output(table, write, force=True)


def restore_lines(table: Path, lines: Path) -> None:
    """Make the lines of a table again. Raises FormatError for one that is no such record."""
    from pyarrow import ArrowException, parquet

    def write(file: BinaryIO) -> None:
        with parquet.ParquetFile(table) as rows:
            if tuple(rows.schema_arrow.names) != COLUMNS:
                raise not_a_record(table)
            for batch in rows.iter_batches(_ROWS):
                for record in batch.to_pylist():
                    file.write(f"{json.dumps(record)}\n".encode())

    try:
        write_output(lines, write, force=False)
    except ArrowException:
        raise not_a_record(table) from None


def _groups(lines: Path) -> Iterator[list[dict[str, Any]]]:
    numbers, rows, place = LastLines(lines).numbers, list[dict[str, Any]](), 0
    for number, line in enumerate(read_lines(lines)):
        if place == len(numbers) or number != numbers[place]:
            continue
        place += 1
        rows.append({name: _storable(value) for name, value in record_of(line, lines).items()})
        if len(rows) == _ROWS:
            yield rows
            rows = []
    yield rows


def _storable(value: Any) -> Any:
    """Names of files that are no Unicode, with their bytes written out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
