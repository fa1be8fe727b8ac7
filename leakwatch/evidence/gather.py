"""All files of a bundle on one finding: what the store says of it, what the machine shows now, what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch import __version__
from leakwatch.analysis.criteria import LeakCriteria
from leakwatch.analysis.spans import plan_of
from leakwatch.clock import rfc3339
from leakwatch.escape import json_text
from leakwatch.evidence.collect import Subject, collect
from leakwatch.evidence.entry import Entry
from leakwatch.evidence.readme import readme
from leakwatch.evidence.series import series
from leakwatch.explain import next_text
from leakwatch.explain.case import Case
from leakwatch.explain.stored import field_of, what_of
from leakwatch.model import FindingKind
from leakwatch.nextsteps.kernel_facts import facts_here
from leakwatch.nextsteps.locate import identity_of, is_alive, patient_or_nobody
from leakwatch.report import json_report, words
from leakwatch.report.build import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from leakwatch.model import Finding, ProcessInfo
    from leakwatch.procfs.root import ProcFS
    from leakwatch.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be read for a bundle; the defaults are those of somebody who asked for it."""

    max_stall_s: float | None = None
    """How long the process may be kept waiting; None: as long as it takes."""
    longest_s: float = 30 * 86_400.0
    """How much of the series is taken."""


def rows_of(reader: Reader) -> list[Row]:
    """Return every finding with its newest incident."""
    newest = {incident.finding_id: incident for incident in reader.incidents()}
    return [Row(one.finding, one.ended_ms, newest.get(one.finding.id)) for one in reader.findings()]


def entries(reader: Reader, procfs: ProcFS, row: Row, now_ms: int, limits: Limits | None = None) -> list[Entry]:
    """Return the files of a bundle, README first. Raises the reader's errors."""
    limits = limits or Limits()
    finding, infos = row.finding, reader.processes()
    subject, one = _subject(procfs, row, infos)
    interval_s = reader.states().get("evaluation", {}).get("interval_s", 60.0)
    found = [
        Entry("finding.json", "the finding with its evidence and its incident", _json(row, now_ms)),
        series(reader, finding, one, now_ms, interval_s, limits.longest_s),
        _steps(procfs, row, infos),
        *collect(procfs, subject, max_stall_s=limits.max_stall_s),
    ]
    if finding.kind is not FindingKind.KERNEL and subject.identity is None:
        why = "its process had ended, or is one of several and none was named"
        found += [
            Entry(name, "", None, why) for name in ("status.txt", "limits.txt", "smaps.txt", "mappings.tsv")
        ]  # fmt: skip
    return [readme(f"leakwatch evidence: {words.what(row)}", list(_said(row, now_ms)), found), *found]


def _subject(procfs: ProcFS, row: Row, infos: Sequence[ProcessInfo]) -> tuple[Subject, list[ProcessInfo]]:
    """Return of whom to read, and what is stored of the process that grows."""
    finding = row.finding
    if finding.kind is FindingKind.KERNEL:
        return Subject(None, ()), []
    identity = identity_of(finding, infos)
    alive = identity is not None and row.ended_ms is None and is_alive(procfs, identity)
    own = [info for info in infos if info.identity == identity]
    fellows = [info for info in infos if info.service is not None and info.service.name == finding.service]
    members = tuple(info.identity.pid for info in fellows or own if is_alive(procfs, info.identity))
    return Subject(identity if alive else None, members or (0,)), own or fellows[:1]


def _json(row: Row, now_ms: int) -> bytes:
    found = {"schema": json_report.SCHEMA, "generated_at": rfc3339(now_ms), **json_report.finding(row, now_ms)}
    return json_text(found, indent=1).encode()


def _steps(procfs: ProcFS, row: Row, infos: Sequence[ProcessInfo]) -> Entry:
    about = "what to do next: commands with what each needs, costs and risks"
    return Entry("steps.txt", about, next_text.render(case_for(procfs, row, infos)).encode())


def case_for(procfs: ProcFS, row: Row, infos: Sequence[ProcessInfo]) -> Case:
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
        at_most_watch=finding.note.startswith("reclaimable"),
        row=row,
        patient=None if kernel else patient_or_nobody(procfs, finding, infos),
        facts=facts_here(finding.name.partition("@")[0]) if kernel else None,
    )


def _said(row: Row, now_ms: int) -> Iterator[str]:
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
