"""What the store remembers of processes that the last scrape could not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNSEEN = "unseen"
"""The key of the store's state that holds it."""


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
