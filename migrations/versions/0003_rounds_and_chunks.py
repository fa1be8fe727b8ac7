"""Samples and blocks by round instead of by row, and the tables they are sealed into; every one of them is kept.

Names are kept so that new ones lie side by side.

The new tables hold payloads. The encoding is written out here in the simplest form the format allows, not imported
from the package: a migration must keep meaning what it meant when the package moves on. The daemon seals what was
carried over soon after its start.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-26
"""

from __future__ import annotations

import zlib
from array import array
from itertools import groupby
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 200
"""Rounds written by one statement: what bounds the memory of a store of gigabytes."""
PLAIN = 16
WORD = 8
BITS = 1


def upgrade() -> None:
    _make_tables()
    connection = op.get_bind()
    samples = _stream("SELECT scrape_id, series_id, value FROM sample ORDER BY scrape_id, series_id")
    rounds = (
        {"scrape_id": scrape, "n": len(rows), "payload": _sample_payload(rows)}
        for scrape, rows in ((scrape, [*group]) for scrape, group in groupby(samples, lambda row: row[0]))
    )
    insert = sa.text("INSERT INTO sample_round (scrape_id, n, payload) VALUES (:scrape_id, :n, :payload)")
    for some in _batches(rounds):
        connection.execute(insert, some)
    blocks = _stream(
        "SELECT span_s, start_ms, series_id, n, minimum, median, maximum, last, segment_ms FROM block "
        "ORDER BY span_s, start_ms, series_id"
    )
    block_rounds = (
        {"span_s": key[0], "start_ms": key[1], "n": len(rows), "payload": _block_payload(rows)}
        for key, rows in ((key, [*group]) for key, group in groupby(blocks, lambda row: (row[0], row[1])))
    )
    insert = sa.text("INSERT INTO block_round (span_s, start_ms, n, payload) VALUES (:span_s, :start_ms, :n, :payload)")
    for some in _batches(block_rounds):
        connection.execute(insert, some)
    op.drop_table("sample")
    op.drop_table("block")
    _number_names()


def _number_names() -> None:
    """Order targets by when processes began, and number metrics: new names then land at the end of every table."""
    op.rename_table("target", "old_target")
    op.create_table(
        "target",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("start_ticks", sa.BigInteger),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger),
    )
    # A process's key is boot/pid/start; SQLite finds the first slash only.
    op.execute("INSERT INTO target SELECT id, kind, key, NULL, first_ms, last_ms FROM old_target ORDER BY id")
    op.execute("UPDATE target SET start_ticks = substr(key, instr(key, '/') + 1) WHERE kind = 'process'")
    op.execute(
        "UPDATE target SET start_ticks = CAST(substr(start_ticks, instr(start_ticks, '/') + 1) AS INTEGER) "
        "WHERE kind = 'process'"
    )
    op.drop_table("old_target")
    op.create_index(
        "ix_target_key", "target", ["kind", "key"], unique=True, sqlite_where=sa.text("start_ticks IS NULL")
    )
    op.create_index("ix_target_start_ticks", "target", ["start_ticks"], sqlite_where=sa.text("start_ticks IS NOT NULL"))
    op.rename_table("series", "old_series")
    op.create_table(
        "metric",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
    )
    op.execute("INSERT INTO metric (name) SELECT DISTINCT metric FROM old_series ORDER BY metric")
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("metric_id", sa.Integer, nullable=False),
        sa.Column("target_id", sa.Integer, nullable=False),
        sa.UniqueConstraint("target_id", "metric_id"),
    )
    op.execute(
        "INSERT INTO series SELECT o.id, m.id, o.target_id FROM old_series o JOIN metric m ON m.name = o.metric "
        "ORDER BY o.id"
    )
    op.drop_table("old_series")


def _name_names() -> None:
    """Undo ``_number_names``."""
    op.rename_table("target", "new_target")
    op.create_table(
        "target",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger),
        sa.UniqueConstraint("kind", "key"),
    )
    op.execute("INSERT INTO target SELECT id, kind, key, first_ms, last_ms FROM new_target ORDER BY id")
    op.drop_table("new_target")
    op.rename_table("series", "new_series")
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("target_id", sa.Integer, nullable=False),
        sa.UniqueConstraint("target_id", "metric"),
    )
    op.execute(
        "INSERT INTO series SELECT n.id, m.name, n.target_id FROM new_series n JOIN metric m ON m.id = n.metric_id "
        "ORDER BY n.id"
    )
    op.drop_table("new_series")
    op.drop_table("metric")


def _make_tables() -> None:
    op.create_table(
        "sample_round",
        sa.Column("scrape_id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "block_round",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("span_s", sa.Integer, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "seal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("span_s", sa.Integer, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chunk",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )


def _stream(query: str) -> Iterable[Sequence[float]]:
    """Yield rows as they are read, by the driver itself: there may be a hundred million."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    yield from driver.execute(query)


def _batches(rounds: Iterable[dict[str, object]]) -> Iterable[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    for one in rounds:
        batch.append(one)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _sample_payload(rows: Sequence[Sequence[int]]) -> bytes:
    return _pack(_plain([row[1] for row in rows]) + _plain([row[2] for row in rows]))


def _block_payload(rows: Sequence[Sequence[float]]) -> bytes:
    series, n, *levels, segment_ms = ([row[at] for row in rows] for at in range(2, 9))
    columns = [_plain(series), _plain(n), _plain(segment_ms), bytes([BITS])]
    columns += [_plain(array("q", array("d", level).tobytes())) for level in levels]
    return _pack(b"".join(columns))


def _plain(values: Iterable[int]) -> bytes:
    """Return integers as zigzag numbers in planes, lowest bytes first."""
    words = array("Q", [(value << 1) ^ (value >> 63) for value in values])
    width = (max(words).bit_length() + 7) // 8
    raw = words.tobytes()
    return bytes([PLAIN + width]) + b"".join(raw[at::WORD] for at in range(width))


def _pack(body: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    framed = b"\1\1" + packer.compress(body) + packer.flush()
    return framed + zlib.crc32(framed).to_bytes(4, "little")


def downgrade() -> None:
    """Write everything back row by row: twenty times the space. Who goes back has the package that sealed it."""
    from leakwatch.store.maintenance.integrity import block_rows, sample_rows

    op.create_table(
        "sample",
        sa.Column("scrape_id", sa.Integer, primary_key=True),
        sa.Column("series_id", sa.Integer, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "block",
        sa.Column("span_s", sa.Integer, primary_key=True),
        sa.Column("start_ms", sa.BigInteger, primary_key=True),
        sa.Column("series_id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("minimum", sa.Float, nullable=False),
        sa.Column("median", sa.Float, nullable=False),
        sa.Column("maximum", sa.Float, nullable=False),
        sa.Column("last", sa.Float, nullable=False),
        sa.Column("segment_ms", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.executemany("INSERT INTO sample VALUES (?, ?, ?)", sample_rows(op.get_bind()))
    driver.executemany("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", block_rows(op.get_bind()))
    for table in ("chunk", "seal", "block_round", "sample_round"):
        op.drop_table(table)
    _name_names()
