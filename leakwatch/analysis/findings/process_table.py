"""Who is there: the processes that are judged, the services they make up, and who owns them."""

from __future__ import annotations

import pwd
import threading
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

from leakwatch.config import IgnoreConfig, matches
from leakwatch.model.identity import ProcessInfo, Service, Target

ANSWER_S = 2.0
"""How long a user's name may take: NSS asks LDAP, which may never answer. Until then a user is a number."""
NAMES_KEPT = 4096
"""User names remembered: a machine that makes users all day must not make us grow."""


class UserNames:
    """Names of users, looked up once. Asking for them may take time; what is known is there at once."""

    def __init__(self, lookup: Callable[[int], str] | None = None) -> None:
        self._lookup = lookup or _by_nss
        self._known: dict[int, str] = {}
        self._wanted: set[int] = set()
        self._asking: threading.Thread | None = None

    def known(self, uid: int) -> str | None:
        """Return the name without asking anybody, None where it is not known yet: it is wanted from then on."""
        name = self._known.get(uid)
        if name is None:
            self._wanted.add(uid)
        return name

    def name(self, uid: int) -> str:
        """Return the name, its number where there is none or none is told in time."""
        self.ask({uid})
        return self._known.get(uid, str(uid))

    def ask_for_wanted(self) -> None:
        """Look up the names that were wanted and not known."""
        wanted, self._wanted = self._wanted, set()
        self.ask(wanted)

    def ask(self, uids: AbstractSet[int]) -> None:
        """Look up names, for two seconds at most; while one hangs, no other is asked for."""
        missing = sorted(uids - self._known.keys())
        if not missing or (self._asking is not None and self._asking.is_alive()):
            return
        if len(self._known) + len(missing) > NAMES_KEPT:
            self._known = {}
        asking = threading.Thread(target=self._look_up, args=(missing,), name="user names", daemon=True)
        try:
            asking.start()
        except RuntimeError:  # no further thread: a number will do
            return
        self._asking = asking
        asking.join(ANSWER_S)

    def _look_up(self, uids: list[int]) -> None:
        for uid in uids[:NAMES_KEPT]:
            self._known[uid] = self._lookup(uid)


def _by_nss(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return str(uid)


class ProcessTable:
    """The processes of the newest scrape, without those that are to be ignored."""

    def __init__(self, ignore: IgnoreConfig, name_of: Callable[[int], str | None] | None = None) -> None:
        """``name_of`` tells a user's name; where it does not know one yet, its processes are not ignored by it."""
        self._ignore = ignore
        self._ignores_any = bool(ignore.processes or ignore.services or ignore.users)
        self._name_of = name_of or UserNames().name
        self._processes: dict[Target, ProcessInfo] = {}
        self._members: dict[Target, frozenset[Target]] = {}

    def update(self, processes: Iterable[ProcessInfo]) -> None:
        """Take the processes there are now."""
        kept = (info for info in processes if not self._ignored(info)) if self._ignores_any else processes
        self._processes = {info.identity.target: info for info in kept}

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

    def pids(self) -> frozenset[int]:
        """Return the ids of all processes."""
        return frozenset(info.identity.pid for info in self._processes.values())

    def by_service(self) -> dict[Service, list[ProcessInfo]]:
        """Return the processes of each service."""
        services: dict[Service, list[ProcessInfo]] = {}
        for info in self._processes.values():
            if info.service is not None:
                services.setdefault(info.service, []).append(info)
        return services

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

    def _ignored(self, info: ProcessInfo) -> bool:
        names = (info.service.name,) if info.service else ()
        return (
            matches(self._ignore.processes, info.name)
            or matches(self._ignore.services, *names)
            or self._is_of_ignored_user(info.uid)
        )

    def _is_of_ignored_user(self, uid: int | None) -> bool:
        if uid is None or not self._ignore.users:
            return False
        name = self._name_of(uid)
        return matches(self._ignore.users, str(uid), *(() if name is None else (name,)))


def owner_of(infos: Iterable[ProcessInfo]) -> int | None:
    """Return the id of the user all of these processes belong to, None where there is no one user."""
    uids = {info.uid for info in infos}
    return uids.pop() if len(uids) == 1 else None
