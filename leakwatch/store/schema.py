"""The tables, as the newest migration leaves them.

Samples are keyed (scrape, series): a scrape's rows are appended side by side and touch a few pages. The key
(series, time), natural for reading, touches a page a series and writes a hundred times as much to the disk. The
scrape's number, not its time, orders them, so that a clock set back neither collides nor reorders anything.

Blocks are what trends are fitted to; they are few and outlive the samples. A later revision may seal old samples into
compressed chunks: nothing outside this package knows how a sample lies on the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text, TypeDecorator, UniqueConstraint

if TYPE_CHECKING:
    from sqlalchemy import Dialect

REVISION = "0002"
"""The newest migration. Known here so that a start need not load Alembic to see that nothing is to be done."""


class KernelText(TypeDecorator[str]):
    """Text as the kernel gives it, which need not be UTF-8: a process may call itself anything.

    Undecodable bytes are surrogate escapes in the program and, as SQLite refuses those, bytes in the table.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy passes it
        """Return what SQLite can hold."""
        if value is None or value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  # the same
        """Return what was given to ``process_bind_param``."""
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


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
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger),  # NULL while it is alive
    UniqueConstraint("kind", "key"),
)

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

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("metric", Text, nullable=False),
    Column("target_id", Integer, nullable=False),
    UniqueConstraint("target_id", "metric"),
)

sample = Table(
    "sample",
    metadata,
    Column("scrape_id", Integer, primary_key=True),
    Column("series_id", Integer, primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

block = Table(
    "block",
    metadata,
    Column("span_s", Integer, primary_key=True),
    Column("start_ms", BigInteger, primary_key=True),
    Column("series_id", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("minimum", Float, nullable=False),
    Column("median", Float, nullable=False),
    Column("maximum", Float, nullable=False),
    Column("last", Float, nullable=False),
    Column("segment_ms", BigInteger, nullable=False),  # when the segment it belongs to began
    sqlite_with_rowid=False,
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
