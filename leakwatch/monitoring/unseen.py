"""What no scrape sees: processes that do not answer, and those that the way /proc is mounted hides."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from leakwatch.text.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from leakwatch.model.sample import Scrape

UNSEEN = "unseen"
"""The key of the store's state that holds it."""
NAMED = 5
"""Processes named in one line of the log."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hung:
    """A process that did not answer at the last scrape."""

    pid: int
    name: str
    since_ms: int
    """When it was first asked in vain."""


_HUNG = {"pid": int, "name": str, "since_ms": int}


@dataclass(frozen=True, slots=True)
class Unseen:
    """What the last scrape could not see."""

    hung: tuple[Hung, ...] = ()
    hidepid: str = ""
    """How /proc is mounted where that hides other users' processes from the daemon: nobody knows how many."""


class UnseenLog:
    """Knows what was not seen at the scrape before."""

    def __init__(self) -> None:
        self._hung: dict[tuple[int, str], str] = {}
        self._hidepid = ""

    def take(self, scrape: Scrape) -> dict[str, object]:
        """Log what has changed since the scrape before; return the state to store."""
        now = {(one.pid, one.name): f"{one.pid} ({printable(one.name)})" for one in scrape.unanswered}
        new, back = now.keys() - self._hung.keys(), self._hung.keys() - now.keys()
        if new:
            log.warning("does not answer, its memory map is locked: %s", _some(now[key] for key in now if key in new))
        if back:
            log.info("answers again, or has ended: %s", _some(text for key, text in self._hung.items() if key in back))
        if scrape.hidepid and scrape.hidepid != self._hidepid:
            log.warning("/proc hides other users' processes (hidepid=%s): they are not watched", scrape.hidepid)
        self._hung, self._hidepid = now, scrape.hidepid
        at_ms = scrape.tick.ts_ms
        hung = [asdict(Hung(one.pid, one.name, at_ms - round(one.for_s * 1000))) for one in scrape.unanswered]
        return {UNSEEN: {"hung": hung, "hidepid": scrape.hidepid} if hung or scrape.hidepid else None}


def unseen_of(states: Mapping[str, Any]) -> Unseen:
    """Return what a store's last scrape could not see."""
    found = states.get(UNSEEN)
    if not isinstance(found, dict):
        return Unseen()
    rows = found.get("hung")
    hung = tuple(Hung(**row) for row in rows if _is_row(row)) if isinstance(rows, list) else ()
    return Unseen(hung, str(found.get("hidepid") or ""))


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and {name: type(value) for name, value in row.items()} == _HUNG


def _some(texts: Iterable[str]) -> str:
    those = list(texts)
    more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
    return ", ".join(those[:NAMED]) + more
