"""The daemon, an explanation and a replay judge a series by the same thresholds, whatever the patterns name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch import metrics
from leakwatch.analysis.replay.capture import settings_of
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.config import AnalysisConfig, Config, SamplingConfig
from leakwatch.config.schema import Override
from leakwatch.explain.stored import case_of
from leakwatch.model.identity import HOST, ProcessIdentity, ProcessInfo, Service, ServiceKind, Target, TargetKind
from leakwatch.model.sample import CollectorOutcome, Sample, Scrape, Tick
from leakwatch.model.verdict import Rooms, Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.report.build import Host, ReportRow

if TYPE_CHECKING:
    from leakwatch.config.schema import OverrideKind
    from leakwatch.model.verdict import Finding

MIB = 1 << 20
START_MS = 1_700_000_000_000 // 86_400_000 * 86_400_000
MINUTES = Config(sampling=SamplingConfig(interval_s=1.0), analysis=AnalysisConfig(windows_s=(60, 120)))
UNIT, POOL = Service(ServiceKind.UNIT, "shop.service"), Service(ServiceKind.UNIT, "pool.service")
PROGRAMS = {
    1: ("shop", UNIT),
    2: ("alone", Service(ServiceKind.PROGRAM, "alone")),
    3: ("worker", POOL),
    4: ("worker", POOL),
}
OTHER = 77 << 10
"""A rate that is set by an override and by nothing else."""


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0


def scrape(at: int) -> Scrape:
    infos = [
        ProcessInfo(ProcessIdentity("boot", pid, pid * 10), name, f"/usr/bin/{name}", 0, service)
        for pid, (name, service) in PROGRAMS.items()
    ]
    samples = [Sample(metrics.PROCESS_USS, info.identity.target, (50 + at) * MIB) for info in infos]
    samples += [
        Sample(metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "kmalloc-4k"), (20 + at) * MIB),
        Sample(metrics.VMALLOC_BYTES, Target(TargetKind.VMALLOC, "load_module"), (20 + at) * MIB),
        Sample("kernel.page_tables_bytes", HOST, (20 + at) * MIB),
    ]
    outcome = CollectorOutcome("processes", 1000, len(infos))
    return Scrape(Tick(START_MS + at * 1000, "boot"), tuple(samples), tuple(infos), (outcome,))


def config_with(kind: OverrideKind, pattern: str) -> Config:
    other = replace(MINUTES.thresholds, min_rate_bytes_per_hour=OTHER)
    return replace(MINUTES, overrides=(Override(kind, pattern, other),))


def found(config: Config) -> tuple[list[Finding], list[ProcessInfo]]:
    scan = Detector(config, NoLimits())
    for at in range(130):
        scan.feed(scrape(at))
    return list(scan.evaluate(START_MS + 130_000).findings), list(scrape(129).processes)


def in_force(finding: Finding) -> float | None:
    """Return the least rate the daemon measured a finding against."""
    tests = finding.assessment.evidence
    return next(test.threshold for test in tests if test.criterion == "min_rate")


def explained(finding: Finding, config: Config, processes: list[ProcessInfo]) -> float:
    host = Host(START_MS + 130_000, 1.0, {}, {}, {}, {}, windows_s=(60, 120))
    case = case_of(ReportRow(finding), config, host, suspicions={}, processes=processes, every_s=1.0)
    return case.criteria.min_rate_bytes_per_hour


@pytest.mark.parametrize(
    ("kind", "pattern", "names"),
    [
        ("kernel", "kmalloc-*", {"kmalloc-4k"}),
        ("kernel", "load_module", {"load_module"}),
        ("kernel", "kernel.page_tables_bytes", {"page tables"}),
        ("kernel", "page tables", set()),  # as a report words it: no name of a series
        ("kernel", "host", {"page tables"}),
        ("process", "alone", {"alone"}),
        ("service", "alone", {"alone"}),
        ("process", "shop", {"shop.service"}),
        ("service", "shop.service", {"shop.service"}),
        ("process", "worker", {"pool.service"}),
        ("service", "pool.*", {"pool.service"}),
    ],
)
def test_an_explanation_shows_the_thresholds_the_daemon_judges_by(
    kind: OverrideKind, pattern: str, names: set[str]
) -> None:
    config = config_with(kind, pattern)
    findings, processes = found(config)
    suspect = [one for one in findings if one.assessment.verdict is not Verdict.LEARNING]
    assert {one.name for one in suspect if in_force(one) == OTHER} == names
    assert {one.name: explained(one, config, processes) for one in suspect} == {
        one.name: in_force(one) for one in suspect
    }


@pytest.mark.parametrize(
    ("kind", "pattern", "series"),
    [
        ("kernel", "kmalloc-*", {"slab/kmalloc-4k"}),
        ("kernel", "load_module", {"vmalloc/load_module"}),
        ("kernel", "kernel.page_tables_bytes", {"kernel/PageTables"}),
        ("kernel", "host", {"kernel/PageTables"}),
        ("kernel", "PageTables", set()),
        ("process", "shop", {"proc/shop[1]", "group/shop"}),
        ("service", "shop", {"proc/shop[1]", "group/shop"}),
    ],
)
def test_a_replay_judges_captures_by_them_too(kind: OverrideKind, pattern: str, series: set[str]) -> None:
    names = ("slab/kmalloc-4k", "vmalloc/load_module", "kernel/PageTables", "proc/shop[1]", "group/shop", "proc/x[2]")
    criteria_for = settings_of(config_with(kind, pattern)).criteria_for
    assert {name for name in names if criteria_for(subject_of(name)).min_rate_bytes_per_hour == OTHER} == series
