"""Which steps are offered, in which order, and how a command reaches its process; nothing is read here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakwatch.nextsteps import kernel_tools
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.runtime import Libc, Runtime, RuntimeKind
from leakwatch.nextsteps.runtime_signs import Traces
from leakwatch.nextsteps.step import HEADERS, Patient, Risk, Step, Tool, first, in_order, nobody
from leakwatch.text.redact import redacted

TOOLS = dict.fromkeys(
    ("gdb", "heaptrack", "valgrind", "bpftrace", "memleak-bpfcc", "curl", "go", HEADERS), "/usr/bin/x"
)


def of(runtime: Runtime, tools: dict[str, str] | None = None, *, sudo: str = "", **values: object) -> Patient:
    traces = Traces(pid=812, uid=0, **values)  # type: ignore[arg-type]
    return Patient(traces, runtime, TOOLS | (tools or {}), sudo)


def commands(patient: Patient) -> str:
    return "\n".join(step.line for step in steps_for(patient))


def one(patient: Patient, fragment: str) -> Step:
    (found,) = [step for step in steps_for(patient) if fragment in step.line]
    return found


GLIBC = Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, libc_path="/lib/libc.so.6")


def test_the_safest_comes_first_and_of_these_what_can_be_done_now() -> None:
    absent = Tool("x", "", "apt-get install x")
    steps = [
        Step("c", "c", Risk.ATTACH), Step("b", "b", Risk.LOOK, tools=(absent,)), Step("a", "a", Risk.LOOK),
        Step("d", "", Risk.LOOK), Step("e", "e", Risk.LOOK, lacks="debugfs"),
    ]  # fmt: skip
    assert [step.purpose for step in in_order(steps)] == ["a", "d", "b", "e", "c"]
    found = first(steps)
    assert found is not None
    assert found.purpose == "a"
    assert first([steps[0], steps[1]]) is steps[0]  # what can be done beats what is safer and cannot
    assert first([steps[1]]) is steps[1]
    assert first([steps[3]]) is None


@pytest.mark.parametrize("kind", list(RuntimeKind))
def test_every_runtime_has_steps_that_say_what_they_cost(kind: RuntimeKind) -> None:
    steps = steps_for(
        of(Runtime(kind, libc=Libc.GLIBC, libc_path="/lib/libc.so.6"), arguments=redacted(("app", "--token", "x9")))
    )
    assert [step.risk for step in steps] == sorted(step.risk for step in steps)
    assert all(step.cost for step in steps if step.command)
    assert "x9" not in "".join(step.line for step in steps)  # no secret of its own command line


def test_a_jvm_without_native_memory_tracking_has_to_be_restarted_for_it() -> None:
    jvm = Runtime(RuntimeKind.JVM, libc=Libc.GLIBC)
    without = of(jvm, {"jcmd": "/opt/jdk/bin/jcmd"}, arguments=("java", "-jar", "a.jar"), exe="/opt/jdk/bin/java")
    step = one(without, "NativeMemoryTracking")
    assert (step.risk, step.command.endswith("/opt/jdk/bin/java -jar a.jar")) == (Risk.RESTART, True)
    by_variable = {"JAVA_TOOL_OPTIONS": "-XX:NativeMemoryTracking=detail"}
    assert one(of(jvm, environment=by_variable), "VM.native_memory").risk is Risk.ASK
    assert not one(of(jvm, {"jcmd": ""}), "GC.class_histogram").ready
    assert one(without, "GC.class_histogram").command.startswith("/opt/jdk/bin/jcmd 812 ")


def test_a_jvm_is_asked_by_its_own_user() -> None:
    jvm = of(Runtime(RuntimeKind.JVM), {"jcmd": "/usr/bin/jcmd"}, sudo="sudo ")
    jvm = replace(jvm, traces=replace(jvm.traces, uid=1000))
    assert one(jvm, "GC.heap_info").command == "sudo -u '#1000' jcmd 812 GC.heap_info"


def test_a_signal_is_sent_to_node_only_where_it_is_handled() -> None:
    node = Runtime(RuntimeKind.NODE, libc=Libc.GLIBC)
    assert "kill -" not in "".join(s.command for s in steps_for(of(node, caught=frozenset())))
    assert one(of(node, caught=frozenset()), "heapsnapshot-signal").risk is Risk.RESTART
    assert (
        "inspect -p 812" in one(of(node, {"node": "/usr/bin/node"}, caught=frozenset({10})), "takeHeapSnapshot").command
    )
    signal = of(node, environment={"NODE_OPTIONS": "--heapsnapshot-signal=SIGUSR2"}, directory="/srv")
    assert one(signal, "kill -USR2 812").purpose.count("/srv") == 1


def test_go_with_a_profiler_is_asked_where_it_listens() -> None:
    go = of(Runtime(RuntimeKind.GO, pprof=True), ports=(6060, 8080))
    assert "http://127.0.0.1:6060/debug/pprof/heap" in one(go, "go tool pprof").command
    assert "it listens on 6060, 8080" in commands(go)
    assert one(of(Runtime(RuntimeKind.GO)), "net/http/pprof").risk is Risk.RESTART


def test_in_a_container_commands_go_in_there_by_the_number_it_has_there() -> None:
    python = of(Runtime(RuntimeKind.CPYTHON), {"memray": "/venv/bin/memray"}, contained=True, inner_pid=7, sudo="sudo ")
    step = one(python, "memray attach")
    assert step.command.startswith("sudo nsenter -t 812 -m -p -n -- /venv/bin/memray attach ")
    assert " 7 && sleep 65 && sudo nsenter" in step.command
    assert "runs in a container" in step.cost
    assert "/proc/812/root/lib/libc.so.6" in commands(of(GLIBC, contained=True))


@pytest.mark.parametrize(
    ("runtime", "there", "not_there"),
    [
        (GLIBC, "malloc_trim", "mallctl"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.MUSL, libc_path="/l"), "memleak-bpfcc", "malloc_trim"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, allocator="jemalloc"), "malloc_stats_print", "malloc_info"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, allocator="tcmalloc"), "ReleaseFreeMemory", "malloc_trim"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, allocator="mimalloc"), "mi_collect", "malloc_trim"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, asan=True), "__lsan_do_recoverable_leak_check", "valgrind"),
        (Runtime(RuntimeKind.NATIVE, libc=Libc.NONE), "valgrind", "heaptrack"),
        (Runtime(RuntimeKind.CPYTHON, libc=Libc.GLIBC), "malloc_trim", "valgrind"),
        (Runtime(RuntimeKind.GO, libc=Libc.GLIBC), "gctrace", "malloc"),
    ],
)
def test_an_allocator_gets_its_own_questions(runtime: Runtime, there: str, not_there: str) -> None:
    said = "\n".join(step.command for step in steps_for(of(runtime)))
    assert there in said
    assert not_there not in said


def test_the_check_of_leak_sanitizer_takes_a_signal_the_program_does_not_use() -> None:
    asan = of(Runtime(RuntimeKind.NATIVE, libc=Libc.GLIBC, asan=True), caught=frozenset({63, 62}))
    assert one(asan, "__lsan").command.endswith("kill -61 812")


def test_of_a_name_alone_nothing_is_claimed_to_be_installed() -> None:
    steps = steps_for(nobody("gunicorn", None))
    assert any("memray" in step.command and "PID" in step.command for step in steps)
    assert {tool.path for step in steps for tool in step.tools} == {None}


class TestKernel:
    BARE = kernel_tools.Facts(
        frozenset(), {"alloc_traces": False, "/sys/kernel/slab": True}, {"slabtop": "/usr/bin/slabtop"}
    )
    FULL = kernel_tools.Facts(
        frozenset({"SLUB_DEBUG", "DEBUG_KMEMLEAK", "PAGE_OWNER", "MEM_ALLOC_PROFILING", "BPF_EVENTS", "KPROBES"}),
        dict.fromkeys(
            ("alloc_traces", "kmemleak", "page_owner", "/proc/allocinfo", "/sys/kernel/slab", "tracing"), True
        ),
        dict.fromkeys(("slabtop", "bpftrace", "memleak-bpfcc", "numfmt", HEADERS), "/usr/bin/x"),
        "",
    )

    def test_a_kernel_that_offers_it_has_every_step_ready(self) -> None:
        for steps in (
            kernel_tools.of_slab("kmalloc-4k", self.FULL), kernel_tools.of_vmalloc("f+0x1/0x2", self.FULL),
            kernel_tools.of_total("kernel.unaccounted_bytes", self.FULL),
        ):  # fmt: skip
            assert all(step.ready for step in steps), [step for step in steps if not step.ready]

    def test_what_the_kernel_was_built_without_is_said(self) -> None:
        lacks = {step.lacks for step in kernel_tools.of_slab("kmalloc-4k", self.BARE)}
        assert "this kernel was built without CONFIG_DEBUG_KMEMLEAK" in lacks
        assert "this kernel was built without CONFIG_MEM_ALLOC_PROFILING" in lacks
        debug = replace(self.BARE, options=frozenset({"SLUB_DEBUG"}))
        assert "boot with slub_debug=U,kmalloc-4k on the kernel's command line" in {
            step.lacks for step in kernel_tools.of_slab("kmalloc-4k", debug)
        }

    @pytest.mark.parametrize(
        ("cache", "probe"),
        [
            ("kmalloc-4k", "kmem:kmalloc /args->bytes_alloc == 4096/"),
            ("kmalloc-cg-96", "/args->bytes_alloc == 96/"),
            ("kmalloc-rnd-05-2k", "/args->bytes_alloc == 2048/"),
            ("msg_msg-4k", "kmem:kmalloc /args->bytes_alloc == 4096/"),
            ("msg_queue", 'kmem_cache_alloc /str(args->name) == "msg_queue"/'),
        ],
    )
    def test_the_caches_own_allocations_are_traced(self, cache: str, probe: str) -> None:
        assert any(probe in step.command for step in kernel_tools.of_slab(cache, self.FULL))

    def test_a_hostile_name_stays_one_word(self) -> None:
        for step in kernel_tools.of_slab("x'; reboot\n", self.FULL):
            assert "\n" not in step.line
        assert any(
            "'x'\"'\"'; reboot\\x0a'" in step.command for step in kernel_tools.of_slab("x'; reboot\n", self.FULL)
        )
