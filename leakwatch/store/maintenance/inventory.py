"""What is in a store and how much of the disk each part of it takes.

When a store will be full, by what a day adds to it and what its limits take away again; pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from leakwatch.store import tables as schema
from leakwatch.store.maintenance.retention import RetentionLimits
from leakwatch.store.read.reader import Reader
from leakwatch.store.sql import reading
from leakwatch.store.sql import seals as seal_sql

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

DAY_MS = 86_400_000
OTHERS = "everything else"
_NAMES, _FOUND = "names of processes, services and series", "findings, incidents and state"
_PARTS = {
    "scrape": "scrapes: times, and what was irregular",
    "boot": _NAMES, "target": _NAMES, "process": _NAMES, "series": _NAMES, "metric": _NAMES,
    "finding": _FOUND, "suspicion": _FOUND, "state": _FOUND, "incident": _FOUND, "incident_event": _FOUND,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the store."""

    name: str
    bytes: int
    rows: int | None = None
    """Samples or blocks, where it is made of them."""

    @property
    def bytes_a_row(self) -> float | None:
        """What one sample or block takes on the disk, None where there are none."""
        return self.bytes / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class PartKind:
    """All samples, or all blocks."""

    rows: int
    bytes: int
    first_ms: int | None
    last_ms: int | None
    day_bytes: int
    """What a day more of them takes, by the newest that was put away for good."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of a store, at one moment."""

    file_bytes: int
    log_bytes: int
    """Of the write-ahead log beside it."""
    free_bytes: int
    """Within the file, for what comes next."""
    parts: tuple[Part, ...]
    scrapes: int
    series: int
    samples: PartKind
    blocks: PartKind

    @property
    def used_bytes(self) -> int:
        """Return what holds data, which is what ``max_size`` bounds."""
        return self.file_bytes - self.free_bytes


@dataclass(frozen=True, slots=True)
class _Share:
    """History that lies together: what of it is sealed or not, of one span."""

    span_s: int
    sealed: bool
    rows: int
    payload: int
    first_ms: int | None
    last_ms: int | None

    @property
    def table(self) -> str:
        return "chunk" if self.sealed else "block_round" if self.span_s else "sample_round"

    @property
    def name(self) -> str:
        what = f"blocks of {_span(self.span_s)}" if self.span_s else "samples"
        return f"{what}, {'sealed' if self.sealed else 'as they came'}"


def take(reader: Reader) -> Inventory:
    """Return what is in the store. Raises the reader's errors."""
    stamps = reader.stamps
    with reader.reading() as connection:
        page = _pragma(connection, "page_size")
        file_bytes = page * _pragma(connection, "page_count")
        free_bytes = page * _pragma(connection, "freelist_count")
        tables = _table_bytes(connection)
        scrapes = connection.execute(reading.count_rows(schema.scrape)).scalar_one()
        shares = _shares(connection)
        sizes = {share: _size(share, shares, tables) for share in shares}
        parts = [Part(share.name, sizes[share], share.rows) for share in shares]
        parts += [Part(name, sum(tables.get(t, 0) for t, of in _PARTS.items() if of == name))
                  for name in dict.fromkeys(_PARTS.values())]  # fmt: skip
        parts.append(Part(OTHERS, max(0, file_bytes - free_bytes - sum(part.bytes for part in parts))))
        return Inventory(
            file_bytes=file_bytes,
            log_bytes=_log_bytes(reader),
            free_bytes=free_bytes,
            parts=tuple(part for part in parts if part.bytes),
            scrapes=scrapes,
            series=connection.execute(reading.count_rows(schema.series)).scalar_one(),
            samples=stamps.shown(_kind(connection, {s: b for s, b in sizes.items() if not s.span_s})),
            blocks=stamps.shown(_kind(connection, {s: b for s, b in sizes.items() if s.span_s})),
        )


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.execute(reading.pragma(name)).scalar_one())


def _log_bytes(reader: Reader) -> int:
    try:
        return reader.path.with_name(reader.path.name + "-wal").stat().st_size
    except OSError:
        return 0


def _table_bytes(connection: Connection) -> dict[str, int]:
    """Return what each table takes with its indices, nothing where this SQLite cannot tell."""
    try:
        sizes = {row.name: int(row.bytes) for row in connection.execute(reading.TABLE_SIZES)}
    except DBAPIError:
        return {}
    of = {row.name: row.tbl_name for row in connection.execute(reading.TABLE_OF)}
    found: dict[str, int] = {}
    for name, size in sizes.items():
        table = of.get(name, name)
        found[table] = found.get(table, 0) + size
    return found


def _shares(connection: Connection) -> list[_Share]:
    def share(row: Row[Any], span_s: int, *, sealed: bool) -> _Share:
        return _Share(span_s, sealed, row.rows, row.bytes, row.first_ms, row.last_ms)

    found = [share(row, row.span_s, sealed=True) for row in connection.execute(seal_sql.seal_totals())]
    fresh = connection.execute(seal_sql.sample_round_totals()).one()
    if fresh.rounds:
        found.insert(1, share(fresh, seal_sql.SAMPLES, sealed=False))
    return found + [share(row, row.span_s, sealed=False) for row in connection.execute(seal_sql.block_round_totals())]


def _size(share: _Share, shares: Iterable[_Share], tables: Mapping[str, int]) -> int:
    """Return its part of its table's pages; its payloads alone where the pages are not known."""
    whole = sum(one.payload for one in shares if one.table == share.table)
    return round(tables[share.table] * share.payload / whole) if share.table in tables else share.payload


def _span(span_s: int) -> str:
    return f"{span_s // 60} min" if span_s % 60 == 0 else f"{span_s} s"


def _kind(connection: Connection, sizes: Mapping[_Share, int]) -> PartKind:
    return PartKind(
        rows=sum(share.rows for share in sizes),
        bytes=sum(sizes.values()),
        first_ms=min((share.first_ms for share in sizes if share.first_ms is not None), default=None),
        last_ms=max((share.last_ms for share in sizes if share.last_ms is not None), default=None),
        day_bytes=round(sum(_day_bytes(connection, s, sizes) for s in sizes if s.sealed or not _is_sealed(s, sizes))),
    )


def _is_sealed(share: _Share, shares: Iterable[_Share]) -> bool:
    return any(one.sealed and one.span_s == share.span_s for one in shares)


def _day_bytes(connection: Connection, share: _Share, sizes: Mapping[_Share, int]) -> float:
    """Return what a day takes: by the newest seal of the largest kind, or by all there is where none is sealed."""
    overhead = sizes[share] / share.payload if share.payload else 1.0
    if share.sealed:
        rows: Sequence[Row[Any]] = connection.execute(seal_sql.seals(share.span_s)).all()
        newest = max(rows, key=lambda row: (row.level, row.id))
        first_ms, last_ms, size = newest.first_ms, newest.last_ms, newest.bytes
    else:
        first_ms, last_ms, size = share.first_ms, share.last_ms, share.payload
    spanned_ms = (last_ms or 0) - (first_ms or 0) + share.span_s * 1000
    return float(size * overhead * DAY_MS / spanned_ms) if spanned_ms > 0 else 0.0


DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class StoreForecast:
    """How a store goes on."""

    day_bytes: int
    """What a day adds now."""
    full_in_days: float | None
    """Until ``max_size`` is reached, None where it never is."""
    levels_at_bytes: int
    """What it takes once history goes by age or by a limit of its own as fast as it comes, ``max_size`` at most."""


def outlook(inventory: Inventory, limits: RetentionLimits) -> StoreForecast:
    """Return how the store goes on when the days to come are like those before."""
    kinds = (
        (inventory.samples, limits.keep_samples_s, limits.max_samples_bytes),
        (inventory.blocks, limits.keep_blocks_s, limits.max_blocks_bytes),
    )
    ends = [_end(kind, keep_s, max_bytes) for kind, keep_s, max_bytes in kinds]
    growing = [(kind, end) for (kind, _, _), end in zip(kinds, ends, strict=True) if end > kind.bytes]
    settled = inventory.used_bytes + round(sum(end - kind.bytes for kind, end in growing))
    days = None if settled <= limits.max_size_bytes else _days(growing, limits.max_size_bytes - inventory.used_bytes)
    return StoreForecast(sum(kind.day_bytes for kind, _ in growing), days, min(settled, limits.max_size_bytes))


def _end(kind: PartKind, keep_s: float, max_bytes: int) -> float:
    """Return what a kind takes in the end."""
    return min(kind.day_bytes * keep_s / DAY_S, max_bytes)


def _days(growing: list[tuple[PartKind, float]], room: float) -> float:
    """Return how long it takes to fill ``room``, each kind growing until it has reached its end."""
    if room <= 0:
        return 0.0
    stages = sorted((end - kind.bytes) / kind.day_bytes for kind, end in growing)
    began = filled = 0.0
    for upto in stages:
        pace = sum(kind.day_bytes for kind, end in growing if (end - kind.bytes) / kind.day_bytes >= upto)
        if filled + pace * (upto - began) >= room:
            return began + (room - filled) / pace
        filled += pace * (upto - began)
        began = upto
    return began
