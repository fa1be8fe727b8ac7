"""Where to look next: what leakwatch sees from outside says who grows, these say what it is made of."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.escape import printable
from leakwatch.explain.case import What
from leakwatch.model import Verdict

if TYPE_CHECKING:
    from leakwatch.explain.case import Case


def next_steps(case: Case) -> tuple[str, ...]:
    """Return what to do about what grows; nothing for what does not."""
    if case.verdict not in (Verdict.LEAK, Verdict.WATCH):
        return ()
    if case.row is not None and case.row.ended_ms is not None:
        return ("It has ended; after a restart it is watched anew.",)
    by_what = {What.PROCESS: _of_process, What.SLAB: _of_slab, What.VMALLOC: _of_vmalloc, What.KERNEL: _of_kernel}
    steps = by_what.get(case.what)
    return steps(case) if steps else ()


_RUNTIMES = (
    (
        r"python|gunicorn|uwsgi|celery",
        "Python: sudo memray attach --aggregate {pid} (pip install memray), or tracemalloc",
    ),
    (r"java|jvm", "JVM: jcmd {pid} GC.class_histogram twice and compare; jcmd {pid} VM.native_memory summary"),
    (r"node|npm", "Node: run it with --heapsnapshot-signal=SIGUSR2; kill -USR2 {pid} twice, compare in DevTools"),
    (r"ruby|puma|unicorn", "Ruby: rbtrace -p {pid} with ObjectSpace.dump_all twice, and compare"),
    (r"php", "PHP: pm.max_requests bounds what a worker can gather; memprof tells what it is"),
)
_NATIVE = (
    "C, C++, Rust: heaptrack --pid {pid}",
    "Or start it under valgrind --leak-check=full, or built with -fsanitize=leak",
)
_ALLOCATOR = (
    "An allocator that keeps what was freed looks the same: compare with MALLOC_ARENA_MAX=2, or another by LD_PRELOAD"
)


def _of_process(case: Case) -> tuple[str, ...]:
    pid = str(case.pid) if case.pid is not None else "PID"
    known = f"{case.name} {case.row.finding.service or ''}" if case.row else case.name
    inside = tuple(step for pattern, step in _RUNTIMES if re.search(pattern, known, re.IGNORECASE))
    steps = (
        "Which mapping grows, now and in an hour: sudo pmap -X {pid} | sort -k7 -n | tail",
        "The totals, now and in an hour: sudo cat /proc/{pid}/smaps_rollup",
        "[heap] and nameless mappings are the program's own allocations; a named file is mapped by it",
        *(inside or _NATIVE),
        _ALLOCATOR,
    )
    return tuple(step.replace("{pid}", pid) for step in steps)


def _of_slab(case: Case) -> tuple[str, ...]:
    cache = shlex.quote(printable(case.field.partition("@")[0]))
    given_back = "Whether it is given back: as root, sync; echo 2 > /proc/sys/vm/drop_caches (slow for a while)"
    traces = f"/sys/kernel/debug/slab/{cache}/alloc_traces"
    return (
        *([given_back] if case.at_most_watch else []),
        f"How many objects, how large: sudo slabtop -o -s c | head -20; sudo grep -w {cache} /proc/slabinfo",
        f"What the kernel says of the cache: sudo grep -s . /sys/kernel/slab/{cache}/*",
        f"Who allocates: boot with slub_debug=U,{cache}, then sudo sort -rn {traces} | head",
        "Objects nobody points to (CONFIG_DEBUG_KMEMLEAK): as root, echo scan > /sys/kernel/debug/kmemleak; read it",
    )


def _of_vmalloc(case: Case) -> tuple[str, ...]:
    caller = printable(case.field)
    function = shlex.quote(caller.partition("+")[0])
    return (
        f"What it holds: sudo grep -F {shlex.quote(caller)} /proc/vmallocinfo",
        f"Whose function it is, the module in brackets: sudo grep -w {function} /proc/kallsyms",
        "Since when: journalctl -k around the time it began; a driver, a BPF program or a module loaded then",
    )


_KERNEL_STEPS = {
    "kernel.shmem_bytes": (
        "Files in memory: df -t tmpfs; sudo du -x --max-depth=2 /dev/shm /run /tmp; deleted but open: sudo lsof +L1",
        "Segments of System V: ipcs -m",
    ),
    "kernel.stack_bytes": ("A stack a thread; who has many: ps -eo nlwp,pid,comm --sort=-nlwp | head",),
    "kernel.page_tables_bytes": (
        "Who maps much: grep -H VmPTE /proc/[0-9]*/status | sort -k2 -n | tail",
        "Processes that share one large segment each pay for page tables of their own: huge pages help",
    ),
    "kernel.percpu_bytes": (
        "Control groups that are gone and not freed: grep nr_dying /sys/fs/cgroup/cgroup.stat",
        "Network devices and BPF maps take per-CPU memory, too: ip link | wc -l; sudo bpftool map",
    ),
    metrics.KERNEL_VMALLOC_USED: ("Which caller, of those in /proc/vmallocinfo: sudo leakwatch report --verdict all",),
    metrics.KERNEL_SUNRECLAIM: (
        "Which cache: sudo leakwatch report --verdict all, or sudo slabtop -o -s c | head -20",
    ),
    metrics.KERNEL_SOCKET_BYTES: (
        "Whose, by what waits unread (Recv-Q) or unsent (Send-Q): sudo ss -atunp | sort -k3 -n | tail",
        "What each may hold: sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem",
    ),
    metrics.KERNEL_UNACCOUNTED: (
        "Which other part shrank meanwhile: sudo leakwatch kernel --since '6h ago'",
        "Pages no counter names are a driver's own: GPU, network rings, a balloon",
        "Who asked for them: boot with page_owner=on, then read /sys/kernel/debug/page_owner",
    ),
}
_FIELDS = {field: metric.name for field, metric in metrics.MEMINFO.items()}


def _of_kernel(case: Case) -> tuple[str, ...]:
    metric = _FIELDS.get(case.field, case.field)
    return (
        *_KERNEL_STEPS.get(metric, ()),
        "Since when: journalctl -k around the time it began; what was started, mounted or loaded then",
    )
