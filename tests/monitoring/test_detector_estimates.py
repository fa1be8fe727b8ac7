"""No estimate makes a leak: who is suspected is read first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.metrics import PROCESS_USS
from leakwatch.model.verdict import Verdict
from leakwatch.monitoring.detector import Detector
from leakwatch.report.phrases import text
from tests.monitoring.scrapes import MIB, MINUTES, START_MS, Machine, NoLimits, leak, process, unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from leakwatch.model.identity import Target
    from leakwatch.model.sample import Scrape
    from leakwatch.model.verdict import Finding

LEAKER = process(1, "leaker", unit("leaker.service"))
WORKER = process(2, "leaker", unit("leaker.service"))
MACHINE = Machine({LEAKER: leak()})


def with_estimates(scrape: Scrape, targets: set[Target]) -> Scrape:
    samples = tuple(
        replace(s, estimated=True) if s.metric == PROCESS_USS and s.target in targets else s for s in scrape.samples
    )
    return replace(scrape, samples=samples)


def course(
    detector: Detector,
    estimated_at: Callable[[int, frozenset[Target]], set[Target]],
    machine: Machine = MACHINE,
    *,
    upto: int = 240,
    unreadable: tuple[Target, ...] = (),
) -> list[Finding]:
    """Scrape every second and judge every five; return the finding after each judgement.

    ``estimated_at`` says whose values are estimated at a second, given whom the last evaluation asked to be read.
    """
    asked: frozenset[Target] = frozenset()
    found = []
    for at in range(upto):
        scrape = with_estimates(machine.scrape(at), estimated_at(at, asked))
        detector.feed(replace(scrape, unreadable=unreadable if asked else ()))
        asked = frozenset()
        if at % 5 == 4:
            evaluation = detector.evaluate(START_MS + at * 1000)
            asked = evaluation.suspects
            found += [f for f in evaluation.findings if f.service == "leaker.service" or f.name.startswith("leaker")]
    return found


def verdicts(found: list[Finding]) -> list[Verdict]:
    return [f.assessment.verdict for f in found]


@pytest.fixture
def detector() -> Detector:
    return Detector(MINUTES, NoLimits())


def test_whose_values_are_all_read_waits_for_nothing(detector: Detector) -> None:
    assert Verdict.LEAK in verdicts(course(detector, lambda *_: set()))


def test_a_suspect_that_is_never_read_is_never_a_leak(detector: Detector) -> None:
    found = course(detector, lambda *_: {LEAKER.identity.target})
    assert Verdict.LEAK not in verdicts(found)
    assert found[-1].assessment.verdict is Verdict.WATCH
    assert "is read before it is called one" in text(found[-1].assessment.reasons)


def test_one_read_since_the_suspicion_is_enough(detector: Detector) -> None:
    # GIVEN a process that is estimated except in the scrape after an evaluation that asks for it, as the collector does
    target = LEAKER.identity.target
    found = course(detector, lambda _, asked: set() if target in asked else {target})
    # THEN it is a leak no later than one that is always read, or an evaluation later
    always = course(Detector(MINUTES, NoLimits()), lambda *_: set())
    assert verdicts(found).index(Verdict.LEAK) - verdicts(always).index(Verdict.LEAK) in (0, 1)
    assert verdicts(found)[-1] is Verdict.LEAK


def test_a_read_before_the_suspicion_is_not(detector: Detector) -> None:
    found = course(detector, lambda at, _: set() if at < 10 else {LEAKER.identity.target})
    assert Verdict.LEAK not in verdicts(found)


def test_a_service_waits_for_all_its_processes(detector: Detector) -> None:
    machine = Machine({LEAKER: leak(), WORKER: leak(since=3)})
    found = course(detector, lambda *_: {WORKER.identity.target}, machine)
    assert Verdict.LEAK not in verdicts([f for f in found if f.metric.startswith("service")])


def test_a_worker_that_joins_later_does_not_take_the_verdict_back(detector: Detector) -> None:
    # GIVEN a service found to leak by values that were read
    late = Machine({LEAKER: leak(), WORKER: lambda at: 20 * MIB if at >= 200 else None})
    found = course(detector, lambda at, _: {WORKER.identity.target} if at > 200 else set(), late)
    # THEN the verdict stays when the new worker is only estimated
    first = verdicts(found).index(Verdict.LEAK)
    assert set(verdicts(found)[first:]) == {Verdict.LEAK}


def test_who_is_too_large_to_be_read_is_judged_by_estimates_and_that_is_said(detector: Detector) -> None:
    target = LEAKER.identity.target
    found = course(detector, lambda *_: {target}, unreadable=(target,))
    assert found[-1].assessment.verdict is Verdict.LEAK
    assert "by estimates alone" in text(found[-1].assessment.reasons)
