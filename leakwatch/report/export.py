"""Samples as CSV, JSON lines or Parquet: written as they come, so that their number does not matter."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from leakwatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, BinaryIO, TextIO

Named = tuple[str, str, str, str]
"""A series: its metric, the kind and key of its target, its name."""
Exported = tuple[int, Named, int, bool]
"""A sample: UTC milliseconds, its series, its value, whether it was estimated."""

ROWS_A_GROUP = 250_000
"""Rows of a group in Parquet, which are held until it is full: 20 MB."""


def write_csv(samples: Iterable[Exported], out: TextIO) -> int:
    """Write tidy CSV, which ``leakwatch analyze`` reads; return how many samples.

    A column more than it needs says which values were estimated. Bytes of a name that are no UTF-8 are written as
    they are.
    """
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("time", "series", "value", "estimated"))
    count = 0
    for ts_ms, (_, _, _, name), value, estimated in samples:
        rows.writerow((f"{ts_ms // 1000}.{ts_ms % 1000:03}", name, value, int(estimated)))
        count += 1
    return count


def write_jsonl(samples: Iterable[Exported], out: TextIO) -> int:
    """Write an object a line; return how many. Names are escaped as JSON does it, undecodable bytes as surrogates."""
    count = 0
    for ts_ms, (metric, kind, key, name), value, estimated in samples:
        row = {
            "time_ms": ts_ms,
            "series": name,
            "metric": metric,
            "kind": kind,
            "target": key,
            "value": value,
            "estimated": estimated,
        }
        out.write(json.dumps(row, separators=(",", ":")) + "\n")
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
            row = (ts_ms, _encodable(name), metric, kind, _encodable(key), value, estimated)
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


def _encodable(name: str) -> str:
    r"""Return a name in which bytes that are no UTF-8 are spelled ``\xNN``: Parquet's strings are UTF-8."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, of 100 MB
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed; install it with: pip install 'leakwatchd[parquet]'"
        ) from None
    return pa, pq
