"""Tells the log whose services are and what of them was OOM killed, and hands over what is to be stored of it.

The state is written when it has changed only; what the groups hold from round to round is series.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leakwatch.alerting import announce as words
from leakwatch.model.identity import Owner, Target
from leakwatch.model.sample import OomCounts, Scrape
from leakwatch.store.daemon_state import (
    KILLS,
    OLD_OWNERS,
    OWNER,
    PastKill,
    counts_values,
    kill_counts_of,
    kill_values,
    kills_of,
    owner_values,
    owners_of,
)

KEPT = 200
"""Kills kept, the newest: enough for a service that is killed every hour for a week."""


class OwnershipLog:
    """Begins with what the store remembers."""

    def __init__(self, states: Mapping[str, Any], boot_id: str) -> None:
        self._boot_id = boot_id
        self._owners = owners_of({} if OLD_OWNERS in states else states)
        """As they are stored."""
        self._stale: set[str] = {OLD_OWNERS} if OLD_OWNERS in states else set()
        """Keys of which it is not known whether they are stored."""
        self._gone: set[str] = set()
        """Keys the newest change has dropped."""
        self._kills = kills_of(states)
        self._stored_counts = kill_counts_of(states, boot_id)
        self.kill_counts = self._stored_counts
        """The counts at the last stored look of this boot, None where there was none."""

    def take(self, scrape: Scrape, kill_counts: OomCounts | None) -> dict[str, object]:
        """Tell of what was killed since the scrape before; return the states that have changed."""
        for kill in scrape.oom_kills:
            words.tell(kill)
        self._kills = [*self._kills, *(PastKill(scrape.tick.ts_ms, kill) for kill in scrape.oom_kills)][-KEPT:]
        changed: dict[str, object] = {}
        if scrape.owners is not None:
            changed |= self._changed_owners(scrape.owners)
        if kill_counts is not None and (
            scrape.oom_kills or counts_values(kill_counts) != counts_values(self._stored_counts)
        ):
            self._stored_counts = kill_counts
            changed[KILLS] = {
                "boot_id": self._boot_id,
                "counts": counts_values(kill_counts),
                "kills": [kill_values(past) for past in self._kills],
            }
        return changed

    def _changed_owners(self, now: Mapping[Target, Owner]) -> dict[str, object]:
        gone = {f"{OWNER}{target.key}" for target in self._owners.keys() - now.keys()} | self._stale
        changed: dict[str, object] = dict.fromkeys(gone)
        for target, owner in now.items():
            if self._owners.get(target) != owner or f"{OWNER}{target.key}" in self._stale:
                changed[f"{OWNER}{target.key}"] = owner_values(owner)
        self._owners, self._stale, self._gone = dict(now), set(), gone
        return changed

    def forget_stored(self) -> None:
        """Mark everything unsaved: the next scrape that knows the owners hands over all of it."""
        self._stale |= self._gone | {f"{OWNER}{target.key}" for target in self._owners}
        self._owners, self._stored_counts = {}, None
