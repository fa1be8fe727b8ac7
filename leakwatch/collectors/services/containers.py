"""Which container, and pod, a control group's path names.

Known are docker, podman, containerd, cri-o, Kubernetes, lxc, nspawn, libvirt, ECS, Nomad and Cloud Foundry.

Both of runc's drivers: with cgroupfs a group is called by the id alone (``/docker/ID``,
``/kubepods/burstable/podUID/ID``), with systemd it is a scope (``docker-ID.scope`` in
``kubepods-burstable-podUID.slice``, the UID's hyphens as ``_``).

What people call a container, from files its engine keeps on this machine; no daemon is asked.

An id is another one each time a container is made anew, as by ``docker compose up`` and by every restart in
Kubernetes; the name stays. Where the files cannot be read, as of rootless engines below a home, the id has to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leakwatch.procfs.files import listed, read_file
from leakwatch.procfs.pid.cgroup import CgroupPaths

ID_SHOWN = 12
"""Digits of an id that docker, podman and crictl print, and take back."""
_ID = re.compile(r"^(?P<by>.*[-:])?(?P<id>[0-9a-f]{64})(?:\.scope)?$")
"""``ID``, ``docker-ID.scope``, ``cri-containerd-ID.scope``, ``SLICE:cri-containerd:ID``. All have ids of 64 digits; a
shorter number may be anybody's group, such as a whole session of unrelated programs."""
_ECS = re.compile(r"^[0-9a-f]{32}-\d{1,20}$")
"""A container of Amazon ECS on Fargate: its task's id and a number, in ``/ecs/TASK``; the task is what lasts."""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NOMAD = re.compile(rf"^{_UUID}\.(?P<task>.+)\.scope$")
"""A task of Nomad, behind the id of its allocation, which is another one each time it is placed."""
_DOMAIN = re.compile(r"^(?P<driver>qemu|lxc|xen)-\d+-(?P<name>.+)$")
"""What libvirt calls a machine: with a number that counts its starts."""
_NOT_INSIDE = re.compile(r"conmon|libpod-payload")
"""The monitor of a container runs outside of it; ``libpod-payload`` lies in a unit that names the container better."""
_NAMED = re.compile(
    r"^(?:lxc\.payload\.(?P<lxc>.+)|machine-(?P<machine>.+)\.scope|systemd-nspawn@(?P<nspawn>.+)\.service)$"
)
_POD = re.compile(r"(?:^|-)pod(?P<uid>[0-9a-f][0-9a-f_-]{3,35})(?:\.slice)?(?::|$)")
"""``podUID``, ``kubepods-burstable-podUID.slice``; a static pod's UID is a hash without hyphens."""
_PODMAN_POD = re.compile(r"^(?:machine|user)-libpod_pod_(?P<id>[0-9a-f]{64})\.slice$")
_ENGINES = (
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
    ("docker", "docker"),
    ("default", "containerd"),  # the name space that ctr and nerdctl use, with cgroupfs
)
_QOS = ("burstable", "besteffort")


@dataclass(frozen=True, slots=True)
class Container:
    """What a path says of a container."""

    name: str
    """Its full id, or its name where the engine calls groups by names."""
    engine: str
    """``docker``, ``podman``, ``containerd``, ``cri-o``, ``lxc``, ``garden``, ``ecs``, ``nomad``, ``nspawn``,
    ``machine``; empty where nobody tells."""
    group: str
    """The path of its control group."""
    inside: str = ""
    """What follows in the path: not empty where it runs systemd, or makes groups, itself."""
    pod: str = ""
    """The pod's UID, or the id of podman's pod."""
    qos: str = ""
    """Kubernetes' class, ``guaranteed``, ``burstable`` or ``besteffort``; empty outside of Kubernetes."""

    @property
    def short(self) -> str:
        """The name as people use it: of an id the first 12 digits."""
        return self.name[:ID_SHOWN] if _ID.match(self.name) or _ECS.match(self.name) else self.name


def container_among(cgroup: CgroupPaths) -> Container | None:
    """Return the container the control groups name, None where none does."""
    return next((found for entry in cgroup.entries if (found := container_of(entry.path))), None)


def container_of(path: str) -> Container | None:
    """Return the innermost container of a path."""
    parts = path.split("/")
    for at in reversed(range(len(parts))):
        named = _named(parts, at)
        if named is not None:
            name, engine = named
            pod, qos = _pod(parts[: at + 1])
            return Container(name, engine, "/".join(parts[: at + 1]), "/".join(parts[at + 1 :]), pod, qos)
    return None


def _named(parts: Sequence[str], at: int) -> tuple[str, str] | None:
    part = parts[at]
    by_id = _ID.match(part)
    if by_id:
        if _NOT_INSIDE.search(by_id["by"] or ""):
            return None
        hints = (by_id["by"] or "", *reversed(parts[:at]))
        return by_id["id"], next((engine for hint in hints if (engine := _engine(hint))), "")
    if _ECS.match(part) and "ecs" in parts[:at]:
        return part, "ecs"
    if nomad := _NOMAD.match(part):
        return _unescaped(nomad["task"]), "nomad"
    named = _NAMED.match(part)
    if named and (named["nspawn"] is None or "payload" in parts[at + 1 :]):
        engine = next(kind for kind in ("lxc", "machine", "nspawn") if named[kind])
        name = _unescaped(named[engine])
        domain = _DOMAIN.match(name) if engine == "machine" else None
        return (f"{domain['driver']}-{domain['name']}" if domain else name), engine
    # Of version 1, /lxc/NAME; of Cloud Foundry, /garden/HANDLE.
    return (part, parts[at - 1]) if part and at and parts[at - 1] in ("lxc", "garden") else None


def _engine(hint: str) -> str:
    """Return the engine that calls groups like this: by the prefix of the name, or the group all of its own are in."""
    last = hint.rpartition(":")[0].rpartition(":")[2] or hint  # SLICE:cri-containerd:
    return next((engine for prefix, engine in _ENGINES if last.startswith(prefix) and ".service" not in last), "")


def _pod(parts: Sequence[str]) -> tuple[str, str]:
    if len(parts) > 2 and parts[-3] == "libpod_parent":  # podman with cgroupfs: /libpod_parent/POD/ID
        return parts[-2], ""
    for part in reversed(parts):
        podman = _PODMAN_POD.match(part)
        if podman:
            return podman["id"], ""
        found = _POD.search(part)
        if found:
            path = "/".join(parts)
            return found["uid"].replace("_", "-"), next((qos for qos in _QOS if qos in path), "guaranteed")
    return "", ""


def _unescaped(name: str) -> str:
    r"""Undo systemd-escape(1): ``\x2d`` is a hyphen."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), name)


_LOG = re.compile(r"^(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log$")
"""The kubelet's links in /var/log/containers, whatever the engine."""
_RANDOM = "bcdfghjklmnpqrstvwxz2456789"
"""The letters Kubernetes makes random names of (apimachinery, util/rand)."""
_POD_NAME = re.compile(rf"^(?P<workload>.+?)(?:-[{_RANDOM}]{{8,10}}|-\d{{8}})?-[{_RANDOM}]{{5}}$")
"""A Deployment's ``web-7d4b9c6f5-x2x9z``, a DaemonSet's ``proxy-x2x9z``, a CronJob's ``backup-28312345-x2x9z``."""
_PODMAN_DRIVERS = ("overlay", "btrfs", "zfs", "vfs")
_LARGEST = 4 << 20
_MOST_KNOWN = 4096
"""Names kept: a machine that makes containers all day must not make us grow. Those that are there are read again."""


class ContainerNames:
    """Reads names below the root of the machine that a /proc tree belongs to."""

    def __init__(self, host_root: str | None) -> None:
        self._root = host_root
        self._known: dict[str, str] = {}

    def name_of(self, container: Container) -> str | None:
        """Return the container's name, ``NAMESPACE/WORKLOAD/CONTAINER`` in Kubernetes; None where nobody tells."""
        if self._root is None:
            return None
        if container.name not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            if container.qos:
                self._read_kubernetes()
            elif container.engine == "docker":
                self._read_docker(container.name)
            elif container.engine == "podman":
                self._read_podman()
        return self._known.get(container.name)

    def _read_kubernetes(self) -> None:
        try:
            links = listed(f"{self._root}/var/log/containers")
        except OSError:
            return
        # Those of containers that are gone are gone from the listing, too.
        self._known = {
            found["id"]: f"{found['namespace']}/{workload_of(found['pod'])}/{found['container']}"
            for link in links
            if (found := _LOG.match(link))
        }

    def _read_docker(self, id_: str) -> None:
        config = _json(f"{self._root}/var/lib/docker/containers/{id_}/config.v2.json")
        name = config.get("Name") if isinstance(config, dict) else None
        if isinstance(name, str) and name.strip("/"):
            self._known[id_] = name.strip("/")

    def _read_podman(self) -> None:
        for driver in _PODMAN_DRIVERS:
            self._take_podman(_json(f"{self._root}/var/lib/containers/storage/{driver}-containers/containers.json"))

    def _take_podman(self, rows: Any) -> None:
        for row in rows if isinstance(rows, list) else ():
            id_, names = (row.get("id"), row.get("names")) if isinstance(row, dict) else (None, None)
            if isinstance(id_, str) and isinstance(names, list) and names and isinstance(names[0], str):
                self._known[id_] = names[0]


def workload_of(pod: str) -> str:
    """Return what a pod's name keeps when the pod is made anew: that of its Deployment, DaemonSet or Job, if any."""
    found = _POD_NAME.match(pod)
    return found["workload"] if found else pod


def _json(path: str) -> Any:
    try:
        return json.loads(read_file(path, limit=_LARGEST))
    except (OSError, ValueError):
        return None
