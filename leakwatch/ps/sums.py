"""Memory held, added up: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leakwatch.procfs.pid.mappings import NameUse


@dataclass(frozen=True, slots=True)
class Sums:
    """What one or several processes hold, or one mapping in all of them."""

    swap_bytes: int | None
    """None where the kernel does not tell."""
    uss_bytes: int
    pss_bytes: int
    rss_bytes: int
    vss_bytes: int
    mappings: int | None = None
    """None where only totals were read."""


@dataclass(frozen=True, slots=True)
class HeldMemory:
    """One process and what it holds."""

    pid: int
    uid: int
    user: str
    name: str
    command: str
    """The command line; the name in brackets where there is none."""
    sums: Sums
    by_name: Mapping[str, NameUse]
    """The same by what is mapped, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One thing that is mapped, over all processes."""

    processes: int
    """How many map it."""
    sums: Sums


def added(parts: Iterable[Sums]) -> Sums:
    """Return the sum; what one part does not know is not known of the whole."""
    every = list(parts)
    return Sums(
        swap_bytes=_known(part.swap_bytes for part in every),
        uss_bytes=sum(part.uss_bytes for part in every),
        pss_bytes=sum(part.pss_bytes for part in every),
        rss_bytes=sum(part.rss_bytes for part in every),
        vss_bytes=sum(part.vss_bytes for part in every),
        mappings=_known(part.mappings for part in every),
    )


def of_names(by_name: Mapping[str, NameUse]) -> Sums:
    """Return the sum over everything mapped."""
    return added(map(of_name, by_name.values()))


def of_name(use: NameUse) -> Sums:
    """Return one name's figures in the words used here."""
    return Sums(use.swap_bytes, use.uss_bytes, use.pss_bytes, use.rss_bytes, use.vss_bytes, use.mappings)


def matching(by_name: Mapping[str, NameUse], pattern: re.Pattern[str] | None) -> Mapping[str, NameUse]:
    """Return those whose name has a match; all without a pattern."""
    return by_name if pattern is None else {name: use for name, use in by_name.items() if pattern.search(name)}


def by_user(held: Iterable[HeldMemory]) -> dict[int, list[HeldMemory]]:
    """Return processes by user id."""
    users: dict[int, list[HeldMemory]] = {}
    for one in held:
        users.setdefault(one.uid, []).append(one)
    return users


def by_mapping(held: Iterable[HeldMemory]) -> dict[str, Shared]:
    """Return what all processes map, by name."""
    names: dict[str, list[Sums]] = {}
    for one in held:
        for name, use in one.by_name.items():
            names.setdefault(name, []).append(of_name(use))
    return {name: Shared(len(parts), added(parts)) for name, parts in names.items()}


def _known(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
