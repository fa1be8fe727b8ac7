"""From scrapes to findings: who is named, what is hidden, what the configuration changes."""

from __future__ import annotations

import pytest

from leakwatch import metrics
from leakwatch.config import IgnoreConfig, Override, Thresholds
from leakwatch.model.identity import Service, ServiceKind, Target, TargetKind
from leakwatch.model.verdict import Finding, FindingKind, Room, Rooms, Verdict
from leakwatch.monitoring.detector import VANISHED_AFTER, Detector
from leakwatch.report.phrases import text
from tests.monitoring.scrapes import (
    GIB,
    KIB,
    MIB,
    MINUTES,
    START_MS,
    Machine,
    NoLimits,
    leak,
    names,
    only,
    process,
    suspects,
    unit,
    watch,
    with_,
)


def test_a_leaking_unit_is_one_finding_that_names_the_process() -> None:
    # GIVEN a unit of three processes, one of which leaks
    nginx = unit("nginx.service")
    machine = Machine(
        {process(10 + at, "nginx", nginx): 30 * MIB for at in range(2)} | {process(12, "nginx", nginx): leak()}
    )
    # WHEN it is watched THEN there is one finding, of the unit, that names pid 12
    (finding,) = watch(machine).findings
    assert (finding.kind, finding.name, finding.pid, finding.service) == (
        FindingKind.SERVICE, "nginx.service", 12, "nginx.service",
    )  # fmt: skip
    assert finding.metric == metrics.PROCESS_USS_SWAP
    assert finding.assessment.verdict is Verdict.LEAK
    assert text(finding.notes) == "1 of 3 processes grow: pid 12 +3.52 GiB/h"
    assert watch(machine).running == {10, 11, 12}
    assert finding.user == "root"


def test_one_leaking_process_of_a_program_run_four_times_is_a_process() -> None:
    machine = Machine({process(pid, "worker"): 30 * MIB for pid in (1, 2, 3)} | {process(4, "worker"): leak()})
    (finding,) = watch(machine).findings
    assert (finding.kind, finding.name, finding.pid) == (FindingKind.PROCESS, "worker", 4)
    assert text(finding.notes).startswith("1 of 4 processes grow")


def test_a_pool_in_which_all_leak_is_one_finding_with_their_sum() -> None:
    pool = unit("pool.service")
    (finding,) = watch(Machine({process(pid, "w", pool): leak(200 * KIB) for pid in range(1, 6)})).findings
    assert (finding.kind, finding.metric) == (FindingKind.SERVICE, metrics.SERVICE_USS_SWAP)
    assert finding.assessment.slope_bytes_per_hour == pytest.approx(5 * 200 * KIB * 3600, rel=0.05)
    assert text(finding.notes).startswith("5 of 5 processes grow")
    assert text(finding.notes).count("pid") == 3


def test_a_pool_whose_workers_are_too_short_lived_is_judged_by_its_sum() -> None:
    # GIVEN a worker born every 10 s and each 40 s old at its end, ever larger: none past_runs long enough to be judged
    pool = unit("pool.service")
    workers = {process(pid, "w", pool): only(20 * MIB + pid * 2 * MIB, 10 * pid - 40, 10 * pid) for pid in range(1, 40)}
    (finding,) = watch(Machine(workers), 300).findings
    assert finding.assessment.verdict is Verdict.LEAK
    assert (finding.name, finding.pid, finding.metric) == ("pool.service", None, metrics.SERVICE_USS_SWAP)


def test_swap_counts_as_memory_of_the_process() -> None:
    # GIVEN a process whose pages are swapped out as fast as it leaks
    machine = Machine({process(1): 50 * MIB})
    detector = Detector(MINUTES, NoLimits())
    for at in range(180):
        scrape = machine.scrape(at)
        values = {(s.metric, s.target): s.value for s in scrape.samples}
        values[metrics.PROCESS_SWAP, process(1).identity.target] = at * MIB
        detector.set_processes(scrape.processes)
        detector.feed_values(scrape.tick.ts_ms, values)
        if at % 5 == 4:
            evaluation = detector.evaluate(scrape.tick.ts_ms)
    assert names(evaluation) == {"worker": "leak"}
    total = detector._series[metrics.SERVICE_USS_SWAP, Service(ServiceKind.PROGRAM, "worker").target]
    assert total.previous == (START_MS + 179_000, (50 + 179) * MIB)


def test_without_privilege_anonymous_memory_stands_in_and_the_sum_is_left_out() -> None:
    svc = unit("a.service")
    machine = Machine({process(1, "a", svc): leak(), process(2, "a", svc): 20 * MIB}, unread={1})
    (finding,) = watch(machine).findings
    assert (finding.metric, finding.pid) == (metrics.PROCESS_ANON_SWAP, 1)
    assert finding.assessment.verdict is Verdict.LEAK


def test_a_leak_tells_when_memory_runs_out_by_what_binds_first() -> None:
    class Limited(NoLimits):
        def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
            return Rooms((Room(100 * MIB, "memory limit of /a.service", "/a.service"),), group="/a.service")

    host = {"kernel.mem_available_bytes": 40 * GIB, "kernel.swap_free_bytes": GIB, "kernel.mem_total_bytes": 64 * GIB}
    machine = Machine({process(1): leak()}, host=host)
    (free,) = suspects(watch(machine))
    assert (free.limit_bytes, free.limit_name) == (41 * GIB, "memory available and free swap on this machine")
    (bound,) = suspects(watch(machine, detector=Detector(MINUTES, Limited())))
    assert (bound.limit_bytes, bound.limit_name) == (100 * MIB, "memory limit of /a.service")
    assert bound.exhaustion_at_ms is not None
    assert (bound.exhaustion_at_ms - bound.evaluated_at_ms) / 1000 == pytest.approx(100, rel=0.05)


class _Groups(NoLimits):
    """What limits leave, by process id."""

    def __init__(self, rooms: dict[int, Rooms]) -> None:
        self.rooms = rooms

    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return self.rooms.get(pid, Rooms())


def _seconds_left(finding: Finding) -> float:
    assert finding.exhaustion_at_ms is not None
    return (finding.exhaustion_at_ms - finding.evaluated_at_ms) / 1000


def test_what_several_of_a_group_add_up_to_meets_its_limit() -> None:
    # GIVEN three workers that grow by 1, 2 and 3 MiB/s in a group that has 600 MiB left
    svc = unit("pool.service")
    workers = {process(pid, "w", svc): leak(pid * MIB) for pid in (1, 2, 3)}
    rooms = Rooms((Room(600 * MIB, "memory limit of /pool.service", "/pool.service"),), group="/pool.service/w")
    (finding,) = suspects(watch(Machine(workers), detector=Detector(MINUTES, _Groups(dict.fromkeys((1, 2, 3), rooms)))))
    assert _seconds_left(finding) == pytest.approx(100, rel=0.05)


def test_who_lies_in_another_group_takes_nothing_of_it() -> None:
    # GIVEN two workers in groups of their own, of which the one that grows faster has no limit
    svc = unit("pool@.service")
    workers = {process(pid, "w", svc): leak(pid * MIB) for pid in (1, 3)}
    rooms = {
        1: Rooms((Room(600 * MIB, "memory limit of /pool@1", "/pool@1"),), group="/pool@1"),
        3: Rooms(group="/pool@11"),
    }
    (finding,) = suspects(watch(Machine(workers), detector=Detector(MINUTES, _Groups(rooms))))
    assert _seconds_left(finding) == pytest.approx(600, rel=0.05)


def test_two_services_that_grow_meet_the_limit_of_the_slice_around_them_together() -> None:
    machine = Machine(
        {process(1, "a", unit("a.service")): leak(MIB), process(2, "b", unit("b.service")): leak(3 * MIB)}
    )
    slice_ = Room(800 * MIB, "memory limit of /s.slice", "/s.slice")
    rooms = {pid: Rooms((slice_,), group=f"/s.slice/{name}") for pid, name in ((1, "a"), (2, "b"))}
    for finding in suspects(watch(machine, detector=Detector(MINUTES, _Groups(rooms)))):
        assert (finding.limit_name, _seconds_left(finding)) == (slice_.name, pytest.approx(200, rel=0.05))


def test_a_sum_that_grows_in_no_process_alone_has_its_groups_limit() -> None:
    pool = unit("pool.service")
    workers = {process(pid, "w", pool): only(20 * MIB + pid * 2 * MIB, 10 * pid - 40, 10 * pid) for pid in range(1, 40)}
    rooms = Rooms((Room(100 * MIB, "memory limit of /pool.service", "/pool.service"),), group="/pool.service")
    evaluation = watch(Machine(workers), 300, detector=Detector(MINUTES, _Groups(dict.fromkeys(range(1, 40), rooms))))
    (finding,) = evaluation.findings
    assert (finding.pid, finding.limit_name) == (None, "memory limit of /pool.service")


def test_a_limit_of_the_process_is_met_by_its_own_growth() -> None:
    svc = unit("pool.service")
    workers = {process(pid, "w", svc): leak(pid * MIB) for pid in (1, 2)}
    rooms = {1: Rooms((Room(100 * MIB, "its limit on address space, RLIMIT_AS"),))}
    (finding,) = suspects(watch(Machine(workers), detector=Detector(MINUTES, _Groups(rooms))))
    assert (finding.limit_name, _seconds_left(finding)) == (
        "its limit on address space, RLIMIT_AS",
        pytest.approx(100, rel=0.05),
    )


def test_the_machine_has_no_swap_for_a_group_that_may_use_none_nor_for_the_kernel() -> None:
    host = {"kernel.mem_available_bytes": GIB, "kernel.swap_free_bytes": 8 * GIB, "kernel.mem_total_bytes": 64 * GIB}
    machine = Machine({process(1): leak()}, host=host, slab={"kmalloc-4k": leak()})
    evaluation = watch(machine, detector=Detector(MINUTES, _Groups({1: Rooms(swap_left=0, group="/a")})))
    left = {finding.name: (finding.limit_bytes, finding.limit_name) for finding in suspects(evaluation)}
    assert left == dict.fromkeys(("worker", "kmalloc-4k"), (GIB, "memory available on this machine"))


def test_a_suspect_near_its_own_limit_is_not_waited_for() -> None:
    class Tight(NoLimits):
        def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
            return Rooms((Room(5 * MIB, "memory limit of /a.service", "/a.service"),), group="/a.service")

    machine = Machine({process(1): leak()})
    (free,) = watch(machine, 75).findings
    assert free.assessment.verdict is Verdict.WATCH
    (bound,) = watch(machine, 75, detector=Detector(MINUTES, Tight())).findings
    assert bound.assessment.verdict is Verdict.LEAK
    assert "would run out" in text(bound.assessment.reasons)


def test_what_stands_still_has_no_end() -> None:
    (finding,) = watch(Machine({process(1): 50 * MIB}, host={"kernel.mem_available_bytes": GIB})).findings
    assert finding.assessment.verdict is Verdict.OK
    assert (finding.exhaustion_at_ms, finding.limit_bytes) == (None, None)


# Kernel

HOST = {"kernel.mem_total_bytes": 64 * GIB, "kernel.mem_available_bytes": 40 * GIB}


def test_kernel_caches_and_callers_are_found_by_name() -> None:
    machine = Machine(
        slab={"kmalloc-4k": leak(), "task_struct": 9 * MIB, "dentry": 90 * MIB},
        vmalloc={"bpf_map_area_alloc": leak(), "module_alloc": 9 * MIB},
        reclaimable={"kmalloc-4k": False, "dentry": True},
    )
    evaluation = watch(machine)
    assert names(evaluation) == {
        "kmalloc-4k": "leak", "task_struct": "ok", "dentry": "ok", "bpf_map_area_alloc": "leak", "module_alloc": "ok",
    }  # fmt: skip
    notes = {finding.name: text(finding.notes) for finding in evaluation.findings}
    assert notes["kmalloc-4k"] == "unreclaimable slab cache"
    assert notes["task_struct"] == "slab cache"
    assert notes["dentry"] == "reclaimable slab cache"
    assert notes["module_alloc"] == "vmalloc, by the function that asked for it"


def test_a_reclaimable_cache_is_ok_unless_available_memory_falls_with_it() -> None:
    def machine(available: object) -> Machine:
        host = {"kernel.mem_total_bytes": 64 * GIB, "kernel.mem_available_bytes": available}
        return Machine(slab={"dentry": leak()}, reclaimable={"dentry": True}, host=host)

    (steady,) = watch(machine(40 * GIB)).findings
    assert steady.assessment.verdict is Verdict.OK
    assert text(steady.assessment.reasons) == "grows, but is reclaimable and available memory does not fall with it"
    (taken,) = watch(machine(lambda at: 40 * GIB - at * MIB)).findings
    assert taken.assessment.verdict is Verdict.WATCH
    assert text(taken.assessment.reasons).endswith("reclaimable, but available memory falls with it")
    (other,) = watch(machine(lambda at: 40 * GIB - at * 100 * KIB)).findings
    assert other.assessment.verdict is Verdict.OK, "a tenth of its growth is somebody else's"


def test_totals_are_hidden_when_their_parts_explain_them() -> None:
    explained = Machine(
        slab={"kmalloc-4k": leak(), "task_struct": 9 * MIB},
        vmalloc={"bpf_map_area_alloc": leak()},
        host=HOST | {metrics.KERNEL_SUNRECLAIM: leak(base=GIB), metrics.KERNEL_VMALLOC_USED: leak(base=GIB)},
    )
    assert {f.name for f in suspects(watch(explained))} == {"kmalloc-4k", "bpf_map_area_alloc"}
    unexplained = Machine(
        slab={"kmalloc-4k": leak(400 * KIB)},
        host=HOST | {metrics.KERNEL_SUNRECLAIM: leak(base=GIB), metrics.KERNEL_UNACCOUNTED: leak(base=GIB)},
    )
    assert {f.name for f in suspects(watch(unexplained))} == {"kmalloc-4k", "unreclaimable slab", "unaccounted"}


def test_what_is_only_evidence_is_no_finding() -> None:
    host = HOST | {"kernel.anon_bytes": leak(base=GIB), "kernel.cached_bytes": leak(base=GIB)}
    assert watch(Machine(host=host)).findings == ()


# Configuration


@pytest.mark.parametrize(
    "ignore",
    [
        IgnoreConfig(processes=("work*",)),
        IgnoreConfig(services=("bad.service",)),
        IgnoreConfig(users=("root",)),
        IgnoreConfig(users=("0",)),
    ],
)
def test_what_is_ignored_is_not_found(ignore: IgnoreConfig) -> None:
    machine = Machine({process(1, "worker", unit("bad.service")): leak(), process(2, "other", uid=77): leak()})
    assert names(watch(machine, config=with_(MINUTES, ignore=ignore))) == {"other": "leak"}


@pytest.mark.parametrize("pattern", ["kmalloc-*", "slab.active_bytes"])
def test_kernel_memory_is_ignored_by_name_or_metric(pattern: str) -> None:
    machine = Machine(slab={"kmalloc-4k": leak()}, vmalloc={"f": leak()})
    config = with_(MINUTES, ignore=IgnoreConfig(kernel=(pattern,)))
    assert names(watch(machine, config=config)) == {"f": "leak"}


@pytest.mark.parametrize(
    ("kind", "pattern", "found"),
    [
        ("service", "redis*", {"redis.service": "ok", "worker": "leak"}),
        ("process", "worker", {"redis.service": "leak", "worker": "ok"}),
        ("kernel", "redis*", {"redis.service": "leak", "worker": "leak"}),
    ],
)
def test_thresholds_are_those_of_what_the_pattern_names(kind: str, pattern: str, found: dict[str, str]) -> None:
    machine = Machine({process(1, "redis-server", unit("redis.service")): leak(), process(2, "worker"): leak()})
    override = Override(kind, pattern, Thresholds(min_growth_bytes=GIB))
    assert names(watch(machine, config=with_(MINUTES, overrides=(override,)))) == found


def test_a_kernel_override_applies_to_caches() -> None:
    override = Override("kernel", "kmalloc-*", Thresholds(min_growth_bytes=GIB))
    machine = Machine(slab={"kmalloc-4k": leak(), "dentry": leak()})
    assert names(watch(machine, config=with_(MINUTES, overrides=(override,)))) == {"kmalloc-4k": "ok", "dentry": "leak"}


# What comes and goes


def test_a_series_that_vanished_is_forgotten_and_one_missed_read_is_not_that() -> None:
    machine = Machine({process(1): only(leak(), 0, 100)}, slab={"x": lambda at: None if 50 <= at < 52 else 9 * MIB})
    detector = Detector(MINUTES, NoLimits())
    for at in range(100):
        detector.feed(machine.scrape(at))
    key = (metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "x"))
    assert len(detector._series[key]._trail.fine) == 19
    for at in range(100, 100 + VANISHED_AFTER):
        assert len(detector._series) == 3
        detector.feed(machine.scrape(at))
    assert list(detector._series) == [key]
    assert detector._missing == {}


def test_a_failed_process_collector_ends_nobody() -> None:
    machine = Machine({process(1): leak()})
    detector = Detector(MINUTES, NoLimits())
    for at in range(60):
        scrape = machine.scrape(at)
        if at == 30:
            from dataclasses import replace

            failed = replace(scrape.outcomes[0], error="cannot list")
            scrape = replace(scrape, samples=(), processes=(), outcomes=(failed,))
        detector.feed(scrape)
    assert len(detector._series) == 2


def test_a_step_of_the_clock_ends_no_segment() -> None:
    machine = Machine({process(1): leak()}, slab={"x": 9 * MIB})
    detector = Detector(MINUTES, NoLimits())
    for at in range(101):
        detector.feed(machine.scrape(at, clock_step_ms=10**9 * (at == 100)))
    assert {state.segment_ms for state in detector._series.values()} == {START_MS}


def test_the_old_forecast_of_a_service_that_came_back_is_dropped() -> None:
    # GIVEN a service that leaked, was gone for a while and is back, standing still
    svc = Service(ServiceKind.UNIT, "a.service")
    first, second = process(1, "a", svc), process(2, "a", svc)
    machine = Machine({first: only(leak(), 0, 120), second: only(50 * MIB, 130, 999)})
    detector, written = Detector(MINUTES, NoLimits()), {}
    for at in range(200):
        detector.feed(machine.scrape(at))
        if at % 5 == 4:
            written |= detector.evaluate(START_MS + at * 1000).suspicions
    # THEN the store is told to drop the forecast of the service; the process's goes with the process
    assert written[metrics.SERVICE_USS_SWAP, svc.target] is None


def test_counts_are_those_of_the_findings() -> None:
    evaluation = watch(Machine({process(1): leak(), process(2, "other"): 50 * MIB}, slab={"x": 9 * MIB}))
    assert evaluation.counts == {Verdict.LEAK: 1, Verdict.OK: 2, Verdict.WATCH: 0, Verdict.LEARNING: 0}


def test_what_waits_for_new_data_is_told_by_the_id_of_its_finding() -> None:
    # GIVEN a worker among others, a program and a cache that leak, and what stands still
    machine = Machine(
        {
            process(1, "nginx", unit("nginx.service")): 30 * MIB,
            process(2, "nginx", unit("nginx.service")): leak(),
            process(3, "alone"): leak(),
            process(4, "still"): 9 * MIB,
        },
        slab={"kmalloc-4k": leak()},
    )
    # WHEN they are watched until they checkpoint like leaks
    evaluation = watch(machine, 70)
    # THEN each is one suspicion, the worker's that of its service
    by_name = {finding.name: finding.id for finding in evaluation.findings}
    assert evaluation.suspected >= {by_name["nginx.service"], by_name["alone"], by_name["kmalloc-4k"]}
    assert by_name["still"] not in evaluation.suspected
    assert evaluation.suspected <= set(by_name.values())
    # and these processes, all of the service, are to be read fully before anything is said of them
    assert {target.key.split("/")[1] for target in evaluation.suspects} == {"1", "2", "3"}
    # and the oldest process of each is known
    assert evaluation.lives[by_name["nginx.service"]].endswith("/1/10")
    assert by_name["kmalloc-4k"] not in evaluation.lives
