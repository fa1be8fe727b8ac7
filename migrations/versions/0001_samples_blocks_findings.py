"""Scrapes, samples, blocks and findings.

Written out, not imported from the package: a migration must keep meaning what it meant when the package moves on.

Revision ID: 0001
Revises:
Create Date: 2026-11-24
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scrape",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ts_ms", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.Integer, nullable=False),
        sa.Column("late_ms", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("suspended_ms", sa.BigInteger, nullable=False),
        sa.Column("clock_step_ms", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.Integer, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
    )
    op.create_table(
        "boot",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("boot_id", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "target",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger),
        sa.UniqueConstraint("kind", "key"),
    )
    op.create_table(
        "process",
        sa.Column("target_id", sa.Integer, primary_key=True),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("start_ticks", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("uid", sa.Integer),
        sa.Column("service_kind", sa.Text),
        sa.Column("service_name", sa.Text),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("target_id", sa.Integer, nullable=False),
        sa.UniqueConstraint("target_id", "metric"),
    )
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
    op.create_table(
        "finding",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("evaluated_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("announced_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
    )
    op.create_table(
        "suspicion",
        sa.Column("series_id", sa.Integer, primary_key=True),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "state",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("state", "suspicion", "finding", "block", "sample", "series", "process", "target", "boot", "scrape"):
        op.drop_table(table)
