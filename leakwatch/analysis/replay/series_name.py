"""What a captured series is, read off its name: as leakwatch writes it, as meminfo does, or as others export it.

node_exporter, telegraf, collectd, netdata, Zabbix, Datadog, OpenTelemetry, SNMP, sar, psutil, cAdvisor, Windows and the
JVM export the same few quantities under names of their own. One table has the fields of meminfo with their roles, one
the names that stand for a field; what is left is told by its words. ``series_name`` is what leakwatch writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from leakwatch import metrics
from leakwatch.kernel.account import gives_back
from leakwatch.model.identity import ProcessInfo, Target, TargetKind
from leakwatch.model.memory_class import process_and_class


class SubjectKind(StrEnum):
    """What a series can be about."""

    PROCESS = "process"
    GROUP = "group"
    """The sum over the processes of a service."""
    SLAB = "slab"
    KERNEL = "kernel"
    """A field of /proc/meminfo, or what one caller of vmalloc holds."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a series is, read off its name."""

    kind: SubjectKind
    service: str
    """What lifetimes and siblings share: ``proc/NAME`` for ``proc/NAME[PID]`` and ``proc/NAME#2``, ``X`` for ``X#2``,
    else the name itself. The quantity stays (``proc/NAME/pss``): a PSS is no sibling of a USS."""
    lifetime: int
    """2 for ``X#2``, else 0."""
    field: str
    """The cache, the field of meminfo or the caller of vmalloc, else empty."""
    reclaimable: bool | None
    """True for what the kernel gives back when asked, False for other slab caches, None where it is no question."""
    grows: bool
    """False for fields whose rise is no growth of use: what is free, what there is in all."""
    quantity: str = ""
    """What is measured of it, as in ``proc/NAME/pss``; empty for what its kind is measured by."""
    programs: tuple[str, ...] = ()
    """The names of the processes it is about, where the name of its service does not tell."""

    @property
    def owner(self) -> str:
        """The service or program it is about, as thresholds name it."""
        whose = self.service.removesuffix(f"/{self.quantity}") if self.quantity else self.service
        return whose.partition("/")[2] or whose

    @property
    def screened(self) -> str:
        """The metric of what is judged only once it has risen, one of ``metrics.SCREENED``; empty of all else."""
        if self.kind is SubjectKind.KERNEL:
            return _OF_HOST.get(self.field, "")
        return _APART.get(self.quantity.partition(".")[0], "")

    @property
    def count(self) -> str:
        """The metric of what is counted, one of ``metrics.COUNTS``; empty where the series is of bytes."""
        return self.screened if self.screened in metrics.COUNTS else ""


_OF_HOST = {metrics.capture_name(metric): metric for metric in metrics.SCREENED - metrics.APART}
_APART = {metrics.capture_name(metric): metric for metric in metrics.APART}
_QUANTITY = re.compile(r"/(uss|pss|anon)$")
_OF_PROCESS = re.compile(rf"/(uss|pss|anon|(?:{'|'.join(_APART)})(?:\.[a-z0-9_]+)?)$")
"""Open files by their sort, too: ``/fds.socket``."""
_LIFETIME = re.compile(r"#([0-9]{1,9})$")
_PID = re.compile(r"(?<=[^/])\[[0-9]{1,10}\]$")
_SLAB_PREFIXES = ("slab/", "kernel/slab:")
_TWIN = re.compile(r"@[0-9]+#[0-9]+$")
"""A further cache of one name and size: the number is part of its key, see ``procfs.slabinfo``."""

_SLAB_TOTALS = frozenset({"SReclaimable", "SUnreclaim", "Slab"})
_FAMILIES = tuple(f"{kind}/" for kind in TargetKind)
"""How the names of leakwatch's own series begin: no name of another program is looked for in them."""


def series_name(metric: str, target: Target, process: ProcessInfo | None) -> str:
    """Return the name of a series as it was sampled, such as ``proc/redis[812]``, its USS, or ``proc/redis[812]/pss``.

    ``process`` is the target's, or that a class of memory (``class/redis[812]/heap``) is of; None where it is no longer
    known. Two processes of one name and pid have the same name.
    """
    quantity = metrics.capture_name(metric)
    if target.kind is TargetKind.HOST:
        return f"kernel/{quantity}"
    if target.kind is TargetKind.PROCESS:
        name = f"proc/{_process_name(target, process)}"
    elif target.kind is TargetKind.MEMORY_CLASS:
        of, key = process_and_class(target)
        name = f"class/{_process_name(of, process)}/{key}"
    else:
        name = f"{target.kind}/{target.key}"
    return f"{name}/{quantity}" if quantity else name


def _process_name(target: Target, process: ProcessInfo | None) -> str:
    pid = target.key.split("/")[1] if target.key.count("/") >= 2 else "?"
    return f"{process.name}[{process.identity.pid}]" if process else f"unknown[{pid}]"


def subject_of(name: str) -> Subject:
    """Return what the series of this name is; any text is a name."""
    quantity = (_OF_PROCESS if name.startswith("proc/") else _QUANTITY).search(name)
    bare = name[: quantity.start()] if quantity else name
    slab = bare.startswith(_SLAB_PREFIXES)
    numbered = None if slab and _TWIN.search(bare) else _LIFETIME.search(bare)
    if numbered:
        bare = bare[: numbered.start()]
    process = bare.startswith("proc/")
    whose = _PID.sub("", bare) if process else bare
    service = whose + quantity[0] if quantity else whose
    lifetime = int(numbered[1]) if numbered else 0
    measured = quantity[1] if quantity else ""
    if process:
        return Subject(SubjectKind.PROCESS, service, lifetime, "", reclaimable=None, grows=True, quantity=measured)
    if bare.startswith("group/"):
        return Subject(SubjectKind.GROUP, service, lifetime, "", reclaimable=None, grows=True, quantity=measured)
    return _of_kernel(bare, service, lifetime)


def _of_kernel(bare: str, service: str, lifetime: int) -> Subject:
    for prefix in _SLAB_PREFIXES:
        field = bare.removeprefix(prefix)
        if field != bare and field not in _SLAB_TOTALS:
            return Subject(SubjectKind.SLAB, service, lifetime, field, reclaimable=gives_back(field), grows=True)
    family, slash, field = bare.partition("/")
    if slash and family in ("kernel", "slab"):
        return _of_role(SubjectKind.KERNEL, service, lifetime, field, role_of(field))
    if slash and family == "vmalloc":
        return Subject(SubjectKind.KERNEL, service, lifetime, field, reclaimable=None, grows=True)
    if bare.startswith(_FAMILIES) or not may_be_known(bare):
        return Subject(SubjectKind.OTHER, service, lifetime, "", reclaimable=None, grows=True)
    foreign = field_of(bare)
    if foreign:
        return _of_role(SubjectKind.KERNEL, service, lifetime, foreign, role_of(foreign))
    return _of_role(SubjectKind.OTHER, service, lifetime, "", role_by_words(bare))


def _of_role(kind: SubjectKind, service: str, lifetime: int, field: str, role: Role) -> Subject:
    reclaimable = True if role is Role.GIVEN_BACK else False if field == "SUnreclaim" else None
    grows = role in (Role.USE, Role.GIVEN_BACK)
    return Subject(kind, service, lifetime, field, reclaimable=reclaimable, grows=grows)


class Role(StrEnum):
    """What a rise means."""

    USE = "use"
    """Memory is taken."""
    GIVEN_BACK = "given back"
    """Memory is taken that the kernel takes back when it needs it (Documentation/filesystems/proc.rst)."""
    FREE = "free"
    """More is left: no growth of use. What matters is its fall."""
    NO_USE = "no use"
    """A total, a limit, a count or a way of mapping: it takes nothing."""


def _each(role: Role, names: str) -> dict[str, Role]:
    return dict.fromkeys(names.split(), role)


ROLES = {
    **dict.fromkeys(metrics.MEMINFO, Role.USE),
    **_each(
        Role.USE, "Active(anon) Inactive(anon) Committed_AS AnonHugePages ShmemHugePages NFS_Unstable Dirty Writeback"
    ),
    **_each(Role.USE, "ShadowCallStack Zswapped FileHugePages"),
    **_each(Role.GIVEN_BACK, "Active(file) Inactive(file) Buffers Cached KReclaimable SReclaimable SwapCached"),
    **_each(Role.FREE, "MemAvailable MemFree SwapFree CmaFree HighFree LowFree HugePages_Free VmallocChunk"),
    **_each(Role.FREE, "free_on_cpu_lists Unaccepted"),
    **_each(Role.NO_USE, "MemTotal SwapTotal CmaTotal HighTotal LowTotal VmallocTotal CommitLimit Hugepagesize"),
    **_each(
        Role.NO_USE, "HugePages_Total HugePages_Rsvd HugePages_Surp DirectMap4k DirectMap4M DirectMap2M DirectMap1G"
    ),
    **_each(Role.NO_USE, "dying_cgroups sockets unaccounted_uncertainty"),
}
"""By the names of meminfo, and of what leakwatch makes of several of them."""
_DIRECT_MAP = "DirectMap"
"""How the kernel maps all of RAM for itself: DirectMap4k grows as huge mappings are split, and takes no memory."""


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_FIELDS = {_key(field): field for field in ROLES} | {
    "available": "MemAvailable", "avail": "MemAvailable", "usable": "MemAvailable", "memusable": "MemAvailable",
    "memavail": "MemAvailable", "free": "MemFree", "cached": "Cached", "cache": "Cached", "pagecache": "Cached",
    "buffered": "Buffers", "buff": "Buffers", "slabrecl": "SReclaimable", "slabreclaimable": "SReclaimable",
    "slabunrecl": "SUnreclaim", "slabunreclaimable": "SUnreclaim", "total": "MemTotal", "shared": "Shmem",
    "committed": "Committed_AS", "pagetables": "PageTables", "kernelstack": "KernelStack",
}  # fmt: skip
"""By the name without case and punctuation; the second half as telegraf, collectd, Datadog and psutil shorten them."""
_OF_MEMORY = re.compile(
    r"^(?:node_memory|node_mem|proc_meminfo|meminfo|system[._]mem(?:ory)?|memory|mem|ram)[_./: |-]+", re.IGNORECASE
)
"""Before the name of a field: behind it even ``free`` and ``cached`` are the machine's."""
_UNIT = re.compile(
    r"[_. ]*[(\[]?(?<![a-z])(?:bytes|b|[kmg]i?b|kilobytes|megabytes|pages|percent|pct|average)[)\]]?$", re.IGNORECASE
)
_LABELS = re.compile(r"\{(?P<inside>[^}]*)\}")
_STATE = re.compile(r"(?:state|dimension|type|kind)=\"?(?P<value>[^\",}]+)")

_FREE = frozenset({"free", "available", "avail", "usable", "freeable", "unused", "headroom", "pavailable", "pfree"})
_ALONE = frozenset({"cached", "buffers", "buffered", "buff"})
"""What is the kernel's even without a further word, as vmstat, free and psutil call it."""
_BACK = frozenset({"cached", "cache", "buffers", "buffered", "buff", "buffer", "reclaimable", "standby"})
_MEMORY = frozenset({
    "mem", "memory", "ram", "swap", "swp", "heap", "real", "physical", "page", "pages", "virtual", "vm", "phys", "slab",
})  # fmt: skip
_AROUND = frozenset({
    "node", "system", "sys", "os", "host", "kernel", "linux", "windows", "win", "jvm", "java", "runtime", "netdata",
    "telegraf", "collectd", "container", "cgroup", "size", "usage", "bytes", "byte", "kb", "kib", "mb", "mib",
    "gb", "gib",
    "percent", "pct", "ratio", "total", "low", "high", "m", "current", "average", "amount", "list", "zero",
})  # fmt: skip
"""Words that say where and in what unit, and name nothing of its own."""
_NOT = frozenset({"not", "non", "un"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TOGETHER = {
    f"{a}{b}": (a, b) for memory in _MEMORY for free in _FREE for a, b in ((memory, free), (free, memory))
} | {"pagecache": ("page", "cache"), "kbavail": ("avail",), "kbmemfree": ("free",), "kbcached": ("mem", "cached"),
     "kbbuffers": ("mem", "buffers"), "kbswpfree": ("free",)}  # fmt: skip


_HINT = re.compile(
    r"mem|free|avail|usable|unused|headroom|cache|buff|recl|standby|swap|slab|huge|direct|commit|activ|percpu|table|anon"
    r"|mapped|locked|evict|dirty|write|bounce|nfs|corrupt|cma|kernel|unaccepted|total|low|high|balloon|vmalloc"
)  # fmt: skip


def may_be_known(name: str) -> bool:
    """Return quickly whether there is anything in a name to look at: most are of processes and services."""
    return _HINT.search(name.lower()) is not None


def role_of(field: str) -> Role:
    """Return the role of a field of meminfo; of one that is unknown it is use."""
    return Role.NO_USE if field.startswith(_DIRECT_MAP) else ROLES.get(field, Role.USE)


def field_of(name: str) -> str:
    """Return the field of meminfo that a name of another program stands for, empty where it is none."""
    labels = _LABELS.search(name)
    bare = _UNIT.sub("", name[: labels.start()] if labels else name)
    bare = re.split(r"[/:]", bare)[-1] if not _OF_MEMORY.match(bare) else bare
    rest = _OF_MEMORY.sub("", bare)
    return _FIELDS.get(_key(rest), "") if rest != bare or _is_telling(bare) else ""


def role_by_words(name: str) -> Role:
    """Return the role of what is no field of meminfo, by the words of its name."""
    words = _words(name)
    free = [at for at, word in enumerate(words) if word in _FREE and not (at and words[at - 1] in _NOT)]
    known = _FREE | _BACK | _MEMORY | _AROUND
    told = [word for word in words if word not in _AROUND]
    if any(_next_to_memory(words, at) or told[-1] == words[at] for at in free):
        return Role.FREE
    if all(word in known for word in words) and _BACK.intersection(words) and (len(told) > 1 or told[0] in _ALONE):
        return Role.GIVEN_BACK
    return Role.USE


def _next_to_memory(words: list[str], at: int) -> bool:
    return bool(_MEMORY.intersection(words[max(0, at - 1) : at + 2]))


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case; of its labels only those that say which part of memory it is."""
    labels = _LABELS.search(name)
    text = _LABELS.sub("", name)
    if labels:
        text += "".join(f" {found['value']}" for found in _STATE.finditer(labels["inside"]))
    out: list[str] = []
    for word in _WORD.findall(text):
        out += _TOGETHER.get(word.lower(), (word.lower(),))
    return out


def _is_telling(bare: str) -> bool:
    """Return whether a name without a family is meminfo's: written as there, or of a shape that nothing else has."""
    field = _FIELDS.get(_key(bare), "")
    return bool(field) and (bare == field or (_key(bare) == _key(field) and len(_WORD.findall(field)) > 1))
