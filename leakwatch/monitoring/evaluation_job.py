"""One evaluation: has everything under watch judged, moves the incidents along, tells the log, stores what changed."""

from __future__ import annotations

import logging
import os

from leakwatch import __version__
from leakwatch.alerting.announce import announce
from leakwatch.alerting.findings_log import Changes, FindingsLog, LoggedFinding
from leakwatch.alerting.incidents import IncidentChanges, Incidents
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.clock import cpu_with_children_s
from leakwatch.config import Config
from leakwatch.model.incident import EventKind, Incident, Marks
from leakwatch.model.timeline import Stamps
from leakwatch.monitoring.detector import Detector
from leakwatch.monitoring.evaluation import Evaluation
from leakwatch.monitoring.readback import ReadBack
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.store.writer import Writer

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
