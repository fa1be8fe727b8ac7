"""What the store holds of each finding, and which of them are worth writing again."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from leakwatch import metrics
from leakwatch.model.verdict import SEVERITY, Finding, FindingKind, Verdict

REFRESH_MS = 3_600_000
"""A finding that is no suspect and does not change is written again after this long: writing hundreds of them at every
evaluation would cost more than all the samples."""


ENDED_KEPT = 200
"""Findings about what has ended that are remembered, those that ended last: 2 MB. The store has the others until they
are too old; where one of them comes back, what is said of its new life takes the place of its end."""


@dataclass(frozen=True, slots=True)
class LoggedFinding:
    """One finding and what became of it."""

    finding: Finding
    ended_ms: int | None = None
    """When the process, service or cache was last there, None while it is."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an evaluation changed."""

    write: tuple[LoggedFinding, ...] = ()
    drop: tuple[str, ...] = ()
    """Ids of findings about what is missing and was not suspect, or is a total that its parts explain now."""


class FindingsLog:
    """Compares each evaluation with the one before; starts from what the store holds."""

    def __init__(self, entries: Iterable[LoggedFinding] = ()) -> None:
        self._entries = {entry.finding.id: entry for entry in entries}
        self._unstored: set[str] = set()
        """Ids of what could not be written or dropped at the last evaluation."""

    def update(self, findings: Sequence[Finding], now_ms: int, running: Container[int] = ()) -> Changes:
        """Return what is to be written and dropped; ``running`` are the ids of the processes that are there."""
        self._forget_ended()
        write: list[LoggedFinding] = []
        for finding in findings:
            before = self._entries.get(finding.id)
            if before is not None and _outlives(before, finding, running):
                entry = replace(before, ended_ms=before.ended_ms or now_ms)
            else:
                entry = LoggedFinding(finding)
            if finding.id in self._unstored or _worth_writing(before, entry, now_ms):
                write.append(entry)
                self._entries[finding.id] = entry
        here = {finding.id for finding in findings}
        write += self._end_all_but(here, now_ms)
        drop = self._drop_all_but(here)
        self._unstored.clear()
        return Changes(tuple(write), tuple(drop))

    def _forget_ended(self) -> None:
        """Forget what ended longest ago, but for what is not stored: names that come once would be ever more."""
        ended = [id_ for id_, one in self._entries.items() if one.ended_ms is not None and id_ not in self._unstored]
        ended.sort(key=lambda id_: self._entries[id_].ended_ms or 0)
        for id_ in ended[:-ENDED_KEPT]:
            del self._entries[id_]

    def _end_all_but(self, here: set[str], now_ms: int) -> list[LoggedFinding]:
        """Keep the suspects that have ended; return the entries that changed by it."""
        ended = []
        for id_, entry in self._entries.items():
            if id_ not in here and _can_end(entry.finding) and (entry.ended_ms is None or id_ in self._unstored):
                ended.append(replace(entry, ended_ms=entry.ended_ms or now_ms))
        self._entries |= {entry.finding.id: entry for entry in ended}
        return ended

    def _drop_all_but(self, here: set[str]) -> list[str]:
        """Forget the others that are missing; return their ids."""
        drop = {id_ for id_, entry in self._entries.items() if id_ not in here and not _can_end(entry.finding)}
        for id_ in drop:
            del self._entries[id_]
        return sorted(drop | (self._unstored - here - self._entries.keys()))

    def forget(self, changes: Changes) -> None:
        """Take back what could not be stored, so that it is stored at the next evaluation."""
        self._unstored |= {entry.finding.id for entry in changes.write} | set(changes.drop)

    def forget_all(self) -> None:
        """Take it that nothing is stored, as in a new store: the next evaluation stores everything."""
        self._unstored |= self._entries.keys()


def _outlives(before: LoggedFinding, finding: Finding, running: Container[int]) -> bool:
    """Return whether the finding of a life that has ended says more than that of the new one, which is learning.

    A process that still runs has not ended, though another of its service is what learns.
    """
    return (
        finding.kind is not FindingKind.KERNEL
        and finding.assessment.verdict is Verdict.LEARNING
        and not finding.is_lower_bound
        and _suspect(before.finding)
        and (before.ended_ms is not None or _replaced(before.finding.pid, finding.pid, running))
    )


def _replaced(before: int | None, now: int | None, running: Container[int]) -> bool:
    return before != now and before not in running


def _can_end(finding: Finding) -> bool:
    """Return whether a finding that is missing is of a suspect that ended; a total lives on, told by its parts."""
    return _suspect(finding) and finding.metric not in metrics.TOTALS


def _suspect(finding: Finding) -> bool:
    return SEVERITY[finding.assessment.verdict] >= SEVERITY[Verdict.WATCH]


def _worth_writing(before: LoggedFinding | None, entry: LoggedFinding, now_ms: int) -> bool:
    if before is None or before.ended_ms != entry.ended_ms:
        return True
    if _number_read(before.finding) != _number_read(entry.finding):
        return True  # how much of it is not known is part of the answer
    if (
        before.finding.assessment.verdict is not entry.finding.assessment.verdict
        or before.finding.pid != entry.finding.pid
    ):
        return True
    if _suspect(entry.finding):
        return entry.finding.evaluated_at_ms != before.finding.evaluated_at_ms
    if entry.finding.assessment.verdict is Verdict.LEARNING and _outdated(before.finding, entry.finding):
        return True
    return now_ms - before.finding.evaluated_at_ms >= REFRESH_MS


def _outdated(stored: Finding, now: Finding) -> bool:
    """Return whether what is stored of a series that learns is untrue by now.

    It is where another length of data is needed, or where there is twice as much: a few writes until a verdict.
    """
    if [test.threshold for test in stored.assessment.evidence] != [test.threshold for test in now.assessment.evidence]:
        return True
    since_ms = stored.assessment.since_ms
    if since_ms is None:
        return False
    known_ms = stored.evaluated_at_ms - since_ms
    return now.evaluated_at_ms > stored.evaluated_at_ms and now.evaluated_at_ms - since_ms >= 2 * known_ms


def _number_read(finding: Finding) -> tuple[int | None, int | None]:
    return finding.processes, finding.processes_read
