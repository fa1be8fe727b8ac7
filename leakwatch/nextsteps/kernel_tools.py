"""What to do about a slab cache, a caller of vmalloc or one of the kernel's totals. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leakwatch import metrics
from leakwatch.nextsteps.step import HEADERS, Risk, Step, Tool, in_order, look
from leakwatch.text.escape import printable

FIELDS = {field: metric.name for field, metric in metrics.MEMINFO.items()}
_KMALLOC = re.compile(
    r"(?:(?:dma-)?kmalloc(?:-[a-z]+)?(?:-[0-9]{1,2})?|msg_msg|memdup_user)-(?P<size>[0-9]+)(?P<kilo>k?)$"
)
"""The caches of kmalloc, buckets of its own (6.11) among them."""
_MOUNT = "mount -t debugfs none /sys/kernel/debug"


@dataclass(frozen=True, slots=True)
class Facts:
    """What this kernel offers; None: not known, as from another machine or without the privilege to look."""

    options: frozenset[str] | None = None
    """The build options that are set, of those that matter here, without ``CONFIG_``."""
    files: Mapping[str, bool] | None = None
    """Whether each of ``kernel_facts.FILES`` is there."""
    tools: Mapping[str, str] | None = None
    sudo: str = "sudo "

    def tool(self, name: str, package: str) -> Tool:
        """Return a tool and whether it is there."""
        return Tool(name, None if self.tools is None else self.tools.get(name, ""), f"apt-get install {package}")

    def has(self, file: str) -> bool | None:
        """Return whether a file is there, None where that is not known."""
        return None if self.files is None else self.files.get(file)

    def lacks(self, option: str, otherwise: str = "") -> str:
        """Return that the kernel was built without an option, ``otherwise`` where it was built with it or may be."""
        if self.options is not None and option not in self.options:
            return f"this kernel was built without CONFIG_{option}"
        return otherwise

    def unless(self, file: str, option: str, otherwise: str) -> str:
        """Return what must be done first for a file to be there, empty where it is."""
        has = self.has(file)
        if has:
            return ""
        return self.lacks(option, otherwise if has is False else f"if it is not so already (root can see): {otherwise}")


def of_slab(cache: str, facts: Facts, *, reclaimable: bool = False) -> tuple[Step, ...]:
    """Return the steps for a slab cache."""
    name = printable(cache.partition("@")[0])
    return in_order(_of_slab(name, shlex.quote(name), facts, reclaimable=reclaimable))


def _of_slab(name: str, quoted: str, facts: Facts, *, reclaimable: bool) -> Iterator[Step]:
    sudo = facts.sudo
    yield Step(
        "How many objects, how large; twice, and compare",
        f"{sudo}slabtop -o -s c | head -20; {sudo}grep -w -- {quoted} /proc/slabinfo",
        Risk.LOOK,
        "slabinfo counts with interrupts off for a moment; not every second",
        (facts.tool("slabtop", "procps"),),
    )
    yield Step(
        "What the kernel says of the cache: its size, its flags, its other names",
        f"{sudo}grep -s . /sys/kernel/slab/{quoted}/*",
        Risk.LOOK,
        "hardly any",
        lacks="" if facts.has("/sys/kernel/slab") is not False else "this kernel shows no caches there",
    )
    if reclaimable:
        yield Step(
            "Whether it is given back when asked, which makes it no leak",
            f"{_as_root(sudo, 'sync; echo 2 > /proc/sys/vm/drop_caches')}; {sudo}grep -w -- {quoted} /proc/slabinfo",
            Risk.PAUSE,
            "every file name and inode is read anew: the machine is slow for minutes",
        )
    traces = f"/sys/kernel/debug/slab/{quoted}/alloc_traces"
    yield Step(
        "Which functions allocated the objects there are, the most frequent first",
        f"{sudo}head -40 {traces}",
        Risk.LOOK if facts.has("alloc_traces") else Risk.REBOOT,
        "hardly any to read; tracking costs every object of the cache some 100 bytes and its user some time",
        lacks=facts.unless("alloc_traces", "SLUB_DEBUG", f"boot with slub_debug=U,{name} on the kernel's command line"),
    )
    yield from _by_caller(_allocations(name), facts)


def _allocations(name: str) -> str:
    """Return the tracepoint and filter of what goes into a cache."""
    found = _KMALLOC.match(name)
    if not found:
        return f'tracepoint:kmem:kmem_cache_alloc /str(args->name) == "{name}"/'
    size = int(found["size"]) * (1024 if found["kilo"] else 1)
    return f"tracepoint:kmem:kmalloc /args->bytes_alloc == {size}/"


def _by_caller(tracepoint: str, facts: Facts) -> Iterator[Step]:
    sudo, option = facts.sudo, "KPROBES" if tracepoint.startswith("kprobe") else "BPF_EVENTS"
    script = f"{tracepoint} {{ @[kstack(8), comm] = count(); }} interval:s:10 {{ exit(); }}"
    yield Step(
        "Who allocates now, by kernel stack and program, freed or not, for ten seconds",
        f"{sudo}bpftrace -e {shlex.quote(script)}",
        Risk.PROBE,
        "some 1 µs for every allocation in the kernel",
        (facts.tool("bpftrace", "bpftrace"),),
        facts.lacks(option, "" if facts.has("tracing") is not False else "mount -t tracefs none /sys/kernel/tracing"),
    )
    yield Step(
        "Who allocates what is not freed, by kernel stack, for half a minute",
        f"{sudo}memleak-bpfcc -a 30 1",
        Risk.PROBE,
        "some 1 µs for every allocation in the kernel, and it holds all those made meanwhile",
        (facts.tool("memleak-bpfcc", "bpfcc-tools"), facts.tool(HEADERS, "linux-headers-$(uname -r)")),
        facts.lacks("BPF_EVENTS"),
    )
    yield Step(
        "Which source lines hold how much, all of the kernel",
        f"{sudo}sort -g /proc/allocinfo | tail -20 | numfmt --to=iec",
        Risk.LOOK if facts.has("/proc/allocinfo") else Risk.REBOOT,
        "hardly any to read; counting costs a percent or two of every allocation",
        (facts.tool("numfmt", "coreutils"),),
        facts.unless("/proc/allocinfo", "MEM_ALLOC_PROFILING", "boot with sysctl.vm.mem_profiling=1 (6.10 or newer)"),
    )
    has = facts.has("kmemleak")
    yield Step(
        "Objects nobody points to any more, with the stack that allocated each",
        f"{_as_root(sudo, 'echo scan > /sys/kernel/debug/kmemleak')}; {sudo}head -60 /sys/kernel/debug/kmemleak",
        Risk.PAUSE if has else Risk.REBOOT,
        "a scan reads all of the kernel's memory: seconds of one core; a list that still is one is no find",
        lacks=facts.unless("kmemleak", "DEBUG_KMEMLEAK", f"boot with kmemleak=on; {_MOUNT}"),
    )


def _as_root(sudo: str, script: str) -> str:
    return f"{sudo}sh -c {shlex.quote(script)}"


def of_vmalloc(caller: str, facts: Facts) -> tuple[Step, ...]:
    """Return the steps for a caller of vmalloc."""
    caller, sudo = printable(caller), facts.sudo
    function = shlex.quote(caller.partition("+")[0])
    return in_order(
        (
            Step(
                "What it holds",
                f"{sudo}grep -F -- {shlex.quote(caller)} /proc/vmallocinfo",
                Risk.LOOK,
                "hardly any; every area is one line, on large machines some thousand",
            ),
            Step(
                "Whose function it is, the module in brackets",
                f"{sudo}grep -w -- {function} /proc/kallsyms",
                Risk.LOOK,
                "hardly any",
            ),
            _since(sudo, "a driver, a BPF program or a module loaded then"),
            *_by_caller(f"kprobe:{caller.partition('+')[0]}", facts),
        )
    )


def _since(sudo: str, what: str) -> Step:
    return Step(f"Since when: around the time it began; {what}", f"{sudo}journalctl -k -n 200", Risk.LOOK, "hardly any")


def of_total(field: str, facts: Facts) -> tuple[Step, ...]:
    """Return the steps for one of the kernel's totals, named by its metric or by its field of meminfo."""
    metric = FIELDS.get(field, field)
    own = [_filled(step, facts.sudo) for step in _TOTALS.get(metric, ())]
    if metric == metrics.KERNEL_UNACCOUNTED:
        own.append(_page_owner(facts))
    if metric in (metrics.KERNEL_UNACCOUNTED, metrics.KERNEL_SUNRECLAIM):
        own += [step for step in _by_caller("tracepoint:kmem:mm_page_alloc", facts) if "tracepoint" not in step.purpose]
    return in_order((*own, _since(facts.sudo, "what was started, mounted or loaded then")))


def _page_owner(facts: Facts) -> Step:
    has = facts.has("page_owner")
    return Step(
        "Who asked for pages no counter names, the most first",
        f"{facts.sudo}cat /sys/kernel/debug/page_owner > page_owner.txt; page_owner_sort -t page_owner.txt sorted.txt",
        Risk.LOOK if has else Risk.REBOOT,
        "minutes and gigabytes of text on a large machine; page_owner_sort is in the kernel's tools/mm",
        lacks=facts.unless("page_owner", "PAGE_OWNER", f"boot with page_owner=on; {_MOUNT}"),
    )


def _filled(step: Step, sudo: str) -> Step:
    return Step(step.purpose, step.command.replace("sudo ", sudo), step.risk, step.cost)


_TOTALS: dict[str, tuple[Step, ...]] = {
    "kernel.shmem_bytes": (
        look("Files in memory", "df -t tmpfs; sudo du -x --max-depth=2 /dev/shm /run /tmp"),
        look("Files that are deleted and still open", "sudo lsof +L1", "looks through every process: seconds"),
        look("Segments of System V", "ipcs -m"),
    ),
    "kernel.stack_bytes": (look("A stack a thread: who has many", "ps -eo nlwp,pid,comm --sort=-nlwp | head"),),
    "kernel.page_tables_bytes": (
        look("Who maps much", "grep -H VmPTE /proc/[0-9]*/status | sort -k2 -n | tail"),
        look("Processes that share one large segment each pay for page tables of their own: huge pages help"),
    ),
    "kernel.percpu_bytes": (
        look("Control groups that are gone and not freed", "grep nr_dying /sys/fs/cgroup/cgroup.stat"),
        look("Network devices and BPF maps, which take per-CPU memory", "ip link | wc -l; sudo bpftool map"),
    ),
    metrics.KERNEL_VMALLOC_USED: (
        look("Which caller, of those in /proc/vmallocinfo", "sudo leakwatch report --verdict all"),
    ),
    metrics.KERNEL_SUNRECLAIM: (
        look("Which cache", "sudo leakwatch report --verdict all; sudo slabtop -o -s c | head -20"),
    ),
    metrics.KERNEL_SOCKET_BYTES: (
        look("Whose, by what waits unread (Recv-Q) or unsent (Send-Q)", "sudo ss -atunp | sort -k3 -n | tail"),
        look("What each may hold", "sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem net.ipv4.tcp_wmem"),
    ),
    metrics.KERNEL_UNACCOUNTED: (
        look("Which other part shrank meanwhile", "sudo leakwatch kernel --since '6h ago'"),
        look("Pages no counter names are a driver's own: GPU, network rings, a balloon", "lsmod; lspci -k"),
    ),
}
