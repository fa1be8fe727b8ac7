"""Which service a process belongs to: what stays the same over restarts and over forked workers.

A container, else a systemd unit, else a control group of its own, else the program (``programs``).
Pure functions of what /proc says. How units are keyed:

- ``foo.service`` is itself, in a container ``CONTAINER/foo.service``, of a user's manager ``user@UID/foo.service``.
- Instances of a template are services of their own where the instance names something that lasts
  (``postgresql@15-main``, ``redis@6379``); where it only counts workers or connections they are one ``foo@.service``.
- A unit that ``systemd-run`` numbered anew, a login session and a user's manager say nothing: there it is the program.
- So do the groups of batch jobs and their steps, and whatever is called by a number that is another one next time. What
  stands before a process of Android (``/uid_10123/pid_4567``) lasts.

What a process runs, from its executable and arguments: the name of a service that nothing else names.

It is the same after a restart and for all workers: it has the script and the subcommand but no further argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leakwatch.collectors.services.containers import Container, container_among, container_of
from leakwatch.model.identity import Service, ServiceKind
from leakwatch.procfs.pid.cgroup import CgroupPaths

_SUBCOMMAND = re.compile(r"^[a-z][a-z0-9_-]{1,23}$")
_LONGEST = 120
"""Characters of a program's name: arguments are as long as whoever starts it likes."""
_MULTICALL = frozenset({"busybox", "toybox", "coreutils"})
"""One executable, many programs: the first argument says which."""
_BEFORE_NUMBER = ("-", "_", "#", ".")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")


@dataclass(frozen=True, slots=True)
class _Options:
    """What an interpreter's options mean for the question which script it runs."""

    code: str
    """Letters of short options, alone or last of a cluster, after which code follows instead of a script."""
    with_value: frozenset[str] = frozenset()
    """Options whose value is the next argument."""


_INTERPRETERS = {
    "python": _Options("c", frozenset({"-W", "-X", "--check-hash-based-pycs"})),
    "pypy": _Options("c", frozenset({"-W", "-X"})),
    "perl": _Options("eE", frozenset({"-I"})),
    "ruby": _Options("e", frozenset({"-r", "-I", "-C"})),
    "node": _Options("ep", frozenset({"-r", "--require", "--import", "-C", "--conditions"})),
    "php": _Options("r", frozenset({"-c", "-d"})),
    "lua": _Options("e", frozenset({"-l"})),
    "Rscript": _Options("e"),
    "deno": _Options(""),
    "bun": _Options("e"),
    **{shell: _Options("c", frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})) for shell in _SHELLS},
}
_INTERPRETERS["nodejs"] = _INTERPRETERS["node"]
_JAVA_WITH_VALUE = frozenset({
    "-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-opens", "--add-modules", "--add-exports",
})  # fmt: skip


def program_of(name: str, exe: str | None, args: Sequence[str]) -> str:
    """Return e.g. ``python3 worker.py``, ``java -jar app.jar``, ``git fetch`` or plainly ``redis-server``."""
    program = _base((exe or "").removesuffix(" (deleted)")) or _program_by_title(name, args)
    text = " ".join([program, *_words(program, args)])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _program_by_title(name: str, args: Sequence[str]) -> str:
    """Return the program where its executable may not be read: of ``postgres: checkpointer`` it is ``postgres``."""
    if not args or not args[0]:
        return name
    title = args[0].split(" ")[0].removesuffix(":") if len(args) == 1 else args[0]
    return _base(title.removeprefix("-")) or name  # a login shell has a dash before its name


def _words(program: str, args: Sequence[str]) -> list[str]:
    rest = args[1:]
    if program in _MULTICALL:
        return [_base(args[0].split(" ")[0])] if args and _base(args[0]) != program else list(rest[:1])
    if program == "java":
        return _java_words(rest)
    kind = program.rstrip("0123456789.")
    if kind in _INTERPRETERS and (title := _title(args)):
        return [title]
    return _script_words(_INTERPRETERS[kind], rest) if kind in _INTERPRETERS else _subcommand(rest)


def _title(args: Sequence[str]) -> str:
    """Return the first word of a title the program gave itself (``setproctitle``), empty where there is none.

    gunicorn calls its processes ``gunicorn: master [app:app]`` and ``gunicorn: worker [app:app]``, puma ``puma: cluster
    worker 0: 812 [app]``, a worker of its own making perhaps ``worker-3``: numbers count, they name nothing.
    """
    if len(args) != 1 or " " not in args[0].strip():
        return ""
    first = args[0].split()[0].lstrip("[(").rstrip(":])")
    stem = first.rstrip("0123456789")
    return _base(stem[:-1] if stem != first and stem[-1:] in _BEFORE_NUMBER else stem)


def _script_words(options: _Options, rest: Sequence[str]) -> list[str]:
    at = 0
    while at < len(rest):
        word = rest[at]
        if not word.startswith(("-", "+")):
            return [_base(word), *_subcommand(rest[at + 1 :])]
        if word in options.with_value:
            at += 2
            continue
        cluster = word[1:] if word[1:].isalpha() else ""
        if options is _INTERPRETERS["python"] and cluster.endswith("m") and at + 1 < len(rest):
            return ["-m", rest[at + 1], *_subcommand(rest[at + 2 :])]
        if (cluster and cluster[-1] in options.code) or word in ("--eval", "--print"):
            return [f"-{cluster[-1]}" if cluster else word]
        at += 1
    return []


def _subcommand(rest: Sequence[str]) -> list[str]:
    return [rest[0]] if rest and _SUBCOMMAND.match(rest[0]) else []


def _java_words(rest: Sequence[str]) -> list[str]:
    at = 0
    while at < len(rest):
        word = rest[at]
        if word == "-jar" and at + 1 < len(rest):
            return ["-jar", _base(rest[at + 1])]
        if not word.startswith("-"):
            return [word]
        at += 2 if word in _JAVA_WITH_VALUE else 1
    return []


_TRANSIENT = re.compile(r"^run-(?:r[0-9a-f]{32}|u\d+|p\d+-i\d+|\d+)\.(?:service|scope)$")
"""What ``systemd-run`` calls a unit that was given no name: another one each time."""
_JOB = re.compile(
    r"/job_\d+(?:/|$)|/step_(?:\d+|batch|extern|interactive)(?:/|$)"  # Slurm, under slurmstepd.scope or /slurm/uid_1000
    r"|/(?:pbs[^/]*|torque)/(?:jobid/)?\d[^/]*|/lsf/[^/]+/job[._][^/]*|/(?:uge|sge|oge)/\d[^/]*|/oar/[^/]*\d[^/]*"
    r"|/(?:htcondor|condor[^/]*)/[^/]*(?:slot|dir_)\d[^/]*|/(?:hadoop-yarn|yarn)/container_[^/]*"
    r"|/buildkit/[^/]+|/imp-shell-[^/]*\.service",  # Flux
    re.IGNORECASE,
)
"""A job's own group, whoever started it: its processes are told apart by what they run."""
_PID = re.compile(r"^pid_\d+$")
_ISOLATED = re.compile(r"^uid_\d*9\d{4}$")
"""Android's isolated processes: their user is another one each time (android.os.Process, FIRST_ISOLATED_UID)."""
_FLEETING = re.compile(
    r"^(?:\d+|(?:pid|task|step|job|run|build|attempt)[-_.]?\d[\d_.-]*"
    r"|(?:.*[-_.])?(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,})(?:\.scope|\.slice)?"
    r"|.*[-_]\d+\.scope)$"
)
"""What is called by a number: a process, a step, a random id. It is another one next time."""
_DBUS = re.compile(r"^dbus-:\d+\.\d+-(?P<name>.+@)\d+\.service$")
"""A service that the bus starts, behind the number of the bus's connection."""
_AMBIENT_UNIT = re.compile(r"^(?:user@\d+\.service|init\.scope|session-.*\.scope|.*\.slice|supervisor|payload)$")
_AMBIENT_SCOPE = re.compile(r"^(?:(?:app|run|vte-spawn|gnome|dbus)-.*|.*conmon-.*)\.scope$")
_COUNTER = re.compile(r"^(?:\d{1,3}|\d+-[0-9a-fx.:_\\-]+)$")
"""An instance that only counts: a worker below a thousand (more digits are a port or a user id, which last), or what
systemd numbers itself: ``3-127.0.0.1:22-10.0.0.9:5022`` of a socket with ``Accept=yes``, ``12-3456-0`` of a crash."""
_TEMPLATE = re.compile(r"^(?P<template>[^@]+@)(?P<instance>[^@]+)\.service$")
_RANDOM_APP = re.compile(r"^app-.+@[0-9a-f]{8,32}\.service$")
"""A desktop's application (systemd.io/DESKTOP_ENVIRONMENTS): the instance is another number at each start."""
_USER_MANAGER = re.compile(r"^user@(?P<uid>\d+)\.service$")


def service_of(
    cgroup: CgroupPaths | None,
    name: str,
    exe: str | None,
    args: Sequence[str],
    home: str | None = None,
    name_of: Callable[[Container], str | None] | None = None,
) -> Service:
    """Return the service; ``exe`` is None where it may not be read, ``args`` empty where there are none.

    ``home`` is the container we run in ourselves: seen from inside it is the machine, and tells no two apart.
    ``name_of`` tells what people call a container, where that is known: an id is another one when it is made anew.
    """
    if cgroup is not None:
        container = container_among(cgroup)
        if container and container.name != home:  # before the unit, which may be the engine's own (containerd.service)
            return Service(ServiceKind.CONTAINER, _called(container, name_of))
        if any(_JOB.search(entry.path) for entry in cgroup.entries):
            return Service(ServiceKind.PROGRAM, program_of(name, exe, args))
        unit = next((found for entry in cgroup.entries if (found := unit_of(entry.path))), None)
        if unit:
            return Service(ServiceKind.UNIT, unit)
        # Version 1's other hierarchies are limits somebody set, and may hold a whole session of programs.
        own = next((lasting(p) for p in (cgroup.systemd, cgroup.unified) if p and p != "/"), None)
        if own and _is_own(own):
            return Service(ServiceKind.CGROUP, own)
    return Service(ServiceKind.PROGRAM, program_of(name, exe, args))


def lasting(path: str) -> str:
    """Return the part of a path that is there after a restart; empty where that names nothing."""
    parts = path.split("/")
    at = next((at for at, part in enumerate(parts) if _PID.match(part)), len(parts))
    kept = parts[:at]
    return "" if any(_FLEETING.match(part) or _ISOLATED.match(part) for part in kept) else "/".join(kept)


def _called(container: Container, name_of: Callable[[Container], str | None] | None) -> str:
    name = (name_of(container) if name_of else None) or container.short
    unit = unit_of(container.inside)
    return f"{name}/{unit}" if unit else name


def unit_of(path: str) -> str | None:
    """Return the innermost systemd service of a control group's path, None for sessions, slices and bare scopes."""
    parts = path.split("/")
    at = _unit_at(parts)
    if at is None:
        return None
    manager = next((found for part in reversed(parts[:at]) if (found := _USER_MANAGER.match(part))), None)
    unit = _without_counter(parts[at])
    return f"user@{manager['uid']}/{unit}" if manager else unit


def _unit_at(parts: Sequence[str]) -> int | None:
    for at in reversed(range(len(parts))):
        part = parts[at]
        if part.endswith(".service") and not (_AMBIENT_UNIT.match(part) or _TRANSIENT.match(part)):
            return at
    return None


def _without_counter(unit: str) -> str:
    if bus := _DBUS.match(unit):
        return f"dbus-{bus['name']}.service"
    found = _TEMPLATE.match(unit)
    counts = found is not None and (_COUNTER.match(found["instance"]) or _RANDOM_APP.match(unit))
    return f"{found['template']}.service" if found and counts else unit


def group_within(path: str, service: Service) -> str | None:
    """Return the part of a path in the memory controller's hierarchy that is the service's own group, None without one.

    In version 1 a service has none there unless it has a memory setting; what is then named is the slice around it.
    """
    if service.kind is ServiceKind.CGROUP:
        return service.name if path == service.name or path.startswith(f"{service.name}/") else None
    if service.kind is ServiceKind.CONTAINER:
        container = container_of(path)
        if container is None:
            return None
        at = _unit_at(container.inside.split("/"))
        inside = container.inside.split("/")[: at + 1] if at is not None else []
        return "/".join([container.group, *inside])
    if service.kind is ServiceKind.UNIT and unit_of(path) == service.name:
        parts = path.split("/")
        at = _unit_at(parts)
        return None if at is None else "/".join(parts[: at + 1])
    return None


def _is_own(path: str) -> bool:
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] == ".." or "user.slice" in parts or any(map(_TRANSIENT.match, parts)):
        return False
    return not (_AMBIENT_UNIT.match(parts[-1]) or _AMBIENT_SCOPE.match(parts[-1]))
