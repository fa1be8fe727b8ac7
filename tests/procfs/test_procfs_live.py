"""The kernel these tests run on: what it shows of processes made for the purpose."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leakwatch.model.sample import Absence, AbsenceReason
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.smaps import MemoryUse
from leakwatch.procfs.pid.stat import PidStat, PidStatm
from leakwatch.procfs.pid.status import PidStatus

pytestmark = [pytest.mark.live, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")]

MIB = 1 << 20
PR_SET_NAME = 15
LOSE_MAIN_THREAD = """
import ctypes, threading, time
ready = threading.Event()
def work():
    kept = bytearray(b"x") * (8 << 20)
    ready.set()
    time.sleep(60)
threading.Thread(target=work).start()
ready.wait()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""

Start = Callable[[Callable[[], None]], int]


@pytest.fixture
def proc() -> ProcFS:
    return ProcFS()


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that forks a process, lets it prepare itself, and returns its pid while it sleeps."""
    children: list[int] = []

    def fork(prepare: Callable[[], None]) -> int:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                prepare()
                os.write(writer, b"ready")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 5) == b"ready"
        os.close(reader)
        children.append(pid)
        return pid

    yield fork
    for pid in children:
        end(pid)


def end(pid: int) -> None:
    """Kill a child and collect it, unless that has been done."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def reason(found: object) -> AbsenceReason:
    assert isinstance(found, Absence), found
    return found.reason


def own_memory(proc: ProcFS) -> MemoryUse:
    use = proc.memory(os.getpid())
    assert isinstance(use, MemoryUse)
    return use


def test_uss_and_statm_rise_by_what_is_mapped_and_written(proc: ProcFS) -> None:
    piece = b"x" * MIB  # not 32 at once: malloc may keep them when they are freed, or give back others with them
    before, pages_before = own_memory(proc), proc.statm(os.getpid())
    with mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        for _ in range(32):
            area.write(piece)
        after, pages_after = own_memory(proc), proc.statm(os.getpid())
    assert after.uss_bytes - before.uss_bytes == pytest.approx(32 * MIB, abs=2 * MIB)
    assert isinstance(pages_before, PidStatm)
    assert isinstance(pages_after, PidStatm)
    grown = (pages_after.anonymous_pages - pages_before.anonymous_pages) * proc.page_size
    assert grown == pytest.approx(32 * MIB, abs=4 * MIB)


def test_this_process_is_as_python_knows_it(proc: ProcFS) -> None:
    pid = os.getpid()
    stat, status = proc.stat(pid), proc.status(pid)
    assert isinstance(stat, PidStat)
    assert isinstance(status, PidStatus)
    assert (stat.pid, stat.ppid, status.uid) == (pid, os.getppid(), os.getuid())
    assert (stat.is_kernel_thread, stat.is_zombie, stat.is_exiting) == (False, False, False)
    assert stat.comm == status.name
    assert proc.exe(pid) == str(Path(sys.executable).resolve())
    assert pid in proc.pids()
    assert proc.page_size == os.sysconf("SC_PAGE_SIZE")


def test_open_files_are_counted(proc: ProcFS, start: Start) -> None:
    def open_ten() -> None:
        for _ in range(10):
            os.open("/dev/null", os.O_RDONLY)

    few, many = start(lambda: None), start(open_ten)
    counts = proc.fd_count(few), proc.fd_count(many)
    assert isinstance(counts[0], int)
    assert isinstance(counts[1], int)
    assert counts[1] - counts[0] == 10


def test_the_host_files_of_this_kernel_are_understood(proc: ProcFS) -> None:
    meminfo, host = proc.meminfo(), proc.host_stat()
    assert not isinstance(meminfo, Absence)
    assert not isinstance(host, Absence)
    assert meminfo.fields["MemTotal"] == pytest.approx(os.sysconf("SC_PHYS_PAGES") * proc.page_size, rel=0.01)
    assert host.btime_s > 0
    assert len(proc.boot_id()) >= 10


@pytest.mark.root
@pytest.mark.skipif(not os.access("/proc/slabinfo", os.R_OK), reason="slabinfo needs root")
def test_slab_caches_sum_up_to_what_meminfo_says(proc: ProcFS) -> None:
    slabs, meminfo = proc.slabinfo(), proc.meminfo()
    assert not isinstance(slabs, Absence)
    assert not isinstance(meminfo, Absence)
    total = sum(cache.pages_bytes(proc.page_size) for cache in slabs)
    assert 0.5 * meminfo.fields["Slab"] < total < 1.1 * meminfo.fields["Slab"], "large kmallocs are in no cache"
    assert len({cache.key for cache in slabs}) == len(slabs)
    answers = {cache.name: proc.slab_reclaimable(cache.name) for cache in slabs}
    assert answers["dentry"] is True
    assert True not in [found for name, found in answers.items() if name.startswith("kmalloc-cg-")]


@pytest.mark.root
@pytest.mark.skipif(not os.access("/proc/vmallocinfo", os.R_OK), reason="vmallocinfo needs root")
def test_vmalloc_areas_sum_up_to_what_meminfo_says(proc: ProcFS) -> None:
    areas, meminfo = proc.vmallocinfo(), proc.meminfo()
    assert not isinstance(areas, Absence)
    assert not isinstance(meminfo, Absence)
    if not meminfo.get("VmallocUsed"):
        pytest.skip("VmallocUsed reads 0 from 4.4 to 5.2")
    owned = sum(area.memory_bytes(proc.page_size) for area in areas)
    assert owned == pytest.approx(meminfo.fields["VmallocUsed"], rel=0.2)


def test_given_a_kernel_thread_there_is_no_address_space(proc: ProcFS) -> None:
    stat = proc.stat(2)
    if isinstance(stat, Absence) or not stat.is_kernel_thread:
        pytest.skip("pid 2 is no kernel thread here (a container)")
    assert reason(proc.memory(2)) is AbsenceReason.NO_ADDRESS_SPACE
    assert reason(proc.statm(2)) is AbsenceReason.NO_ADDRESS_SPACE
    assert proc.cmdline(2) == ()


def test_given_a_zombie_there_is_no_address_space(proc: ProcFS) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # waits for the end and leaves the zombie
    try:
        stat = proc.stat(pid)
        assert isinstance(stat, PidStat)
        assert stat.is_zombie
        assert reason(proc.memory(pid)) is AbsenceReason.NO_ADDRESS_SPACE
        assert reason(proc.statm(pid)) is AbsenceReason.NO_ADDRESS_SPACE
        assert reason(proc.exe(pid)) is AbsenceReason.NO_ADDRESS_SPACE
    finally:
        os.waitpid(pid, 0)


def test_given_a_process_that_vanishes_between_two_reads_it_is_gone(proc: ProcFS, start: Start) -> None:
    pid = start(lambda: None)
    assert isinstance(proc.stat(pid), PidStat)
    end(pid)
    reads = (proc.stat, proc.statm, proc.status, proc.memory, proc.cgroup, proc.cmdline, proc.exe, proc.fd_count)
    assert {reason(read(pid)) for read in reads} == {AbsenceReason.GONE}


@pytest.mark.parametrize(
    "name", [b") R 1 (", b"two\nlines", b"\xff\xfe\x80", b"\x1b[31mred", b"back\\slash\\n", b"(((", b""]
)
def test_given_a_hostile_name_stat_and_status_give_it_back(proc: ProcFS, start: Start, name: bytes) -> None:
    pid = start(lambda: ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0))
    stat, status = proc.stat(pid), proc.status(pid)
    assert isinstance(stat, PidStat)
    assert isinstance(status, PidStatus)
    assert stat.comm.encode("utf-8", "surrogateescape") == name
    assert (stat.pid, stat.ppid) == (pid, os.getpid())
    assert status.name == stat.comm


@pytest.fixture
def sleeper() -> Iterator[int]:
    """Return a program's pid: a fork would not do, its private memory changes with every write of ours."""
    program = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
        child.kill()


def test_smaps_summed_equals_the_rollup(proc: ProcFS, sleeper: int, tmp_path: Path) -> None:
    rollup = proc.memory(sleeper)
    assert isinstance(rollup, MemoryUse)
    if rollup.mappings is not None:
        pytest.skip("this kernel has no smaps_rollup (4.14)")
    # A tree that shows the same living process without smaps_rollup, as a kernel before 4.14 would.
    (tmp_path / str(sleeper)).mkdir()
    for name in ("stat", "statm", "status", "smaps"):
        (tmp_path / str(sleeper) / name).symlink_to(f"/proc/{sleeper}/{name}")
    summed = ProcFS(str(tmp_path)).memory(sleeper)
    assert isinstance(summed, MemoryUse)
    assert summed.mappings is not None
    for field in ("rss_bytes", "uss_bytes", "swap_bytes", "anonymous_bytes"):
        assert getattr(summed, field) == pytest.approx(getattr(rollup, field), abs=MIB // 4), field
    assert summed.pss_bytes == pytest.approx(rollup.pss_bytes, abs=MIB // 4 + (summed.mappings << 10))
    assert ProcFS(str(tmp_path)).page_size == proc.page_size, "inferred from VmSize and statm"


def test_given_a_process_whose_main_thread_ended_its_memory_is_still_seen(proc: ProcFS) -> None:
    with subprocess.Popen([sys.executable, "-c", LOSE_MAIN_THREAD], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        try:
            stat = wait_for_state_z(proc, child.pid)
            use, statm = proc.memory(child.pid), proc.statm(child.pid)
        finally:
            child.kill()
    assert stat.has_lost_main_thread
    assert isinstance(use, MemoryUse)
    assert isinstance(statm, PidStatm)
    assert use.uss_bytes > 8 * MIB
    assert statm.anonymous_pages * proc.page_size > 8 * MIB


def wait_for_state_z(proc: ProcFS, pid: int) -> PidStat:
    while True:  # the thread is on its way into pthread_exit; the process lives for a minute at most
        stat = proc.stat(pid)
        assert isinstance(stat, PidStat)
        if stat.state == "Z":
            return stat
        os.sched_yield()


def test_every_process_of_this_machine_is_read_or_explained(proc: ProcFS) -> None:
    for pid in proc.pids():
        for read in (
            proc.stat,
            proc.statm,
            proc.status,
            proc.memory,
            proc.cgroup,
            proc.cmdline,
            proc.exe,
            proc.fd_count,
        ):
            found = read(pid)
            if isinstance(found, Absence):
                assert found.reason is not AbsenceReason.MALFORMED, found
                assert found.detail.startswith("/proc/")
