"""The SQL of what things are called: boots, targets, series and processes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from leakwatch.model.identity import Target
from leakwatch.store import tables as s
from leakwatch.store.encoding.codec import start_ticks_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select


def _is(target: Target) -> tuple[ColumnElement[bool], ...]:
    c, start_ticks = s.target.c, start_ticks_of(target)  # by which of the two indices it is found
    began = c.start_ticks.is_(None) if start_ticks is None else c.start_ticks == start_ticks
    return c.kind == target.kind, began, c.key == target.key


def boots() -> Select[Any]:
    """Every boot with the kernel's id of it."""
    return select(s.boot.c.id, s.boot.c.boot_id)


def series_ever() -> Select[Any]:
    """Every series with its metric and target, of targets that have ended, too."""
    return (
        select(s.series.c.id, s.metric.c.name.label("metric"), s.series.c.target_id, s.target.c.kind, s.target.c.key)
        .join(s.metric, s.metric.c.id == s.series.c.metric_id)
        .join(s.target, s.target.c.id == s.series.c.target_id)
    )


def all_series() -> Select[Any]:
    """Every series whose target lives, with its target."""
    return series_ever().where(s.target.c.last_ms.is_(None))


def series_among(targets: Iterable[int]) -> Select[Any]:
    """Every series of the targets of these numbers."""
    return series_ever().where(s.target.c.id.in_(_each_of(targets)))


def processes_among(targets: Iterable[int]) -> Select[Any]:
    """The processes among the targets of these numbers."""
    return select(s.process).where(s.process.c.target_id.in_(_each_of(targets)))


def _each_of(numbers: Iterable[int]) -> Select[Any]:
    """Thousands of numbers as one parameter: SQLite takes a bounded number of them."""
    return select(func.json_each(json.dumps(sorted(numbers))).table_valued("value").c.value)


def series_of_metrics(names: Iterable[str]) -> Select[Any]:
    """Every series of the given metrics, of targets that have ended, too."""
    return series_ever().where(s.metric.c.name.in_(list(names)))


def processes_alive() -> Select[Any]:
    """Every process not known to have ended."""
    return select(s.process).join(s.target, s.target.c.id == s.process.c.target_id).where(s.target.c.last_ms.is_(None))


def processes_ever() -> Select[Any]:
    """Every process still known, with when it was first seen and when it was found to have ended."""
    return select(s.process, s.target.c.first_ms, s.target.c.last_ms).join(
        s.target, s.target.c.id == s.process.c.target_id
    )


def series_of_kinds(kinds: Iterable[str]) -> Select[Any]:
    """Every series of targets of the given kinds, of those that have ended, too."""
    return series_ever().where(s.target.c.kind.in_(list(kinds)))


def series_by_name(metric: str, target: Target) -> Select[Any]:
    """The number of one series, with its names."""
    return series_ever().where(s.metric.c.name == metric, *_is(target))
