"""What this machine lets leakwatch read, what is missing and which privilege it takes: the checks of ``doctor``."""

from __future__ import annotations

import os
import platform
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from leakwatch.clock import rfc3339
from leakwatch.config import Config, load_config
from leakwatch.errors import (
    EXIT_IO,
    ConfigError,
    LeakwatchError,
    PermissionNeededError,
    ProcUnavailableError,
    StoreNotFoundError,
    StorePathError,
    UsageError,
)
from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.host.mounts import effective_capabilities, hidepid, proc_options
from leakwatch.store.files.lock import reader_paths, writer_path
from leakwatch.store.maintenance.backup import OWN_SUFFIXES
from leakwatch.store.read.reader import Reader
from leakwatch.system.systemd import UNIT, ServiceManagerError, Systemctl
from leakwatch.text.escape import printable

READ = "CAP_DAC_READ_SEARCH"
PTRACE = "CAP_SYS_PTRACE"
CAPABILITIES = {2: READ, 19: PTRACE}
"""Bits of CapEff (capability.h)."""


class DoctorLine(NamedTuple):
    """One line of the diagnosis."""

    state: str
    """``ok``, ``partly``, ``missing``, ``wrong``, ``info``, or empty below another."""
    text: str
    needs: frozenset[str] = frozenset()
    """Capabilities that would open what is missing."""
    exit_code: int = 0
    """With which a daemon would end at once because of this."""


def diagnose(procfs: ProcFS, config_file: str | None, held: frozenset[str]) -> Iterator[DoctorLine]:
    """Yield the lines of the diagnosis, each when it is known; ``held`` are the capabilities we have.

    Raises ProcUnavailableError: without processes there is nothing to diagnose.
    """
    pids = procfs.pids()
    yield from _system(procfs, held)
    yield from _processes(procfs, pids, held)
    yield from _kernel(procfs)
    yield from _groups(procfs, pids)
    yield from _places(config_file)
    yield from _service()


def held_capabilities() -> frozenset[str]:
    """Return which of the two capabilities this process has in effect."""
    effective = effective_capabilities("/proc")
    return frozenset(name for bit, name in CAPABILITIES.items() if effective >> bit & 1)


def _system(procfs: ProcFS, held: frozenset[str]) -> Iterator[DoctorLine]:
    try:
        procfs.boot_id()
    except ProcUnavailableError as error:
        yield DoctorLine("wrong", str(error), exit_code=error.exit_code)
    if procfs.root != "/proc":
        yield DoctorLine("info", f"reading {procfs.root}, pages of {procfs.page_size // 1024} KiB")
        return
    yield DoctorLine(
        "info", f"kernel {platform.release()} ({platform.machine()}), pages of {procfs.page_size // 1024} KiB"
    )
    with_what = " and ".join(sorted(held)) or f"neither {READ} nor {PTRACE}"
    yield DoctorLine("info", f"running as uid {os.geteuid()} with {with_what}")
    yield from _mount_options(held)


def _mount_options(held: frozenset[str]) -> Iterator[DoctorLine]:
    """Say what the way /proc is mounted hides."""
    options = proc_options("/proc")
    hidden = hidepid(options)
    if hidden:
        group = f" or group {options['gid']}" if "gid" in options else ""
        state = "ok" if PTRACE in held else "partly"
        yield DoctorLine(
            state, f"/proc is mounted with hidepid={hidden}: it takes {PTRACE}{group} to see others' processes"
        )
        if state != "ok":
            yield DoctorLine("", "what is hidden is not even counted below", frozenset({PTRACE}))
    if options.get("subset") == "pid":
        yield DoctorLine(
            "missing", "/proc is mounted with subset=pid: nothing but processes can be seen; mount it without"
        )


def _processes(procfs: ProcFS, pids: Iterable[int], held: frozenset[str]) -> Iterator[DoctorLine]:
    memory: Counter[AbsenceReason] = Counter()
    files: Counter[AbsenceReason] = Counter()
    refused: list[int] = []
    silent: list[int] = []
    for pid in pids:
        use = procfs.memory(pid)
        if isinstance(use, Absence):
            memory[use.reason] += 1
            if use.reason is AbsenceReason.DENIED:
                refused.append(pid)
            elif use.reason is AbsenceReason.NO_ANSWER:
                silent.append(pid)
            continue
        memory[AbsenceReason.SKIPPED] += 1  # stands for those that were read
        fds = procfs.fd_count(pid)
        if isinstance(fds, Absence) and fds.reason is AbsenceReason.DENIED:
            files[fds.reason] += 1
    read = memory[AbsenceReason.SKIPPED]
    yield DoctorLine(
        "partly" if refused and read else "missing" if refused else "ok", f"USS, PSS and swap of {read} processes"
    )
    if refused:
        yield _refused(procfs, refused, held)
    if silent:
        yield DoctorLine("partly", f"does not answer, its memory map is locked: {_named(procfs, silent)}")
        yield DoctorLine("", f"what it waits for: sudo cat /proc/{silent[0]}/task/*/stack")
    if memory[AbsenceReason.NO_ADDRESS_SPACE]:
        threads = memory[AbsenceReason.NO_ADDRESS_SPACE]
        yield DoctorLine("info", f"{threads} kernel threads and zombies have no memory of their own")
    yield _open_files(read, files[AbsenceReason.DENIED], held)


def _refused(procfs: ProcFS, pids: list[int], held: frozenset[str]) -> DoctorLine:
    text = f"refused: {_named(procfs, pids)}; "
    if PTRACE in held:
        return DoctorLine("", f"{text}a security module or their own settings protect them even from {PTRACE}")
    return DoctorLine("", f"{text}judged by their anonymous memory instead; needs {PTRACE}", frozenset({PTRACE}))


def _named(procfs: ProcFS, pids: list[int]) -> str:
    """Return how many these are, with the names of the first."""
    stats = ((pid, procfs.stat(pid)) for pid in pids[:3])
    named = (f"{pid} ({'?' if isinstance(stat, Absence) else printable(stat.comm)})" for pid, stat in stats)
    return f"{len(pids)}, such as {', '.join(named)}"


def _open_files(read: int, denied: int, held: frozenset[str]) -> DoctorLine:
    counted = f"open files of {read - denied} processes"
    if not denied:
        return DoctorLine("ok", counted)
    needs = frozenset({PTRACE, READ})
    advice = "protected even from root" if needs <= held else f"needs {' and '.join(sorted(needs))}"
    return DoctorLine("partly" if read > denied else "missing", f"{counted}, {denied} refused; {advice}", needs - held)


def _kernel(procfs: ProcFS) -> Iterator[DoctorLine]:
    meminfo = procfs.meminfo()
    if isinstance(meminfo, Absence):
        yield DoctorLine("missing", f"meminfo: {meminfo.detail}; whether memory runs out cannot be told")
    else:
        yield DoctorLine("ok", f"meminfo: {len(meminfo.fields)} fields")
        if meminfo.get("MemAvailable") is None:
            yield DoctorLine(
                "missing", "MemAvailable (kernels before 3.14): no time until memory runs out can be given"
            )
    slab, vmalloc = procfs.slabinfo(), procfs.vmallocinfo()
    yield (
        _unread("slabinfo", slab)
        if isinstance(slab, Absence)
        else DoctorLine("ok", f"slabinfo: {len(slab)} slab caches")
    )
    if isinstance(vmalloc, Absence):
        yield _unread("vmallocinfo", vmalloc)
    else:
        yield DoctorLine("ok", f"vmallocinfo: {len(vmalloc)} vmalloc callers")
    known = procfs.slab_reclaimable("dentry")
    if isinstance(known, Absence) and not isinstance(slab, Absence):
        yield DoctorLine("info", f"{known.detail}: whether a slab cache is reclaimable is judged by its name")
    for found, lost in (
        (procfs.zoneinfo(), "free pages on the CPUs' lists count as unaccounted"),
        (procfs.sockets(), "what waits in sockets is not watched"),
        (procfs.dying_cgroups(), "their number is not known"),
    ):
        if isinstance(found, Absence):
            yield DoctorLine("info", f"{found.detail}: {lost}")


def _groups(procfs: ProcFS, pids: Iterable[int]) -> Iterator[DoctorLine]:
    """Say whether services' control groups tell what they hold."""
    paths = {cgroup for pid in pids if not isinstance(cgroup := procfs.cgroup(pid), Absence)}
    groups = {group.path: group for one in paths if (group := procfs.memory_group(one)) and group.path != "/"}
    read = [group for group in groups.values() if not isinstance(procfs.group_memory(group), Absence)]
    if read:
        yield DoctorLine("ok", f"memory of {len(read)} control groups (version {read[0].version})")
    else:
        lost = "what a service holds of its limit is told by no report, and whose an OOM kill was is not known"
        yield DoctorLine("info", f"no control groups with the memory controller: {lost}")


def _unread(name: str, absence: Absence) -> DoctorLine:
    lost = "slab caches are not watched one by one" if name == "slabinfo" else "vmalloc is not watched by caller"
    if absence.reason is AbsenceReason.DENIED:
        return DoctorLine("missing", f"{name}: refused, so {lost}; needs {READ}", frozenset({READ}))
    if absence.reason is AbsenceReason.UNSUPPORTED:
        why = "this kernel was built without it, or a container hides it"
        return DoctorLine("missing", f"{name}: not there ({why}), so {lost}")
    return DoctorLine("missing", f"{name}: {absence.reason} ({absence.detail}), so {lost}")


def _places(config_file: str | None) -> Iterator[DoctorLine]:
    config = Config()
    try:
        config = load_config(config_file)
        yield DoctorLine(
            "ok", f"configuration: {printable(', '.join(config.sources)) or 'defaults (no file in /etc/leakwatch)'}"
        )
    except ConfigError as error:
        yield DoctorLine("wrong", "configuration:", exit_code=error.exit_code)
        for problem in error.problems:
            yield DoctorLine("", problem)
    url = config.store.url
    try:
        yield _place(writer_path(url))
    except UsageError as error:
        yield DoctorLine("wrong", str(error), exit_code=error.exit_code)
    for path in reader_paths(url):
        yield _store(path)


def _place(path: Path) -> DoctorLine:
    """Say where a daemon would store, and whether its files can have their names."""
    name = printable(str(path))
    for suffix in OWN_SUFFIXES:
        try:
            is_file = stat.S_ISREG(path.with_name(path.name + suffix).stat().st_mode)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as error:
            why = f"{error.strerror}: {path.name}{suffix}"
        else:
            why = "" if is_file else f"{path.name}{suffix} is no file"
        if why:
            text = f"leakwatch daemon cannot store into {name} ({printable(why)}); set another url under [store]"
            return DoctorLine("wrong", text, exit_code=EXIT_IO)
    return DoctorLine("info", f"leakwatch daemon, started by this user, would store into {name}")


def _store(path: Path) -> DoctorLine:
    name = f"store {printable(str(path))}"
    try:
        reader = Reader(path)
        try:
            last = reader.last_scrape()
        finally:
            reader.close()
        size = path.stat().st_size
    except StorePathError as error:
        return DoctorLine("missing", printable(str(error)))
    except StoreNotFoundError:
        return DoctorLine("info", f"{name}: none yet")
    except PermissionNeededError as error:
        return DoctorLine("info", str(error))
    except (LeakwatchError, OSError) as error:
        return DoctorLine("missing", str(error))
    when = f"last scrape {rfc3339(last.ts_ms)}" if last else "no scrape yet"
    return DoctorLine("ok", f"{name}: {size / 2**20:.1f} MiB, {when}")


def _service() -> Iterator[DoctorLine]:
    try:
        answer = Systemctl().call("show", "--property=LoadState,ActiveState,UnitFileState", UNIT)
    except ServiceManagerError as error:
        yield DoctorLine("info", f"service: {error}")
        return
    state = {key: printable(value) for key, _, value in (line.partition("=") for line in answer.splitlines())}
    if state.get("LoadState") == "not-found":
        yield DoctorLine("info", "service: not installed")
    elif state.get("ActiveState") == "active":
        yield DoctorLine("ok", f"service: running, {state.get('UnitFileState') or 'unknown'} at boot")
    else:
        yield DoctorLine(
            "missing", f"service: installed and {state.get('ActiveState')}; why: journalctl -u leakwatch -n 30"
        )
