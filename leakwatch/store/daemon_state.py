"""What the daemon keeps as states of the store.

The stored form of service owners and OOM kills: states of the store, written by the daemon and read by commands.

What the store remembers of processes that the last scrape could not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from leakwatch.model.identity import Owner, Target, TargetKind
from leakwatch.model.sample import GroupCount, OomCounts, OomKill

OWNER = "owner/"
"""How the keys of the store's state begin that hold a service's owner: one each, or every container that comes or goes
would have all of them written."""
OLD_OWNERS = "owners"
"""The key that held all of them in stores of before."""
KILLS = "oom_kills"
"""The key of the store's state that holds the kills, and the counts they were found by."""


@dataclass(frozen=True, slots=True)
class PastKill:
    """A kill and when it was found: at most one round after it happened."""

    at_ms: int
    kill: OomKill


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


def kill_counts_of(states: Mapping[str, Any], boot_id: str) -> OomCounts | None:
    """Return the counts a store holds of this boot, None where it holds none."""
    found = states.get(KILLS)
    if not isinstance(found, dict) or found.get("boot_id") != boot_id:
        return None
    try:
        host, own, told = found["counts"]
        return OomCounts(host, {path: GroupCount(*count) for path, count in own.items()}, told=told)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def counts_values(kill_counts: OomCounts | None) -> list[object] | None:
    """Return of the counts what a restart needs: a group that is not listed had counted nothing."""
    if kill_counts is None:
        return None
    return [
        kill_counts.host,
        {path: [one.inode, one.kills] for path, one in kill_counts.own.items() if one.kills},
        kill_counts.told,
    ]


def kill_values(past: PastKill) -> dict[str, object]:
    """Return what is stored of a kill."""
    kill = past.kill
    return {
        "at_ms": past.at_ms,
        **asdict(kill),
        "service": None if kill.service is None else kill.service.key,
        "candidates": list(kill.candidates),
    }


def owner_values(owner: Owner) -> dict[str, Any]:
    """Return what is stored of an owner: what is empty is left out."""
    return {name: value for name, value in asdict(owner).items() if value}


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
