"""Which class each mapping of a process belongs to. Pure.

Only the addresses tell arenas and thread stacks from other anonymous memory. glibc places an arena's heaps at multiples
of their largest size, so that a pointer finds its arena (malloc/arena.c, HEAP_MAX_SIZE); what is not used of one yet
has no permission. A thread's stack lies just above a small guard without permission (nptl/allocatestack.c; musl and the
JVM do the same).

Looks into the mappings of suspects: whose turn it is, within the budget of full reads, and what a look says.

A look takes the place of the process's full read in that round: one walk of ``smaps`` gives the sums as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from leakwatch import metrics
from leakwatch.collectors.processes.tracked_process import TrackedProcess
from leakwatch.model.identity import Target
from leakwatch.model.memory_class import ClassKind, ClassUse, class_key, class_target, is_named, others_of
from leakwatch.model.sample import Absence, AbsenceReason, Sample
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.mappings import Mapping
from leakwatch.procfs.pid.smaps import MemoryUse

MIB = 1 << 20
ARENA_BYTES = 64 * MIB
"""HEAP_MAX_SIZE of 64-bit glibc: twice the largest threshold from which malloc maps a block of its own."""
GUARD_MOST_BYTES = MIB
"""A page by default; four of up to 64 KiB with a JVM's yellow, red and reserved zones."""
STACK_MOST_BYTES = 64 * MIB
"""A stack merged by the kernel with another mapping above it is not called a stack for the rest of its life."""
NAMED_MOST, NAMED_EVER = 8, 16
"""Classes with names told one by one: the largest of each look, and so many over a process's life."""
_WITHOUT_PERMISSION = "---p"
_DELETED = " (deleted)"
_POSIX_SHM = "/dev/shm/"  # noqa: S108 - compared with, not written to
_IN_BRACKETS = re.compile(r"\[(anon|anon_shmem):(.*)\]", re.DOTALL)
_STACK_NAME = re.compile(r"\s*glibc: pthread( user)? stack")
"""glibc names stacks where it is told to decorate maps (2.39)."""
_ARENA_NAME = re.compile(r"\s*glibc: malloc arena")
_NO_FILES = (
    ("/memfd:", ClassKind.MEMFD, "/memfd:"),
    ("/SYSV", ClassKind.SYSV, "/"),
    (_POSIX_SHM, ClassKind.SHM, ""),
    ("/dev/zero", ClassKind.SHARED, ""),
    ("/anon_hugepage", ClassKind.HUGETLB, ""),
    ("/dev/hugepages/", ClassKind.HUGETLB, ""),  # before 3.8 there are no flags
    ("/dev/ashmem/", ClassKind.NAMED_SHARED, "/dev/ashmem/"),
    ("/dmabuf:", ClassKind.DMABUF, "/dmabuf:"),
    ("/i915", ClassKind.GRAPHICS, "/"),
    ("/drm mm object", ClassKind.GRAPHICS, "/"),
    ("/dev/dri/", ClassKind.GRAPHICS, ""),
    ("/dev/nvidia", ClassKind.GRAPHICS, ""),
    ("/dev/kfd", ClassKind.GRAPHICS, ""),
    ("/dev/mali", ClassKind.GRAPHICS, ""),
    ("/dev/kgsl", ClassKind.GRAPHICS, ""),
    ("anon_inode:i915", ClassKind.GRAPHICS, "anon_inode:"),
    ("anon_inode:", ClassKind.OBJECT, "anon_inode:"),
    ("socket:[", ClassKind.OBJECT, ""),
    ("/[aio]", ClassKind.OBJECT, "/"),
    ("/dev/", ClassKind.DEVICE, ""),
)
"""How the kernel names what is mapped and lies in no file, what it is, and what of the path is left out.

The first that fits counts. Names by mm/memfd.c, ipc/shm.c, mm/shmem.c, fs/hugetlbfs, drivers/dma-buf, drivers/gpu/drm
(drm_gem.c, i915_gem_shmem.c), fs/anon_inodes.c, net/socket.c and fs/aio.c.
"""
_SPECIAL = ("[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[vectors]", "[sigpage]", "[uprobes]")
_KERNELS = {"[heap]": ClassKind.HEAP, "[stack]": ClassKind.STACK} | dict.fromkeys(_SPECIAL, ClassKind.KERNEL)


def classified(mappings: Sequence[Mapping], memory_devices: Collection[str] = ()) -> list[str]:
    """Return the class of each mapping of one process, given in the order of addresses.

    ``memory_devices`` are the devices whose files are memory.
    """
    return [_class_of(mappings, at, memory_devices) for at in range(len(mappings))]


def _class_of(mappings: Sequence[Mapping], at: int, memory_devices: Collection[str]) -> str:
    one = mappings[at]
    if "ht" in one.flags.split() or one.hugetlb:
        return class_key(ClassKind.HUGETLB)
    path = one.path.removesuffix(_DELETED)
    # Shared memory has an inode beside its name.
    special = _in_brackets(path) if _IN_BRACKETS.fullmatch(path) else _of_no_file(path)
    if special:
        return special
    if one.inode:
        return class_key(ClassKind.TMPFS if one.device in memory_devices else ClassKind.FILE, path)
    if path.startswith("["):
        return _in_brackets(path)
    if one.permissions.endswith("s"):
        return class_key(ClassKind.SHARED)
    return class_key(_of_nameless(mappings, at))


def _of_no_file(path: str) -> str:
    """Return the class of what has a path though no file system holds it, empty for other paths."""
    for prefix, kind, taken in _NO_FILES:
        if path.startswith(prefix):
            return class_key(kind, path.removeprefix(taken))
    return ""


def _in_brackets(path: str) -> str:
    if path in _KERNELS:
        return class_key(_KERNELS[path])
    named = _IN_BRACKETS.fullmatch(path)
    name = named[2] if named else path
    if named and named[1] == "anon_shmem":
        return class_key(ClassKind.NAMED_SHARED, name)
    if _STACK_NAME.match(name) or path.startswith("[stack:"):  # 3.4 to 4.4 named stacks by their threads' ids
        return class_key(ClassKind.THREAD_STACKS)
    if _ARENA_NAME.match(name):
        return class_key(ClassKind.ARENAS)
    return class_key(ClassKind.NAMED, name)


def _of_nameless(mappings: Sequence[Mapping], at: int) -> ClassKind:
    one = mappings[at]
    before = mappings[at - 1] if at else None
    after = mappings[at + 1] if at + 1 < len(mappings) else None
    if one.permissions == _WITHOUT_PERMISSION:
        if before is not None and before.end == one.start and _is_nameless(before) and _is_arena(before, one):
            return ClassKind.ARENAS
        above = after is not None and after.start == one.end and _is_nameless(after)
        return ClassKind.THREAD_STACKS if above and after and _is_stack(one, after) else ClassKind.ANONYMOUS
    if _is_arena(one, after):
        return ClassKind.ARENAS
    if before is not None and _is_stack(before, one):
        return ClassKind.THREAD_STACKS
    return ClassKind.ANONYMOUS


def _is_nameless(one: Mapping) -> bool:
    return not one.inode and not one.path and one.permissions.endswith("p")


def _is_arena(one: Mapping, after: Mapping | None) -> bool:
    """Tell whether this is the used part of arena heaps; several that are full and adjacent are one mapping."""
    if one.start % ARENA_BYTES or not one.permissions.startswith("rw"):
        return False
    boundary = -(-one.end // ARENA_BYTES) * ARENA_BYTES
    if one.end == boundary:
        return True
    # The unused rest goes up to the boundary, or beyond it where a guard follows directly.
    return (
        after is not None
        and after.start == one.end
        and after.permissions == _WITHOUT_PERMISSION
        and _is_nameless(after)
        and boundary <= after.end <= boundary + GUARD_MOST_BYTES
    )


def _is_stack(guard: Mapping, one: Mapping) -> bool:
    """Tell whether one lies above a guard; an arena's unused rest may have been merged with that."""
    own_guard = min(guard.size, guard.end % ARENA_BYTES or ARENA_BYTES)
    return (
        guard.end == one.start
        and guard.permissions == _WITHOUT_PERMISSION
        and _is_nameless(guard)
        and own_guard <= GUARD_MOST_BYTES
        and one.permissions.startswith("rw")
        and one.size <= STACK_MOST_BYTES
    )


def summed(mappings: Iterable[Mapping], keys: Iterable[str]) -> dict[str, ClassUse]:
    """Return what the mappings of each class come to."""
    sums: dict[str, list[int]] = {}
    for one, key in zip(mappings, keys, strict=True):
        added = (1, one.end - one.start, one.rss, one.pss, one.clean, one.dirty + one.hugetlb, one.swap)
        known = sums.get(key)
        sums[key] = list(added) if known is None else [a + b for a, b in zip(known, added, strict=True)]
    return {key: ClassUse(key, *values) for key, values in sums.items()}


def bounded(uses: dict[str, ClassUse], told: frozenset[str]) -> tuple[list[ClassUse], frozenset[str]]:
    """Return the classes with all but the largest named ones summed up by kind, and those told by name up to now.

    What was told by name once goes on being told, so that no series jumps because another class became larger.
    """
    named = sorted((use for key, use in uses.items() if is_named(key)), key=lambda use: use.held_bytes, reverse=True)
    for use in named[:NAMED_MOST]:
        if len(told) < NAMED_EVER:
            told |= {use.key}
    out = {key: use for key, use in uses.items() if not is_named(key) or key in told}
    for use in named:
        if use.key not in told:
            others = others_of(use.key)
            out[others] = out.get(others, ClassUse(others)).plus(use)
    return list(out.values()), told


LOOKS_A_ROUND = 4
"""So that no round has to bear those of all suspects: the others' turn is after the next evaluation."""
PLACES_OF_RATE = 12
"""Where not all can be looked into in time, one this many places behind the fastest waits for twice as long."""
PART_OF_PURSE = 0.5
"""Of the CPU time that is there for full reads, what looks may take in one round."""
ALWAYS_US = 20_000.0
"""What one look may take although the budget is spent, as the reads of suspects may: else who grows fast, and so spends
it on full reads, would never be looked into."""
PROCESSES_MOST = 64
"""Processes looked into at a time: a service of a thousand workers is told by some of them."""
SOONEST_PART = 0.9
"""Of the time between two looks, after which the next may come: evaluations, which ask for them, are not punctual."""
MAPPINGS_MOST = 5000
"""A look at more takes 75 ms and megabytes: it is broken off, and tried again a day later."""
AGAIN_AFTER_US = 86_400_000_000
FIRST_US_PER_MAPPING, FIRST_MAPPINGS = 15.0, 300
"""What a look costs beside the walk before any was made: 4 us for the kernel's text, the rest for reading it."""
LEARNT_PART = 1 / 8


@dataclass(slots=True)
class MappingRead:
    """What is kept of a process from look to look."""

    at_us: int = 0
    mappings: int = FIRST_MAPPINGS
    refused_us: int | None = None
    told: frozenset[str] = frozenset()
    """Classes that are told by name."""
    uses: list[ClassUse] = field(default_factory=list)

    def samples(self, process: Target) -> list[Sample]:
        """Return what the newest look saw."""
        return [
            Sample(metric, class_target(process, use.key), value)
            for use in self.uses
            if use.key != ClassKind.KERNEL
            for metric, value in ((metrics.CLASS_HELD, use.held_bytes), (metrics.CLASS_MAPPINGS, use.mappings))
        ]


class MappingReads:
    """Decides who is looked into, and does it; ``every_s`` is the time between two looks at one process."""

    def __init__(self, procfs: ProcFS, every_s: float | None) -> None:
        self._procfs = procfs
        self._every_us = None if every_s is None else round(every_s * 1e6)
        self._us_per_mapping = FIRST_US_PER_MAPPING
        self._known: dict[Target, MappingRead] = {}
        self._new_first = False

    def choose(
        self, suspects: Collection[Target], readable: Sequence[TrackedProcess], now_us: int, left_us: float
    ) -> set[Target]:
        """Return the suspects to look into in this round: by turns one whose time has come again, and one that is new.

        ``suspects`` come with the fastest growing first; ``readable`` are those of them that are read fully now
        anyway: only what a look costs beyond that counts against ``left_us``, what there is to spend.
        """
        if self._every_us is None:
            return set()
        self._known = {target: look for target, look in self._known.items() if target in suspects}
        due = self._ordered(suspects, readable, now_us)
        chosen: set[Target] = set()
        spent = 0.0
        for one in due[:LOOKS_A_ROUND]:
            look = self._known.get(one.target)
            cost_us = (look.mappings if look else FIRST_MAPPINGS) * self._us_per_mapping
            within = spent + cost_us <= left_us * PART_OF_PURSE or (not chosen and cost_us <= ALWAYS_US)
            if within and (look is not None or len(self._known) < PROCESSES_MOST):
                self._known.setdefault(one.target, MappingRead())
                chosen.add(one.target)
                spent += cost_us
        return chosen

    def _ordered(
        self, suspects: Collection[Target], readable: Sequence[TrackedProcess], now_us: int
    ) -> list[TrackedProcess]:
        """Return those that are due: a service of hundreds must not keep its fastest from a second look by new ones."""
        place = {target: at for at, target in enumerate(suspects)}

        def urgency(one: TrackedProcess) -> float:
            return (now_us - self._known[one.target].at_us) / (1 + place[one.target] / PLACES_OF_RATE)

        due = [one for one in readable if self._is_due(one.target, now_us)]
        new = sorted((one for one in due if one.target not in self._known), key=lambda one: place[one.target])
        again = sorted((one for one in due if one.target in self._known), key=urgency, reverse=True)
        self._new_first = not self._new_first
        pair = (new, again) if self._new_first else (again, new)
        return [one for both in zip_longest(*pair) for one in both if one is not None]

    def _is_due(self, target: Target, now_us: int) -> bool:
        look = self._known.get(target)
        if look is None or self._every_us is None:
            return True
        if look.refused_us is not None and now_us - look.refused_us < AGAIN_AFTER_US:
            return False
        return not look.at_us or now_us - look.at_us >= self._every_us * SOONEST_PART

    def read(self, one: TrackedProcess, now_us: int) -> MemoryUse | Absence:
        """Look into a chosen process; return the sums as ``memory`` does, by which it is read if the look fails."""
        look = self._known[one.target]
        found = self._procfs.mappings(one.identity.pid, MAPPINGS_MOST)
        if isinstance(found, Absence):
            if found.reason is AbsenceReason.SKIPPED:
                look.refused_us = now_us
                return self._procfs.memory(one.identity.pid)
            return found
        keys = classified(found.mappings, self._procfs.memory_devices(one.identity.pid, found.mappings))
        look.uses, look.told = bounded(summed(found.mappings, keys), look.told)
        look.at_us, look.mappings = now_us, len(found.mappings)
        return found.use

    def learn(self, target: Target, now_us: int, beyond_us: float) -> None:
        """Take what the look just made cost beyond what the walk alone was forecast to cost."""
        look = self._known[target]
        if look.at_us != now_us:
            return  # it failed
        each = max(0.0, beyond_us) / max(1, look.mappings)
        self._us_per_mapping += (each - self._us_per_mapping) * LEARNT_PART

    def made(self, now_us: int) -> list[list[Sample]]:
        """Return what each look of this round saw."""
        return [look.samples(target) for target, look in self._known.items() if look.at_us == now_us]
