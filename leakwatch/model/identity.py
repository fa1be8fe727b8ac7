"""What is watched: processes, services and other targets, and who owns them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


class TargetKind(StrEnum):
    """What a series can belong to."""

    PROCESS = "process"
    SERVICE = "service"
    SLAB = "slab"
    VMALLOC = "vmalloc"
    HOST = "host"
    COLLECTOR = "collector"
    MEMORY_CLASS = "class"
    """A class of one process's mappings, see ``memclass``: it ends with its process."""


class Target(NamedTuple):
    """Whose a series is; ``key`` is unique within its kind and stable over restarts of leakwatch.

    A tuple, because thousands are hashed and compared in every scrape: those of a dataclass are Python calls.
    """

    kind: TargetKind
    key: str


TARGETS_KEPT = 4096
"""Targets of processes and of services, each, that are made once and shared by all that name them."""


@lru_cache(TARGETS_KEPT)
def _process_target(boot_id: str, pid: int, start_ticks: int) -> Target:
    return Target(TargetKind.PROCESS, f"{boot_id}/{pid}/{start_ticks}")


@lru_cache(TARGETS_KEPT)
def _service_target(kind: str, name: str) -> Target:
    return Target(TargetKind.SERVICE, f"{kind}:{name}")


HOST = Target(TargetKind.HOST, "host")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One run of one process: a pid is reused, this is not (proc(5): starttime is in ticks since boot)."""

    boot_id: str
    pid: int
    start_ticks: int

    @property
    def target(self) -> Target:
        """The target of this process's series."""
        return _process_target(self.boot_id, self.pid, self.start_ticks)


def identity_of(key: str) -> ProcessIdentity:
    """Return whose target has this key."""
    boot_id, pid, start_ticks = key.rsplit("/", 2)
    return ProcessIdentity(boot_id, int(pid), int(start_ticks))


class ServiceKind(StrEnum):
    """What a service's name was taken from, strongest first."""

    UNIT = "unit"
    CONTAINER = "container"
    CGROUP = "cgroup"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Service:
    """What stays the same over restarts and over forked workers."""

    kind: ServiceKind
    name: str

    @property
    def target(self) -> Target:
        """The target of this service's summed series."""
        return _service_target(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """Who a process is: what changes rarely and names it in a report."""

    identity: ProcessIdentity
    name: str
    """``comm`` as the kernel gives it, undecodable bytes as surrogate escapes; escape at every output."""
    command: str
    """The command line, arguments separated by spaces; empty for kernel threads."""
    uid: int | None
    service: Service | None
    """None for kernel threads."""
    unanswered: bool = field(default=False, compare=False)
    """Whether it hung when it was asked for its command line."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a service is, as far as its control group's path tells; what it does not tell is empty."""

    groups: tuple[str, ...] = ()
    """Its own control groups where the memory controller has them: several for workers that are units of their own."""
    engine: str = ""
    """``docker``, ``podman``, ``containerd``, ``cri-o``, ``lxc``, ``nspawn``, ``machine``."""
    container: str = ""
    """The container's full id, or the name its engine gave the group."""
    pod: str = ""
    qos: str = ""
    """Kubernetes' class: ``guaranteed``, ``burstable``, ``besteffort``."""
    user_slice: str = ""
    """``user-1000.slice`` of what a person has started."""
    session: str = ""
    """``session-3.scope`` of what was started from a login."""
