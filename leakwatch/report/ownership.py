"""Whose memory a finding is, and what its control group holds against which limit. Pure: values in, words out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakwatch import metrics
from leakwatch.model.identity import Owner
from leakwatch.report import growth_words
from leakwatch.report.json_values import time
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

NEAR_LIMIT = 0.9
"""Of its limit, page cache left out: from here on the kernel is busy giving pages back before it kills."""
_ID_SHOWN = 12
_PARTS = (
    (metrics.GROUP_ANON, "anonymous"),
    (metrics.GROUP_FILE, "files"),
    (metrics.GROUP_KERNEL, "kernel"),
    (metrics.GROUP_SWAP, "swap"),
)


@dataclass(frozen=True, slots=True)
class Kills:
    """What of a service, or of nobody known, was OOM killed, as far back as it is kept."""

    count: int
    first_ms: int
    last_ms: int
    certain: bool
    """Whether all of them are known to be its own."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What is known of a service's control groups."""

    owner: Owner
    values: Mapping[str, int] = field(default_factory=dict)
    """Metrics of ``cgroup.`` by name, of the newest round they were read in; what could not be read is not there."""
    kills: Kills | None = None

    @property
    def held_bytes(self) -> int | None:
        """What the kernel cannot give back just so: the group without page cache and reclaimable slab."""
        current, files = self.values.get(metrics.GROUP_CURRENT), self.values.get(metrics.GROUP_FILE)
        if current is None or files is None:
            return None
        shared = self.values.get(metrics.GROUP_SHMEM, 0)  # is counted as files, but goes to swap at best
        return max(0, current - max(0, files - shared) - self.values.get(metrics.GROUP_SLAB_RECLAIMABLE, 0))

    @property
    def near_limit(self) -> bool | None:
        """Whether what it holds comes near its limit; None where one of them is not known or there is no limit."""
        limit = self.values.get(metrics.GROUP_LIMIT)
        return None if limit is None or self.held_bytes is None else self.held_bytes >= NEAR_LIMIT * limit


def lines(whose: Ownership | None) -> tuple[str, ...]:
    """Return what a report says below a finding: whose it is, what its group holds, and what was killed."""
    if whose is None:
        return ()
    return tuple(line for line in (_owner(whose), _memory(whose), _killed(whose)) if line)


def _owner(whose: Ownership) -> str:
    owner = whose.owner
    parts = []
    if owner.container:
        parts.append(f"{owner.engine or 'container'} {printable(_short(owner.container))}")
    if owner.pod:
        parts.append(f"pod {printable(_short(owner.pod) if len(owner.pod) == 64 else owner.pod)}")
    if owner.qos:
        parts.append(owner.qos)
    parts += [printable(part) for part in (owner.user_slice, owner.session) if part]
    if owner.groups:
        parts.append(printable(owner.groups[0]) if len(owner.groups) == 1 else f"{len(owner.groups)} control groups")
    return f"of {', '.join(parts)}" if parts else ""


def _memory(whose: Ownership) -> str:
    values = whose.values
    current, limit, peak = (values.get(m) for m in (metrics.GROUP_CURRENT, metrics.GROUP_LIMIT, metrics.GROUP_PEAK))
    if current is None:
        return ""
    alone = len(whose.owner.groups) < 2
    text = f"control group{'' if alone else 's'}: {format_bytes(current)}"
    if alone:
        text += f" of {format_bytes(limit)} allowed" if limit is not None else ", no known limit"
    if peak is not None:
        text += f", peak {format_bytes(peak)}"
    parts = [f"{name} {format_bytes(values[metric])}" for metric, name in _PARTS if values.get(metric)]
    text += f" ({', '.join(parts)})" if parts else ""
    return f"{text}; near its limit" if whose.near_limit else text


def _killed(whose: Ownership) -> str:
    return "" if whose.kills is None else f"OOM killed {killed(whose.kills)}"


def killed(kills: Kills) -> str:
    """Return how often and when, and whether it is inferred that it was this one."""
    times = "once" if kills.count == 1 else f"{kills.count} times"
    when = f"{growth_words.minute(kills.first_ms)}"
    if kills.count == 1 or kills.first_ms == kills.last_ms:
        text = f"{times}, {when}"
    else:
        text = f"{times} since {when}, last {growth_words.minute(kills.last_ms)}"
    return text if kills.certain else f"{text} (inferred: its control group was recreated)"


def as_object(whose: Ownership | None) -> dict[str, Any] | None:
    """Return it for JSON; bytes that are not known, and a limit there is none, are null."""
    if whose is None:
        return None
    owner = whose.owner
    return {
        "engine": owner.engine or None,
        "container": owner.container or None,
        "pod": owner.pod or None,
        "qos": owner.qos or None,
        "user_slice": owner.user_slice or None,
        "session": owner.session or None,
        "cgroups": list(owner.groups),
        "current_bytes": whose.values.get(metrics.GROUP_CURRENT),
        "peak_bytes": whose.values.get(metrics.GROUP_PEAK),
        "limit_bytes": whose.values.get(metrics.GROUP_LIMIT),
        "held_bytes": whose.held_bytes,
        "anon_bytes": whose.values.get(metrics.GROUP_ANON),
        "file_bytes": whose.values.get(metrics.GROUP_FILE),
        "kernel_bytes": whose.values.get(metrics.GROUP_KERNEL),
        "swap_bytes": whose.values.get(metrics.GROUP_SWAP),
        "near_limit": whose.near_limit,
        "oom_kills": kills_object(whose.kills),
    }


def kills_object(kills: Kills | None) -> dict[str, Any] | None:
    """Return kills for JSON; None where none are known."""
    if kills is None:
        return None
    return {
        "count": kills.count,
        "first_at": time(kills.first_ms),
        "last_at": time(kills.last_ms),
        "certain": kills.certain,
    }


def _short(name: str) -> str:
    return name[:_ID_SHOWN] if len(name) == 64 else name
