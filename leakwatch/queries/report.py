"""The report of what a store holds: findings with their incidents, owners, growth and next steps.

What a store knows of owners, control groups and OOM kills, for a report.

And from a store and a finding to what part of the memory grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from leakwatch import metrics
from leakwatch.analysis.findings.counts import count_target
from leakwatch.analysis.findings.services_and_kernel import finding_id
from leakwatch.errors import LeakwatchError, PermissionNeededError, StoreNotFoundError, StorePathError
from leakwatch.metrics import APART, METRICS
from leakwatch.model.identity import ProcessInfo, Target, TargetKind, identity_of
from leakwatch.model.memory_class import Growth, process_and_class
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import SUSPECT, Finding, FindingKind
from leakwatch.nextsteps.locate import brief
from leakwatch.procfs.files import read_file
from leakwatch.procfs.fs import ProcFS
from leakwatch.report.build import Filters, Host, Own, Report, ReportRow, build
from leakwatch.report.ownership import Kills, Ownership
from leakwatch.report.stats import cpu_share
from leakwatch.store.daemon_state import PastKill, kills_of, owners_of, unseen_of
from leakwatch.store.files.lock import reader_paths
from leakwatch.store.read.reader import Reader
from leakwatch.store.read.records import STORE_NOTES, ScrapeHead
from leakwatch.text.redact import CommandLines


def read_whose(reader: Reader, states: Mapping[str, Any], last: ScrapeHead) -> dict[str, Ownership]:
    """Return what is known of services by their finding's id; by those of findings about counts the owner alone."""
    values, kills = _newest(reader, states.get("evaluation", {}), last), summed(kills_of(states))
    owners = owners_of(states)
    of_counts = {
        finding_id(count_target(service, metric)): Ownership(owner)
        for service, owner in owners.items()
        for metric in APART
    }
    return of_counts | {
        finding_id(service): Ownership(owner, values.get(service, {}), kills.get(service))
        for service, owner in owners.items()
    }


def read_kills(states: Mapping[str, Any]) -> dict[str, Kills]:
    """Return the kills kept, by the service's name; those of nobody known by an empty one."""
    return {
        "" if service is None else service.key.partition(":")[2]: kills
        for service, kills in summed(kills_of(states)).items()
    }


def summed(kills: Iterable[PastKill]) -> dict[Target | None, Kills]:
    """Return the kills of each service; None stands for those of nobody known."""
    sums: dict[Target | None, Kills] = {}
    for past in kills:
        before = sums.get(past.kill.service)
        sums[past.kill.service] = Kills(
            past.kill.count + (before.count if before else 0),
            before.first_ms if before else past.at_ms,
            past.at_ms,
            past.kill.certain and (before is None or before.certain),
        )
    return sums


def _newest(reader: Reader, evaluation: Mapping[str, Any], last: ScrapeHead) -> dict[Target, dict[str, int]]:
    """Return what the groups said in the newest round that read them."""
    rounds = 2 * evaluation.get("slow_every", 5)
    since_ms = last.ts_ms - round(rounds * evaluation.get("interval_s", 60.0) * 1000)
    heads = [head for head in reader.scrapes_since(since_ms) if head.id <= last.id]
    wanted = [name for name in METRICS if name.startswith("cgroup.")]
    newest: dict[Target, dict[str, int]] = {}
    for _, samples in reader.history(heads, wanted):
        now: dict[Target, dict[str, int]] = {}
        for (metric, target), value in samples.items():
            if target.kind is TargetKind.SERVICE:
                now.setdefault(target, {})[metric] = value
        newest |= now  # a whole round's values, never of two rounds mixed
    return newest


def growths(reader: Reader, findings: Sequence[Finding]) -> dict[str, Growth]:
    """Return by finding's id what grows, of those suspects whose mappings were looked into twice at least.

    Raises the reader's errors.
    """
    wanted = [one for one in findings if one.kind is not FindingKind.KERNEL and one.assessment.verdict in SUSPECT]
    series = reader.series_of([metrics.CLASS_HELD, metrics.CLASS_MAPPINGS]) if wanted else {}
    if not series:
        return {}
    known = {process_and_class(target)[0] for _, target in series.values()}
    processes = reader.processes()
    of = {one.id: [target for target in _processes_of(one, processes, known) if target in known] for one in wanted}
    needed = {target for targets in of.values() for target in targets}
    return _grown(reader, series, of, needed)


def _processes_of(finding: Finding, processes: Iterable[ProcessInfo], known: Iterable[Target]) -> list[Target]:
    """Return the process a finding names, else all of its service."""
    if finding.pid is not None:
        alive = [one.identity.target for one in processes if one.identity.pid == finding.pid]
        # One that has ended is no longer among the living: the youngest of those that had its number.
        ended = sorted(known, key=lambda target: identity_of(target.key).start_ticks)
        return alive or [target for target in ended if identity_of(target.key).pid == finding.pid][-1:]
    return [one.identity.target for one in processes if one.service and one.service.name == finding.service]


def _grown(
    reader: Reader, series: dict[int, tuple[str, Target]], of: dict[str, list[Target]], needed: set[Target]
) -> dict[str, Growth]:
    from leakwatch.analysis.findings.mapping_growth import Course, growth_of, together  # noqa: PLC0415 - numpy, needed by few reports

    numbers = {number: key for number, key in series.items() if process_and_class(key[1])[0] in needed}
    looks: dict[Target, dict[str, tuple[Course, Course]]] = {target: {} for target in needed}
    for number, past in reader.pasts(numbers.keys()).items():
        metric, target = numbers[number]
        process, key = process_and_class(target)
        held, mappings = looks[process].setdefault(key, ({}, {}))
        course = held if metric == metrics.CLASS_HELD else mappings
        course.update(zip(past.times_ms, past.values, strict=True))
    grown = {target: growth for target, seen in looks.items() if (growth := growth_of(seen)) is not None}
    found = {one: together([grown[target] for target in targets if target in grown]) for one, targets in of.items()}
    return {one: growth for one, growth in found.items() if growth is not None}


DAY_MS = 86_400_000
LOOKED_INTO = 50
"""Rows whose process is looked into for the next step: a few milliseconds each."""


def stored_report(url: str, filters: Filters, now_ms: int, command_lines: CommandLines) -> Report:
    """Return the report of a store, with next steps, frozen: the store is closed by then.

    Raises StoreNotFoundError, PermissionNeededError and what reading a damaged store raises.
    """
    with closing(open_store(url)) as reader:
        return with_next_steps(read_report(reader, filters, now_ms), reader, command_lines)


def open_store(url: str) -> Reader:
    """Open the first store there is; one that may not or cannot be read is named if there is no other."""
    paths = reader_paths(url)
    refused: LeakwatchError | None = None
    for path in paths:
        try:
            return Reader(path)
        except (PermissionNeededError, StorePathError) as error:
            refused = refused or error
        except StoreNotFoundError:
            continue
    if refused is not None:
        raise refused
    looked = " or ".join(str(path) for path in paths)
    raise StoreNotFoundError(
        f"no store with a scrape in it at {looked}; start the service (leakwatch service install) or leakwatch daemon"
    )


def read_report(reader: Reader, filters: Filters, now_ms: int) -> Report:
    """Return the report of what the store holds."""
    states, last = reader.states(), reader.last_scrape()
    if last is None:
        raise StoreNotFoundError(f"{reader.path} holds no scrape yet; the first comes seconds after the daemon's start")
    newest = {incident.finding_id: incident for incident in reader.incidents()}
    stats = states.get("stats", {})
    estimated = reader.estimated_pids(last.id)
    too_large = {one["pid"] for one in stats.get("over_stall", ())}
    whose = read_whose(reader, states, last)
    rows = []
    for stored in reader.findings():
        one = stored.finding
        of_memory = one.metric not in APART
        row = ReportRow(
            one,
            stored.ended_ms,
            newest.get(one.id),
            estimated=of_memory and one.pid in estimated,
            too_large=of_memory and one.pid in too_large,
            whose=whose.get(one.id),
        )
        rows.append(row)
    report = build(
        rows,
        _read_host(reader, last, states, now_ms),
        reader.finding_counts(),
        filters,
        generated_ms=now_ms,
        evaluated_ms=states.get("evaluation", {}).get("at_ms"),
        kills=read_kills(states),
        own=_own(rows, states.get("daemon", {}).get("pid"), stats),
    )
    grown = growths(reader, [row.finding for row in report.rows if row.finding.metric not in APART])
    return replace(report, rows=tuple(replace(row, growth=grown.get(row.finding.id)) for row in report.rows))


def with_next_steps(report: Report, reader: Reader, command_lines: CommandLines = "redacted") -> Report:
    """Return the report with what to do first about each that grows, of the most urgent ones."""
    processes = reader.processes()
    if not _anybody_to_help(report, processes):
        return report  # a fifth of what a report costs is finding out what to do

    procfs = ProcFS(command_lines=command_lines)
    rows = tuple(
        replace(row, next_step=brief(procfs, row.finding, processes) if row.ended_ms is None else "")
        for row in report.rows[:LOOKED_INTO]
    )
    return replace(report, rows=rows + report.rows[LOOKED_INTO:])


def _anybody_to_help(report: Report, processes: list[ProcessInfo]) -> bool:
    """Tell whether something grows that is still there: the kernel, or a process of this boot."""
    growing = [row.finding for row in report.rows if row.finding.assessment.verdict in SUSPECT]
    if any(one.kind is FindingKind.KERNEL for one in growing):
        return True
    boot_id = ""
    with suppress(OSError):
        boot_id = read_file("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    here = {info.identity.pid for info in processes if info.identity.boot_id == boot_id or not boot_id}
    return any(one.pid in here for one in growing)


def _own(rows: list[ReportRow], pid: int | None, stats: dict[str, Any]) -> Own | None:
    own = next((row.finding for row in rows if _is_own(row, pid)), None)
    return None if own is None or pid is None else Own(own, cpu_share(stats))


def _is_own(row: ReportRow, pid: int | None) -> bool:
    return row.finding.pid == pid and row.ended_ms is None and row.finding.metric not in APART


def _read_host(reader: Reader, last: ScrapeHead, states: dict[str, Any], now_ms: int) -> Host:
    evaluation, unseen = states.get("evaluation", {}), unseen_of(states)
    collectors = reader.collectors(last.id)
    absences: Counter[AbsenceReason] = Counter()
    for collector in collectors.values():
        absences.update(collector.absences)
    interval_s = evaluation.get("interval_s", 60.0)
    # Twice the scrapes of a day at this interval, for one that was shorter earlier that day.
    irregular = reader.irregularities(now_ms - DAY_MS, last.id - round(2 * DAY_MS / 1000 / interval_s))
    return Host(
        last_scrape_ms=last.ts_ms,
        interval_s=interval_s,
        values=reader.host_values(last.id),
        targets_read={name: collector.targets_read for name, collector in collectors.items()},
        absences=absences,
        notes=last.notes,
        scrapes=irregular.scrapes,
        missed=irregular.missed,
        suspended_ms=irregular.suspended_ms,
        clock_stepped_ms=irregular.clock_stepped_ms,
        horizon_s=evaluation.get("horizon_s", 0.0),
        windows_s=tuple(evaluation.get("windows_s", ())),
        store_notes=tuple(states.get(STORE_NOTES, ())),
        every_s=evaluation.get("every_s", 0.0),
        reading_since_ms=(states.get("reading") or {}).get("since_ms"),
        hung=tuple((one.pid, one.name, one.since_ms) for one in unseen.hung),
        hidepid=unseen.hidepid,
    )
