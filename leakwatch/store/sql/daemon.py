"""The SQL of the daemon's own transactions, as texts: see ``plain`` for why this one module is not Core.

The tables are those of ``schema``; a test holds the columns named here against it.
"""

from __future__ import annotations

TABLE_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
REVISIONS = "SELECT version_num FROM alembic_version"
QUICK_CHECK = "PRAGMA quick_check(1)"
_REMEMBERED = ("scrape", "finding", "incident", "state")
ANYTHING = f"SELECT {' OR '.join(f'EXISTS (SELECT 1 FROM {table})' for table in _REMEMBERED)} AS found"  # noqa: S608

LAST_SCRAPE_MS = "SELECT ts_ms FROM scrape ORDER BY id DESC LIMIT 1"


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})"  # noqa: S608


def _upsert(table: str, key: str, columns: tuple[str, ...], renewed: tuple[str, ...]) -> str:
    """Add a row, or renew some columns of the one with the same key."""
    renew = ", ".join(f"{name} = excluded.{name}" for name in renewed)
    return f"{_insert(table, (key, *columns))} ON CONFLICT ({key}) DO UPDATE SET {renew}"


def _one_of(count: int) -> str:
    return f"({', '.join('?' * count)})"


# Scrapes, samples, blocks
ADD_BOOT = "INSERT INTO boot (boot_id) VALUES (?) ON CONFLICT DO NOTHING"
BOOT_NUMBER = "SELECT id FROM boot WHERE boot_id = ?"
ADD_SCRAPE = _insert(
    "scrape", ("ts_ms", "boot_id", "late_ms", "missed", "suspended_ms", "clock_step_ms", "duration_us", "notes")
)
ADD_SAMPLE_ROUND = _insert("sample_round", ("scrape_id", "n", "payload"))
ADD_BLOCK_ROUND = _insert("block_round", ("span_s", "start_ms", "n", "payload"))

# What things are called
LIVING_TARGETS = "SELECT id, kind, key FROM target WHERE last_ms IS NULL"
METRICS = "SELECT id, name FROM metric"
_SERIES = (
    "SELECT series.id, metric.name AS metric, series.target_id FROM series "
    "JOIN metric ON metric.id = series.metric_id JOIN target ON target.id = series.target_id "
)
LIVING_SERIES = f"{_SERIES} WHERE target.last_ms IS NULL"
SERIES_OF = f"{_SERIES} WHERE series.target_id = ?"
HIGHEST_TARGET = "SELECT coalesce(max(id), 0) AS id FROM target"
HIGHEST_SERIES = "SELECT coalesce(max(id), 0) AS id FROM series"
FIND_PROCESS = "SELECT id FROM target WHERE kind = :kind AND start_ticks = :start_ticks AND key = :key"
FIND_OTHER = "SELECT id FROM target WHERE kind = :kind AND start_ticks IS NULL AND key = :key"
"""The two kinds of target are found by an index each."""
ADD_TARGET = _insert("target", ("id", "kind", "start_ticks", "key", "first_ms"))
ADD_METRIC = _insert("metric", ("id", "name"))
ADD_SERIES = _insert("series", ("id", "metric_id", "target_id"))
REVIVE_TARGET = "UPDATE target SET last_ms = NULL WHERE id = ?"
_NAMED = ("name", "command", "uid", "service_kind", "service_name")
PUT_PROCESS = _upsert("process", "target_id", ("boot_id", "pid", "start_ticks", *_NAMED), _NAMED)
"""What names a process may change: an exec, a move to another cgroup."""


def end_targets(count: int) -> str:
    """Note that targets are no longer there: the time, then their numbers."""
    return f"UPDATE target SET last_ms = ? WHERE id IN {_one_of(count)}"  # noqa: S608


EXTENT = (
    "SELECT coalesce(max(id), 0) AS last_id, "
    "(SELECT ts_ms FROM scrape ORDER BY id LIMIT 1) AS first_ms, "
    "(SELECT ts_ms FROM scrape ORDER BY id DESC LIMIT 1) AS last_ms FROM scrape"
)
LIVING_NUMBERS = "SELECT id FROM target WHERE last_ms IS NULL"

# What the analysis says
_FINDING = ("kind", "verdict", "evaluated_ms", "payload", "ended_ms")
PUT_FINDING = _upsert("finding", "id", _FINDING, _FINDING)
PUT_SUSPICION = _upsert("suspicion", "series_id", ("payload",), ("payload",))


def _drop_suspicion(began: str) -> str:
    """Forget the suspicion of a series by name; ``began`` says by which of two indices its target is found."""
    return (
        "DELETE FROM suspicion WHERE series_id IN ("  # noqa: S608 - our own names
        "SELECT series.id FROM target JOIN series ON series.target_id = target.id "
        "JOIN metric ON metric.id = series.metric_id AND metric.name = :metric "
        f"WHERE target.kind = :kind AND target.start_ticks {began} AND target.key = :key)"
    )


DROP_SUSPICION_OF_PROCESS = _drop_suspicion("= :start_ticks")
DROP_SUSPICION_OF_OTHER = _drop_suspicion("IS NULL")
PUT_STATE = _upsert("state", "key", ("value",), ("value",))
DROP_STATE = "DELETE FROM state WHERE key = :key"
STATE = "SELECT value FROM state WHERE key = ?"


def states_of(count: int) -> str:
    """Read some of the daemon's state by key: so many, then those between two others."""
    return f"SELECT key, value FROM state WHERE key IN {_one_of(count)} OR key BETWEEN ? AND ?"  # noqa: S608


def drop_findings(count: int) -> str:
    """Forget findings by id."""
    return f"DELETE FROM finding WHERE id IN {_one_of(count)}"  # noqa: S608


# Incidents. What people note is written by commands: the daemon writes it in a new row only.
PROGRESS = (
    "finding_id", "kind", "name", "state", "opened_ms", "confirmed_ms", "since_ms", "resolved_ms", "resolution",
    "reason", "reopened", "reopened_ms", "restarted_ms", "payload",
)  # fmt: skip
"""The daemon's columns of an incident."""
_ACKNOWLEDGEMENT = ("acknowledged_ms", "acknowledged_by", "acknowledged_reason", "acknowledged_round")
_SILENCE = ("silenced_ms", "silenced_until_ms", "silenced_by", "silenced_reason")
PUT_INCIDENT = _upsert("incident", "id", (*PROGRESS, *_ACKNOWLEDGEMENT, *_SILENCE), PROGRESS)
ADD_INCIDENT_EVENT = _insert("incident_event", ("incident_id", "at_ms", "kind", "reason", "by"))
MARKED_INCIDENTS = (
    f"SELECT id, {', '.join((*_ACKNOWLEDGEMENT, *_SILENCE))} FROM incident "  # noqa: S608 - our own names
    "WHERE acknowledged_ms IS NOT NULL OR silenced_ms IS NOT NULL"
)
MOVE_SILENCE = (
    f"UPDATE incident SET {', '.join(f'{name} = :{name}' for name in _SILENCE)} "  # noqa: S608 - our own names
    "WHERE id = :id AND silenced_ms = :was_since_ms AND silenced_until_ms = :was_until_ms"
)
"""Change a silence, unless somebody has changed it meanwhile."""
