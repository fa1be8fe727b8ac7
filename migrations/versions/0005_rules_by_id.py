"""Rules are stored by their id, reasons and notes as codes: a version before wrote both in English.

Revision ID: 0005
Revises: 0004
Create Date: 2026-12-01
"""

from __future__ import annotations

import contextlib
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
CODES = {
    "looked like a leak a moment ago; data that come now will decide": "looked_like_a_leak",
    "looks like a leak; data that come now will decide": "looks_like_a_leak",
    "the memory was given back": "memory_given_back",
    "most of them are gone again": "most_are_gone",
    "the growth has stopped": "growth_stopped",
    "the growth levels off": "growth_levels_off",
    "no longer seen: it is gone, or explained by what it is made of": "kernel_gone",
    "no longer seen: it ended and did not come back, or is ignored now": "process_gone",
    "memory is back in the range it had before it grew": "memory_back",
    "it is back in the range it had before it grew": "number_back",
    "the silence is over": "silence_over",
    "restarted": "restarted",
    "slab cache": "slab_cache",
    "reclaimable slab cache": "reclaimable_slab_cache",
    "unreclaimable slab cache": "unreclaimable_slab_cache",
    "reclaimable with the caches whose objects it describes": "reclaimable_with_others",
    "vmalloc: kernel stacks, one a thread": "vmalloc_stacks",
    "vmalloc, by the function that asked for it": "vmalloc_caller",
}
"""Texts without a number in them; every other goes on as the text it is."""
BY = ("fresh data", "past lives")
"""What an alarm was raised by; the other causes have no blank in their names."""


def upgrade() -> None:
    _rewrite("finding", "id", _coded_finding)
    _rewrite("suspicion", "series_id", _coded_alarm)
    for name, key in (("incident", "id"), ("incident_event", "id")):
        _reword(name, key, lambda text: json.dumps(_phrases(text), separators=(",", ":")))


def downgrade() -> None:
    """A version before reads no codes: it judges anew, and shows what happened to incidents as stored."""
    _rewrite("finding", "id", _worded_finding)
    _rewrite("suspicion", "series_id", _worded_alarm)
    for name, key in (("incident", "id"), ("incident_event", "id")):
        _reword(name, key, lambda text: _text(json.loads(text)))


def _coded_finding(found: dict[str, Any]) -> None:
    assessment = found["assessment"]
    for test in assessment["evidence"]:
        test["criterion"] = IDS.get(test["criterion"], test["criterion"])
    assessment["reasons"] = _phrases(assessment.pop("reason", ""))
    found["notes"] = _phrases(found.pop("note", ""))


def _coded_alarm(held: dict[str, Any]) -> None:
    held["ended"] = CODES.get(held["ended"], held["ended"])
    if held["alarm"] and held["alarm"]["by"] in BY:
        held["alarm"]["by"] = held["alarm"]["by"].replace(" ", "_")


def _worded_finding(found: dict[str, Any]) -> None:
    phrases = {new: old for old, new in IDS.items()}
    assessment = found["assessment"]
    for test in assessment["evidence"]:
        test["criterion"] = phrases.get(test["criterion"], test["criterion"])
    assessment["reason"] = _text(assessment.pop("reasons", []))
    found["note"] = _text(found.pop("notes", []))


def _worded_alarm(held: dict[str, Any]) -> None:
    held["ended"] = {code: text for text, code in CODES.items()}.get(held["ended"], held["ended"])
    if held["alarm"]:
        held["alarm"]["by"] = {by.replace(" ", "_"): by for by in BY}.get(held["alarm"]["by"], held["alarm"]["by"])


def _phrases(text: str) -> list[list[str]]:
    """Return a text as phrases, which are lists with a code first; a note says first what kind of cache it is about."""
    if not text:
        return []
    if text in CODES:
        return [[CODES[text]]]
    first, _, rest = text.partition(", ")
    return [[CODES[first]], ["text", rest]] if first in CODES else [["text", text]]


def _text(phrases: list[list[Any]]) -> str:
    texts = {code: text for text, code in CODES.items()}
    return "; ".join(str(more[0]) if code == "text" else texts.get(code, code) for code, *more in phrases)


def _reword(name: str, key: str, change: Callable[[str], str]) -> None:
    table = sa.table(name, sa.column(key), sa.column("reason"))
    connection = op.get_bind()
    for at, text in connection.execute(sa.select(table.c[key], table.c.reason)).all():
        with contextlib.suppress(ValueError, TypeError):
            connection.execute(table.update().where(table.c[key] == at).values(reason=change(text)))


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
