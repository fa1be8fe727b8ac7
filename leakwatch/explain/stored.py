"""From what a store holds to the one finding that is meant, with what the daemon remembers of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from leakwatch import metrics
from leakwatch.analysis.findings.services_and_kernel import finding_id
from leakwatch.analysis.settings import criteria_for
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import plan_of
from leakwatch.analysis.tracking.alarm_state import AlarmState, LevelHistory, from_values
from leakwatch.config import Config
from leakwatch.errors import FindingNotFoundError
from leakwatch.explain.case import Case, What
from leakwatch.model.identity import HOST, ProcessInfo, Target, TargetKind
from leakwatch.model.verdict import SEVERITY, Finding, FindingKind
from leakwatch.report.build import Host, ReportRow
from leakwatch.report.words import what as titled
from leakwatch.text.escape import printable

Key = tuple[str, Target]
MOST_NAMED = 10
"""Names offered where one is not known or not enough."""


def find(rows: Sequence[ReportRow], named: str) -> ReportRow:
    """Return the finding of this id, incident's id, name, service or process id; one that runs before one that ended.

    Raises FindingNotFoundError where there is none, or several.
    """
    by_id = [row for row in rows if row.finding.id == named or (row.incident is not None and row.incident.id == named)]
    fitting = by_id or [row for row in rows if named in _names(row.finding)]
    fitting = [row for row in fitting if row.ended_ms is None] or fitting
    if not fitting:
        raise FindingNotFoundError(_unknown(named, rows))
    of_memory = [row for row in fitting if row.finding.metric not in metrics.APART]
    if len(of_memory) < min(2, len(fitting)) and len({row.finding.service for row in fitting}) == 1:
        # One service, its memory and its counts: what is worst, and its memory where nothing is.
        fitting = [max(fitting, key=_by_severity)]
    if len(fitting) > 1:
        raise FindingNotFoundError(
            f"{printable(named)} names {len(fitting)} findings: {_listed(fitting)}; give the id of one"
        )
    return fitting[0]


def _by_severity(row: ReportRow) -> tuple[int, bool]:
    return SEVERITY[row.finding.assessment.verdict], row.finding.metric not in metrics.APART


def _names(finding: Finding) -> tuple[str, ...]:
    pid = "" if finding.pid is None else str(finding.pid)
    return (finding.name, finding.service or "", pid) if pid else (finding.name, finding.service or "")


def _unknown(named: str, rows: Sequence[ReportRow]) -> str:
    near = [row for row in rows if named and named.lower() in row.finding.name.lower()]
    if near:
        return f"no finding is called {printable(named)}; there is {_listed(near)}"
    return f"no finding is called {printable(named)}; see: leakwatch report --verdict all"


def _listed(rows: Sequence[ReportRow]) -> str:
    shown = [f"{row.finding.id} {titled(row)}" for row in rows[:MOST_NAMED]]
    return ", ".join(shown) + (f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else "")


def case_of(
    row: ReportRow,
    config: Config,
    host: Host,
    *,
    suspicions: Mapping[Key, str],
    processes: Sequence[ProcessInfo],
    every_s: float | None,
    alarm: str = "",
    offset_ms: int = 0,
) -> Case:
    """Return the case of a stored finding; ``host`` tells the windows and the interval the daemon judges with."""
    finding = row.finding
    windows_s = host.windows_s or config.analysis.windows_s
    alarm_state, history = _remembered(finding, suspicions, processes)
    return Case(
        name=finding.name,
        what=what_of(finding),
        assessment=finding.assessment,
        as_of_ms=finding.evaluated_at_ms,
        plan=plan_of(tuple(windows_s), host.interval_s),
        criteria=_criteria(finding, config, processes),
        field=field_of(finding),
        pid=finding.pid,
        alarm_state=alarm_state,
        history=history,
        at_most_watch=finding.is_reclaimable,
        every_s=every_s,
        offset_ms=offset_ms,
        row=row,
        alarm=alarm,
    )


def what_of(finding: Finding) -> What:
    """Return what kind of memory, or that a count, a finding is about."""
    if finding.metric in metrics.APART:
        return What.COUNT
    if finding.kind is not FindingKind.KERNEL:
        return What.PROCESS
    return {"slab": What.SLAB, "vmalloc": What.VMALLOC}.get(finding.metric.partition(".")[0], What.KERNEL)


def field_of(finding: Finding) -> str:
    """Return what names it beside its owner: the metric of a count or of the whole machine, else a cache or caller."""
    return finding.metric if what_of(finding) in (What.KERNEL, What.COUNT) else finding.name


def _criteria(finding: Finding, config: Config, processes: Sequence[ProcessInfo]) -> LeakCriteria:
    """Return the criteria in force for the series the finding tells of, as the daemon chooses them."""
    if finding.kind is FindingKind.KERNEL:
        kind = {What.SLAB: TargetKind.SLAB, What.VMALLOC: TargetKind.VMALLOC}.get(what_of(finding))
        return criteria_for(config, finding.metric, HOST if kind is None else Target(kind, finding.name))
    service = finding.service or ""
    members = [info for info in processes if info.service is not None and info.service.name == service]
    if finding.metric == metrics.SERVICE_USS_SWAP:
        target = Target(TargetKind.SERVICE, f":{service}")
        return criteria_for(config, finding.metric, target, [info.name for info in members], service)
    named = [info.name for info in members if finding.pid in (None, info.identity.pid)]
    if not named and finding.kind is FindingKind.PROCESS:
        named = [finding.name]  # it has ended
    return criteria_for(config, finding.metric, Target(TargetKind.PROCESS, finding.name), named, service)


def _remembered(
    finding: Finding, suspicions: Mapping[Key, str], processes: Iterable[ProcessInfo]
) -> tuple[AlarmState | None, LevelHistory | None]:
    """Return what the daemon remembers of the series the finding tells of; nothing of one that never was suspect."""
    pids = {info.identity.target: info.identity.pid for info in processes}
    for (metric, target), payload in suspicions.items():
        if metric == finding.metric and _is_of(finding, metric, target, pids):
            return _decoded(payload)
    return None, None


def _is_of(finding: Finding, metric: str, target: Target, pids: Mapping[Target, int]) -> bool:
    if target.kind is TargetKind.PROCESS:
        return finding.pid is not None and pids.get(target) == finding.pid
    if target.kind is TargetKind.HOST:
        target = Target(TargetKind.HOST, metric)
    return finding_id(target) == finding.id


def _decoded(payload: str) -> tuple[AlarmState | None, LevelHistory | None]:
    try:
        values = json.loads(payload)
        return from_values(values["climb"]), LevelHistory(**values["ground"])
    except (ValueError, TypeError, KeyError):
        return None, None  # of another version: the daemon forms it anew
