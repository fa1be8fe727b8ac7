"""Stored history as captures: what the daemon judged, sample by sample, under the names captured files use."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import KernelFacts, array_of
from leakwatch.analysis.findings.process_table import ProcessTable
from leakwatch.analysis.replay.capture import Capture, in_elapsed_time
from leakwatch.analysis.replay.series_name import series_name, subject_of
from leakwatch.analysis.series.derived import judged_values
from leakwatch.config import matches
from leakwatch.model.identity import HOST, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leakwatch.analysis.series.derived import Key
    from leakwatch.config import IgnoreConfig
    from leakwatch.model.identity import ProcessInfo, Service, Target
    from leakwatch.store.read.reader import Reader
    from leakwatch.store.read.records import Lifetime

_FACTS = frozenset({metrics.SLAB_RECLAIMABLE, metrics.SLAB_OBJECT, metrics.SLAB_OBJECTS})
"""What caches are judged by."""
_BESIDE = _FACTS | metrics.SCREENED
"""Few of the samples of a scrape: picked out once."""
_NEEDED = metrics.AS_SAMPLED | metrics.PARTS | _BESIDE
"""What is stored of the series that are judged, and of what they are judged by; the rest is not read at all."""


class _Series:
    """One series while it is read: 16 bytes a sample."""

    __slots__ = ("times_ms", "values")

    def __init__(self) -> None:
        self.times_ms = array("q")
        self.values = array("d")

    def add(self, ts_ms: int, value: float) -> None:
        """Take a sample; a second one of the same time replaces the first."""
        if self.times_ms and self.times_ms[-1] == ts_ms:
            self.values[-1] = value
        else:
            self.times_ms.append(ts_ms)
            self.values.append(value)


def stored_captures(
    reader: Reader, ignore: IgnoreConfig, since_ms: int | None = None, until_ms: int | None = None
) -> list[Capture]:
    """Return what was judged between two times, either open: processes, services' sums, caches, callers, the kernel.

    The values are those the daemon judged (``analysis.derive``), over the processes it watched then. Some seconds and
    16 bytes a sample for a day of 200 processes; what is not judged is not read.
    """
    heads = [
        head
        for head in reader.scrapes_since(0 if since_ms is None else since_ms)
        if until_ms is None or head.ts_ms < until_ms
    ]
    if not heads:
        return []
    lifetimes = reader.lifetimes()
    present = _Present(lifetimes, ProcessTable(ignore))
    found: dict[Key, _Series] = defaultdict(_Series)
    facts = KernelFacts()
    for head, values in reader.history(heads, _NEEDED):
        services = present.services(head.ts_ms)
        there = {HOST, *(target for target, _ in services)}
        counts: dict[Key, int] = {}
        for key, value in [(key, value) for key, value in values.items() if key[0] in _BESIDE]:
            if key[0] in _FACTS:
                facts.note(*key, value)
            elif key[1] in there:  # as ``tallies`` has them: of those that are watched, and of the machine
                counts[key] = value
        for key, value in (judged_values(values, services) | counts).items():
            found[key].add(head.ts_ms, value)
    infos = {one.info.identity.target: one.info for one in lifetimes}
    shown = {key: series for key, series in found.items() if not _ignored(key, ignore)}
    boots_ms = tuple(now.ts_ms for before, now in itertools.pairwise(heads) if now.boot != before.boot)
    return _captures(shown, infos, facts, boots_ms)


class _Present:
    """Which processes there were at a time, as far as they are watched; between two scrapes it seldom changes."""

    def __init__(self, lifetimes: Sequence[Lifetime], process_table: ProcessTable) -> None:
        self._lifetimes = lifetimes
        self._process_table = process_table
        self._changes = sorted({ms for one in lifetimes for ms in (one.first_ms, one.last_ms) if ms is not None})
        self._services: list[tuple[Target, Service | None]] = []
        self._between = -1

    def services(self, ts_ms: int) -> list[tuple[Target, Service | None]]:
        """Return each process's target and service in the scrape of this time."""
        between = bisect_right(self._changes, ts_ms)
        if between != self._between:
            self._between = between
            self._process_table.update(one.info for one in self._lifetimes if _lived(one, ts_ms))
            self._services = self._process_table.services()
        return self._services


def _lived(one: Lifetime, ts_ms: int) -> bool:
    return one.first_ms <= ts_ms and (one.last_ms is None or ts_ms < one.last_ms)


def _ignored(key: Key, ignore: IgnoreConfig) -> bool:
    metric, target = key
    if target.kind in (TargetKind.PROCESS, TargetKind.SERVICE):
        return False  # the process_table left out what is ignored
    return matches(ignore.kernel, target.key, metric, metrics.title(metric))


def _captures(
    found: Mapping[Key, _Series], infos: Mapping[Target, ProcessInfo], facts: KernelFacts, boots_ms: tuple[int, ...]
) -> list[Capture]:
    taken: Counter[str] = Counter()
    captures = []
    members: dict[Target, set[str]] = defaultdict(set)
    for info in infos.values():
        if info.service is not None:
            members[info.service.target].add(info.name)
    for key, series in found.items():
        name, service = _names(key, infos)
        taken[name] += 1
        if taken[name] > 1:  # a pid that was given out again to a program of the same name
            name = f"{name}#{taken[name]}"
        subject = subject_of(name)
        if key[1].kind is TargetKind.PROCESS:
            subject = replace(subject, service=service, programs=(infos[key[1]].name,))
        elif key[1].kind is TargetKind.SERVICE:
            subject = replace(subject, programs=tuple(sorted(members[key[1]])))
        sampled_ms, values = np.array(series.times_ms), np.array(series.values)
        times_ms = in_elapsed_time(sampled_ms)
        of_boot = key[1].kind not in (TargetKind.PROCESS, TargetKind.SERVICE)
        later = [int(np.argmax(sampled_ms >= ms)) for ms in boots_ms if of_boot and (sampled_ms >= ms).any()]
        begins_ms = tuple(int(times_ms[at]) for at in later if at)
        captures.append(Capture(name, subject, times_ms, values, _array(key, facts), begins_ms))
    return captures


def _array(key: Key, facts: KernelFacts) -> tuple[int, float] | None:
    """Return what the kernel notes of a reclaimable cache's objects, None where that is not known."""
    cache = key[1].key if key[1].kind is TargetKind.SLAB else ""
    objects, size = facts.slab_objects.get(cache, 0), facts.object_bytes.get(cache, 0)
    return array_of(objects, size) if facts.reclaimable.get(cache) and objects * size else None


def _names(key: Key, infos: Mapping[Target, ProcessInfo]) -> tuple[str, str]:
    """Return the series' name, and what lifetimes and siblings of it share where the name does not tell."""
    metric, target = key
    if target.kind is TargetKind.SERVICE:
        return f"group/{target.key.partition(':')[2]}", ""
    info = infos.get(target)
    name = series_name(metric, target, info)
    if info is None:
        return name, ""
    service = info.service.name if info.service else info.name
    return name, "/".join(filter(None, ("proc", service, metrics.capture_name(metric))))
