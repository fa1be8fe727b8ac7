"""Whose services are and what of them was OOM killed: told to the log as it is found, kept in the store's state.

The state is written when it has changed only; what the groups hold from round to round is series.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from leakwatch.alerting import oom as words
from leakwatch.collectors.oom import Count, Look
from leakwatch.model import OomKill, Owner, Target, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leakwatch.model import Scrape

OWNERS = "owners"
"""The key of the store's state that holds the owners by their service's key."""
KILLS = "oom_kills"
"""The key of the store's state that holds the kills, and the counts they were found by."""
KEPT = 200
"""Kills kept, the newest: enough for a service that is killed every hour for a week."""


@dataclass(frozen=True, slots=True)
class PastKill:
    """A kill and when it was found: at most one round after it happened."""

    at_ms: int
    kill: OomKill


class Ownership:
    """Begins with what the store remembers."""

    def __init__(self, states: Mapping[str, Any], boot_id: str) -> None:
        self._boot_id = boot_id
        self._owners = owners_of(states)
        self._kills = kills_of(states)
        self._stored_look = look_of(states, boot_id)
        self.look = self._stored_look
        """The counts at the last stored look of this boot, None where there was none."""

    def take(self, scrape: Scrape, look: Look | None) -> dict[str, object]:
        """Tell of what was killed since the scrape before; return the states that have changed."""
        for kill in scrape.oom_kills:
            words.tell(kill)
        self._kills = [*self._kills, *(PastKill(scrape.tick.ts_ms, kill) for kill in scrape.oom_kills)][-KEPT:]
        changed: dict[str, object] = {}
        if scrape.owners is not None and scrape.owners != self._owners:
            self._owners = dict(scrape.owners)
            changed[OWNERS] = {target.key: _lean(asdict(owner)) for target, owner in self._owners.items()}
        if look is not None and (scrape.oom_kills or _kept(look) != _kept(self._stored_look)):
            self._stored_look = look
            changed[KILLS] = {
                "boot_id": self._boot_id,
                "counts": _kept(look),
                "kills": [_kill_values(past) for past in self._kills],
            }
        return changed

    def forget_stored(self) -> None:
        """Take it that nothing is stored: the next scrape hands over everything."""
        self._owners, self._stored_look = {}, None


def owners_of(states: Mapping[str, Any]) -> dict[Target, Owner]:
    """Return the owners a store holds; what makes no sense is left out."""
    found = states.get(OWNERS)
    owners = {}
    for key, values in found.items() if isinstance(found, dict) else ():
        try:
            groups = tuple(values.pop("groups", ()))
            owners[Target(TargetKind.SERVICE, key)] = Owner(groups=groups, **values)
        except (TypeError, AttributeError):
            continue  # of another version
    return owners


def kills_of(states: Mapping[str, Any]) -> list[PastKill]:
    """Return the kills a store holds, oldest first."""
    found = states.get(KILLS)
    kills = []
    for values in found.get("kills", ()) if isinstance(found, dict) else ():
        try:
            service = None if values["service"] is None else Target(TargetKind.SERVICE, values["service"])
            kill = OomKill(
                int(values["count"]),
                service,
                bool(values["certain"]),
                values["group"],
                values["limit_bytes"],
                tuple(values["candidates"]),
            )
            kills.append(PastKill(int(values["at_ms"]), kill))
        except (TypeError, KeyError, ValueError):
            continue  # of another version
    return kills


def look_of(states: Mapping[str, Any], boot_id: str) -> Look | None:
    """Return the counts a store holds of this boot, None where it holds none."""
    found = states.get(KILLS)
    if not isinstance(found, dict) or found.get("boot_id") != boot_id:
        return None
    try:
        host, own, told = found["counts"]
        return Look(host, {path: Count(*count) for path, count in own.items()}, told=told)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _kept(look: Look | None) -> list[object] | None:
    """Return of the counts what a restart needs: a group that is not listed had counted nothing."""
    if look is None:
        return None
    return [look.host, {path: [one.inode, one.kills] for path, one in look.own.items() if one.kills}, look.told]


def _kill_values(past: PastKill) -> dict[str, object]:
    kill = past.kill
    return {
        "at_ms": past.at_ms,
        **asdict(kill),
        "service": None if kill.service is None else kill.service.key,
        "candidates": list(kill.candidates),
    }


def _lean(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}
