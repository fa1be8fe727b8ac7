"""One evaluation: has everything under watch judged, moves the incidents along, tells the log, stores what changed.

Makes a bundle when a leak is confirmed, once an incident, in a child that ends; what goes wrong is said and no more.

The daemon imports this module: what the work itself needs, SQLAlchemy and numpy among it, only the child loads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leakwatch import __version__
from leakwatch.alerting.announce import IncidentChanges, Incidents, announce
from leakwatch.alerting.findings_log import Changes, FindingsLog, LoggedFinding
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.clock import cpu_with_children_s
from leakwatch.config import Config, EvidenceConfig
from leakwatch.errors import LeakwatchError
from leakwatch.model.incident import EventKind, Incident, Marks
from leakwatch.model.timeline import Stamps
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.evaluation import Evaluation
from leakwatch.monitoring.readback import ReadBack
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.store.writer import Writer
from leakwatch.system.worker import OneChild
from leakwatch.text.redact import CommandLines

log = logging.getLogger(__name__)


class EvaluationJob:
    """What was said of whom so far, beginning with what the store remembers."""

    def __init__(
        self, config: Config, detector: Detector, supervisor: StoreSupervisor, every_s: float, past: ReadBack
    ) -> None:
        """Raises LeakwatchError where what was said before cannot be read."""
        self._config, self._detector, self._supervisor, self._every_s = config, detector, supervisor, every_s
        self._generation, said = past.generation, past.recollect()
        windows_s = detector.plan.windows_s
        pace = IncidentTimings(windows_s[0] * 1000, windows_s[-1] * 1000)
        self._ledger = FindingsLog(LoggedFinding(f.finding, f.ended_ms) for f in said.findings)
        self._incidents = Incidents(pace, said.incidents)
        self.confirmed: tuple[Incident, ...] = ()
        """The incidents that were confirmed at the last evaluation."""

    def renew(self, now_ms: int, stamps: Stamps) -> Evaluation:
        """Judge as of now, a time of the timeline. Raises JudgingError, and nothing has changed then."""
        began_s = cpu_with_children_s()
        self._tell_new_store()
        evaluation = self._detector.evaluate(now_ms)
        changes = self._ledger.update(evaluation.findings, evaluation.now_ms, evaluation.running)
        incidents = self._update_incidents(evaluation)
        now = {event.incident_id for event in incidents.events if event.kind is EventKind.CONFIRMED}
        self.confirmed = tuple(one for one in incidents.write if one.id in now)
        # Told before it is stored: whoever is killed in between tells it twice rather than never.
        for one in incidents.announce:
            announce(one, stamps)
        cost_us = round((cpu_with_children_s() - began_s) * 1e6)
        if not self._supervisor.attempt(
            "verdicts could not be stored, the next evaluation tries again",
            lambda writer: self._write(writer, evaluation, changes, incidents, cost_us),
        ):
            self._ledger.forget(changes)
            self._incidents.forget(incidents)
            self._detector.forget_stored()
        return evaluation

    def _tell_new_store(self) -> None:
        """Have everything stored again after a damaged store was set aside."""
        if self._generation != self._supervisor.generation:
            self._generation = self._supervisor.generation
            self._ledger.forget_all()
            self._incidents.forget_all()
            self._detector.forget_stored()

    def _update_incidents(self, evaluation: Evaluation) -> IncidentChanges:
        """Move the incidents along, minding what people have noted since the last evaluation."""
        marks: list[dict[str, Marks]] = []
        self._supervisor.attempt(
            "what was acknowledged or silenced could not be read", lambda writer: marks.append(writer.incident_marks())
        )
        return self._incidents.update(
            evaluation.findings,
            evaluation.now_ms,
            suspected=evaluation.suspected,
            lives=evaluation.lives,
            marks=marks[0] if marks else None,
        )

    def _write(
        self, writer: Writer, evaluation: Evaluation, changes: Changes, incidents: IncidentChanges, cost_us: int
    ) -> None:
        states = {
            "evaluation": {
                "at_ms": evaluation.now_ms,
                "every_s": self._every_s,
                "cost_us": cost_us,
                "counts": dict(evaluation.counts),
                "windows_s": list(self._detector.plan.windows_s),
                "interval_s": self._config.sampling.interval_s,
                "slow_every": self._config.sampling.slow_every,
                "horizon_s": self._config.thresholds.horizon_s,
            },
            **self._detector.snapshot(evaluation.now_ms),
            "daemon": {"pid": os.getpid(), "version": __version__, "config": list(self._config.sources)},
        }
        entries = [(entry.finding, entry.ended_ms) for entry in changes.write]
        changed = ChangedIncidents(incidents.write, incidents.events, incidents.silences)
        writer.write_evaluation(entries, evaluation.suspicions, states, evaluation.now_ms, changed)
        if changes.drop:
            writer.drop_findings(changes.drop)


TIMEOUT_S = 120
"""A bundle takes a second or two; a hang must not keep the evaluations waiting for long."""
MOST_AT_ONCE = 5
"""Bundles for one evaluation: where more is confirmed in the same minute, it is one cause."""
LONGEST_S = 3 * 86_400.0
"""How much of the series is taken: three days at a minute are 4320 scrapes."""


@dataclass(frozen=True, slots=True)
class EvidenceTask:
    """Of what, from where, as of when."""

    store: str
    proc_root: str
    incidents: tuple[tuple[str, str], ...]
    """Incident's id and its finding's."""
    limits: EvidenceConfig
    max_stall_s: float
    command_lines: CommandLines
    now_ms: int


class EvidenceJob:
    """Has bundles made, one child at a time, and can be told to end it."""

    def __init__(self, config: Config, proc_root: str) -> None:
        self._limits, self._max_stall_s, self._proc_root = config.evidence, config.sampling.max_stall_s, proc_root
        self._command_lines = config.privacy.command_lines
        self._gather = OneChild(result, TIMEOUT_S)

    def gather(self, store: Path, confirmed: Sequence[Incident], now_ms: int) -> None:
        """Make the bundles of incidents that were just confirmed; never raises."""
        if not confirmed or not self._limits.when_confirmed:
            return
        incidents = tuple((one.id, one.finding_id) for one in confirmed[:MOST_AT_ONCE])
        task = EvidenceTask(
            str(store), self._proc_root, incidents, self._limits, self._max_stall_s, self._command_lines, now_ms
        )
        try:
            for path in self._gather(task):
                log.info("evidence of incident %s: %s", Path(path).name.partition("-")[0], path)
        except (LeakwatchError, OSError) as error:
            if not self._gather.is_ended:
                log.warning("no evidence could be kept: %s; by hand: leakwatch evidence ID", error)

    def end(self) -> None:
        """End the child there may be, and start no other."""
        self._gather.end()


def result(task: EvidenceTask) -> Iterator[str]:
    """Be the child's work: yield the path of each bundle made. Raises the errors of the store and of writing."""
    from leakwatch.clock import rfc3339  # noqa: PLC0415 - what only the child needs
    from leakwatch.evidence import bundle, gather  # noqa: PLC0415
    from leakwatch.procfs.fs import ProcFS  # noqa: PLC0415
    from leakwatch.store.read.reader import Reader  # noqa: PLC0415

    store = Path(task.store)
    where = bundle.shelf_of(store)
    where.mkdir(mode=0o700, exist_ok=True)
    limits = gather.BundleLimits(task.max_stall_s, LONGEST_S)
    procfs = ProcFS(task.proc_root, command_lines=task.command_lines)
    reader = Reader(store)
    try:
        rows = {row.finding.id: row for row in gather.rows_of(reader)}
        for incident_id, finding_id in task.incidents:
            row = rows.get(finding_id)
            if row is None or incident_id in {one.incident_id for one in bundle.kept(where)}:
                continue
            found = gather.entries(reader, procfs, row, task.now_ms, limits)
            path = where / gather.file_name(row.finding, incident_id, task.now_ms)
            bundle.write(found, path, task.now_ms / 1000)
            yield str(path)
    finally:
        reader.close()
        oldest = rfc3339(task.now_ms - round(task.limits.keep_s * 1000)).replace("-", "").replace(":", "")
        bundle.remove(bundle.surplus(bundle.kept(where), oldest, task.limits.max_size_bytes), where)
