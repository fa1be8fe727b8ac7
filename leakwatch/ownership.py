"""Whose services are and what of them was OOM killed: told to the log as it is found, kept in the store's state.

The state is written when it has changed only; what the groups hold from round to round is series.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from leakwatch.alerting import oom as words
from leakwatch.model.identity import Owner, Target, TargetKind
from leakwatch.model.oom import Count, Look, OomKill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leakwatch.model.sample import Scrape

OWNER = "owner/"
"""How the keys of the store's state begin that hold a service's owner: one each, or every container that comes or goes
would have all of them written."""
OLD_OWNERS = "owners"
"""The key that held all of them in stores of before."""
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
        self._owners = owners_of({} if OLD_OWNERS in states else states)
        """As they are stored."""
        self._stale: set[str] = {OLD_OWNERS} if OLD_OWNERS in states else set()
        """Keys of which it is not known whether they are stored."""
        self._gone: set[str] = set()
        """Keys the newest change has dropped."""
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
        if scrape.owners is not None:
            changed |= self._changed_owners(scrape.owners)
        if look is not None and (scrape.oom_kills or _kept(look) != _kept(self._stored_look)):
            self._stored_look = look
            changed[KILLS] = {
                "boot_id": self._boot_id,
                "counts": _kept(look),
                "kills": [_kill_values(past) for past in self._kills],
            }
        return changed

    def _changed_owners(self, now: Mapping[Target, Owner]) -> dict[str, object]:
        gone = {f"{OWNER}{target.key}" for target in self._owners.keys() - now.keys()} | self._stale
        changed: dict[str, object] = dict.fromkeys(gone)
        for target, owner in now.items():
            if self._owners.get(target) != owner or f"{OWNER}{target.key}" in self._stale:
                changed[f"{OWNER}{target.key}"] = _lean(asdict(owner))
        self._owners, self._stale, self._gone = dict(now), set(), gone
        return changed

    def forget_stored(self) -> None:
        """Mark everything unsaved: the next scrape that knows the owners hands over all of it."""
        self._stale |= self._gone | {f"{OWNER}{target.key}" for target in self._owners}
        self._owners, self._stored_look = {}, None


def owners_of(states: Mapping[str, Any]) -> dict[Target, Owner]:
    """Return the owners a store holds; what makes no sense is left out."""
    before = states.get(OLD_OWNERS)
    found = dict(before) if isinstance(before, dict) else {}
    found |= {key[len(OWNER) :]: values for key, values in states.items() if key.startswith(OWNER)}
    owners = {}
    for key, values in found.items():
        try:
            beside = {name: value for name, value in values.items() if name != "groups"}
            owners[Target(TargetKind.SERVICE, key)] = Owner(groups=tuple(values.get("groups", ())), **beside)
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
