"""What a captured series is, read off its name: the forms every capture, export and test of leakwatch writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from leakwatch import metrics
from leakwatch.analysis.series.field_names import Role, field_of, may_be_known, role_by_words, role_of
from leakwatch.kernel.slab_names import gives_back
from leakwatch.model.identity import TargetKind


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
    def count(self) -> str:
        """The metric of what is counted, one of ``metrics.COUNTS``; empty where the series is of bytes."""
        metric = self.field if self.kind is SubjectKind.KERNEL else _COUNTED.get(self.quantity.partition(".")[0], "")
        return metric if metric in metrics.COUNTS else ""


_COUNTED = {metric.partition(".")[2]: metric for metric in metrics.PROCESS_COUNTS}
_QUANTITY = re.compile(r"/(uss|pss|anon)$")
_OF_PROCESS = re.compile(rf"/(uss|pss|anon|(?:{'|'.join(_COUNTED)})(?:\.[a-z0-9_]+)?)$")
"""Open files by their sort, too: ``/fds.socket``."""
_LIFETIME = re.compile(r"#([0-9]{1,9})$")
_PID = re.compile(r"(?<=[^/])\[[0-9]{1,10}\]$")
_SLAB_PREFIXES = ("slab/", "kernel/slab:")
_TWIN = re.compile(r"@[0-9]+#[0-9]+$")
"""A further cache of one name and size: the number is part of its key, see ``procfs.slabinfo``."""

_SLAB_TOTALS = frozenset({"SReclaimable", "SUnreclaim", "Slab"})
_FAMILIES = tuple(f"{kind}/" for kind in TargetKind)
"""How the names of leakwatch's own series begin: no name of another program is looked for in them."""


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
