"""Samples as CSV, JSON lines or Parquet: written as they come, so that their number does not matter."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, BinaryIO, TextIO

from leakwatch.errors import UsageError
from leakwatch.text.escape import as_text, csv_cell, json_text

Named = tuple[str, str, str, str]
"""A series: its metric, the kind and key of its target, its name."""
Exported = tuple[int, Named, int, bool]
"""A sample: UTC milliseconds, its series, its value, whether it was estimated."""

ROWS_A_GROUP = 250_000
"""Rows of a group in Parquet, which are held until it is full: 20 MB."""


def write_csv(samples: Iterable[Exported], out: TextIO) -> int:
    """Write tidy CSV, which ``leakwatch analyze`` reads; return how many samples.

    A column more than it needs says which values were estimated. Names are printable: a line is a sample, always.
    """
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("time", "series", "value", "estimated"))
    count = 0
    cells: dict[str, object] = {}
    for ts_ms, (_, _, _, name), value, estimated in samples:
        cell = cells.get(name) or cells.setdefault(name, csv_cell(name))
        rows.writerow((f"{ts_ms // 1000}.{ts_ms % 1000:03}", cell, value, int(estimated)))
        count += 1
    return count


def write_jsonl(samples: Iterable[Exported], out: TextIO) -> int:
    """Write an object a line; return how many. Names are escaped as JSON does it."""
    count = 0
    for ts_ms, (metric, kind, key, name), value, estimated in samples:
        row = {
            "time_ms": ts_ms,
            "series": name,
            "metric": metric,
            "kind": kind,
            "target": as_text(key),
            "value": value,
            "estimated": estimated,
        }
        out.write(json_text(row, compact=True))
        count += 1
    return count


def write_parquet(samples: Iterable[Exported], out: BinaryIO) -> int:
    """Write a Parquet file; return how many samples. Raises UsageError where pyarrow is not installed."""
    pa, pq = _pyarrow()
    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([
        ("time", pa.timestamp("ms", tz="UTC")), ("series", text), ("metric", text), ("kind", text), ("target", text),
        ("value", pa.int64()), ("estimated", pa.bool_()),
    ])  # fmt: skip
    count = 0
    columns: tuple[list[Any], ...] = tuple([] for _ in schema)
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for ts_ms, (metric, kind, key, name), value, estimated in samples:
            row = (ts_ms, as_text(name), metric, kind, as_text(key), value, estimated)
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
            count += 1
            if count % ROWS_A_GROUP == 0:
                _flush(pa, writer, schema, columns)
        _flush(pa, writer, schema, columns)
    return count


def _flush(pa: Any, writer: Any, schema: Any, columns: tuple[list[Any], ...]) -> None:
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
    writer.write_table(pa.table(arrays, schema=schema))
    for column in columns:
        column.clear()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, of 100 MB
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed; install it with: pip install 'leakwatchd[parquet]'"
        ) from None
    return pa, pq
