"""The SQL of what things are called: boots, targets, series and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.sqlite import insert

from leakwatch.store import schema as s
from leakwatch.store.codec import start_ticks_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Select, Update
    from sqlalchemy.dialects.sqlite import Insert

    from leakwatch.model import Target

ADD_TARGET = insert(s.target)
ADD_METRIC = insert(s.metric)
ADD_SERIES = insert(s.series)


def add_boot(boot_id: str) -> Insert:
    """Add a boot unless it is known."""
    return insert(s.boot).values(boot_id=boot_id).on_conflict_do_nothing()


def boot_number(boot_id: str) -> Select[Any]:
    """The short number of a boot."""
    return select(s.boot.c.id).where(s.boot.c.boot_id == boot_id)


def living_targets() -> Select[Any]:
    """Every target not known to have ended."""
    return select(s.target.c.id, s.target.c.kind, s.target.c.key).where(s.target.c.last_ms.is_(None))


def find_target(target: Target) -> Select[Any]:
    """One target's number."""
    return select(s.target.c.id).where(*_is(target))


def _is(target: Target) -> tuple[ColumnElement[bool], ...]:
    c, start_ticks = s.target.c, start_ticks_of(target)  # by which of the two indices it is found
    began = c.start_ticks.is_(None) if start_ticks is None else c.start_ticks == start_ticks
    return c.kind == target.kind, began, c.key == target.key


def highest_target() -> Select[Any]:
    """The largest target number in use, 0 where there is none."""
    return select(func.coalesce(func.max(s.target.c.id), 0))


def end_targets(target_ids: Iterable[int], ts_ms: int) -> Update:
    """Note that targets are no longer there."""
    return update(s.target).where(s.target.c.id.in_(list(target_ids))).values(last_ms=ts_ms)


def revive_target(target_id: int) -> Update:
    """A service, cache or caller came back."""
    return update(s.target).where(s.target.c.id == target_id).values(last_ms=None)


def metrics() -> Select[Any]:
    """The number of every metric there has been a series of."""
    return select(s.metric)


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


def series_of_metrics(names: Iterable[str]) -> Select[Any]:
    """Every series of the given metrics, of targets that have ended, too."""
    return series_ever().where(s.metric.c.name.in_(list(names)))


def find_series(target_id: int) -> Select[Any]:
    """The series of one target."""
    return series_ever().where(s.series.c.target_id == target_id)


def highest_series() -> Select[Any]:
    """The largest series number in use, 0 where there is none."""
    return select(func.coalesce(func.max(s.series.c.id), 0))


def put_process() -> Insert:
    """Add a process or renew what names it (an exec, a move to another cgroup)."""
    statement = insert(s.process)
    columns = ("name", "command", "uid", "service_kind", "service_name")
    return statement.on_conflict_do_update(
        index_elements=["target_id"], set_={name: statement.excluded[name] for name in columns}
    )


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
