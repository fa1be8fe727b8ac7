"""Who is there: the processes that are judged, the services they make up, and who owns them."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING

from leakwatch.config import matches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from leakwatch.config import IgnoreConfig
    from leakwatch.model import ProcessInfo, Service, Target


class Roster:
    """The processes of the newest scrape, without those that are to be ignored."""

    def __init__(self, ignore: IgnoreConfig) -> None:
        self._ignore = ignore
        self._processes: dict[Target, ProcessInfo] = {}
        self._members: dict[Target, frozenset[Target]] = {}
        self._users: dict[int, str] = {}

    def update(self, processes: Iterable[ProcessInfo]) -> None:
        """Take the processes there are now."""
        self._processes = {info.identity.target: info for info in processes if not self._ignored(info)}

    def targets(self) -> Collection[Target]:
        """Return the processes there are."""
        return self._processes.keys()

    def process(self, target: Target) -> ProcessInfo | None:
        """Return who a process is, None when it is gone or ignored."""
        return self._processes.get(target)

    def oldest(self) -> dict[Target, ProcessInfo]:
        """Return the oldest process of each service: of forked workers their parent, another one after a restart."""
        oldest: dict[Target, ProcessInfo] = {}
        for info in self._processes.values():
            if info.service is not None:
                first = oldest.setdefault(info.service.target, info)
                oldest[info.service.target] = min(first, info, key=lambda one: one.identity.start_ticks)
        return oldest

    def services(self) -> list[tuple[Target, Service | None]]:
        """Return each process's target and service."""
        return [(target, info.service) for target, info in self._processes.items()]

    def members(self, service: Target) -> list[ProcessInfo]:
        """Return the processes of a service, as of the last ``changed_services``."""
        return [self._processes[target] for target in self._members.get(service, ()) if target in self._processes]

    def changed_services(self) -> set[Target]:
        """Return the services whose processes are not those of the last call."""
        members: dict[Target, set[Target]] = {}
        for target, service in self.services():
            if service is not None:
                members.setdefault(service.target, set()).add(target)
        now = {service: frozenset(targets) for service, targets in members.items()}
        changed = {service for service, targets in now.items() if self._members.get(service) != targets}
        self._members = now
        return changed

    def owner(self, infos: Iterable[ProcessInfo]) -> str | None:
        """Return the name of the user all of these processes belong to, None where there is no one user."""
        uids = {info.uid for info in infos}
        uid = uids.pop() if len(uids) == 1 else None
        return None if uid is None else self._user(uid)

    def _ignored(self, info: ProcessInfo) -> bool:
        names = (info.service.name,) if info.service else ()
        return (
            matches(self._ignore.processes, info.name)
            or matches(self._ignore.services, *names)
            or (info.uid is not None and matches(self._ignore.users, self._user(info.uid), str(info.uid)))
        )

    def _user(self, uid: int) -> str:
        if uid not in self._users:
            try:
                self._users[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                self._users[uid] = str(uid)
        return self._users[uid]
