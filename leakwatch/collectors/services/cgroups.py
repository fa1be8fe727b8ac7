"""The control groups of the services that run: what their memory controller says, and whose they are.

Read in slow rounds, and at once when the machine's count of OOM kills has risen: a unit that is restarted takes its
group's counts with it. What a process alone holds tells who leaks; the group tells what the kernel holds against the
service's limit, page cache and its own memory included.

Whose processes the kernel killed for want of memory between two looks at the counts. No I/O.

A unit is most often gone and made anew after a kill, and the count of its group with it. What is left is the machine's
count and, in version 2, those of the groups around it, which count what happens below them: when they have risen by
more than what the groups that are still there account for, it was one of those that were made anew.

Whose a service is, from the paths of its control groups: engine, container, pod, a person's slice and session.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache

from leakwatch import metrics
from leakwatch.collectors.processes.tracked_process import TrackedProcess
from leakwatch.collectors.result import CollectorResult
from leakwatch.collectors.services.containers import container_among
from leakwatch.collectors.services.naming import group_within
from leakwatch.model.identity import HOST, Owner, Service, ServiceKind, Target
from leakwatch.model.sample import Absence, AbsenceReason, GroupCount, LimitedGroup, OomCounts, OomKill, Sample
from leakwatch.procfs.cgroup.memory import Group, GroupMemory, Number
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.sysfs import Limits
from leakwatch.procfs.pid.cgroup import CgroupPaths


def kills_between(before: OomCounts, now: OomCounts) -> tuple[list[OomKill], int]:
    """Return the kills between two looks, and how many of them the machine's count has yet to show."""
    certain = {path: risen for path, count in now.own.items() if (risen := _risen(before.own.get(path), count)) > 0}
    found = [
        OomKill(risen, now.known[path].service, group=path, limit_bytes=now.known[path].limit_bytes)
        for path, risen in certain.items()
    ]
    if now.host is None or before.host is None:
        return found, 0
    rest = now.host - before.host - before.told - sum(certain.values())
    if rest > 0:
        found.append(_inferred(before, now, certain, rest))
    return found, max(0, -rest)


def _risen(before: GroupCount | None, now: GroupCount) -> int:
    """Return by how much a count rose; that of a group that was made since then began at 0."""
    return now.kills - before.kills if before is not None and before.inode == now.inode else now.kills


def _inferred(before: OomCounts, now: OomCounts, certain: Mapping[str, int], rest: int) -> OomKill:
    lost = {path: known for path, known in before.known.items() if not _is_still(path, before, now)}
    if now.around:
        lost = {path: known for path, known in lost.items() if _has_room(path, before, now, certain)}
    else:  # version 1 counts nothing around them: then rather those that had a limit to meet
        lost = {path: known for path, known in lost.items() if known.limit_bytes is not None} or lost
    if len({known.service for known in lost.values()}) == 1:
        path, known = next(iter(lost.items()))
        return OomKill(rest, known.service, certain=False, group=path, limit_bytes=known.limit_bytes)
    candidates = tuple(sorted({known.service.key for known in lost.values()}))
    return OomKill(rest, None, certain=False, group=_innermost_risen(before, now, certain), candidates=candidates)


def _innermost_risen(before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> str:
    """Return the innermost group around services that counted more than they account for, empty where none did."""
    risen = [path for path in now.around if path in before.around and _room(path, before, now, certain) > 0]
    return max(risen, key=lambda path: path.count("/"), default="")


def _is_still(path: str, before: OomCounts, now: OomCounts) -> bool:
    return path in now.own and path in before.own and now.own[path].inode == before.own[path].inode


def _has_room(path: str, before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> bool:
    """Tell whether the nearest group around it that is still there counted more than its known groups had."""
    parts = path.split("/")
    for length in reversed(range(2, len(parts))):
        above = "/".join(parts[:length])
        if above in before.around and above in now.around and before.around[above].inode == now.around[above].inode:
            return _room(above, before, now, certain) > 0
    return True  # the root alone is around it, and it does not count


def _room(above: str, before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> int:
    """Return how many kills a group counted that are none of those known below it."""
    below = sum(count for one, count in certain.items() if one.startswith(f"{above}/"))
    return _risen(before.around.get(above), now.around[above]) - below


_USER_SLICE = re.compile(r"(?:^|/)(user-\d+\.slice)(?:/|$)")
_SESSION = re.compile(r"(?:^|/)(session-[^/]+\.scope)(?:/|$)")


def common_owner(cgroups: Iterable[CgroupPaths], home: str | None, groups: tuple[str, ...]) -> Owner:
    """Return what is true of all processes of a service; ``groups`` are its own."""
    first, *others = {owner_of(cgroup, home): None for cgroup in cgroups}
    if not others:
        return replace(first, groups=groups)
    same = {name: value for name, value in asdict(first).items() if all(getattr(o, name) == value for o in others)}
    return Owner(**{**same, "groups": groups})


@lru_cache(maxsize=1024)  # a third of a round's cost where it was done anew each time
def owner_of(cgroup: CgroupPaths, home: str | None) -> Owner:
    """Return the owner of one process; ``home`` is the container we run in ourselves."""
    container = container_among(cgroup)
    if container is not None and container.name == home:
        container = None
    return Owner(
        engine=container.engine if container else "",
        container=container.name if container else "",
        pod=container.pod if container else "",
        qos=container.qos if container else "",
        user_slice=_first(_USER_SLICE, cgroup),
        session=_first(_SESSION, cgroup),
    )


def _first(pattern: re.Pattern[str], cgroup: CgroupPaths) -> str:
    return next((found[1] for entry in cgroup.entries if (found := pattern.search(entry.path))), "")


_METRICS: dict[Number, str] = {
    "current": metrics.GROUP_CURRENT,
    "swap": metrics.GROUP_SWAP,
    "anon": metrics.GROUP_ANON,
    "file": metrics.GROUP_FILE,
    "shmem": metrics.GROUP_SHMEM,
    "kernel": metrics.GROUP_KERNEL,
    "slab_reclaimable": metrics.GROUP_SLAB_RECLAIMABLE,
    "oom_kills": metrics.GROUP_OOM_KILLS,
}
"""What adds up over the groups of a service that has several."""
_NO_GROUP = AbsenceReason.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class _Place:
    """The different paths that a service's processes have, and the groups of its own among them."""

    cgroups: list[CgroupPaths] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    lies_in: dict[str, Group] = field(default_factory=dict)
    """Of a program: groups that are not its own, such as a login session's."""


class GroupCollector:
    """Reads the groups; knows the counts of the look before."""

    def __init__(self, procfs: ProcFS, home: str | None) -> None:
        self._procfs = procfs
        self._home = home
        self.kill_counts: OomCounts | None = None
        """The counts as last seen, None before the first look; may be set to what was stored."""
        self._absences: list[Absence] = []
        self._groups_read = 0
        self._limits: Limits = {}
        self._groups: dict[str, Group] = {}
        """Where the groups of the newest look are."""

    def collect(self, result: CollectorResult, watched: Iterable[TrackedProcess], *, slow: bool) -> None:
        """Sample the groups of these processes' services."""
        host = self._procfs.oom_kills()
        if isinstance(host, Absence):
            result.absent(host)
        else:
            result.samples.append(Sample(metrics.KERNEL_OOM_KILLS, HOST, host))
        count = None if isinstance(host, Absence) else host
        if slow or self._has_risen(count):
            self._read(result, _places(self._procfs, watched), count)
        for absence in self._absences:
            result.absent(absence)
        result.targets_read = self._groups_read

    def _has_risen(self, host: int | None) -> bool:
        before = None if self.kill_counts is None else self.kill_counts.host
        return host is not None and before is not None and host > before

    def _read(self, result: CollectorResult, places: Mapping[Service, _Place], host: int | None) -> None:
        self._absences, self._groups_read, self._limits = [], 0, {}
        now = OomCounts(host, {}, {}, {})
        result.owners = {}
        for service, place in places.items():
            result.owners[service.target] = common_owner(place.cgroups, self._home, tuple(sorted(place.groups)))
            if not place.groups and service.kind is not ServiceKind.PROGRAM:
                self._absences.append(Absence(_NO_GROUP, f"{service.name}: no memory control group of its own"))
            memories = [self._read_group(group, service.target, now) for group in place.groups.values()]
            read = [memory for memory in memories if memory is not None]
            self._groups_read += len(read)
            for group in place.lies_in.values():
                self._count_around(group, now.around, itself=True)
            if read and len(read) == len(memories):
                limits = [now.known[path].limit_bytes for path in place.groups]
                result.samples += _samples(service.target, read, limits)
        self._look_after_the_left(now)
        result.oom_kills = self._kills(now)

    def _look_after_the_left(self, now: OomCounts) -> None:
        """Count in groups whose last process is gone, perhaps killed, as long as they are there."""
        known = {} if self.kill_counts is None else self.kill_counts.known
        for path in known.keys() & self._groups.keys() - now.known.keys():
            count = self._procfs.group_oom_kills(self._groups[path])
            if not isinstance(count, Absence):
                now.own[path], now.known[path] = GroupCount(*count), known[path]
        self._groups = {path: group for path, group in self._groups.items() if path in now.known}

    def _read_group(self, group: Group, service: Target, now: OomCounts) -> GroupMemory | None:
        memory = self._procfs.group_memory(group)
        if isinstance(memory, Absence):
            self._absences.append(memory)
            return None
        self._absences += memory.absences
        self._groups[group.path] = group
        limit = self._procfs.group_limit_bytes(group, self._limits)
        now.known[group.path] = LimitedGroup(service, None if limit is None or isinstance(limit, Absence) else limit[0])
        if isinstance(limit, Absence):
            self._absences.append(limit)
        if "oom_kills" in memory.numbers:
            now.own[group.path] = GroupCount(memory.inode, memory.numbers["oom_kills"])
        if group.version == 2:
            self._count_around(group, now.around)
        return memory

    def _count_around(self, group: Group, around: dict[str, GroupCount], *, itself: bool = False) -> None:
        """Take the counts of the groups around it, which count what happens below them."""
        parts = group.path.split("/")
        for length in reversed(range(2, len(parts) + itself)):
            above = "/".join(parts[:length])
            if above in around:
                return
            count = self._procfs.group_oom_kills(group.at(above))
            if not isinstance(count, Absence):
                around[above] = GroupCount(*count)

    def _kills(self, now: OomCounts) -> list[OomKill]:
        if self.kill_counts is None:
            self.kill_counts = now
            return []  # nobody knows when what was counted so far happened
        kills, told = kills_between(self.kill_counts, now)
        self.kill_counts = replace(now, told=told)
        return kills


def _places(procfs: ProcFS, watched: Iterable[TrackedProcess]) -> dict[Service, _Place]:
    """Return the services there are, each with its groups; most processes share the paths of others."""
    places: dict[Service, _Place] = {}
    seen: set[tuple[int, Service]] = set()
    for one in watched:
        service, cgroup = one.info.service, one.cgroup
        if service is None or cgroup is None or (id(cgroup), service) in seen:
            continue
        seen.add((id(cgroup), service))
        place = places.setdefault(service, _Place())
        place.cgroups.append(cgroup)
        group = procfs.memory_group(cgroup)
        path = group_within(group.path, service) if group is not None else None
        if group is not None and path is not None:
            place.groups.setdefault(path, group.at(path))
        elif group is not None and group.version == 2 and group.path != "/":
            place.lies_in[group.path] = group
    return places


def _samples(service: Target, memories: Sequence[GroupMemory], limits: Sequence[int | None]) -> list[Sample]:
    samples = []
    for number, metric in _METRICS.items():
        values = [memory.numbers[number] for memory in memories if number in memory.numbers]
        if len(values) == len(memories):
            samples.append(Sample(metric, service, sum(values)))
    if len(memories) == 1:  # the peaks of several were not reached at one time, and each has a limit of its own
        if "peak" in memories[0].numbers:
            samples.append(Sample(metrics.GROUP_PEAK, service, memories[0].numbers["peak"]))
        if limits[0] is not None:
            samples.append(Sample(metrics.GROUP_LIMIT, service, limits[0]))
    return samples
