"""What people call a container, from files its engine keeps on this machine; no daemon is asked.

An id is another one each time a container is made anew, as by ``docker compose up`` and by every restart in
Kubernetes; the name stays. Where the files cannot be read, as of rootless engines below a home, the id has to do.
"""

from __future__ import annotations

import json
import re
from typing import Any

from leakwatch.collectors.services.containers import Container
from leakwatch.procfs.files import listed, read_file

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
