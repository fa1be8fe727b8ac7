"""All files of a bundle on one finding: what the store says of it, what the machine shows now, what to do next.

The README of a bundle: of whom it is, what each file is, what is missing and why. Pure.

The stored series a bundle holds, as CSV that ``leakwatch analyze`` reads.
"""

from __future__ import annotations

import glob
import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leakwatch import __version__
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.analysis.time_plan import plan_of
from leakwatch.clock import rfc3339
from leakwatch.evidence.bundle import BundleEntry, EvidenceSubject, bounded, collect
from leakwatch.explain import next_text
from leakwatch.explain.case import Case
from leakwatch.explain.stored import field_of, what_of
from leakwatch.model.identity import ProcessInfo, Target, TargetKind
from leakwatch.model.verdict import Finding, FindingKind
from leakwatch.nextsteps.locate import identity_of, is_alive, patient_or_nobody
from leakwatch.nextsteps.toolbox import facts_here
from leakwatch.procfs.fs import ProcFS
from leakwatch.queries.store_stats import Choice, exported
from leakwatch.report import json_report, words
from leakwatch.report.build import ReportRow
from leakwatch.report.samples import Exported, write_csv
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import json_text, printable_lines

WIDTH = 100
_SECRETS = (
    "Command lines are without secrets: values of options and variables named like a password, token, secret or key, "
    "passwords in URLs and HTTP headers, and what looks like a token by itself stand as [redacted]. A short password "
    "that stands alone cannot be told, so look through processes.tsv and steps.txt before you hand the bundle on. No "
    "environment variables were read into it, nor any memory of the process. File names the process maps are in "
    "smaps.txt and mappings.tsv."
)


def readme(title: str, lines: Sequence[str], entries: Sequence[BundleEntry]) -> BundleEntry:
    """Return README.txt; ``lines`` say what was found."""
    there = [entry for entry in entries if entry.data is not None]
    missing = [entry for entry in entries if entry.data is None]
    widest = max((len(entry.name) for entry in entries), default=0)
    out = [title, "=" * len(title), "", *lines, "", "Files, as they were read at that time:", ""]
    for entry in there:
        about = f"{entry.about}{f' ({entry.note})' if entry.note else ''}"
        out += textwrap.wrap(
            about, WIDTH, initial_indent=f"  {entry.name:<{widest}}  ", subsequent_indent=" " * (widest + 4)
        )
    if missing:
        out += ["", "Missing:", ""]
        for entry in missing:
            out += textwrap.wrap(
                entry.note, WIDTH, initial_indent=f"  {entry.name:<{widest}}  ", subsequent_indent=" " * (widest + 4)
            )
    out += ["", *textwrap.wrap(_SECRETS, WIDTH)]
    return BundleEntry("README.txt", "what this is", printable_lines("\n".join(out) + "\n").encode())


BEFORE_MS = 86_400_000
"""How much is shown of the time before it began to grow."""
MOST_SAMPLES = 120_000
"""Rows: some 6 MB of text."""
ABOUT = "the stored samples of it: leakwatch analyze series.csv judges them anew"
_OF_HOST = frozenset({"kernel.mem_total_bytes", "kernel.mem_available_bytes"})
"""What of the machine belongs to every finding."""


def series(
    reader: Reader, finding: Finding, infos: Sequence[ProcessInfo], now_ms: int, interval_s: float, longest_s: float
) -> BundleEntry:
    """Return series.csv: of the process or its service, or of the cache, from a day before it began to grow.

    No longer than ``longest_s``, nor more than ``MOST_SAMPLES``: what is older goes.
    """
    targets = _targets(finding, infos)
    began_ms = (finding.assessment.since_ms or now_ms) - BEFORE_MS
    counted = len(targets) * 6  # samples a scrape: memory, threads, files of a process
    most_ms = round(min(longest_s, MOST_SAMPLES / counted * interval_s) * 1000)
    choice = Choice(targets=tuple(glob.escape(one.key) for one in targets), since_ms=max(began_ms, now_ms - most_ms))
    text = io.StringIO()
    count = write_csv(_chosen(exported(reader, choice), finding, targets), text)
    data = text.getvalue().encode()
    if not count:
        return BundleEntry("series.csv", ABOUT, None, "no samples of it are stored for that time")
    return bounded("series.csv", ABOUT, data)


def _targets(finding: Finding, infos: Sequence[ProcessInfo]) -> list[Target]:
    host = Target(TargetKind.HOST, "host")
    if finding.kind is FindingKind.KERNEL:
        kind = finding.metric.partition(".")[0]
        return [Target(TargetKind(kind), finding.name), host] if kind in ("slab", "vmalloc") else [host]
    services = {info.service.target for info in infos if info.service is not None}
    return [*(info.identity.target for info in infos), *services, host]


def _chosen(samples: Iterator[Exported], finding: Finding, targets: Sequence[Target]) -> Iterator[Exported]:
    wanted = {(str(target.kind), target.key) for target in targets}
    metrics = _OF_HOST | {finding.metric}
    for sample in samples:
        metric, kind, key, _ = sample[1]
        if (kind, key) in wanted and (kind != TargetKind.HOST or metric in metrics):
            yield sample


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """How much may be read for a bundle; the defaults are those of somebody who asked for it."""

    max_stall_s: float | None = None
    """How long the process may be kept waiting; None: as long as it takes."""
    longest_s: float = 30 * 86_400.0
    """How much of the series is taken."""


def rows_of(reader: Reader) -> list[ReportRow]:
    """Return every finding with its newest incident."""
    newest = {incident.finding_id: incident for incident in reader.incidents()}
    return [ReportRow(one.finding, one.ended_ms, newest.get(one.finding.id)) for one in reader.findings()]


def entries(
    reader: Reader, procfs: ProcFS, row: ReportRow, now_ms: int, limits: BundleLimits | None = None
) -> list[BundleEntry]:
    """Return the files of a bundle, README first. Raises the reader's errors."""
    limits = limits or BundleLimits()
    finding, infos = row.finding, reader.processes()
    subject, one = _subject(procfs, row, infos)
    interval_s = reader.states().get("evaluation", {}).get("interval_s", 60.0)
    found = [
        BundleEntry("finding.json", "the finding with its evidence and its incident", _json(row, now_ms)),
        series(reader, finding, one, now_ms, interval_s, limits.longest_s),
        _steps(procfs, row, infos),
        *collect(procfs, subject, max_stall_s=limits.max_stall_s),
    ]
    if finding.kind is not FindingKind.KERNEL and subject.identity is None:
        why = "its process had ended, or is one of several and none was named"
        found += [
            BundleEntry(name, "", None, why) for name in ("status.txt", "limits.txt", "smaps.txt", "mappings.tsv")
        ]  # fmt: skip
    return [readme(f"leakwatch evidence: {words.what(row)}", list(_said(row, now_ms)), found), *found]


def _subject(procfs: ProcFS, row: ReportRow, infos: Sequence[ProcessInfo]) -> tuple[EvidenceSubject, list[ProcessInfo]]:
    """Return of whom to read, and what is stored of the process that grows."""
    finding = row.finding
    if finding.kind is FindingKind.KERNEL:
        return EvidenceSubject(None, ()), []
    identity = identity_of(finding, infos)
    alive = identity is not None and row.ended_ms is None and is_alive(procfs, identity)
    own = [info for info in infos if info.identity == identity]
    fellows = [info for info in infos if info.service is not None and info.service.name == finding.service]
    members = tuple(info.identity.pid for info in fellows or own if is_alive(procfs, info.identity))
    return EvidenceSubject(identity if alive else None, members or (0,)), own or fellows[:1]


def _json(row: ReportRow, now_ms: int) -> bytes:
    found = {"schema": json_report.SCHEMA, "generated_at": rfc3339(now_ms), **json_report.finding(row, now_ms)}
    return json_text(found, indent=1).encode()


def _steps(procfs: ProcFS, row: ReportRow, infos: Sequence[ProcessInfo]) -> BundleEntry:
    about = "what to do next: commands with what each needs, costs and risks"
    # The path of an interpreter is in it, which whoever starts the process chooses.
    return BundleEntry("steps.txt", about, printable_lines(next_text.render(case_for(procfs, row, infos))).encode())


def case_for(procfs: ProcFS, row: ReportRow, infos: Sequence[ProcessInfo]) -> Case:
    """Return the case of a finding as far as the next steps need it."""
    finding = row.finding
    kernel = finding.kind is FindingKind.KERNEL
    return Case(
        name=finding.name,
        what=what_of(finding),
        assessment=finding.assessment,
        as_of_ms=finding.evaluated_at_ms,
        plan=plan_of((3600,), 60.0),
        criteria=LeakCriteria(),
        field=field_of(finding),
        pid=finding.pid,
        at_most_watch=finding.is_reclaimable,
        row=row,
        patient=None if kernel else patient_or_nobody(procfs, finding, infos),
        facts=facts_here(finding.name.partition("@")[0]) if kernel else None,
    )


def _said(row: ReportRow, now_ms: int) -> Iterator[str]:
    finding = row.finding
    yield f"{finding.assessment.verdict}: {words.rate(row)}, grown {words.grown(row)}"
    yield words.why(row)
    yield words.where(row, now_ms)
    if incident := words.incident(row, now_ms):
        yield incident
    yield f"Written {rfc3339(now_ms)} by leakwatch {__version__}; judged {rfc3339(finding.evaluated_at_ms)}."


def file_name(finding: Finding, incident_id: str, now_ms: int) -> str:
    """Return what a bundle is called: whose it is and when it was made."""
    stamp = rfc3339(now_ms).replace("-", "").replace(":", "")
    return f"{incident_id or finding.id}-{stamp}.tar.gz"
