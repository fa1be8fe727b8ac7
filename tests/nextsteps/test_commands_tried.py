"""The commands printed for real leaking programs, tried as an operator would: they name the leaking place."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.nextsteps import kernel_tools
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.step import Risk
from leakwatch.nextsteps.toolbox import facts_here
from tests.nextsteps.next_tools import PROGRAMS, compiled, need, need_calls, patient, running, step, tried

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="looking into another process takes root"),
]


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose name has no tool's name in it, as that of ``tmp_path`` has."""
    return tmp_path_factory.mktemp("w")


def shorter(command: str) -> str:
    """The minute a command takes is seconds here."""
    return re.sub(r"\b65\b", "8", re.sub(r"\b60\b", "6", command))


def rss_kib(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"VmRSS:\s*(\d+) kB", text)]


class TestC:
    def test_maps_names_the_heap(self, work: Path) -> None:
        with running([str(compiled("leak.c", work))], work) as process:
            command = step(process.pid, "leakwatch maps").command.replace("1m", "2s")
            said = tried(command.replace("leakwatch maps", f"{sys.executable} -m leakwatch maps"), work)
        assert re.search(r": the heap \+", said), said

    def test_malloc_info_tells_what_malloc_holds(self, work: Path) -> None:
        need_calls()
        with running([str(compiled("leak.c", work))], work) as process:
            said = tried(step(process.pid, "malloc_info").command, work)
            assert process.poll() is None  # it goes on as if nothing had been
        current = re.findall(r'<system type="current" size="(\d+)"', said)
        assert current, said
        assert int(current[-1]) > 1 << 20

    def test_malloc_trim_tells_keeping_from_leaking(self, work: Path) -> None:
        need_calls()
        for source, kept in (("keep.c", True), ("leak.c", False)):
            with running([str(compiled(source, work))], work) as process:
                before, after = rss_kib(tried(step(process.pid, "malloc_trim").command, work))
                assert process.poll() is None
            assert (after < before / 4) == kept, (source, before, after)

    def test_heaptrack_names_the_function(self, work: Path) -> None:
        need_calls("heaptrack")
        with running([str(compiled("leak.c", work))], work) as process:
            said = tried(shorter(step(process.pid, "heaptrack").command), work)
            time.sleep(1)
            assert process.poll() is None, "it does not survive heaptrack"
        assert "leak_one_order" in said, said
        assert "serve_one_request" not in said.partition("MEMORY LEAKS")[2]

    def test_valgrind_names_the_function(self, work: Path) -> None:
        need("valgrind")
        program = compiled("leak.c", work)
        with running([str(program), "20"], work, warm_s=0.1) as process:
            command = step(process.pid, "valgrind").command
        said = tried(command, work)
        assert re.search(r"are definitely lost.*?leak_one_order", said, re.DOTALL), said

    def test_leak_sanitizer_names_the_function_and_the_program_goes_on(self, work: Path) -> None:
        need_calls()
        program = compiled("leak.c", work, "-fsanitize=address")
        with running([str(program)], work) as process:
            tried(step(process.pid, "__lsan_do_recoverable_leak_check").command, work)
            end = time.monotonic() + 20
            while "SUMMARY" not in (said := (work / "said").read_text()) and time.monotonic() < end:
                time.sleep(0.2)
            assert process.poll() is None, said
        assert "leak_one_order" in said, said

    def test_bpftrace_counts_in_the_kernel(self, work: Path) -> None:
        need("bpftrace")
        program = compiled("leak.c", work, "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
        with running([str(program)], work) as process:
            said = tried(step(process.pid, "bpftrace").command.replace("s:30", "s:3"), work)
        if "@bytes" not in said:
            pytest.skip(f"this kernel lets bpftrace do nothing: {said.strip()[-150:]}")
        assert "malloc" in said

    @pytest.mark.whole
    @pytest.mark.parametrize(
        ("library", "statistics"),
        [
            ("libjemalloc.so.2", "Begin jemalloc statistics"),
            ("libtcmalloc_minimal.so.4", ""),
            ("libmimalloc.so.2", "heap stats"),
        ],
    )
    def test_other_allocators_give_back_what_they_keep_and_tell_what_they_hold(
        self, work: Path, library: str, statistics: str
    ) -> None:
        need_calls()
        known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
        if library not in known:
            pytest.skip(f"{library} is not installed")
        with running([str(compiled("keep.c", work))], work, {"LD_PRELOAD": library}) as process:
            steps = [one for one in steps_for(patient(process.pid)) if "gdb -nx" in one.command]
            said = [tried(one.command, work) for one in steps]
            assert process.poll() is None, said
        after = next(rss_kib(text)[-1] for text in said if "VmRSS" in text)
        assert after < 20_000  # of 67 MB that were freed
        assert statistics in (work / "said").read_text()


class TestKernel:
    def test_the_stack_and_the_program_that_fill_a_slab_cache_are_named(self, work: Path) -> None:
        need("bpftrace", "unshare")
        script = work / "queues.py"
        script.write_text(QUEUES)
        with running([sys.executable, str(script)], work) as process:
            steps = kernel_tools.of_slab("msg_msg-4k", replace(facts_here(), sudo=""))
            command = next(one.command for one in steps if "bpftrace" in one.command).replace("s:10", "s:3")
            mount = "mount -t tracefs none /sys/kernel/tracing"  # in a name space of our own: it is gone afterwards
            said = tried(f"unshare -m sh -c {shlex.quote(f'{mount}; exec {command}')}", work)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0  # it has removed its queues
        if "@[" not in said:
            pytest.skip(f"this kernel lets bpftrace do nothing: {said.strip()[-150:]}")
        assert re.search(r"msgsnd.*?, python", said, re.DOTALL), said

    def test_what_needs_nothing_works(self, work: Path) -> None:
        need("slabtop")
        for one in kernel_tools.of_slab("kmalloc-4k", facts_here()):
            if one.risk is Risk.LOOK and one.ready:
                assert "kmalloc-4k" in tried(one.command, work) or "kernel/slab" in one.command


QUEUES = """
import ctypes, signal, sys, time
libc = ctypes.CDLL(None)
message = ctypes.create_string_buffer(bytes([1]) + bytes(7) + b"x" * 3000)
queues = []
def end(*_):
    for queue in queues:
        libc.msgctl(queue, 0, None)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
for _ in range(500):
    queue = libc.msgget(0, 0o1600)
    queues.append(queue)
    for _ in range(4):
        libc.msgsnd(queue, message, 3000, 0o4000)
    time.sleep(0.05)
end()
"""


class TestPython:
    @pytest.fixture
    def environment(self, work: Path) -> Path:
        """A virtual environment with memray in it."""
        need_calls()
        subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
        pip = [str(work / "venv/bin/python"), "-m", "pip", "install", "-q", "--only-binary=:all:", "memray"]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"memray cannot be installed here: {done.stderr[-150:]}")
        return work / "venv"

    def test_memray_names_the_function(self, work: Path, environment: Path) -> None:
        with running([str(environment / "bin/python"), str(PROGRAMS / "leak.py")], work) as process:
            said = tried(shorter(step(process.pid, "memray attach").command), work)
            assert process.poll() is None, said
        rows = [line for line in said.splitlines() if re.search(r"leak_one_order|serve_one_request", line)]
        assert rows, said
        assert "leak_one_order" in rows[0]

    def test_without_memray_it_says_how_to_have_it_in_the_programs_own_environment(self, work: Path) -> None:
        bare = work / "bare"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
        with running([str(bare / "bin/python"), str(PROGRAMS / "leak.py")], work, warm_s=0.1) as process:
            (found,) = [one for one in steps_for(patient(process.pid)) if "memray attach" in one.command]
        assert not found.ready
        assert f"{bare}/bin/python -m pip install memray" in found.tools[0].get


class TestJava:
    @pytest.fixture
    def classes(self, work: Path) -> Path:
        need("javac", "java")
        subprocess.run(["javac", "-d", str(work), str(PROGRAMS / "Leak.java")], check=True)
        return work

    def test_the_class_histogram_names_the_class(self, classes: Path) -> None:
        with running(["java", "-Xmx256m", "-cp", str(classes), "Leak"], classes, warm_s=3) as process:
            said = tried(step(process.pid, "GC.class_histogram").command, classes)
            heap = tried(step(process.pid, "GC.heap_info").command, classes)
        first = next(line for line in said.splitlines() if line.strip().startswith("1:"))
        assert "Leak$LeakedOrder" in first, said
        assert re.search(r"total \d+K, used \d+K", heap)

    def test_native_memory_is_told_where_tracking_is_on_and_a_restart_asked_for_where_it_is_not(
        self, classes: Path
    ) -> None:
        argv = ["java", "-Xmx64m", "-XX:NativeMemoryTracking=summary", "-cp", str(classes), "Leak"]
        with running(argv, classes) as process:
            said = tried(step(process.pid, "VM.native_memory").command, classes)
        assert "Java Heap (reserved=" in said
        with running(["java", "-Xmx64m", "-cp", str(classes), "Leak"], classes) as process:
            found = step(process.pid, "NativeMemoryTracking")
        assert found.risk is Risk.RESTART


def largest_class(snapshot: Path) -> str:
    """Return the constructor with most instances in a heap snapshot, of those that are no part of the engine."""
    found = json.loads(snapshot.read_text())
    meta = found["snapshot"]["meta"]
    width, kinds = len(meta["node_fields"]), meta["node_types"][0]
    kind_at, name_at = meta["node_fields"].index("type"), meta["node_fields"].index("name")
    nodes = found["nodes"]
    names = Counter(nodes[at + name_at] for at in range(0, len(nodes), width) if kinds[nodes[at + kind_at]] == "object")
    ranked = [found["strings"][number] for number, _ in names.most_common(5)]
    return next(name for name in ranked if name not in ("Object", "Array", "system / Context"))


class TestNode:
    def test_the_inspector_takes_a_snapshot_that_names_the_class(self, work: Path) -> None:
        need("node")
        with running(["node", str(PROGRAMS / "leak.js")], work, warm_s=2) as process:
            command = step(process.pid, "takeHeapSnapshot").command
            tried(command.replace("sleep 60", "sleep 12"), work)
            assert process.poll() is None
            snapshot = re.search(r"/tmp/\S+?heapsnapshot", command)
        assert snapshot is not None
        path = work / "heap.json"
        os.replace(snapshot[0], path)  # noqa: PTH105
        assert largest_class(path) == "LeakedOrder"

    def test_the_signal_it_was_started_with_writes_one_too(self, work: Path) -> None:
        need("node")
        argv = ["node", "--heapsnapshot-signal=SIGUSR2", str(PROGRAMS / "leak.js")]
        with running(argv, work, warm_s=2) as process:
            found = step(process.pid, "kill -USR2")
            assert str(work) in found.purpose
            tried(found.command, work)
            end = time.monotonic() + 30
            while not (written := list(work.glob("Heap.*.heapsnapshot"))) and time.monotonic() < end:
                time.sleep(0.2)
            time.sleep(5)  # it is written over some seconds
            assert process.poll() is None
        assert largest_class(written[0]) == "LeakedOrder"


class TestGo:
    def test_its_profile_names_the_function_at_the_port_it_listens_on(self, work: Path) -> None:
        need("go", "curl")
        program = work / "leakgo"
        build = ["go", "build", "-o", str(program), str(PROGRAMS / "leak.go")]
        done = subprocess.run(
            build, env=os.environ | {"GO111MODULE": "off", "GOCACHE": str(work / "cache")}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with running([str(program)], work, warm_s=3) as process:
            assert patient(process.pid).traces.ports
            profile = tried(step(process.pid, "curl -s").command, work)
            top = tried(f"export HOME={work}; {step(process.pid, 'go tool pprof').command}", work)
        assert "main.leakOneOrder" in profile
        assert re.search(r"^\s*\S+\s+\d+[.\d]*%.*main\.leakOneOrder$", top, re.MULTILINE), top
