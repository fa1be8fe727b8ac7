"""What to do about memory of C, C++ and Rust, by C library and allocator. Pure.

All steps for a process, in order. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from leakwatch.nextsteps import languages
from leakwatch.nextsteps.runtime import Libc, RuntimeKind
from leakwatch.nextsteps.step import HEADERS, Patient, Risk, Step, in_order

_STOPS = (
    "gdb stops it for about a second and runs a function inside it; should gdb happen to stop it within malloc, the "
    "call hangs and so does the program: not on one you cannot lose"
)
_OWN_SIGNALS = (63, 62, 61, 60, 59)
"""Real-time signals hardly any program uses."""
LIBC_DEFAULT = "/lib/x86_64-linux-gnu/libc.so.6"


def mappings(patient: Patient) -> Iterator[Step]:
    """Yield how to see which mapping grows: for every process."""
    pid = patient.pid
    cost = "it waits for its own memory map meanwhile, some 13 ms a GiB"
    yield Step(
        "Which part of it grows: the heap, arenas, thread stacks, a file",
        f"{patient.sudo}leakwatch maps {pid} --apart 1m",
        Risk.LOOK,
        cost,
    )
    yield Step("The totals, now and in an hour", f"{patient.sudo}cat /proc/{pid}/smaps_rollup", Risk.LOOK, cost)


def retention(patient: Patient) -> Iterator[Step]:
    """Yield the test whether the allocator merely keeps what was freed."""
    rt, pid = patient.runtime, patient.pid
    purpose = f"Whether {rt.allocator or 'malloc'} merely keeps what was freed: RSS falls if so, and it is no leak"
    tool = (patient.tool("gdb"),)
    calls = {
        "": "(int)malloc_trim(0)" if rt.libc in (Libc.GLIBC, Libc.UNKNOWN) else "",
        "jemalloc": '(int)mallctl("arena.4096.purge",(void*)0,(void*)0,(void*)0,(unsigned long)0)',
        "tcmalloc": "(void)MallocExtension_ReleaseFreeMemory()",
        "mimalloc": "(void)mi_collect(1)",
    }
    if call := calls[rt.allocator]:
        rss = f"grep VmRSS /proc/{pid}/status"
        yield Step(
            purpose,
            f"{rss}; {patient.sudo}gdb -nx -batch -p {pid} -ex 'call {call}'; {rss}",
            Risk.ATTACH,
            f"{_STOPS}; what is trimmed is faulted in again when it is used{patient.place[1]}",
            tool,
        )
    if not rt.allocator and rt.libc is Libc.GLIBC:
        yield Step(
            "Whether it takes less with fewer arenas, or with another allocator by LD_PRELOAD: it keeps, no leak",
            f"MALLOC_ARENA_MAX=2 {patient.command_line}",
            Risk.RESTART,
            "more waiting for one another among its threads",
        )


def statistics(patient: Patient) -> Iterator[Step]:
    """Yield what the allocator itself tells."""
    rt, pid = patient.runtime, patient.pid
    gdb, start = (patient.tool("gdb"),), f"{patient.sudo}gdb -nx -batch -p {pid}"
    if not rt.allocator and rt.libc is Libc.GLIBC:
        yield Step(
            "What malloc holds, arena by arena: a large system size and little free (the two totals) is a leak",
            f"{start} -ex 'set $p=(char**)calloc(2,8)' -ex 'set $f=(void*)open_memstream($p,(unsigned long*)($p+1))'"
            f" -ex 'call (int)malloc_info(0,$f)' -ex 'call (int)fclose($f)' -ex 'printf \"%s\", *$p'",
            Risk.ATTACH,
            _STOPS + patient.place[1],
            gdb,
        )
    elif rt.allocator == "jemalloc":
        yield Step(
            "What jemalloc holds, by size (printed to the program's own standard error)",
            f"{start} -ex 'call (void)malloc_stats_print((void*)0,(void*)0,(char*)0)'",
            Risk.ATTACH,
            _STOPS + patient.place[1],
            gdb,
        )
        yield Step(
            "Who allocates: jemalloc's own profiler, if it was built with it; then jeprof --text PROGRAM jeprof.*.heap",
            f"MALLOC_CONF=prof:true,prof_leak:true,lg_prof_interval:30 {patient.command_line}",
            Risk.RESTART,
            "some percent slower",
        )
    elif rt.allocator == "tcmalloc":
        yield Step(
            "Who allocates: tcmalloc's own profiler (libtcmalloc, not _minimal); then google-pprof --text PROGRAM FILE",
            f"HEAPPROFILE=/tmp/heap {patient.command_line}",
            Risk.RESTART,
            "some percent slower",
        )
    elif rt.allocator == "mimalloc":
        yield Step(
            "What mimalloc holds (printed to the program's own standard error)",
            f"{start} -ex 'call (void)mi_stats_print((void*)0)'",
            Risk.ATTACH,
            _STOPS + patient.place[1],
            gdb,
        )


def tracing(patient: Patient) -> Iterator[Step]:
    """Yield what names the allocating function in the running process."""
    rt, pid = patient.runtime, patient.pid
    library = rt.allocator_path or rt.libc_path
    if library or rt.libc is Libc.UNKNOWN:
        path = library or LIBC_DEFAULT
        seen = f"/proc/{pid}/root{path}" if patient.traces.contained else path
        names = _tool_names(patient)
        yield Step(
            "Which native functions allocate what is not freed, for half a minute",
            f"{patient.sudo}{names[0]} -p {pid} -O {shlex.quote(seen)} --top 10 30 1",
            Risk.PROBE,
            "the kernel counts at every malloc and free, some 1 µs each: up to twice as slow where it allocates much",
            (patient.tool(names[0], names[1]), patient.tool(HEADERS, "apt-get install linux-headers-$(uname -r)")),
        )
        yield Step(
            "Which native functions ask for most memory, freed or not, for half a minute",
            f"{patient.sudo}bpftrace -p {pid} -e 'uprobe:{seen}:malloc {{ @bytes[ustack(8)] = sum(arg0); }} "
            "interval:s:30 { exit(); }'",
            Risk.PROBE,
            "every malloc takes some 1 µs longer; stacks are whole only where it was built with frame pointers",
            (patient.tool("bpftrace"),),
        )
    if (
        rt.libc in (Libc.GLIBC, Libc.UNKNOWN)
        and not rt.asan
        and rt.kind not in (RuntimeKind.GO, RuntimeKind.JVM, RuntimeKind.NODE)
    ):
        yield _heaptrack(patient)


def _tool_names(patient: Patient) -> tuple[str, str]:
    """Return what bcc's memleak is called here, and how to get it."""
    tools = patient.tools or {}
    own = next((path for name in ("memleak-bpfcc", "memleak") if (path := tools.get(name))), "")
    return ("memleak" if own.endswith("/memleak") else "memleak-bpfcc"), "apt-get install bpfcc-tools"


def _heaptrack(patient: Patient) -> Step:
    pid, out = patient.pid, patient.out("heaptrack")
    # Ended by its own function: by a signal, as its manual has it, every second run of version 1.4 lost what it had.
    stop = (
        f"gdb -nx -batch -iex 'set auto-solib-add off' -p {pid} -ex 'sharedlibrary libheaptrack_inject' "
        "-ex 'call (void)heaptrack_stop()'"
    )
    script = f"heaptrack -o {out} -p {pid} & sleep 60; {stop}; wait"
    return Step(
        "Which native functions allocate what is not freed, with file and line, for a minute",
        f"{patient.sudo}sh -c {shlex.quote(script)}; heaptrack_print -l 1 -p 0 -a 0 -T 0 -f {out}.*",
        Risk.ATTACH,
        "gdb stops it for a second, three times; every malloc and free is slower meanwhile (up to twice). Let it end "
        "by itself: interrupted, it may leave a pipe nobody reads, and the program dies of SIGPIPE. It stays loaded in "
        f"the program{patient.place[1]}",
        (patient.tool("heaptrack"), patient.tool("gdb")),
    )


def rebuilt(patient: Patient) -> Iterator[Step]:
    """Yield what takes a start of one's own: a test build."""
    rt = patient.runtime
    if rt.asan:
        number = next((one for one in _OWN_SIGNALS if one not in (patient.traces.caught or ())), _OWN_SIGNALS[0])
        yield Step(
            "Every leak with its stack, as LeakSanitizer sees it now (printed to the program's own standard error)",
            f"{patient.sudo}gdb -nx -batch -p {patient.pid} -ex 'call ((void*(*)(int,void*))signal)({number},"
            f"(void*)__lsan_do_recoverable_leak_check)' && {patient.sudo}kill -{number} {patient.pid}",
            Risk.ATTACH,
            "gdb stops it for a second to have a signal run the check (called by gdb it ends the program); then "
            "it stands still while all its memory is walked. Should the signal meet a thread in malloc, it "
            f"hangs: for a test{patient.place[1]}",
            (patient.tool("gdb"),),
        )
        return
    yield Step(
        "Every leak with its stack, at the end of a test run",
        f"valgrind --leak-check=full --show-leak-kinds=definite,possible {patient.command_line}",
        Risk.RESTART,
        "20 to 50 times slower, and needs twice its memory: for a test, not for production",
        (patient.tool("valgrind"),),
    )
    yield Step(
        "Every leak with its stack, faster: build it with -fsanitize=address -g, and have it end in order",
        f"ASAN_OPTIONS=detect_leaks=1 {patient.command_line}",
        Risk.RESTART,
        "twice as slow, three times its memory",
    )


def steps(patient: Patient) -> Iterator[Step]:
    """Yield the steps for a native program."""
    if not patient.runtime.asan:  # its allocator keeps what was freed on purpose, to see who uses it
        yield from statistics(patient)
        yield from retention(patient)
    yield from tracing(patient)
    yield from rebuilt(patient)


_NATIVE_TOO = frozenset({RuntimeKind.CPYTHON, RuntimeKind.RUBY, RuntimeKind.PHP, RuntimeKind.PERL})
"""Runtimes whose own objects come from the C library's allocator, which may keep what was freed."""


def steps_for(patient: Patient) -> tuple[Step, ...]:
    """Return what to do about a process, safest first."""
    kind = patient.runtime.kind
    found = list(mappings(patient))
    if kind in languages.BY_KIND:
        found += languages.BY_KIND[kind](patient)
        if kind in _NATIVE_TOO:
            found += retention(patient)
        if kind is not RuntimeKind.GO:
            found += tracing(patient)
    else:
        found += steps(patient)
    return in_order(found)
