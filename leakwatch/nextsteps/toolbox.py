"""Looks which tools are installed: on this machine, or beside the runtime of the process they are for.

What this machine's kernel offers to name who allocates; looked at, never changed.
"""

from __future__ import annotations

import gzip
import os
import platform
import posixpath
import shutil
from collections.abc import Callable
from functools import cache

from leakwatch.nextsteps.kernel_tools import Facts
from leakwatch.nextsteps.languages import interpreter_of
from leakwatch.nextsteps.runtime import Runtime, RuntimeKind, detect
from leakwatch.nextsteps.runtime_signs import Traces
from leakwatch.nextsteps.step import HEADERS, Patient
from leakwatch.procfs.files import file_stat, read_file
from leakwatch.procfs.fs import ProcFS

HERE = (
    "gdb", "heaptrack", "memleak-bpfcc", "memleak", "bpftrace", "valgrind", "slabtop", "curl", "go", "rbtrace",
    "dotnet-gcdump", "lsof", "ipcs", "bpftool", "numfmt",
)  # fmt: skip
"""Tools that work from outside: those of this machine will do."""
MORE_PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/share/bcc/tools")
"""Looked through besides PATH: a service's may be short, and a user's lacks sbin."""


@cache
def which(name: str) -> str:
    """Return where a program of this machine is, empty where it is not."""
    return shutil.which(name) or shutil.which(name, path=":".join(MORE_PATHS)) or ""


def tools_here(find: Callable[[str], str] = which) -> dict[str, str]:
    """Return this machine's tools by name, empty where one is not installed."""
    return {name: find(name) for name in HERE} | {HEADERS: _headers()}


def _headers() -> str:
    """Return where the headers of the running kernel are, empty where they are not."""
    paths = (f"/lib/modules/{platform.release()}/build", "/sys/kernel/kheaders.tar.xz")
    return next((path for path in paths if os.path.exists(path)), "")  # noqa: PTH110 - as in procfs


def sudo_of(find: Callable[[str], str] = which) -> str:
    """Return what begins a command for root: nothing where we are root and there is no sudo."""
    return "" if os.geteuid() == 0 and not find("sudo") else "sudo "


def patient_of(procfs: ProcFS, traces: Traces, find: Callable[[str], str] = which) -> Patient:
    """Return a process with the tools that fit it."""
    runtime = detect(traces)
    live = procfs.root == "/proc"
    tools = tools_here(find) | _beside(traces, runtime, find) if live else None
    return Patient(traces, runtime, tools, sudo_of(find))


def _beside(traces: Traces, runtime: Runtime, find: Callable[[str], str]) -> dict[str, str]:
    """Return the tools that must be of the process's own version: those in its own file system come first."""
    root = f"/proc/{traces.pid}/root"
    exe = traces.exe.removesuffix(" (deleted)")
    if traces.stuck:
        return {}
    if runtime.kind is RuntimeKind.JVM:
        # .../bin/java, or .../lib/server/libjvm.so of a program that starts a JVM inside itself
        homes = (posixpath.dirname(posixpath.dirname(exe)), runtime.where.partition("/lib/")[0])
        return {"jcmd": _inside(root, [f"{home}/bin/jcmd" for home in homes]) or _ours(traces, "jcmd", find)}
    if runtime.kind is RuntimeKind.NODE:
        own = exe if posixpath.basename(exe) in ("node", "nodejs") else ""
        return {"node": own or _ours(traces, "node", find)}
    if runtime.kind is RuntimeKind.CPYTHON:
        bare = Patient(traces, runtime, None)
        folder = posixpath.dirname(interpreter_of(bare))
        return {"memray": _inside(root, [f"{folder}/memray"])}
    return {}


def _ours(traces: Traces, name: str, find: Callable[[str], str]) -> str:
    return "" if traces.contained else find(name)


def _inside(root: str, paths: list[str]) -> str:
    return next((path for path in paths if path.startswith("/") and _is_program(f"{root}{path}")), "")


def _is_program(path: str) -> bool:
    """Return whether there is a program: by its mode, as ``access`` does not count a service's capabilities."""
    found = file_stat(path)
    return found is not None and bool(found.st_mode & 0o111)


OPTIONS = ("SLUB_DEBUG", "DEBUG_KMEMLEAK", "PAGE_OWNER", "MEM_ALLOC_PROFILING", "BPF_EVENTS", "KPROBES")
FILES = {
    "/sys/kernel/slab": "/sys/kernel/slab",
    "/proc/allocinfo": "/proc/allocinfo",
    "kmemleak": "/sys/kernel/debug/kmemleak",
    "page_owner": "/sys/kernel/debug/page_owner",
    "tracing": "/sys/kernel/tracing/events",
}
HIDDEN = frozenset({"kmemleak", "page_owner", "alloc_traces"})
"""Those in a directory that only root may enter."""


def facts_here(cache: str = "", find: Callable[[str], str] = which) -> Facts:
    """Return the facts of this machine; ``cache``: the slab cache whose allocations may be traced."""
    files = {name: os.path.exists(path) for name, path in FILES.items()}  # noqa: PTH110 - as in procfs
    files["alloc_traces"] = bool(cache) and os.path.exists(f"/sys/kernel/debug/slab/{cache}/alloc_traces")  # noqa: PTH110
    if not os.access("/sys/kernel/debug", os.X_OK):
        files = {name: there for name, there in files.items() if name not in HIDDEN}
    tools = tools_here(find) | {"numfmt": find("numfmt")}
    return Facts(options_here(), files, tools, sudo_of(find))


@cache
def options_here() -> frozenset[str] | None:
    """Return which of ``OPTIONS`` the running kernel was built with, None where nothing tells."""
    for path in ("/proc/config.gz", f"/boot/config-{platform.release()}"):
        try:
            data = read_file(path)
            text = (gzip.decompress(data) if path.endswith(".gz") else data).decode("ascii", "replace")
        except (OSError, EOFError):
            continue
        lines = frozenset(text.splitlines())
        return frozenset(option for option in OPTIONS if f"CONFIG_{option}=y" in lines)
    return None
