"""Checks a store through and through: SQLite's own structure, every payload, and that the books agree.

Whether each row makes sense: sorts of values, texts, JSON, and that what a row refers to is there.

SQLite has no checksums: it takes any bytes for a text. What names, findings, incidents and states say is read here as
those do who use them; samples and blocks have checksums of their own, see ``integrity``.

Everything a store holds, row by row, whether sealed or not: for checks and for the way back to an older schema.

What is damaged raises PayloadError here: whoever asks for all must not be given less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer
from sqlalchemy.exc import DBAPIError

from leakwatch.model.identity import ProcessIdentity, ServiceKind
from leakwatch.model.incident import EventKind
from leakwatch.model.verdict import Verdict
from leakwatch.store import tables
from leakwatch.store.encoding import chunks, codec, rounds
from leakwatch.store.encoding.integers import PayloadError
from leakwatch.store.files.driver import loaded_text
from leakwatch.store.incident import rows
from leakwatch.store.read.reader import Reader
from leakwatch.store.read.samples import NEWEST
from leakwatch.store.sql import expiry, reading
from leakwatch.store.sql import seals as seal_sql

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection, Row, Table

ROUNDS_A_READ = 500
"""Rounds read at once, which bounds the memory."""


def sample_rows(connection: Connection) -> Iterator[tuple[int, int, int]]:
    """Yield (scrape, series, value) of every sample, in no order."""
    for seal in connection.execute(seal_sql.seals(seal_sql.SAMPLES)).all():
        numbers, _ = chunks.decode_times(seal.payload, seal.rounds)
        for chunk in connection.execute(seal_sql.chunks_of(seal.id)).all():
            course = chunks.decode_course(chunk.payload, seal.rounds)
            series = chunks.series_of(chunk.id)
            for scrape, value in zip(compress(numbers, course.present), course.values, strict=True):
                yield scrape, series, value
    at = 0
    while found := connection.execute(seal_sql.sample_rounds(at, NEWEST).limit(ROUNDS_A_READ)).all():
        for row in found:
            one = rounds.decode_round(row.payload, row.n)
            for series, value in zip(one.series, one.values, strict=True):
                yield row.scrape_id, series, value
        at = found[-1].scrape_id + 1


def block_rows(connection: Connection) -> Iterator[tuple[float, ...]]:
    """Yield (span, start, series, n, minimum, median, maximum, last, segment) of every block, in the order of writing.

    Of two of one span, start and series the later counts.
    """
    for span_s in connection.execute(expiry.spans()).scalars().all():
        for seal in connection.execute(seal_sql.block_seals(span_s, 0)).all():
            _, times_ms = chunks.decode_times(seal.payload, seal.rounds)
            for chunk in connection.execute(seal_sql.chunks_of(seal.id)).all():
                present, columns = chunks.decode_block_course(chunk.payload, seal.rounds)
                series = chunks.series_of(chunk.id)
                for start_ms, block in zip(compress(times_ms, present), zip(*columns, strict=True), strict=True):
                    yield span_s, start_ms, series, *block
        for row in connection.execute(seal_sql.block_rounds(span_s, 0)).all():
            numbers, columns = rounds.decode_block_round(row.payload, row.n)
            for series, block in zip(numbers, zip(*columns, strict=True), strict=True):
                yield span_s, row.start_ms, series, *block


_METRIC = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


def damaged_rows(connection: Connection) -> Iterator[str]:
    """Yield what is wrong, row by row, as far as SQLite can read each table."""
    numbers = {table.name: _numbers(connection, table) for table in (tables.boot, tables.metric, tables.target)}
    numbers |= {table.name: _numbers(connection, table) for table in (tables.scrape, tables.series)}
    for table in tables.metadata.sorted_tables:
        try:
            for row in connection.execute(reading.raw_rows(table)):
                wrong = _wrong(table, row) or _refers(table, row, numbers)
                if wrong:
                    yield f"{table.name} {_shown(row[0])}: {wrong}"
        except DBAPIError as error:
            yield f"{table.name}: SQLite cannot read all of it ({error.orig})"


def _numbers(connection: Connection, table: Table) -> frozenset[int]:
    try:
        return frozenset(connection.execute(reading.row_numbers(table)).scalars())
    except DBAPIError:
        return frozenset()


def _shown(key: object) -> str:
    told = loaded_text(key) if isinstance(key, bytes | str) else key
    return ascii(told)[:80]


def _wrong(table: Table, row: Row[Any]) -> str:
    for column, value in zip(reading.raw_columns(table), row, strict=True):
        wrong = _value(column, value)
        if wrong:
            return f"{column.name}: {wrong}"
    check = _MEANINGS.get(table.name)
    if check is None:
        return ""
    try:
        return check(_Decoded(table, row)) or ""
    except (PayloadError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"


class _Decoded:
    """A row as readers see it."""

    def __init__(self, table: Table, row: Row[Any]) -> None:
        for column, value in zip(reading.raw_columns(table), row, strict=True):
            setattr(self, column.name, loaded_text(value) if isinstance(value, bytes) else value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _value(column: Column[Any], value: object) -> str:
    if value is None:
        return "" if column.nullable else "nothing where something must be"
    if isinstance(column.type, Integer | BigInteger):
        return "" if isinstance(value, int) else "no number"
    if isinstance(column.type, tables.KernelText) and isinstance(value, bytes):
        return ""  # what the kernel gave as it is
    if not isinstance(value, str):
        return "no text"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "text with damaged bytes"
    return ""


def _refers(table: Table, row: Row[Any], numbers: dict[str, frozenset[int]]) -> str:
    for column, value in zip(reading.raw_columns(table), row, strict=True):
        to = _REFERS.get((table.name, column.name))
        if to is not None and value not in numbers[to]:
            return f"it is of {to} {_shown(value)}, which is not there"
    return ""


_REFERS = {
    ("scrape", "boot_id"): "boot",
    ("process", "target_id"): "target",
    ("series", "metric_id"): "metric",
    ("series", "target_id"): "target",
    ("suspicion", "series_id"): "series",
    ("sample_round", "scrape_id"): "scrape",
}


def _scrape(row: Any) -> str:
    return "" if isinstance(json.loads(row.notes), dict) else "notes: no object"


def _target(row: Any) -> str:
    target = codec.decode_target(row.kind, row.key)
    return "" if codec.start_ticks_of(target) == row.start_ticks else "key and start_ticks are of two processes"


def _process(row: Any) -> str:
    if row.service_kind is not None:
        ServiceKind(row.service_kind)
    return "" if ProcessIdentity(row.boot_id, row.pid, row.start_ticks).target.key else "no process"


def _metric(row: Any) -> str:
    return "" if _METRIC.fullmatch(row.name) else f"no metric is called {_shown(row.name)}"


def _finding(row: Any) -> str:
    found = codec.finding_of(row.payload)
    Verdict(row.verdict)
    return "" if (found.id, found.kind) == (row.id, row.kind) else "it says that it is another finding"


def _incident(row: Any) -> str:
    rows.incident_of(row)
    rows.progress_of(row.payload)
    return ""


def _event(row: Any) -> str:
    return "" if row.kind in frozenset(EventKind) else f"no event is of kind {_shown(row.kind)}"


def _json(name: str) -> Callable[[Any], str]:
    def check(row: Any) -> str:
        json.loads(getattr(row, name))
        return ""

    return check


_MEANINGS: dict[str, Callable[[Any], str]] = {
    "scrape": _scrape,
    "target": _target,
    "process": _process,
    "metric": _metric,
    "finding": _finding,
    "incident": _incident,
    "incident_event": _event,
    "suspicion": _json("payload"),
    "state": _json("value"),
}


SOUND = "ok"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    samples: int
    blocks: int
    problems: tuple[str, ...]


def check(reader: Reader) -> Checked:
    """Read all of the store within one transaction. Raises the reader's errors where SQLite itself gives up."""
    with reader.reading() as connection:
        answers = connection.execute(reading.INTEGRITY_CHECK).scalars().all()
        problems = [f"SQLite: {' '.join(answer.split())}" for answer in answers if answer != SOUND]
        problems += damaged_rows(connection)
        counts = [0, 0]
        for span_s in (seal_sql.SAMPLES, *_spans(connection)):
            rows = connection.execute(seal_sql.seals(span_s)).all()
            for row in rows:
                found, wrong = _seal(connection, row)
                counts[span_s != seal_sql.SAMPLES] += found
                problems += wrong
            if span_s == seal_sql.SAMPLES:
                problems += _twice(connection, rows)
        problems += _orphans(connection)
        for at, found, wrong in (*_sample_rounds(connection), *_block_rounds(connection)):
            counts[at] += found
            problems += wrong
    return Checked(counts[0], counts[1], tuple(problems))


def _spans(connection: Connection) -> list[int]:
    """Return the spans of blocks; one that is no number is named with its row."""
    return [span for span in connection.execute(expiry.spans()).scalars() if isinstance(span, int)]


def _seal(connection: Connection, row: Row[Any]) -> tuple[int, list[str]]:
    """Return how many values a seal's chunks hold, and what is wrong with it."""
    problems = []
    try:
        numbers, _ = chunks.decode_times(row.payload, row.rounds)
        if row.span_s == seal_sql.SAMPLES and (numbers[0], numbers[-1]) != (row.first, row.last):
            problems.append(f"seal {row.id} is of other scrapes than it says")
    except PayloadError as error:
        problems.append(f"seal {row.id}, {row.rows} values: {error}")
    count = size = 0
    for chunk in connection.execute(seal_sql.chunks_of(row.id)):
        size += len(chunk.payload)
        count += chunk.n
        try:
            if row.span_s == seal_sql.SAMPLES:
                values = len(chunks.decode_course(chunk.payload, row.rounds).values)
            else:
                values = len(chunks.decode_block_course(chunk.payload, row.rounds).columns.n)
            if values != chunk.n:
                problems.append(f"chunk {chunk.id} holds {values} values and says {chunk.n}")
        except PayloadError as error:
            problems.append(f"chunk {chunk.id}, {chunk.n} values of series {chunks.series_of(chunk.id)}: {error}")
    if (count, size) != (row.rows, row.bytes):
        problems.append(f"seal {row.id} says {row.rows} values in {row.bytes} bytes and has {count} in {size}")
    return count, problems


def _twice(connection: Connection, seals: Sequence[Row[Any]]) -> Iterator[str]:
    """Yield the series that two seals hold for the same scrapes: only a merge may overlap, and only of others."""
    for one, other in _overlapping(seals):
        held = [{chunks.series_of(c.id) for c in connection.execute(seal_sql.chunks_of(s.id))} for s in (one, other)]
        for series in sorted(held[0] & held[1]):
            yield f"series {series} is in seal {one.id} and in seal {other.id} for the same scrapes"
    for seal in seals:
        count = connection.execute(seal_sql.count_sample_rounds(seal.first, seal.last)).scalar_one()
        if count:
            yield f"{count} scrapes of seal {seal.id} are there unsealed, too"


def _overlapping(seals: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], Row[Any]]]:
    for at, one in enumerate(seals):
        for other in seals[at + 1 :]:
            if other.first > one.last:
                break
            yield one, other


def _orphans(connection: Connection) -> Iterator[str]:
    count = connection.execute(seal_sql.count_orphans()).scalar_one()
    if count:
        yield f"{count} chunks belong to no seal"


def _sample_rounds(connection: Connection) -> Iterator[tuple[int, int, list[str]]]:
    at = 0
    while found := connection.execute(seal_sql.sample_rounds(at, NEWEST).limit(ROUNDS_A_READ)).all():
        for row in found:
            try:
                series = rounds.decode_round(row.payload, row.n).series
                twice = any(a >= b for a, b in pairwise(series))
                yield 0, row.n, [f"scrape {row.scrape_id} holds a series twice"] if twice else []
            except PayloadError as error:
                yield 0, 0, [f"scrape {row.scrape_id}, {row.n} samples: {error}"]
        if found[-1].scrape_id < at:  # a damaged tree leads back to what was read
            yield 0, 0, ["the scrapes of samples are not in order"]
            return
        at = found[-1].scrape_id + 1


def _block_rounds(connection: Connection) -> Iterator[tuple[int, int, list[str]]]:
    for span_s in _spans(connection):
        for row in connection.execute(seal_sql.block_rounds(span_s, 0)).all():
            try:
                rounds.decode_block_round(row.payload, row.n)
                yield 1, row.n, []
            except PayloadError as error:
                yield 1, 0, [f"round {row.id}, {row.n} blocks: {error}"]
