"""What this machine's kernel offers to name who allocates; looked at, never changed."""

from __future__ import annotations

import gzip
import os
import platform
from collections.abc import Callable
from functools import cache

from leakwatch.nextsteps.kernel_tools import Facts
from leakwatch.nextsteps.toolbox import sudo_of, tools_here, which
from leakwatch.procfs.files import read_file

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
