"""The SQL of salvaging a damaged store, as texts: the daemon runs it, see ``plain``."""

from __future__ import annotations

TABLES = (
    "boot", "metric", "target", "process", "series", "scrape", "sample_round", "block_round", "seal", "chunk",
    "finding", "incident", "incident_event", "suspicion", "state",
)  # fmt: skip
COUNT = "SELECT count(*) AS found FROM scrape"
_CHUNKS = "FROM chunk WHERE chunk.id >> 32 = seal.id"
"""A chunk's number is that of its seal and of its series, see ``chunks.chunk_number``."""
_NAME_BOOTS = (
    "INSERT INTO boot (id, boot_id) SELECT DISTINCT boot_id, 'unknown ' || boot_id FROM scrape "
    "WHERE boot_id NOT IN (SELECT id FROM boot)"
)
_COUNT_CHUNKS = (
    f'UPDATE seal SET "rows" = (SELECT coalesce(sum(n), 0) {_CHUNKS}), '  # noqa: S608 - our own names
    f"bytes = (SELECT coalesce(sum(length(payload)), 0) {_CHUNKS})"
)
AGREE = (
    _NAME_BOOTS,
    "DELETE FROM process WHERE target_id NOT IN (SELECT id FROM target)",
    "DELETE FROM series WHERE target_id NOT IN (SELECT id FROM target) OR metric_id NOT IN (SELECT id FROM metric)",
    "DELETE FROM suspicion WHERE series_id NOT IN (SELECT id FROM series)",
    "DELETE FROM sample_round WHERE scrape_id NOT IN (SELECT id FROM scrape)",
    "DELETE FROM chunk WHERE id >> 32 NOT IN (SELECT id FROM seal)",
    _COUNT_CHUNKS,
)
"""What makes rows agree again when others are lost."""


def columns(table: str) -> str:
    """A table's columns."""
    return f"PRAGMA table_info({table})"


def rows(table: str, names: list[str], order: str) -> str:
    """All rows of a table with their number, in the order of numbers: an index may be damaged, too."""
    return f"SELECT rowid, {_quoted(names)} FROM {table} NOT INDEXED ORDER BY rowid {order}"  # noqa: S608


def add(table: str, names: list[str]) -> str:
    """Add a row."""
    return f"INSERT INTO {table} ({_quoted(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
