"""Incidents and their history. What the log was told of a finding becomes an incident that was told.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-25
"""

from __future__ import annotations

import json
from hashlib import blake2s
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("finding_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("confirmed_ms", sa.BigInteger),
        sa.Column("since_ms", sa.BigInteger),
        sa.Column("resolved_ms", sa.BigInteger),
        sa.Column("resolution", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reopened", sa.Integer, nullable=False),
        sa.Column("reopened_ms", sa.BigInteger),
        sa.Column("restarted_ms", sa.BigInteger),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("acknowledged_ms", sa.BigInteger),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("acknowledged_reason", sa.Text),
        sa.Column("acknowledged_round", sa.Integer),
        sa.Column("silenced_ms", sa.BigInteger),
        sa.Column("silenced_until_ms", sa.BigInteger),
        sa.Column("silenced_by", sa.Text),
        sa.Column("silenced_reason", sa.Text),
    )
    op.create_table(
        "incident_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("incident_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
    )
    op.create_index("ix_incident_event_incident_id", "incident_event", ["incident_id"])
    _carry_over()
    with op.batch_alter_table("finding") as batch:
        batch.drop_column("announced_ms")


def _carry_over() -> None:
    """Make a confirmed incident of each leak that was announced: nobody is to be told of it a second time."""
    connection = op.get_bind()
    announced = sa.text("SELECT id, kind, payload, announced_ms FROM finding WHERE announced_ms IS NOT NULL")
    for row in connection.execute(announced).all():
        incident = _incident(row)
        if incident is None:
            continue
        connection.execute(
            sa.text(
                "INSERT INTO incident (id, finding_id, kind, name, state, opened_ms, confirmed_ms, since_ms, reason, "
                "reopened, payload) VALUES (:id, :finding_id, :kind, :name, 'confirmed', :at_ms, :at_ms, :since_ms, "
                ":reason, 0, :payload)"
            ),
            incident,
        )
        connection.execute(
            sa.text(
                "INSERT INTO incident_event (incident_id, at_ms, kind, reason, by) "
                "VALUES (:id, :at_ms, 'confirmed', :reason, '')"
            ),
            incident,
        )


def _incident(row: sa.Row[Any]) -> dict[str, object] | None:
    """Return the incident's columns, None where the finding cannot be read: it is judged, and told, anew."""
    try:
        finding = json.loads(row.payload)
        found = finding["assessment"]
        since_ms = found["since_ms"]
        progress = {
            "looked_ms": finding["evaluated_at_ms"],
            "verdict": found["verdict"],
            "metric": finding["metric"],
            "pid": finding["pid"],
            "grew_ms": max(0, row.announced_ms - (since_ms or row.announced_ms)),
            "took_ms": max(0, row.announced_ms - (since_ms or row.announced_ms)),
            "judged": True,
            "told": True,
        }
        name = finding["name"].encode("utf-8", "surrogateescape")
        reason = found["reason"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        digest = blake2s(f"{row.id}:{row.announced_ms}".encode(), digest_size=4).hexdigest()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {
        "id": f"i{digest}",
        "finding_id": row.id,
        "kind": row.kind,
        # A kernel's text need not be UTF-8: it is bytes then, as everywhere in the store.
        "name": _text_or_bytes(name),
        "at_ms": row.announced_ms,
        "since_ms": since_ms,
        "reason": reason,
        "payload": json.dumps(progress, separators=(",", ":")),
    }


def _text_or_bytes(name: bytes) -> str | bytes:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def downgrade() -> None:
    with op.batch_alter_table("finding") as batch:
        batch.add_column(sa.Column("announced_ms", sa.BigInteger))
    op.execute(
        "UPDATE finding SET announced_ms = (SELECT confirmed_ms FROM incident WHERE finding_id = finding.id "
        "AND state = 'confirmed')"
    )
    op.drop_table("incident_event")
    op.drop_table("incident")
