"""Whose a service is, from the paths of its control groups: engine, container, pod, a person's slice and session."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import lru_cache

from leakwatch.collectors.services.containers import container_among
from leakwatch.model.identity import Owner
from leakwatch.procfs.pid.cgroup import CgroupPaths

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
