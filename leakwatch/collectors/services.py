"""Which service a process belongs to: what stays the same over restarts and over forked workers.

A container, else a systemd unit, else a control group of its own, else the program (``programs``).
Pure functions of what /proc says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakwatch.collectors.programs import program_of
from leakwatch.model import Service, ServiceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.procfs.pid_cgroup import CgroupPaths

_CONTAINER_ID = re.compile(r"^(?P<by>.*[-:])?(?P<id>[0-9a-f]{64})(?:\.scope)?$")
"""docker, podman, cri-o, containerd and Kubernetes on either cgroup driver: ``ID``, ``docker-ID.scope``,
``cri-containerd-ID.scope``, ``SLICE:cri-containerd:ID``. All have ids of 64 digits; a shorter number may be anybody's
group, such as a whole session of unrelated programs."""
_NOT_INSIDE = re.compile(r"conmon|libpod-payload")
"""The monitor of a container runs outside of it; ``libpod-payload`` lies in a unit that names the container better."""
_CONTAINER_NAME = re.compile(
    r"^(?:lxc\.payload\.(?P<lxc>.+)|machine-(?P<machine>.+)\.scope|systemd-nspawn@(?P<nspawn>.+)\.service)$"
)
_AMBIENT_UNIT = re.compile(r"^(?:user@\d+\.service|init\.scope|session-.*\.scope|.*\.slice|supervisor|payload)$")
_AMBIENT_SCOPE = re.compile(r"^(?:(?:app|run|vte-spawn|gnome|dbus)-.*|.*conmon-.*)\.scope$")


def service_of(
    cgroup: CgroupPaths | None, name: str, exe: str | None, args: Sequence[str], home: str | None = None
) -> Service:
    """Return the service; ``exe`` is None where it may not be read, ``args`` empty where there are none.

    ``home`` is the container we run in ourselves: seen from inside it is the machine, and tells no two apart.
    """
    if cgroup is not None:
        container = container_among(cgroup)
        if container and container != home:  # before the unit, which may be the engine's own (containerd.service)
            return Service(ServiceKind.CONTAINER, container)
        unit = next((found for entry in cgroup.entries if (found := unit_of(entry.path))), None)
        if unit:
            return Service(ServiceKind.UNIT, unit)
        # Version 1's other hierarchies are limits somebody set, and may hold a whole session of programs.
        own = next((p for p in (cgroup.systemd, cgroup.unified) if p and p != "/"), None)
        if own and _is_own(own):
            return Service(ServiceKind.CGROUP, own)
    return Service(ServiceKind.PROGRAM, program_of(name, exe, args))


def container_among(cgroup: CgroupPaths) -> str | None:
    """Return the container the control groups name, None where none does."""
    return next((found for entry in cgroup.entries if (found := container_of(entry.path))), None)


def unit_of(path: str) -> str | None:
    """Return the innermost systemd service of a control group's path, None for sessions, slices and bare scopes."""
    for part in reversed(path.split("/")):
        if part.endswith(".service") and not _AMBIENT_UNIT.match(part):
            return part
    return None


def container_of(path: str) -> str | None:
    """Return a container's name or the first 12 digits of its id; with ``/UNIT`` where it runs systemd itself."""
    parts = path.split("/")
    for at in reversed(range(len(parts))):
        name = _container_name(parts, at)
        if name:
            unit = unit_of("/".join(parts[at + 1 :]))
            return f"{name}/{unit}" if unit else name
    return None


def _container_name(parts: Sequence[str], at: int) -> str | None:
    part = parts[at]
    by_id = _CONTAINER_ID.match(part)
    if by_id:
        return None if _NOT_INSIDE.search(by_id["by"] or "") else by_id["id"][:12]
    named = _CONTAINER_NAME.match(part)
    if named and (named["nspawn"] is None or "payload" in parts[at + 1 :]):
        return _unescaped(named["lxc"] or named["machine"] or named["nspawn"])
    return part if at and parts[at - 1] == "lxc" else None  # of version 1: /lxc/NAME


def _unescaped(name: str) -> str:
    r"""Undo systemd-escape(1): ``\x2d`` is a hyphen."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)


def _is_own(path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] == ".." or "user.slice" in parts:
        return False
    return not (_AMBIENT_UNIT.match(parts[-1]) or _AMBIENT_SCOPE.match(parts[-1]))
