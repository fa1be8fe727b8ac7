"""Rules are stored by their id: findings and alarms that a version before wrote named them by a phrase.

Revision ID: 0005
Revises: 0004
Create Date: 2026-12-01
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IDS = {
    "growth is significant": "significant_slope",
    "rate is worth waking for": "min_rate",
    "growth in the window": "min_growth",
    "growth relative to the level": "min_growth_ratio",
    "growth against noise": "above_noise",
    "newer half as steep": "newer_half_as_steep",
    "newest third as steep": "newest_third_as_steep",
    "still rising": "rises_at_end",
    "as fast as before the window": "as_fast_as_before",
    "rises into the newest block": "rises_in_newest_block",
    "rises now": "rises_since_checkpoint",
    "as fast as the life's mean": "as_fast_as_run_mean",
    "not one step": "not_a_step",
    "separate rises": "separate_rises",
    "new ground": "above_previous_peak",
    "not coming down": "near_window_peak",
    "more than it has moved before": "above_earlier_moves",
    "has gone on for long enough": "long_enough",
    "above the same time yesterday": "above_yesterday",
    "above the level past lives settled at": "above_past_plateau",
    "older than past lives took to settle": "older_than_past_warmup",
    "beyond the peak before the last release": "beyond_last_release",
    "near its highest level": "near_highest_level",
    "no longer pause than before": "no_longer_pause",
    "a day of what is not straight": "straight_or_a_day",
    "fresh data": "fresh_data",
    "looks that see it": "checkpoints_agree",
    "fresh data follow the line": "follows_forecast",
    "memory lasts until confirmed": "outlasts_confirmation",
    "confirmed by fresh data": "confirmed_by_fresh_data",
    "confirmed by past lives": "confirmed_by_past_lives",
    "confirmed by reopened": "confirmed_by_reopened",
    "confirmed by exhaustion": "confirmed_by_exhaustion",
    "data in the shortest window": "enough_data",
    "fresh samples": "fresh_samples",
    "samples in this life": "enough_samples",
}
BY = ("fresh data", "past lives")
"""What an alarm was raised by; the other causes have no blank in their names."""


def upgrade() -> None:
    _rewrite("finding", "id", lambda found: _renamed(found, IDS))
    _rewrite("suspicion", "series_id", lambda held: _raised(held, {by: by.replace(" ", "_") for by in BY}))


def downgrade() -> None:
    _rewrite("finding", "id", lambda found: _renamed(found, {new: old for old, new in IDS.items()}))
    _rewrite("suspicion", "series_id", lambda held: _raised(held, {by.replace(" ", "_"): by for by in BY}))


def _renamed(found: dict[str, Any], names: dict[str, str]) -> None:
    for test in found["assessment"]["evidence"]:
        test["criterion"] = names.get(test["criterion"], test["criterion"])


def _raised(held: dict[str, Any], names: dict[str, str]) -> None:
    if held["alarm"]:
        held["alarm"]["by"] = names.get(held["alarm"]["by"], held["alarm"]["by"])


def _rewrite(name: str, key: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every payload of a table; one that cannot be read is left as it is, as its reader leaves it out."""
    table = sa.table(name, sa.column(key), sa.column("payload"))
    connection = op.get_bind()
    for at, text in connection.execute(sa.select(table.c[key], table.c.payload)).all():
        try:
            value = json.loads(text)
            change(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        changed = json.dumps(value, separators=(",", ":"))
        connection.execute(table.update().where(table.c[key] == at).values(payload=changed))
