"""Copy-on-write families: who shares pages with whom after a fork. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ADOPTER = 1
"""Init: orphans are its children, and no relatives of one another for that."""


class Parentage(NamedTuple):
    """Whom a process descends from, as ``stat`` tells."""

    ppid: int
    pgrp: int


def families(sharing: Mapping[int, Parentage]) -> dict[int, frozenset[int]]:
    """Return the family of each process that shares pages, by pid; a family may be the process alone.

    Relatives are parent and child; orphans are those of one process group, which a fork keeps.
    """
    head = {pid: pid for pid in sharing}

    def top(pid: int) -> int:
        while head[pid] != pid:
            head[pid] = pid = head[head[pid]]
        return pid

    groups: dict[int, int] = {}
    for pid, of in sharing.items():
        if of.ppid in sharing:
            head[top(pid)] = top(of.ppid)
        elif of.ppid <= ADOPTER:
            head[top(pid)] = top(groups.setdefault(of.pgrp, pid))
    members: dict[int, list[int]] = {}
    for pid in sharing:
        members.setdefault(top(pid), []).append(pid)
    return {pid: family for those in members.values() for family in [frozenset(those)] for pid in those}
