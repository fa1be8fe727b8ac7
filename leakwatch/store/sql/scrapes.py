"""The SQL of scrapes, without their samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from leakwatch.store import tables as s

if TYPE_CHECKING:
    from sqlalchemy import Select


def last_scrape(last_id: int) -> Select[Any]:
    """The newest scrape up to a number."""
    return select(s.scrape).where(s.scrape.c.id <= last_id).order_by(s.scrape.c.id.desc()).limit(1)


def first_scrape() -> Select[Any]:
    """The oldest scrape kept."""
    return select(s.scrape).order_by(s.scrape.c.id).limit(1)


def first_of_boot(boot: int) -> Select[Any]:
    """The oldest scrape kept of a boot."""
    return select(s.scrape.c.ts_ms).where(s.scrape.c.boot_id == boot).order_by(s.scrape.c.id).limit(1)


def scrapes_since(ts_ms: int, last_id: int) -> Select[Any]:
    """Scrapes taken at or after a time, up to a number, oldest first."""
    return select(s.scrape).where(s.scrape.c.ts_ms >= ts_ms, s.scrape.c.id <= last_id).order_by(s.scrape.c.id)


def scrapes_until(ts_ms: int, at_most: int) -> Select[Any]:
    """The last scrapes taken at or before a time, newest first."""
    return select(s.scrape).where(s.scrape.c.ts_ms <= ts_ms).order_by(s.scrape.c.id.desc()).limit(at_most)


def scrape_irregularities(ts_ms: int, after_id: int) -> Select[Any]:
    """How many scrapes since a time, and what was irregular about them; by number, which is the table's order."""
    c = s.scrape.c
    return select(
        func.count().label("scrapes"),
        func.coalesce(func.sum(c.missed), 0).label("missed"),
        func.coalesce(func.sum(c.suspended_ms), 0).label("suspended_ms"),
        func.coalesce(func.sum(func.abs(c.clock_step_ms)), 0).label("clock_stepped_ms"),
        func.coalesce(func.max(c.late_ms), 0).label("latest_ms"),
    ).where(c.id > after_id, c.ts_ms >= ts_ms)
