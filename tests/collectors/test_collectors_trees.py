"""Every collector on every recorded tree: how many samples, golden values, and why the others are missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from leakwatch import metrics
from leakwatch.collectors.kernel import collector as kernel
from leakwatch.collectors.limits import MemoryLimits
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.processes.statm_scan import RENEW_EVERY, SETTLE
from leakwatch.collectors.result import CollectorResult, outcome_samples, run_isolated
from leakwatch.collectors.scrape import Scraper
from leakwatch.config import SamplingConfig
from leakwatch.errors import ProcUnavailableError
from leakwatch.model.identity import HOST, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import AbsenceReason, Scrape, Tick
from leakwatch.model.verdict import Rooms
from leakwatch.procfs.fs import ProcFS

Trees = Callable[[str], Path]
Values = dict[tuple[str, Target], int]
KIB = 1024
V618, V515, V49, V310, PPC = (
    "linux-6.18-x86_64", "linux-5.15-arm64-64k", "linux-4.9-armv7", "linux-3.10-x86_64", "linux-6.1-ppc64",
)  # fmt: skip
TREES = (V618, V515, V49, V310, PPC)


def scrape_of(root: Path) -> Scrape:
    procfs = ProcFS(str(root))
    return Scraper(procfs, procfs.boot_id(), SamplingConfig()).scrape(Tick(1_700_000_000_000, procfs.boot_id()))


def values_of(scrape: Scrape) -> Values:
    values = {(sample.metric, sample.target): sample.value for sample in scrape.samples}
    assert len(values) == len(scrape.samples), "a sample twice"
    return values


def by_pid(scrape: Scrape) -> dict[int, ProcessInfo]:
    return {info.identity.pid: info for info in scrape.processes}


def outcomes(scrape: Scrape) -> dict[str, tuple[int, dict[AbsenceReason, int]]]:
    assert not any(outcome.error for outcome in scrape.outcomes)
    return {o.collector: (o.targets_read, dict(o.absences)) for o in scrape.outcomes}


def slab(name: str) -> Target:
    return Target(TargetKind.SLAB, name)


GONE, NO_SPACE, UNSUPPORTED = AbsenceReason.GONE, AbsenceReason.NO_ADDRESS_SPACE, AbsenceReason.UNSUPPORTED


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Unsupported processes: recorded without their fd folder; fields of meminfo: too young for it, and zoneinfo.
        (V618, {"processes": (5, {NO_SPACE: 2, UNSUPPORTED: 2}), "meminfo": (30, {UNSUPPORTED: 1})}),
        (
            V515,
            {"processes": (4, {NO_SPACE: 2}), "slab": (5, {}), "vmalloc": (5, {}), "meminfo": (26, {UNSUPPORTED: 6})},
        ),
        (V49, {"processes": (2, {NO_SPACE: 1, UNSUPPORTED: 2}), "slab": (5, {}), "vmalloc": (7, {})}),
        (V310, {"processes": (2, {NO_SPACE: 1, UNSUPPORTED: 2}), "slab": (11, {}), "vmalloc": (8, {})}),
        (V49, {"meminfo": (22, {UNSUPPORTED: 9})}),
        (V310, {"meminfo": (24, {UNSUPPORTED: 8})}),
        (PPC, {"slab": (0, {UNSUPPORTED: 1}), "vmalloc": (0, {UNSUPPORTED: 1})}),
    ],
)
def test_what_is_read_and_what_is_not(proc_tree: Trees, name: str, expected: dict[str, object]) -> None:
    found = outcomes(scrape_of(proc_tree(name)))
    assert {collector: found[collector] for collector in expected} == expected


@pytest.mark.parametrize("name", TREES)
def test_every_sample_is_of_a_known_metric_and_no_negative_number(proc_tree: Trees, name: str) -> None:
    for (metric, target), value in values_of(scrape_of(proc_tree(name))).items():
        assert metric in metrics.METRICS or metric.startswith(metrics.COLLECTOR_ABSENT)
        assert value >= 0, (metric, target)


def test_6_18_processes(proc_tree: Trees) -> None:
    scrape = scrape_of(proc_tree(V618))
    values, infos = values_of(scrape), by_pid(scrape)
    assert sorted(infos) == [18674, 18675, 18676, 18677, 18678]
    http = infos[18674]
    assert http.service == Service(ServiceKind.UNIT, "http-demo.service")
    assert http.command == "/usr/bin/python3 -m http.server --bind 127.0.0.1 38099"
    of = {metric: value for (metric, target), value in values.items() if target == http.identity.target}
    assert of == {
        metrics.PROCESS_USS: (2248 + 9304) * KIB,
        metrics.PROCESS_PSS: 13238 * KIB,
        metrics.PROCESS_RSS: 18732 * KIB,
        metrics.PROCESS_SWAP: 0,
        metrics.PROCESS_THREADS: 1,
        metrics.PROCESS_FDS: 4,
    }


def test_6_18_a_process_whose_main_thread_ended_is_still_measured(proc_tree: Trees) -> None:
    scrape = scrape_of(proc_tree(V618))
    alive = by_pid(scrape)[18678].identity.target
    assert values_of(scrape)[metrics.PROCESS_USS, alive] > 20 << 20


def test_6_18_a_hostile_name_is_spelled_out(proc_tree: Trees) -> None:
    hostile = by_pid(scrape_of(proc_tree(V618)))[18675]
    assert hostile.name == ") R 1 (\n\\xff\\xfe"
    hostile.name.encode()
    assert hostile.service == Service(ServiceKind.PROGRAM, "python3.11 -c")


def test_5_15_forked_processes_and_containers(proc_tree: Trees) -> None:
    scrape = scrape_of(proc_tree(V515))
    infos, values = by_pid(scrape), values_of(scrape)
    postgres = Service(ServiceKind.UNIT, "postgresql@14-main.service")
    assert infos[2210].service == infos[2231].service == postgres
    assert infos[5150].service == Service(ServiceKind.CONTAINER, "9f86d081884c")
    assert infos[1].service == Service(ServiceKind.PROGRAM, "systemd")
    assert values[metrics.PROCESS_USS, infos[2210].identity.target] == (2048 + 68096) * KIB
    assert values[metrics.PROCESS_SWAP, infos[2210].identity.target] == 1024 * KIB


def test_pages_are_of_the_machine_s_size(proc_tree: Trees) -> None:
    values = values_of(scrape_of(proc_tree(V515)))
    assert values[metrics.SLAB_ACTIVE, slab("dentry")] == 410_000 * 192
    assert values[metrics.SLAB_PAGES, slab("dentry")] == 1203 * 65_536
    assert values[metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, "copy_process")] == 2 * 65_536


def test_3_10_two_caches_of_one_name_and_kinds_by_name(proc_tree: Trees) -> None:
    values = values_of(scrape_of(proc_tree(V310)))
    assert values[metrics.SLAB_ACTIVE, slab("bio-1")] == 96 * 320
    assert values[metrics.SLAB_ACTIVE, slab("bio-1@192")] == 32 * 192
    assert values[metrics.SLAB_RECLAIMABLE, slab("dentry")] == 1
    assert (metrics.SLAB_RECLAIMABLE, slab("kmalloc-64")) not in values or not values[
        metrics.SLAB_RECLAIMABLE, slab("kmalloc-64")
    ]


def test_4_9_vmalloc_used_that_lies_is_the_sum_of_the_callers(proc_tree: Trees) -> None:
    values = values_of(scrape_of(proc_tree(V49)))
    assert values[metrics.KERNEL_VMALLOC_USED, HOST] == (8 + 1 + 16) * 4096
    assert Target(TargetKind.VMALLOC, "iotable_init") not in {target for _, target in values}, (
        "maps a device, holds no RAM"
    )


def test_4_9_a_counter_that_lies_and_nothing_instead_is_an_absence(proc_tree: Trees) -> None:
    root = proc_tree(V49)
    (root / "vmallocinfo").unlink()
    values = values_of(scrape_of(root))
    assert (metrics.KERNEL_VMALLOC_USED, HOST) not in values
    assert (metrics.KERNEL_UNACCOUNTED, HOST) not in values


def test_busybox_s_programs_are_told_apart(proc_tree: Trees) -> None:
    infos = by_pid(scrape_of(proc_tree(V49)))
    assert infos[1].service == Service(ServiceKind.PROGRAM, "busybox init")
    assert infos[402].service == Service(ServiceKind.PROGRAM, "gatewayd")


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        # MemTotal - (MemFree Buffers Cached SwapCached AnonPages Slab KernelStack PageTables Percpu Hugetlb); of the
        #            swap cache what is in no program as well: 400 of 612 kB on 3.10, as the LRU lists tell
        #          - (vmalloc, less KernelStack where its callers show that the stacks are in it), each in kB
        (V618, 24684096 - (24343796 + 1376 + 82816 + 83132 + 138452 + 1520 + 2156 + 688)),
        (V515, 65858880 - (40210112 + 120320 + 11021312 + 8102400 + 2210880 + 36480 + 81920 + 112640)),
        (V49, 1030548 - (702204 + 6200 + 130212 + 82012 + 31404 + 912 + 1404)),
        (V310, 3880504 - (412116 + 2108 + 1821440 + 400 + 1193344 + 318220 + 5104 + 14216 + 4 * 2048)),
    ],
)
def test_unaccounted_is_the_sum_computed_by_hand(proc_tree: Trees, name: str, kib: int) -> None:
    root = proc_tree(name)
    values = values_of(scrape_of(root))
    vmalloc = sum(value for (metric, _), value in values.items() if metric == metrics.VMALLOC_BYTES)
    stacks_in_it = values["kernel.stack_bytes", HOST] if name == V618 else 0
    assert values[metrics.KERNEL_UNACCOUNTED, HOST] == kib * KIB - (vmalloc - stacks_in_it)


def test_ppc_lacks_a_term_and_says_so(proc_tree: Trees) -> None:
    scrape = scrape_of(proc_tree(PPC))
    assert (metrics.KERNEL_UNACCOUNTED, HOST) not in values_of(scrape)
    notes = next(o.examples for o in scrape.outcomes if o.collector == "meminfo")
    assert all(note.startswith("unsupported: ") for note in notes)


def test_a_process_that_ends_during_the_scrape_is_gone(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    (root / "18676" / "stat").unlink()
    found = outcomes(scrape_of(root))["processes"]
    assert found[1][GONE] == 1


def test_names_are_read_again_when_they_change(proc_tree: Trees) -> None:
    # GIVEN a collector that knows a process, and an exec that changes its name
    root = proc_tree(V515)
    collector = ProcessCollector(ProcFS(str(root)), "boot")

    def names() -> set[str]:
        result = CollectorResult()
        collector.collect(result, slow=False)
        return {info.name for info in result.processes}

    assert "api-server" in names()
    stat = root / "5150" / "stat"
    stat.write_text(stat.read_text().replace("(api-server)", "(other)"))
    assert "other" in names()


def test_a_move_to_another_control_group_is_seen_in_time(proc_tree: Trees) -> None:
    root = proc_tree(V515)
    collector = ProcessCollector(ProcFS(str(root)), "boot")
    (root / "5150" / "cgroup").write_text("0::/system.slice/early.service\n")
    services = []
    for at in range(2 * RENEW_EVERY):
        if at == RENEW_EVERY // 2:
            (root / "5150" / "cgroup").write_text("0::/system.slice/late.service\n")
        result = CollectorResult()
        collector.collect(result, slow=False)
        services.append(next(i.service.name for i in result.processes if i.identity.pid == 5150 and i.service))
    assert services[0] == "early.service"
    assert services.index("late.service") <= RENEW_EVERY
    assert set(services[RENEW_EVERY:]) == {"late.service"}


def test_a_title_a_program_gives_itself_after_its_start_is_seen(proc_tree: Trees) -> None:
    # GIVEN a worker of an interpreter that was met just after its start
    root = proc_tree(V515)
    (root / "5150" / "cgroup").write_text("0::/\n")
    (root / "5150" / "exe").unlink(missing_ok=True)
    (root / "5150" / "exe").symlink_to("/usr/bin/python3.11")
    (root / "5150" / "cmdline").write_bytes(b"/usr/bin/python3\0-m\0celery\0worker\0")
    collector = ProcessCollector(ProcFS(str(root)), "boot")
    services = []
    for _ in range(SETTLE + 1):
        result = CollectorResult()
        collector.collect(result, slow=False)
        services.append(next(i.service.name for i in result.processes if i.identity.pid == 5150 and i.service))
        # WHEN it has called itself as its later siblings do
        (root / "5150" / "cmdline").write_bytes(b"[celeryd: celery@host:MainProcess] -active-\0")
    # THEN it is the same service as they are
    assert services == ["python3.11 -m celery worker"] * SETTLE + ["python3.11 celeryd"]


def test_a_new_process_is_looked_at_again_once_its_manager_has_moved_it(proc_tree: Trees) -> None:
    root = proc_tree(V515)
    collector, services = ProcessCollector(ProcFS(str(root)), "boot"), []
    for group in ("/init.scope", "/system.slice/web.service", "/system.slice/web.service"):
        (root / "5150" / "cgroup").write_text(f"0::{group}\n")
        result = CollectorResult()
        collector.collect(result, slow=False)
        services.append(next(i.service.name for i in result.processes if i.identity.pid == 5150 and i.service))
    assert services == ["api-server", "api-server", "web.service"]


def test_threads_and_files_are_read_at_slow_rounds_only(proc_tree: Trees) -> None:
    procfs = ProcFS(str(proc_tree(V618)))
    scraper = Scraper(procfs, "boot", SamplingConfig(slow_every=3))
    counted = []
    for _ in range(7):
        scrape = scraper.scrape(Tick(0, "boot"))
        counted.append(
            {sample.metric for sample in scrape.samples} >= {metrics.PROCESS_THREADS, metrics.SLAB_RECLAIMABLE}
        )
    assert counted == [True, False, False, True, False, False, True]


def test_limits_are_those_of_the_control_group(proc_tree: Trees) -> None:
    limits = MemoryLimits(ProcFS(str(proc_tree(V618))))
    (room,) = limits.rooms_of(18674, 0).limits
    assert (room.name, room.group) == (
        "memory limit of /system.slice/http-demo.service",
        "/system.slice/http-demo.service",
    )
    assert limits.rooms_of(999_999, 0) == Rooms()


# Isolation


def test_a_collector_that_raises_loses_only_itself(
    proc_tree: Trees, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr("leakwatch.collectors.scrape.collect_slab", broken)
    scrape = scrape_of(proc_tree(V618))
    (failed,) = [outcome for outcome in scrape.outcomes if outcome.error]
    assert (failed.collector, failed.error, failed.targets_read) == ("slab", "ValueError: no such thing", 0)
    values = values_of(scrape)
    assert values[metrics.COLLECTOR_UP, Target(TargetKind.COLLECTOR, "slab")] == 0
    assert values[metrics.COLLECTOR_UP, Target(TargetKind.COLLECTOR, "meminfo")] == 1
    assert {target.kind for _, target in values} >= {TargetKind.PROCESS, TargetKind.VMALLOC, TargetKind.HOST}
    assert caplog.messages == ["collector slab failed: ValueError: no such thing"]


def test_half_of_a_failed_collector_s_samples_are_not_kept() -> None:
    def half(result: CollectorResult) -> None:
        result.targets_read = 7
        raise ProcUnavailableError("/proc is gone")

    result, outcome = run_isolated("half", half)
    assert result == CollectorResult()
    assert (outcome.error, outcome.targets_read) == ("/proc is gone", 0)


def test_a_tree_that_cannot_be_listed_is_the_process_collector_s_error(proc_tree: Trees) -> None:
    root = proc_tree(V618)
    procfs = ProcFS(str(root))
    scraper = Scraper(procfs, "boot", SamplingConfig())
    shutil.rmtree(root)
    scrape = scraper.scrape(Tick(0, "boot"))
    assert next(o for o in scrape.outcomes if o.collector == "processes").error
    assert scrape.processes == ()


def test_a_few_absences_of_each_reason_are_kept_in_words() -> None:
    from leakwatch.model.sample import Absence

    result = CollectorResult()
    for at in range(10):
        result.absent(Absence(AbsenceReason.DENIED, f"/proc/{at}/smaps: EACCES"))
    result.absent(Absence(AbsenceReason.NO_ADDRESS_SPACE))
    assert result.absences == {AbsenceReason.DENIED: 10, AbsenceReason.NO_ADDRESS_SPACE: 1}
    assert result.examples == [f"denied: /proc/{at}/smaps: EACCES" for at in range(3)]


def test_absences_are_series_too() -> None:
    _, outcome = run_isolated("x", lambda result: result.absences.update({AbsenceReason.DENIED: 4}))
    found = {sample.metric: sample.value for sample in outcome_samples(outcome)}
    assert found[metrics.COLLECTOR_ABSENT + "denied"] == 4
    assert found[metrics.COLLECTOR_UP] == 1


def test_refused_memory_is_sampled_by_what_needs_no_privilege(proc_tree: Trees) -> None:
    # GIVEN a process whose smaps_rollup is missing altogether and whose status is not
    root = proc_tree(V618)
    (root / "18674" / "smaps_rollup").unlink()
    scrape = scrape_of(root)
    http = by_pid(scrape)[18674].identity.target
    found = {metric for metric, target in values_of(scrape) if target == http}
    assert metrics.PROCESS_USS not in found
    assert {metrics.PROCESS_ANON, metrics.PROCESS_RSS, metrics.PROCESS_SWAP} <= found


def test_vmalloc_is_none_where_it_cannot_be_read(proc_tree: Trees) -> None:
    result = CollectorResult()
    assert kernel.collect_vmalloc(ProcFS(str(proc_tree(PPC))), result) is None
    assert result.absences[UNSUPPORTED] == 1
