"""The tables, as the newest migration leaves them.

Samples and blocks arrive in *rounds*, one row a scrape or a time, appended side by side: a row a sample would be seven
times as much to write. A run of rounds is then sealed: one *seal* holds their numbers and times, one *chunk* a series
what that series had in them (see ``rounds``, ``chunks`` and docs/store.md). Each sample is in a round or in a chunk,
never in both: both change in one transaction. The scrape's number, not its time, orders samples, so that a clock set
back neither collides nor reorders anything.

Blocks are what trends are fitted to; they are few and outlive the samples. Nothing outside this package knows how
either lies on the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from leakwatch.store.files.driver import loaded_text, stored_text

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class KernelText(TypeDecorator[str]):
    """Text as the kernel gives it, which need not be UTF-8: a process may call itself anything.

    Undecodable bytes are surrogate escapes in the program and, as SQLite refuses those, bytes in the table.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy passes it
        """Return what SQLite can hold."""
        return None if value is None else stored_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  # the same
        """Return what was given to ``process_bind_param``."""
        return loaded_text(value)


metadata = MetaData()

scrape = Table(
    "scrape",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ts_ms", BigInteger, nullable=False),
    Column("boot_id", Integer, nullable=False),
    Column("late_ms", Integer, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("suspended_ms", BigInteger, nullable=False),
    Column("clock_step_ms", BigInteger, nullable=False),
    Column("duration_us", Integer, nullable=False),
    Column("notes", Text, nullable=False),  # JSON: collector -> [examples of absences, or its error]
)

boot = Table(
    "boot",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("boot_id", Text, nullable=False, unique=True),
)

target = Table(
    "target",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", KernelText, nullable=False),
    Column("start_ticks", BigInteger),  # of a process when it began, NULL of all else
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger),  # NULL while it is alive
)
Index("ix_target_key", target.c.kind, target.c.key, unique=True, sqlite_where=target.c.start_ticks.is_(None))
# Processes come in the order in which they begin, so that new ones land side by side here; by key each would touch a
# page of its own. A few may have begun together: their keys are compared.
Index("ix_target_start_ticks", target.c.start_ticks, sqlite_where=target.c.start_ticks.is_not(None))

process = Table(
    "process",
    metadata,
    Column("target_id", Integer, primary_key=True),
    Column("boot_id", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("start_ticks", BigInteger, nullable=False),
    Column("name", KernelText, nullable=False),
    Column("command", KernelText, nullable=False),
    Column("uid", Integer),
    Column("service_kind", Text),
    Column("service_name", KernelText),
)

metric = Table(
    "metric",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("metric_id", Integer, nullable=False),  # a name here would be most of the row, twice
    Column("target_id", Integer, nullable=False),
    UniqueConstraint("target_id", "metric_id"),
)

sample_round = Table(
    "sample_round",
    metadata,
    Column("scrape_id", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

block_round = Table(
    "block_round",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order of writing: of two blocks of one time the later counts
    Column("span_s", Integer, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

seal = Table(
    "seal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("span_s", Integer, nullable=False),  # of its blocks; 0: samples
    Column("level", Integer, nullable=False),  # 1 as sealed, 2 merged of several
    Column("first", Integer, nullable=False),  # the lowest and the highest number of its rounds
    Column("last", Integer, nullable=False),
    Column("first_ms", BigInteger, nullable=False),  # the earliest and the latest time
    Column("last_ms", BigInteger, nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("rows", Integer, nullable=False),  # samples or blocks in its chunks
    Column("bytes", Integer, nullable=False),  # of its chunks' payloads
    Column("payload", LargeBinary, nullable=False),  # the rounds' numbers and times
)

chunk = Table(
    "chunk",
    metadata,
    Column("id", Integer, primary_key=True),  # the seal's number and the series', see chunks.chunk_number
    Column("n", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

finding = Table(
    "finding",
    metadata,
    Column("id", KernelText, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("evaluated_ms", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),  # JSON of the whole Finding
    Column("ended_ms", BigInteger),  # when the process ended, NULL while it runs
)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("finding_id", KernelText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", KernelText, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("confirmed_ms", BigInteger),  # when the verdict first was leak
    Column("since_ms", BigInteger),  # when the growth began
    Column("resolved_ms", BigInteger),
    Column("resolution", Text),
    Column("reason", KernelText, nullable=False),
    Column("reopened", Integer, nullable=False),
    Column("reopened_ms", BigInteger),
    Column("restarted_ms", BigInteger),
    Column("payload", Text, nullable=False),  # JSON of the lifecycle's memory, see incident.Progress
    # From here on what people note. Commands write it while the daemon runs, so the daemon writes it in a new row only.
    Column("acknowledged_ms", BigInteger),
    Column("acknowledged_by", KernelText),
    Column("acknowledged_reason", KernelText),
    Column("acknowledged_round", Integer),  # how often it had been reopened then
    Column("silenced_ms", BigInteger),
    Column("silenced_until_ms", BigInteger),
    Column("silenced_by", KernelText),
    Column("silenced_reason", KernelText),
)

incident_event = Table(
    "incident_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident_id", Text, nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", KernelText, nullable=False),
    Column("by", KernelText, nullable=False),  # empty for what leakwatch did
)

suspicion = Table(
    "suspicion",
    metadata,
    Column("series_id", Integer, primary_key=True),
    Column("payload", Text, nullable=False),  # JSON of the climb, see analysis.state
)

state = Table(
    "state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON
)
