"""What no scrape sees: processes that do not answer, and those that the way /proc is mounted hides."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict

from leakwatch.model.sample import Scrape
from leakwatch.store.daemon_state import UNSEEN, Hung
from leakwatch.text.escape import printable

NAMED = 5
"""Processes named in one line of the log."""

log = logging.getLogger(__name__)


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


def _some(texts: Iterable[str]) -> str:
    those = list(texts)
    more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
    return ", ".join(those[:NAMED]) + more
