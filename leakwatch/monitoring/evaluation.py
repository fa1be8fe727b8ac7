"""One evaluation: what is taken out of the detector under its lock, where it is judged, and what is told of it.

Files and names are asked for by the evaluating thread alone: sampling never waits for them. Windows are judged in a
child that ends, only when there are any: numpy costs 12 MB that would stay for good in a daemon that needs it for a
moment every few minutes. Commands that judge all they read at once do it in their own process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwatch import metrics
from leakwatch.analysis.findings.kernel_facts import KernelFacts
from leakwatch.analysis.findings.process_table import UserNames
from leakwatch.analysis.findings.services_and_kernel import attach_orphans, kernel_findings
from leakwatch.analysis.series.derived import Key
from leakwatch.analysis.window_request import WindowRequest, WindowResult
from leakwatch.config import IgnoreConfig, matches
from leakwatch.errors import LeakwatchError
from leakwatch.model.identity import Target
from leakwatch.model.verdict import AssessedSeries, Finding, Verdict
from leakwatch.monitoring.capacity import Capacity, Growers
from leakwatch.system.worker import Child, ChildError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All findings, and what changed."""

    now_ms: int
    findings: tuple[Finding, ...]
    suspicions: Mapping[Key, str | None]
    """Frozen forecasts that changed, as JSON; None where one was dropped."""
    counts: Mapping[Verdict, int] = field(default_factory=dict)
    suspected: frozenset[str] = frozenset()
    """Ids of findings with a frozen forecast that waits for new data."""
    suspects: frozenset[Target] = frozenset()
    """The processes that look like leaking, themselves or as part of a service: no estimate must decide of them."""
    fastest_first: tuple[Target, ...] = ()
    """The suspects in the order in which it is of use to look into them."""
    lives: Mapping[str, str] = field(default_factory=dict)
    """The oldest process of each finding about processes, by its id: another one after a restart."""
    running: frozenset[int] = frozenset()
    """The ids of all processes under watch."""
    counted: frozenset[Key] = frozenset()
    """What is judged of processes beside their memory: to be counted at every tick from now on, and told apart."""


@dataclass(frozen=True, slots=True)
class Found:
    """Values only: nothing in it changes when sampling goes on."""

    evaluation: Evaluation
    """Without its findings."""
    of_processes: list[Finding]
    owners: Mapping[str, int | None]
    """The user of each of them, by its id."""
    growers: Mapping[str, Growers]
    """What grows of those about memory, by their id."""
    kernel: list[AssessedSeries]
    facts: KernelFacts
    largest: Mapping[str, tuple[str, ...]]
    headroom: Capacity


def told(found: Found, users: UserNames, ignore: IgnoreConfig) -> Evaluation:
    """Return the evaluation with its findings: whose they are, and when memory runs out."""
    users.ask_for_wanted()
    users.ask({uid for uid in found.owners.values() if uid is not None})
    named = [replace(one, user=_user(found.owners.get(one.id), users)) for one in found.of_processes]
    now_ms = found.evaluation.now_ms
    growing = {id_: found.headroom.growing(one) for id_, one in found.growers.items() if one.rate > 0}
    findings = [
        found.headroom.foretell(
            one, now_ms, growing.get(one.id), [other for id_, other in growing.items() if id_ != one.id]
        )
        for one in (*named, *_of_kernel(found, ignore))
    ]
    counts = {verdict: sum(f.assessment.verdict is verdict for f in findings) for verdict in Verdict}
    return replace(found.evaluation, findings=tuple(findings), counts=counts)


def _user(uid: int | None, users: UserNames) -> str | None:
    return None if uid is None else users.known(uid) or str(uid)


def _of_kernel(found: Found, ignore: IgnoreConfig) -> list[Finding]:
    unavailable = next((one for one in found.kernel if one.metric == metrics.KERNEL_UNAVAILABLE), None)
    kernel = [
        one
        for one in found.kernel
        if one is not unavailable and not matches(ignore.kernel, one.target.key, one.metric, metrics.title(one.metric))
    ]
    findings = kernel_findings(kernel, found.facts, unavailable.assessment if unavailable else None)
    return attach_orphans(findings, found.largest)


Judge = Callable[[Sequence[WindowRequest]], list[WindowResult]]

TIMEOUT_S = 120
"""A child that has not answered thousands of questions by then never will."""


class JudgingError(LeakwatchError):
    """The child did not answer."""


def in_process(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Answer here."""
    if not questions:
        return []
    from leakwatch.analysis.rules import evaluate  # noqa: PLC0415 - numpy

    return evaluate.answer(questions)


def in_child(questions: Sequence[WindowRequest]) -> list[WindowResult]:
    """Answer in a child that ends; its start is 0.15 s of CPU. Raises JudgingError."""
    if not questions:
        return []
    try:
        (answers,) = Child(answered, list(questions), TIMEOUT_S).values()
    except ChildError as error:
        raise JudgingError(f"the series that grow could not be judged: {error}") from error
    if len(answers) != len(questions):
        raise JudgingError(
            f"the series that grow could not be judged: {len(answers)} answers to {len(questions)} questions"
        )
    return answers


def answered(questions: Sequence[WindowRequest]) -> Iterator[list[WindowResult]]:
    """Be the child's work."""
    yield in_process(questions)
