"""What to do about memory a language's runtime gives out: the tools that know its objects. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator

from leakwatch.nextsteps.runtime import RuntimeKind
from leakwatch.nextsteps.step import Patient, Risk, Step, Tool

SIGUSR1 = 10
_NMT = re.compile(r"-XX:NativeMemoryTracking=(summary|detail)")
_SNAPSHOT_SIGNAL = re.compile(r"--heapsnapshot-signal[= ](SIG)?(?P<name>[A-Z0-9]+)")
_GDB = "gdb stops it for a second and runs code inside it"


def python(patient: Patient) -> Iterator[Step]:
    """Yield the steps for CPython."""
    pid, tool = patient.inner_pid, patient.tool("memray")
    interpreter = interpreter_of(patient)
    if tool.missing:
        install = patient.inside(f"{shlex.quote(interpreter)} -m pip install memray")
        tool = Tool("memray", "", f"{install} (the program need not be restarted)")
    beside = posixpath.join(posixpath.dirname(interpreter), "memray") if patient.known else "memray"
    memray, out = shlex.quote(tool.path or beside), patient.out("memray")
    begin = patient.inside(f"{memray} attach --aggregate --duration 60 -o {out} {pid}")
    show = patient.inside(f"{memray} summary -s 3 {out}")
    yield Step(
        "Which Python functions allocate what is kept, for a minute; a leak is what goes on growing",
        f"{begin} && sleep 65 && {show}",
        Risk.ATTACH,
        f"{_GDB}, which loads memray into it for good; every allocation costs more meanwhile, some 10 %. Where "
        "the list is vague, --trace-python-allocators sees small objects too, at twice the time"
        f"{patient.place[0]}",
        (tool, patient.tool("gdb")),
    )
    yield Step(
        "Which lines allocate, from its start on: take tracemalloc.take_snapshot() twice and compare_to",
        f"PYTHONTRACEMALLOC=10 {patient.command_line}",
        Risk.RESTART,
        "up to four times slower, and a third more memory",
    )


def interpreter_of(patient: Patient) -> str:
    """Return the interpreter as the process was started by: that of its virtual environment, where it has one."""
    traces = patient.traces
    called = traces.arguments[0] if traces.arguments else ""
    if re.fullmatch(r"python[.0-9]*", posixpath.basename(called)) and "/" in called:
        return posixpath.normpath(posixpath.join(traces.directory or "/", called))
    return traces.exe.removesuffix(" (deleted)") or "python3"


def java(patient: Patient) -> Iterator[Step]:
    """Yield the steps for the HotSpot JVM."""
    pid, tools = patient.inner_pid, (patient.tool("jcmd", "the JDK of the JVM's own version (a JRE has none)"),)

    def jcmd(what: str) -> str:
        return patient.as_user(f"{patient.path('jcmd')} {pid} {what}")

    note = patient.place[0]
    yield Step(
        "How full the heap is: one far below its maximum that still grows is filling, not leaking",
        jcmd("GC.heap_info"),
        Risk.ASK,
        f"a moment at a safepoint{note}",
        tools,
    )
    if _NMT.search(patient.traces.options):
        yield Step(
            "What the JVM itself holds: heap, classes, threads, code; run it twice, an hour apart, and compare",
            jcmd("VM.native_memory summary"),
            Risk.ASK,
            f"a moment; tracking is on already{note}",
            tools,
        )
    else:
        yield Step(
            "What the JVM holds outside the heap (classes, threads, direct buffers): start it with native memory "
            "tracking, then jcmd VM.native_memory baseline, and an hour later summary.diff",
            f"JAVA_TOOL_OPTIONS=-XX:NativeMemoryTracking=summary {patient.command_line}",
            Risk.RESTART,
            "5 to 10 % slower; it was not started with it, and only a start switches it on",
        )
    yield Step(
        "Which classes fill the heap; twice, an hour apart, and compare: what leaks has more instances each time",
        f"{jcmd('GC.class_histogram')} | head -25",
        Risk.PAUSE,
        f"a full collection: the program stands still for about a second a GiB of live objects{note}",
        tools,
    )
    yield Step(
        "Who holds them: a heap dump, for Eclipse MAT or VisualVM",
        jcmd(f"GC.heap_dump {patient.out('hprof')}"),
        Risk.PAUSE,
        "it stands still while the whole heap is written, and the file is as large and holds its data, secrets too",
        tools,
    )


def node(patient: Patient) -> Iterator[Step]:
    """Yield the steps for Node.js."""
    pid, traces = patient.inner_pid, patient.traces
    cost = (
        "it stands still for some seconds a GiB of heap and needs as much memory again: near its limit it may be "
        "killed; the file holds its data, secrets too"
    )
    signal = _SNAPSHOT_SIGNAL.search(traces.options)
    if signal:
        where = f" in {traces.directory}" if traces.directory else ""
        yield Step(
            f"Which objects fill the heap: writes Heap.*.heapsnapshot{where}; twice, compare in Chrome's DevTools",
            f"{patient.sudo}kill -{signal['name']} {patient.pid}",
            Risk.PAUSE,
            cost,
        )
    elif traces.caught is not None and SIGUSR1 in traces.caught:
        out = patient.out("heapsnapshot")
        say = shlex.quote(f"takeHeapSnapshot('{out}')")
        inspect = patient.inside(f"{patient.path('node')} inspect -p {pid}")
        yield Step(
            f"Which objects fill the heap: writes {out}; twice, and compare them in Chrome's DevTools (Memory)",
            f"(sleep 2; echo {say}; sleep 60) | {inspect} >/dev/null",
            Risk.PAUSE,
            "opens its inspector on 127.0.0.1:9229 until it ends: whoever may log in here can then run code in it; "
            f"{cost}{patient.place[0]}",
            (patient.tool("node", "nodejs of the program's version"),),
        )
    else:
        yield Step(
            f"Which objects fill the heap: start it with a signal for snapshots, then kill -USR2 {patient.pid} twice",
            f"NODE_OPTIONS=--heapsnapshot-signal=SIGUSR2 {patient.command_line}",
            Risk.RESTART,
            f"without the option USR2 ends it; then {cost}",
        )


def go(patient: Patient) -> Iterator[Step]:
    """Yield the steps for Go."""
    ports = patient.traces.ports
    if patient.runtime.pprof:
        address = f"http://127.0.0.1:{ports[0] if ports else 'PORT'}/debug/pprof/heap"
        others = f" (it listens on {', '.join(map(str, ports))})" if len(ports) > 1 else ""
        curl = f"curl -s '{address}?debug=1'"
        fetch = patient.inside(curl) if patient.traces.contained else curl
        yield Step(
            f"Which functions hold the heap: twice, and compare{others}",
            f"{fetch} | head -40",
            Risk.ASK,
            "a moment; the program has net/http/pprof in it, though it may not serve it there",
            (patient.tool("curl"),),
        )
        yield Step(
            "What holds the heap, summed up by function",
            f"go tool pprof -top -inuse_space '{address}'",
            Risk.ASK,
            "a moment; the program may not serve it there",
            (patient.tool("go", "apt-get install golang-go"),),
        )
    else:
        yield Step(
            'Which functions hold the heap: import _ "net/http/pprof", serve it on 127.0.0.1, then go tool pprof -top',
            "",
            Risk.RESTART,
            "hardly any; the program has no net/http/pprof in it",
        )
    yield Step(
        "Whether the heap grows or is merely not given back yet: a line each collection on its standard error",
        f"GODEBUG=gctrace=1 {patient.command_line}",
        Risk.RESTART,
        "hardly any",
    )


def others(patient: Patient) -> Iterator[Step]:
    """Yield a step each for runtimes that are told apart and have a tool of their own."""
    pid = patient.inner_pid
    dump = 'Thread.new{require "objspace";GC.start;ObjectSpace.dump_all(output: File.open("leakwatch.json","w"))}'
    steps = {
        RuntimeKind.RUBY: Step(
            "Which objects fill the heap: twice, and compare by class",
            patient.inside(f"rbtrace -p {pid} -e {shlex.quote(dump)}"),
            Risk.PAUSE,
            "it stands still while the heap is written; only where the program requires rbtrace",
            (patient.tool("rbtrace", "gem install rbtrace, and require it in the program"),),
        ),
        RuntimeKind.PHP: Step(
            "What bounds it: pm.max_requests = 500 in php-fpm's pool restarts a worker before it is large; memprof, an "
            "extension, tells which function allocates",
            "",
            Risk.RESTART,
            "a worker's start now and then",
        ),
        RuntimeKind.DOTNET: Step(
            "Which types fill the heap: twice, and compare",
            patient.as_user(f"dotnet-gcdump report -p {pid}"),
            Risk.PAUSE,
            "a full collection",
            (patient.tool("dotnet-gcdump", "dotnet tool install -g dotnet-gcdump"),),
        ),
        RuntimeKind.BEAM: Step(
            "Which Erlang processes and binaries hold memory: in its remote shell, recon:proc_count(memory, 10) and "
            "recon:bin_leak(10)",
            "",
            Risk.ASK,
            "bin_leak collects garbage in every process",
        ),
        RuntimeKind.PERL: Step(
            "Which subroutines allocate what is kept: in a test, Test::LeakTrace or Devel::MAT", "", Risk.RESTART
        ),
    }
    if patient.runtime.kind in steps:
        yield steps[patient.runtime.kind]


BY_KIND: dict[RuntimeKind, Callable[[Patient], Iterator[Step]]] = {
    RuntimeKind.CPYTHON: python,
    RuntimeKind.JVM: java,
    RuntimeKind.NODE: node,
    RuntimeKind.GO: go,
    RuntimeKind.RUBY: others,
    RuntimeKind.PHP: others,
    RuntimeKind.DOTNET: others,
    RuntimeKind.BEAM: others,
    RuntimeKind.PERL: others,
}
