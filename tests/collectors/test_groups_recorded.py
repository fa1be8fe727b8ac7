"""A recorded machine with systemd on control groups of version 2: its services, and a kill the group has forgotten."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Scrape, Tick
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TREE = "linux-6.1-cgroup2"
MIB = 1 << 20
HOG = Target(TargetKind.SERVICE, "unit:hog.service")


def scraper(root: Path) -> Scraper:
    return Scraper(ProcFS(str(root)), "b", SamplingConfig(slow_every=1))


def value(scrape: Scrape, metric: str, target: Target) -> int | None:
    return next((s.value for s in scrape.samples if (s.metric, s.target) == (metric, target)), None)


def test_its_services_are_units_counted_ones_folded_and_programs_for_the_rest(
    proc_tree: Callable[[str], Path],
) -> None:
    scrape = scraper(proc_tree(TREE)).scrape(Tick(1, "b"))
    assert {info.service.name for info in scrape.processes if info.service} == {
        "worker@.service", "db@15-main.service", "db@9.6-old.service", "hog.service", "python3.11 leak.py",
    }  # fmt: skip
    assert scrape.owners is not None
    program = scrape.owners[Target(TargetKind.SERVICE, "program:python3.11 leak.py")]
    assert program.groups == ()
    workers = scrape.owners[Target(TargetKind.SERVICE, "unit:worker@.service")]
    assert [path.rpartition("/")[2] for path in workers.groups] == ["worker@1.service", "worker@7.service"]


def test_what_its_groups_hold_is_what_their_files_say(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree(TREE)
    scrape = scraper(root).scrape(Tick(1, "b"))
    group = root.parent / "sys/fs/cgroup/system.slice/hog.service"
    assert value(scrape, metrics.GROUP_CURRENT, HOG) == int((group / "memory.current").read_text())
    assert value(scrape, metrics.GROUP_PEAK, HOG) == int((group / "memory.peak").read_text())
    assert value(scrape, metrics.GROUP_LIMIT, HOG) == 48 * MIB
    assert value(scrape, metrics.GROUP_OOM_KILLS, HOG) == 0
    assert value(scrape, metrics.KERNEL_OOM_KILLS, HOST) == 11
    parts = [
        value(scrape, metric, HOG) or 0 for metric in (metrics.GROUP_ANON, metrics.GROUP_FILE, metrics.GROUP_KERNEL)
    ]
    assert sum(parts) == pytest.approx(value(scrape, metrics.GROUP_CURRENT, HOG), rel=0.25)


def test_the_next_kill_is_found_though_the_group_was_made_anew(proc_tree: Callable[[str], Path]) -> None:
    # GIVEN a kill_counts, then a twelfth kill after which systemd made hog.service's group anew
    root = proc_tree(TREE)
    watch = scraper(root)
    assert watch.scrape(Tick(1, "b")).oom_kills == ()
    slice_ = root.parent / "sys/fs/cgroup/system.slice"
    shutil.copytree(slice_ / "hog.service", slice_ / "anew")
    shutil.rmtree(slice_ / "hog.service")
    (slice_ / "anew").rename(slice_ / "hog.service")
    for file in (slice_ / "memory.events", root / "vmstat"):
        file.write_text(file.read_text().replace("oom_kill 11", "oom_kill 12"))
    # THEN it is hog's, by all that is known
    (kill,) = watch.scrape(Tick(2, "b")).oom_kills
    assert (kill.service, kill.count, kill.certain, kill.limit_bytes) == (HOG, 1, False, 48 * MIB)


def test_a_kill_in_the_session_is_not_put_on_the_unit(proc_tree: Callable[[str], Path]) -> None:
    root = proc_tree(TREE)
    watch = scraper(root)
    watch.scrape(Tick(1, "b"))
    slice_ = root.parent / "sys/fs/cgroup/system.slice"
    shutil.copytree(slice_ / "hog.service", slice_ / "anew")
    shutil.rmtree(slice_ / "hog.service")
    (slice_ / "anew").rename(slice_ / "hog.service")
    user = root.parent / "sys/fs/cgroup/user.slice"
    session = user / "user-1000.slice/session-3.scope"
    for events in (user / "memory.events", user / "user-1000.slice/memory.events", session / "memory.events"):
        events.write_text(events.read_text().replace("oom_kill 0", "oom_kill 1"))
    (root / "vmstat").write_text((root / "vmstat").read_text().replace("oom_kill 11", "oom_kill 12"))
    (kill,) = watch.scrape(Tick(2, "b")).oom_kills
    assert (kill.service, kill.candidates) == (None, ())
    assert kill.group == "/user.slice/user-1000.slice/session-3.scope"
