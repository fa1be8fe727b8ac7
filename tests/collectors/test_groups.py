"""Control groups of services: hand-made trees of both versions, and real groups of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import AbsenceReason, Scrape, Tick
from leakwatch.procfs.cgroup.memory import Group, group_of, read_memory
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid.cgroup import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
SHOP = Target(TargetKind.SERVICE, "unit:shop.service")
WORKERS = Target(TargetKind.SERVICE, "unit:worker@.service")
V2 = {
    "memory.current": "104857600\n",
    "memory.peak": "209715200\n",
    "memory.max": "268435456\n",
    "memory.swap.current": "4096\n",
    "memory.stat": "anon 62914560\nfile 31457280\nkernel 10485760\nshmem 1048576\nslab_reclaimable 2097152\nnew_1 7\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
}
V1 = {
    "memory.usage_in_bytes": "104857600\n",
    "memory.max_usage_in_bytes": "209715200\n",
    "memory.limit_in_bytes": "268435456\n",
    "memory.kmem.usage_in_bytes": "10485760\n",
    "memory.stat": "cache 1\nrss 1\ntotal_cache 31457280\ntotal_rss 62914560\ntotal_shmem 1048576\ntotal_swap 4096\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}


class Tree:
    """A machine of two processes' making."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("proc/stat", "btime 1\n")
        self.put("proc/sys/kernel/random/boot_id", "b\n")
        self.kills(0)
        (root / "sys").mkdir()
        self.procfs = ProcFS(str(root / "proc"), page_size=4096)
        self.scraper = Scraper(self.procfs, "b", SamplingConfig(slow_every=1))

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def kills(self, count: int) -> None:
        self.put("proc/vmstat", f"nr_free_pages 5\noom_kill {count}\ndrop_pagecache 0\n")

    def process(self, pid: int, cgroup: str) -> None:
        rest = " ".join(["S", "1", str(pid), *["0"] * 18, str(pid), *["0"] * 30])
        self.put(f"proc/{pid}/stat", f"{pid} (shop) {rest}\n")
        self.put(f"proc/{pid}/statm", "100 50 10 1 0 60 0\n")
        self.put(f"proc/{pid}/status", "Name:\tshop\nUid:\t0\t0\t0\t0\n")
        self.put(f"proc/{pid}/cmdline", "shop\0")
        self.put(f"proc/{pid}/cgroup", cgroup)

    def group(self, path: str, files: dict[str, str], version: int = 2) -> None:
        for name, text in files.items():
            self.put(f"sys/fs/cgroup{'' if version == 2 else '/memory'}{path}/{name}", text)

    def scrape(self, ts_ms: int = 1) -> Scrape:
        return self.scraper.scrape(Tick(ts_ms, "b"))


def of(scrape: Scrape, target: Target) -> dict[str, int]:
    return {s.metric: s.value for s in scrape.samples if s.target == target and s.metric.startswith("cgroup.")}


def groups_outcome(scrape: Scrape) -> tuple[int, dict[AbsenceReason, int]]:
    (found,) = [o for o in scrape.outcomes if o.collector == "groups"]
    assert not found.error
    return found.targets_read, dict(found.absences)


EXPECTED = {
    metrics.GROUP_CURRENT: 100 * MIB,
    metrics.GROUP_PEAK: 200 * MIB,
    metrics.GROUP_LIMIT: 256 * MIB,
    metrics.GROUP_SWAP: 4096,
    metrics.GROUP_ANON: 60 * MIB,
    metrics.GROUP_FILE: 30 * MIB,
    metrics.GROUP_SHMEM: MIB,
    metrics.GROUP_KERNEL: 10 * MIB,
    metrics.GROUP_OOM_KILLS: 2,
}


def test_version_2_says_everything(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2)
    scrape = tree.scrape()
    assert of(scrape, SHOP) == EXPECTED | {metrics.GROUP_SLAB_RECLAIMABLE: 2 * MIB}
    assert groups_outcome(scrape) == (1, {})
    assert scrape.owners is not None
    assert scrape.owners[SHOP].groups == ("/system.slice/shop.service",)


def test_version_1_says_the_same_under_other_names(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "4:memory:/system.slice/shop.service\n1:name=systemd:/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V1, version=1)
    assert of(tree.scrape(), SHOP) == EXPECTED


@pytest.mark.parametrize("cgroup", [
    "4:memory:/\n1:name=systemd:/system.slice/shop.service\n",  # version 1 without memory accounting
    "4:memory:/system.slice\n1:name=systemd:/system.slice/shop.service\n",
    "1:name=systemd:/system.slice/shop.service\n",  # no memory controller at all
    "0::/system.slice/shop.service\n",  # the group is not below our /sys
])  # fmt: skip
def test_without_a_memory_group_of_its_own_there_is_an_absence_and_no_value(tmp_path: Path, cgroup: str) -> None:
    tree = Tree(tmp_path)
    tree.process(10, cgroup)
    tree.group("/system.slice", V1, version=1)
    scrape = tree.scrape()
    assert of(scrape, SHOP) == {}
    read, absences = groups_outcome(scrape)
    assert read == 0
    assert sum(absences.values()) == 1


def test_an_older_kernel_s_missing_files_are_absent_and_the_rest_is_there(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    old = {name: text for name, text in V2.items() if name not in ("memory.peak", "memory.swap.current")}
    tree.group("/system.slice/shop.service", old | {"memory.stat": "anon 5\nfile 6\n", "memory.events": "oom 1\n"})
    scrape = tree.scrape()
    assert set(of(scrape, SHOP)) == {
        metrics.GROUP_CURRENT, metrics.GROUP_LIMIT, metrics.GROUP_ANON, metrics.GROUP_FILE,
    }  # fmt: skip
    # peak and oom_kill; without swap accounting there is nothing missing
    assert groups_outcome(scrape) == (1, {AbsenceReason.UNSUPPORTED: 2})


def test_no_limit_is_no_value(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2 | {"memory.max": "max\n"})
    assert metrics.GROUP_LIMIT not in of(tree.scrape(), SHOP)
    # but a slice's limit binds, too
    tree.group("/system.slice", {"memory.max": f"{300 * MIB}\n"})
    assert of(tree.scrape(), SHOP)[metrics.GROUP_LIMIT] == 300 * MIB


def test_what_is_malformed_is_absent(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2 | {"memory.stat": "nonsense\n", "memory.peak": "-1\n"})
    scrape = tree.scrape()
    assert metrics.GROUP_ANON not in of(scrape, SHOP)
    assert groups_outcome(scrape)[1] == {AbsenceReason.MALFORMED: 2}


def test_workers_that_are_numbered_units_add_up_to_one_service(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for number in (1, 2):
        path = f"/system.slice/system-worker.slice/worker@{number}.service"
        tree.process(10 + number, f"0::{path}\n")
        tree.group(path, V2)
    scrape = tree.scrape()
    found = of(scrape, WORKERS)
    assert found[metrics.GROUP_CURRENT] == 200 * MIB
    # Each has a peak, reached at its own time, and a limit of its own: neither is the service's.
    assert not {metrics.GROUP_PEAK, metrics.GROUP_LIMIT} & set(found)
    assert scrape.owners is not None
    assert len(scrape.owners[WORKERS].groups) == 2


def test_half_a_sum_is_no_value(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for number in (1, 2):
        tree.process(10 + number, f"0::/system.slice/worker@{number}.service\n")
    tree.group("/system.slice/worker@1.service", V2)
    assert of(tree.scrape(), WORKERS) == {}


def test_a_path_outside_of_what_we_see_is_not_read(tmp_path: Path) -> None:
    assert group_of(str(tmp_path), parse(b"0::/../x.service\n")) is None
    assert group_of(None, parse(b"0::/x.service\n")) is None


def test_kills_before_the_first_look_are_no_news_and_those_after_it_are(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2)
    first = tree.scrape()
    assert first.oom_kills == ()
    assert {s.value for s in first.samples if s.metric == metrics.KERNEL_OOM_KILLS and s.target == HOST} == {0}
    tree.group("/system.slice/shop.service", {"memory.events": "oom_kill 5\n"})
    (kill,) = tree.scrape(2).oom_kills
    assert (kill.count, kill.service, kill.certain, kill.limit_bytes) == (3, SHOP, True, 256 * MIB)
    assert tree.scrape(3).oom_kills == ()


def test_between_slow_rounds_only_a_rise_of_the_machine_s_count_has_the_groups_read(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.scraper = Scraper(tree.procfs, "b", SamplingConfig(slow_every=100))
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2)
    tree.scrape()
    tree.group("/system.slice/shop.service", {"memory.events": "oom_kill 3\n"})
    quiet = tree.scrape(2)
    assert of(quiet, SHOP) == {}
    assert groups_outcome(quiet) == (1, {})  # as of the slow round
    tree.kills(1)
    assert [kill.count for kill in tree.scrape(3).oom_kills] == [1]


def test_a_group_whose_last_process_was_killed_is_still_asked(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.process(10, "0::/system.slice/shop.service\n")
    tree.group("/system.slice/shop.service", V2)
    tree.scrape()
    shutil.rmtree(tmp_path / "proc/10")
    tree.group("/system.slice/shop.service", {"memory.events": "oom_kill 3\n"})
    tree.kills(1)
    (kill,) = tree.scrape(2).oom_kills
    assert (kill.service, kill.count, kill.certain, kill.limit_bytes) == (SHOP, 1, True, 256 * MIB)


@pytest.fixture
def real_group() -> Iterator[tuple[Group, Path]]:
    """Make a real control group with the memory controller, of whichever version this machine has; remove it after."""
    if os.geteuid() != 0:
        pytest.skip("making a control group needs root")
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    name = f"/leakwatch-test-{os.getpid()}"
    if (v1 / "memory.usage_in_bytes").exists():
        group = Group(str(v1), name, 1)
    elif "memory" in (v2 / "cgroup.subtree_control").read_text().split():
        group = Group(str(v2), name, 2)
    else:
        pytest.skip("no memory controller to make a group with")
    path = Path(group.directory)
    try:
        path.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    yield group, path
    for pid in (path / "cgroup.procs").read_text().split():
        os.kill(int(pid), 9)
    for _ in range(100):
        try:
            path.rmdir()
            break
        except OSError:
            time.sleep(0.05)


@pytest.mark.root
def test_a_real_group_holds_what_is_allocated_in_it_and_counts_its_oom_kill(real_group: tuple[Group, Path]) -> None:
    group, path = real_group
    (path / ("memory.limit_in_bytes" if group.version == 1 else "memory.max")).write_text(str(96 * MIB))
    code = (
        "import sys\n"
        f"open({str(path / 'cgroup.procs')!r}, 'w').write('0')\n"
        "kept = [bytearray(b'x') * (40 << 20)]\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "while True: kept.append(bytearray(b'x') * (4 << 20))\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        held = read_memory(group)
        assert not hasattr(held, "reason"), held
        assert 40 * MIB <= held.numbers["anon"] <= 70 * MIB
        assert held.numbers["anon"] <= held.numbers["current"] <= 96 * MIB
        assert held.numbers["oom_kills"] == 0
        before = ProcFS().oom_kills()
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.wait(60) == -9
    after = read_memory(group)
    assert after.numbers["oom_kills"] == 1
    assert after.numbers["peak"] >= 90 * MIB
    assert after.inode == held.inode
    now = ProcFS().oom_kills()
    assert isinstance(before, int)
    assert isinstance(now, int)
    assert now >= before + 1
