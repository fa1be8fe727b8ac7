"""Real processes, read in two tiers: what is estimated, beside a full read made at once, and what is read fully."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from leakwatch import metrics
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.sample import AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leakwatch.model.identity import Target

pytestmark = pytest.mark.live

KIB, MIB = 1 << 10, 1 << 20
CHILD = Path(__file__).with_name("two_tier_child.py")
LONG_S = 86_400.0
FULL = SamplingConfig(max_age_s=LONG_S, cpu_budget=1.0)
"""Without reads by age, and with CPU time for all others: what is read is read because it may have changed."""
TOLERANCE = FULL.tolerance_bytes
SLACK = 16 * KIB
"""What the child's interpreter itself may do between two looks."""


class Obedient:
    """A child that does what it is told."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", str(CHILD)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        self.do("own 4")

    def do(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line.encode() + b"\n")
        return int(self.process.stdout.readline() or b"-1")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[[], Obedient]]:
    children: list[Obedient] = []

    def begin() -> Obedient:
        children.append(Obedient())
        return children[-1]

    yield begin
    for child in children:
        child.end()


class Seen(NamedTuple):
    uss: int
    estimated: bool


class Watch:
    """A collector that is asked for single processes."""

    def __init__(self, sampling: SamplingConfig = FULL) -> None:
        self.procfs = ProcFS()
        self.collector = ProcessCollector(self.procfs, "boot", sampling)

    def look(self) -> dict[int, Seen]:
        self.result = CollectorResult()
        self.collector.collect(self.result, slow=False)
        pids = {info.identity.target: info.identity.pid for info in self.result.processes}
        return {
            pids[sample.target]: Seen(sample.value, sample.estimated)
            for sample in self.result.samples
            if sample.metric == metrics.PROCESS_USS
        }

    def truth(self, pid: int) -> int:
        use = self.procfs.memory(pid)
        assert isinstance(use, MemoryUse)
        return use.uss_bytes

    def target(self, pid: int) -> Target:
        return next(info.identity.target for info in self.result.processes if info.identity.pid == pid)

    def all_values(self, pid: int) -> dict[str, int]:
        target = self.target(pid)
        return {sample.metric: sample.value for sample in self.result.samples if sample.target == target}


def settled(watch: Watch) -> dict[int, Seen]:
    """Look until everybody new was read and the families are known."""
    watch.look()
    watch.look()
    return watch.look()


def test_a_process_at_rest_is_read_once_and_then_estimated(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    first = watch.look()[child.pid]
    assert first == (watch.truth(child.pid), False)
    assert watch.look()[child.pid] == (first.uss, True)


def test_growth_is_estimated_to_the_page_in_all_values(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    watch.look()
    child.do("own 6000")
    seen = watch.look()[child.pid]
    assert seen.estimated
    assert seen.uss == pytest.approx(watch.truth(child.pid), abs=SLACK)
    use, values = watch.procfs.memory(child.pid), watch.all_values(child.pid)
    assert isinstance(use, MemoryUse)
    # PSS also moves with every other process that maps or unmaps the interpreter meanwhile.
    assert values[metrics.PROCESS_PSS] == pytest.approx(use.pss_bytes, abs=MIB)
    assert values[metrics.PROCESS_RSS] == pytest.approx(use.rss_bytes, abs=SLACK)


def test_memory_given_back_is_estimated_to_the_page(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("own 6000")
    before = watch.look()[child.pid]
    child.do("drop")
    after = watch.look()[child.pid]
    assert after.estimated
    assert before.uss - after.uss == pytest.approx(6000 * KIB, abs=SLACK)


def test_a_leak_is_followed_step_by_step_and_verified_as_it_grows(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    watch.look()
    kinds = []
    for _ in range(20):
        child.do("own 1000")
        seen = watch.look()[child.pid]
        kinds.append(seen.estimated)
        assert seen.uss == pytest.approx(watch.truth(child.pid), abs=SLACK)
    assert 0 < kinds.count(False) <= 4, "each 8 MiB of growth are read, the rest is estimated"


def test_shared_memory_is_read_fully_at_once(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    watch.look()
    child.do("shared 4000")  # of its own so far: all of it is USS
    seen = watch.look()[child.pid]
    assert seen == (watch.truth(child.pid), False)


def test_a_little_shared_memory_is_wrong_by_no_more_than_the_tolerance(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    watch.look()
    kinds = []
    for _ in range(8):
        child.do("shared 48")
        seen = watch.look()[child.pid]
        kinds.append(seen.estimated)
        assert abs(seen.uss - watch.truth(child.pid)) <= TOLERANCE
    assert True in kinds
    assert False in kinds


def test_a_fork_makes_the_parent_s_memory_shared(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("own 20000")
    before = watch.look()[child.pid]
    worker = child.do("fork")
    seen = watch.look()  # reads the worker, which tells that its parent must be read anew
    for pid in (child.pid, worker):
        assert abs(seen[pid].uss - watch.truth(pid)) <= TOLERANCE
    assert before.uss - seen[child.pid].uss > 15 * MIB


def test_when_siblings_die_the_survivors_are_read_anew(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("own 20000")
    child.do("fork")
    child.do("fork")
    before = settled(watch)[child.pid]
    child.do("kill 0")
    child.do("kill 1")
    # Nothing of the survivor has moved.
    after = watch.look()[child.pid]
    assert after.uss == pytest.approx(watch.truth(child.pid), abs=SLACK)
    assert after.uss - before.uss > 15 * MIB


def test_writes_to_shared_pages_are_noticed_by_their_faults(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("own 20000")
    child.do("drop")
    child.do("own 20000")
    child.do("drop")
    # GIVEN a first area of 4 KiB replaced by one that is shared with a worker
    child.do("drop")
    child.do("own 20000")
    worker = child.do("fork")
    before = settled(watch)
    # WHEN the worker writes to 8 MiB of it
    child.do("child 0 write 8000")
    seen = watch.look()
    # THEN its USS has risen at once, and that of the parent, to whom the pages are left, within the tolerance
    assert seen[worker].uss - before[worker].uss == pytest.approx(8000 * KIB, abs=TOLERANCE + SLACK)
    assert abs(seen[child.pid].uss - watch.truth(child.pid)) <= TOLERANCE + SLACK
    assert seen[child.pid].uss - before[child.pid].uss > 7 * MIB


def test_a_sequence_of_small_writes_stays_within_the_tolerance(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("drop")
    child.do("own 20000")
    workers = [child.do("fork"), child.do("fork")]
    settled(watch)
    for step in range(1, 40):
        child.do(f"child 0 write {step * 64}")
        seen = watch.look()
        for pid in (child.pid, *workers):
            assert abs(seen[pid].uss - watch.truth(pid)) <= TOLERANCE + SLACK


def test_an_exec_is_seen_at_once_though_pid_and_open_file_stay(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    child.do("own 20000")
    watch.look()
    assert child.process.stdin is not None
    child.process.stdin.write(b"exec\n")
    while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
        pass
    wait_until_asleep(child.pid)
    seen = watch.look()[child.pid]
    assert seen == (watch.truth(child.pid), False)
    assert seen.uss < 4 * MIB
    assert next(info.name for info in watch.result.processes if info.identity.pid == child.pid) == "sleep"


def wait_until_asleep(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        pass


def test_who_has_ended_is_gone_and_its_files_are_closed(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    assert child.pid in watch.look()
    kept = watch.procfs.kept.count
    child.end()
    assert child.pid not in watch.look()
    assert child.pid not in {info.identity.pid for info in watch.result.processes}
    assert watch.procfs.kept.count <= kept - 1


@pytest.mark.root
def test_another_process_of_the_same_pid_is_another_process(start: Callable[[], Obedient]) -> None:
    # GIVEN a process that is known, whose pid the kernel is made to give out again
    last = Path("/proc/sys/kernel/ns_last_pid")
    child, watch = start(), Watch()
    child.do("own 20000")
    watch.look()
    before = watch.target(child.pid)
    child.end()
    try:
        last.write_text(str(child.pid - 1))
    except OSError as error:
        pytest.skip(f"pids cannot be chosen here: {error}")
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            if other.pid != child.pid:
                pytest.skip("another process was faster")
            wait_until_asleep(other.pid)
            # WHEN the collector looks again
            seen = watch.look()[other.pid]
            # THEN nothing of the first one is left
            assert seen == (watch.truth(other.pid), False)
            assert watch.target(other.pid) != before
        finally:
            other.kill()


def test_a_suspect_is_read_fully_when_asked_for_and_once(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch(SamplingConfig(max_age_s=LONG_S))
    settled(watch)
    watch.collector.want_full([watch.target(child.pid)])
    assert watch.look()[child.pid] == (watch.truth(child.pid), False)
    assert watch.look()[child.pid].estimated


def test_the_fork_of_one_too_large_to_read_counts_only_what_is_its_own(start: Callable[[], Obedient]) -> None:
    # GIVEN a process that is never read, as its size forbids
    child, watch = start(), Watch(SamplingConfig(max_stall_s=0.001))
    child.do("own 200000")
    before = watch.look()[child.pid]
    # WHEN it forks, as a database does to write a snapshot, and the fork allocates something
    worker = child.do("fork")
    watch.look()
    child.do("child 0 own 5000")
    seen = watch.look()
    # THEN its memory is not counted twice
    assert seen[child.pid].uss == pytest.approx(before.uss, abs=MIB)
    assert seen[worker].estimated
    assert 4 * MIB < seen[worker].uss < 8 * MIB


def test_at_the_maximal_age_it_is_read_whatever_its_counters_say(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch(SamplingConfig(max_age_s=1e-6, cpu_budget=1.0))
    watch.look()
    assert not watch.look()[child.pid].estimated


def test_who_would_wait_for_long_is_estimated_and_read_only_as_a_suspect(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch(SamplingConfig(max_stall_s=0.001, max_age_s=1e-6, cpu_budget=1.0))
    child.do("own 200000")  # some 3 ms to read: more than one, less than ten
    first, second = watch.look()[child.pid], watch.look()[child.pid]
    assert first.estimated
    assert second.estimated
    # What it maps of files alone is missing, and this test's own interpreter maps the same.
    assert first.uss == pytest.approx(watch.truth(child.pid), abs=2 * MIB)
    watch.collector.want_full([watch.target(child.pid)])
    assert not watch.look()[child.pid].estimated
    watch.collector.want_full([watch.target(child.pid)])
    assert watch.look()[child.pid].estimated, "at most every six hours"


def test_when_the_budget_is_spent_a_new_process_is_absent_and_a_suspect_is_read(start: Callable[[], Obedient]) -> None:
    known = [start(), start()]
    watch = Watch(SamplingConfig(cpu_budget=1e-9))
    for _ in range(3):
        watch.look()
    assert watch.result.absences[AbsenceReason.SKIPPED] >= 1
    assert watch.collector.spent.last.skipped == watch.result.absences[AbsenceReason.SKIPPED]
    watch.collector.want_full([watch.target(known[0].pid)])
    seen = watch.look()
    assert not seen[known[0].pid].estimated
    assert known[1].pid not in seen or seen[known[1].pid].estimated


def test_beyond_the_limit_on_open_files_the_values_are_the_same(start: Callable[[], Obedient]) -> None:
    child, watch = start(), Watch()
    watch.procfs.kept.limit = 0
    watch.look()
    child.do("own 3000")
    seen = watch.look()[child.pid]
    assert seen.estimated
    assert seen.uss == pytest.approx(watch.truth(child.pid), abs=SLACK)
    child.end()
    assert child.pid not in watch.look()
    assert watch.procfs.kept.count == 0


def test_a_process_whose_main_thread_ended_goes_on_being_read() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        lose_main_thread(writer)
    try:
        os.close(writer)
        assert os.read(reader, 1) == b"x"
        watch = Watch()
        while not has_lost_its_main_thread(watch, pid):
            pass
        for _ in range(3):  # a relative of this very process, whose pages both write to
            assert watch.look()[pid].uss == pytest.approx(watch.truth(pid), abs=MIB)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def has_lost_its_main_thread(watch: Watch, pid: int) -> bool:
    stat = watch.procfs.stat(pid)
    return bool(getattr(stat, "has_lost_main_thread", False))


def lose_main_thread(writer: int) -> None:
    import ctypes

    def stay() -> None:
        os.write(writer, b"x")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Event().wait()

    threading.Thread(target=stay).start()
    ctypes.CDLL(None).pthread_exit(None)


def test_counts_of_threads_and_files_are_those_listed(start: Callable[[], Obedient]) -> None:
    child, procfs = start(), ProcFS()
    threads, files = procfs.counts(child.pid)
    stat = procfs.stat(child.pid)
    assert threads == getattr(stat, "num_threads", None) == 1
    assert files in (0, procfs.fd_count(child.pid))  # 0 before 6.2
    threads, _ = procfs.counts(os.getpid())
    assert threads == len(os.listdir("/proc/self/task"))  # noqa: PTH208
