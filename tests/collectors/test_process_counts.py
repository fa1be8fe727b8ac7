"""What is counted of real processes, and what is found that belongs to nobody, on the live kernel."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.kernel.orphans import GROWN_BYTES, Tmpfs, _Living, collect_ipc
from leakwatch.collectors.limits import ProcLimits
from leakwatch.collectors.processes.budget import ASIDE
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leakwatch.model.identity import Target

PLENTY = SamplingConfig(cpu_budget=1.0)
IPC_RMID = 0
SEGMENT_BYTES = 1 << 20
PROGRAM = """\
import mmap, os, subprocess, sys
sleepers = [subprocess.Popen(['sleep', '100']) for _ in range(3)]
ended = [subprocess.Popen(['true']) for _ in range(2)]
for one in ended: os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
pipes, held = [], []
print('ready', flush=True)
for line in sys.stdin:
    pipes += [os.pipe() for _ in range(20)]
    held += [mmap.mmap(-1, 4096, prot=1 + i % 2 * 2, flags=mmap.MAP_PRIVATE) for i in range(200)]
    print('ready', flush=True)
for one in sleepers: one.kill()
"""


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process with three living children and two zombies, which opens 40 files more for every line."""
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        _ready(child)
        yield child
        child.communicate(b"")


def _ready(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"


def _line(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    _ready(child)


def _collected(
    collector: ProcessCollector, pid: int, *, slow: bool = True
) -> tuple[dict[str, int], Target, CollectorResult]:
    result = CollectorResult()
    collector.collect(result, slow=slow)
    (target,) = [one.identity.target for one in result.processes if one.identity.pid == pid]
    return {one.metric: one.value for one in result.samples if one.target == target}, target, result


def test_children_zombies_mappings_and_sorts_of_files(program: subprocess.Popen[bytes]) -> None:
    collector = ProcessCollector(ProcFS(), "boot", PLENTY)
    before, target, _ = _collected(collector, program.pid)
    assert (before[metrics.PROCESS_CHILDREN], before[metrics.PROCESS_ZOMBIES]) == (3, 2)
    assert metrics.PROCESS_MAPPINGS not in before, "its address space has not grown since it was met"
    _line(program)
    after, _, _ = _collected(collector, program.pid)
    assert after[metrics.PROCESS_FDS] == before[metrics.PROCESS_FDS] + 40
    lines = Path(f"/proc/{program.pid}/maps").read_text().count("\n")
    assert after[metrics.PROCESS_MAPPINGS] == lines
    assert (after[metrics.PROCESS_CHILDREN], after[metrics.PROCESS_ZOMBIES]) == (3, 2)
    assert not [name for name in after if name.startswith(metrics.PROCESS_FDS_OF)]

    # Once its files and threads are judged they are counted at every tick, and told apart at the slow ones.
    quick, _, _ = _collected(collector, program.pid, slow=False)
    assert metrics.PROCESS_FDS not in quick
    collector.want_counts([(metrics.PROCESS_FDS, target), (metrics.PROCESS_THREADS, target)])
    quick, _, _ = _collected(collector, program.pid, slow=False)
    assert quick[metrics.PROCESS_FDS] == after[metrics.PROCESS_FDS]
    told, _, result = _collected(collector, program.pid)
    pipes = told[f"{metrics.PROCESS_FDS_OF}pipe"]
    assert 40 <= pipes <= 42
    of_sorts = sum(value for name, value in told.items() if name.startswith(metrics.PROCESS_FDS_OF))
    assert of_sorts == told[metrics.PROCESS_FDS]
    assert sum(result.thread_names[target].values()) == told[metrics.PROCESS_THREADS]


def test_zombies_that_are_gone_count_as_none(program: subprocess.Popen[bytes]) -> None:
    collector = ProcessCollector(ProcFS(), "boot", PLENTY)
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        before, _, _ = _collected(collector, os.getpid())
        assert before[metrics.PROCESS_ZOMBIES] >= 1
    after, _, _ = _collected(collector, os.getpid())
    assert after[metrics.PROCESS_ZOMBIES] == before[metrics.PROCESS_ZOMBIES] - 1
    assert program.poll() is None


def test_the_files_we_keep_open_of_others_are_not_counted_as_ours() -> None:
    procfs = ProcFS()
    collector = ProcessCollector(procfs, "boot", PLENTY)
    _collected(collector, os.getpid())
    counted, _, _ = _collected(collector, os.getpid())
    assert procfs.kept.count > 0
    really = len(list(Path("/proc/self/fd").iterdir()))
    assert really - procfs.kept.count - 3 <= counted[metrics.PROCESS_FDS] <= really - procfs.kept.count + 3


def test_without_a_budget_nothing_dear_is_counted(program: subprocess.Popen[bytes]) -> None:
    collector = ProcessCollector(ProcFS(), "boot", SamplingConfig(cpu_budget=0.0))
    _, target, _ = _collected(collector, program.pid)
    _line(program)
    collector.want_counts([(metrics.PROCESS_FDS, target)])
    after, _, _ = _collected(collector, program.pid)
    assert metrics.PROCESS_FDS in after
    assert metrics.PROCESS_MAPPINGS not in after
    assert not [name for name in after if name.startswith(metrics.PROCESS_FDS_OF)]
    assert 0 < ASIDE < 1


def test_limits_are_those_the_kernel_holds_a_process_to(program: subprocess.Popen[bytes]) -> None:
    import resource

    limits = ProcLimits(ProcFS())
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (333, 4096))
    of_files = limits.count_limit_of(metrics.PROCESS_FDS, program.pid, 33)
    assert of_files is not None
    assert (of_files.left, of_files.total, of_files.name) == (300, 333, "its limit on open files")
    of_mappings = limits.count_limit_of(metrics.PROCESS_MAPPINGS, program.pid, 30)
    assert of_mappings is not None
    assert of_mappings.total == int(Path("/proc/sys/vm/max_map_count").read_text())
    of_threads = limits.count_limit_of(metrics.PROCESS_THREADS, program.pid, 1)
    assert of_threads is not None
    assert 0 < of_threads.left < of_threads.total
    of_sets = limits.count_limit_of(metrics.IPC_SEM_SETS, None, 2)
    assert of_sets is not None
    assert of_sets.total == int(Path("/proc/sys/kernel/sem").read_text().split()[3])
    assert limits.count_limit_of(metrics.PROCESS_FDS, 2**22 + 1, 1) is None


def test_a_control_groups_limit_on_threads_comes_first(tmp_path: Path) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text("0::/a.slice/b.service\n")
    (tmp_path / "proc/loadavg").write_text("0.1 0.2 0.3 1/900 4711\n")
    for name, limit, now in (("a.slice", "500", "300"), ("a.slice/b.service", "400", "100")):
        group = tmp_path / "sys/fs/cgroup" / name
        group.mkdir(parents=True)
        (group / "pids.max").write_text(f"{limit}\n")
        (group / "pids.current").write_text(f"{now}\n")
    found = ProcLimits(ProcFS(str(tmp_path / "proc"))).count_limit_of(metrics.PROCESS_THREADS, 7, 90)
    assert found is not None
    assert (found.left, found.total, found.name) == (200, 500, "pids.max of /a.slice")


# What belongs to nobody


def _host(result: CollectorResult) -> dict[str, int]:
    return {one.metric: one.value for one in result.samples if one.target == HOST}


def _segment() -> int:
    """Make a segment in a child, which writes to it and ends; return its id."""
    program = (
        "import ctypes; libc = ctypes.CDLL(None); libc.shmat.restype = ctypes.c_void_p;"
        f"n = libc.shmget(0, {SEGMENT_BYTES}, 0o1600); ctypes.memset(libc.shmat(n, None, 0), 1, {SEGMENT_BYTES});"
        "print(n)"
    )
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)


def test_a_segment_whose_maker_has_ended_belongs_to_nobody_until_somebody_attaches_it() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    procfs, before, after, attached = ProcFS(), CollectorResult(), CollectorResult(), CollectorResult()
    collect_ipc(procfs, before)
    if metrics.IPC_SHM_SEGMENTS not in _host(before):
        pytest.skip("this kernel has no System V shared memory")
    number = _segment()
    try:
        collect_ipc(procfs, after)
        address = libc.shmat(number, None, 0)
        collect_ipc(procfs, attached)
        libc.shmdt(ctypes.c_void_p(address))
    finally:
        libc.shmctl(number, IPC_RMID, None)
    orphans = [_host(one)[metrics.IPC_SHM_ORPHANS] for one in (before, after, attached)]
    assert orphans[1] - orphans[0] == SEGMENT_BYTES
    assert orphans[2] == orphans[0]
    assert _host(after)[metrics.IPC_SHM_SEGMENTS] == _host(before)[metrics.IPC_SHM_SEGMENTS] + 1
    assert any(f"shmid {number} 1.00 MiB" in text for text in after.largest[metrics.IPC_SHM_ORPHANS]) or orphans[0]


def test_files_in_tmpfs_count_once_the_file_system_has_grown() -> None:
    shm = Path("/dev/shm")
    if not shm.is_mount():
        pytest.skip("/dev/shm is no mount")
    tmpfs, now_us = Tmpfs(ProcFS(), PLENTY), 1_000_000
    first = CollectorResult()
    tmpfs.collect(first, now_us)
    assert metrics.TMPFS_ORPHANS not in _host(first), "nothing has grown: nothing is walked"
    directory = Path(tempfile.mkdtemp(dir=shm))
    try:
        (directory / "left").write_bytes(bytes(2 * GROWN_BYTES))
        with (directory / "open").open("wb") as held:
            held.write(bytes(GROWN_BYTES))
            held.flush()
            second = CollectorResult()
            tmpfs.collect(second, now_us + 1_000_000)
        assert _host(second)[metrics.TMPFS_USED] - _host(first)[metrics.TMPFS_USED] >= 3 * GROWN_BYTES
        found = _host(second)[metrics.TMPFS_ORPHANS]
        assert found >= 2 * GROWN_BYTES
        named = second.largest[metrics.TMPFS_ORPHANS]
        if found < 3 * GROWN_BYTES:  # nobody else's lie beside it
            assert f"{directory} 2.00 MiB in 1 files" in named
            assert f"{directory}/left 2.00 MiB (uid {os.getuid()})" in named
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("made_s", "lives"),
    [(1_790_000_900, True), (1_790_000_100, False), (70, True)],
    ids=["began before", "began after", "stamped in 1970, before the clock was set"],
)
def test_who_made_a_segment_lives_if_it_began_before_it(made_s: int, lives: bool) -> None:
    booted_s, began_s = 1_790_000_000, 500
    stat = SimpleNamespace(is_zombie=False, start_ticks=began_s * os.sysconf("SC_CLK_TCK"))
    host = SimpleNamespace(btime_s=booted_s)
    procfs = SimpleNamespace(stat=lambda _: stat, host_stat=lambda: host)
    assert _Living(procfs).since(7, made_s) is lives  # type: ignore[arg-type]
