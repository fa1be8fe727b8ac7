"""Which service a process belongs to: what stays the same over restarts and over forked workers.

A systemd unit, else a container, else a control group of its own, else the program: executable, script, subcommand.
Pure functions of what /proc says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leakwatch.model import Service, ServiceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.procfs.pid_cgroup import CgroupPaths

_CONTAINER = re.compile(
    r"(?:^|/)(?:docker|libpod|cri-containerd|crio|lxc|lxc\.payload|machine|nspawn)[-./:]([^/]+?)(?:\.scope)?(?=/|$)"
)
_KUBERNETES = re.compile(r"/kubepods.*?/(?:[a-z-]+-)?([0-9a-f]{12,64})(?:\.scope)?(?=/|$)")
_AMBIENT_UNIT = re.compile(r"^(?:user@\d+\.service|init\.scope|session-.*\.scope|.*\.slice)$")
_AMBIENT_SCOPE = re.compile(r"^(?:app|run|vte-spawn|gnome|dbus)-.*\.scope$")
_SUBCOMMAND = re.compile(r"^[a-z][a-z0-9_-]{1,23}$")
_INTERPRETER = re.compile(
    r"^(?:python|pypy|perl|ruby|node|nodejs|php|bash|dash|sh|zsh|ksh|lua|Rscript|deno|bun)[\d.]*$"
)
_OPTION_WITH_VALUE = {
    "python": {"-W", "-X", "--check-hash-based-pycs"},
    "java": {
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-opens",
        "--add-modules",
        "--add-exports",
    },
    "node": {"-r", "--require", "--import"},
}


def service_of(cgroup: CgroupPaths | None, name: str, exe: str | None, args: Sequence[str]) -> Service:
    """Return the service; ``exe`` is None where it may not be read, ``args`` empty where there are none."""
    if cgroup is not None:
        paths = [entry.path for entry in cgroup.entries]
        unit = next((found for path in paths if (found := unit_of(path))), None)
        container = next((found for path in paths if (found := container_of(path))), None)
        if container:  # a unit of the container's own engine (docker-ID.scope) is no name a person knows
            return Service(ServiceKind.CONTAINER, container)
        if unit:
            return Service(ServiceKind.UNIT, unit)
        # Version 1's other hierarchies are limits somebody set, and may hold a whole session of programs.
        own = next((p for p in (cgroup.systemd, cgroup.unified) if p and p != "/"), None)
        if own and _is_own(own):
            return Service(ServiceKind.CGROUP, own)
    return Service(ServiceKind.PROGRAM, program_of(name, exe, args))


def unit_of(path: str) -> str | None:
    """Return the innermost systemd service of a control group's path, None for sessions, slices and bare scopes."""
    for part in reversed(path.split("/")):
        if part.endswith(".service") and not _AMBIENT_UNIT.match(part):
            return part
    return None


def container_of(path: str) -> str | None:
    """Return a container's name or the first 12 digits of its id."""
    found = _KUBERNETES.search(path) or _CONTAINER.search(path)
    if found is None:
        return None
    name = found[1]
    return name[:12] if re.fullmatch(r"[0-9a-f]{32,64}", name) else name


def _is_own(path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] == ".." or "user.slice" in parts:
        return False
    return not (_AMBIENT_UNIT.match(parts[-1]) or _AMBIENT_SCOPE.match(parts[-1]))


def program_of(name: str, exe: str | None, args: Sequence[str]) -> str:
    """Return e.g. ``python3 worker.py``, ``java -jar app.jar``, ``git fetch`` or plainly ``redis-server``."""
    program = (exe or "").removesuffix(" (deleted)").rpartition("/")[2] or (
        args[0].rpartition("/")[2] if args else name
    )
    words = _words(program, args[1:])
    return " ".join([program, *words])


def _words(program: str, rest: Sequence[str]) -> list[str]:
    if program == "java":
        return _java_words(rest)
    if _INTERPRETER.match(program):
        return _script_words(program, rest)
    return [rest[0]] if rest and _SUBCOMMAND.match(rest[0]) else []


def _script_words(program: str, rest: Sequence[str]) -> list[str]:
    takes_value = _OPTION_WITH_VALUE.get(program.rstrip("0123456789."), set())
    at = 0
    while at < len(rest):
        word = rest[at]
        if word == "-m" and at + 1 < len(rest):
            return ["-m", rest[at + 1], *_subcommand(rest[at + 2 :])]
        if word in ("-c", "-e"):
            return [word]
        if not word.startswith("-"):
            return [word.rpartition("/")[2], *_subcommand(rest[at + 1 :])]
        at += 2 if word in takes_value else 1
    return []


def _subcommand(rest: Sequence[str]) -> list[str]:
    return [rest[0]] if rest and _SUBCOMMAND.match(rest[0]) else []


def _java_words(rest: Sequence[str]) -> list[str]:
    at = 0
    while at < len(rest):
        word = rest[at]
        if word == "-jar" and at + 1 < len(rest):
            return ["-jar", rest[at + 1].rpartition("/")[2]]
        if not word.startswith("-"):
            return [word]
        at += 2 if word in _OPTION_WITH_VALUE["java"] else 1
    return []
