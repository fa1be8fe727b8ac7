"""An explanation for programs: what a report or ``analyze`` says of the series, with every sentence beside it."""

from __future__ import annotations

from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.explain import sentences
from leakwatch.explain.case import Case
from leakwatch.explain.outlook import outlook
from leakwatch.explain.steps import next_steps
from leakwatch.model.verdict import Criterion
from leakwatch.report import json_report
from leakwatch.report.captures import JudgedCapture, as_object
from leakwatch.report.json_values import criterion, time
from leakwatch.text.escape import json_text

SCHEMA = 1


def render(case: Case, now_ms: int) -> str:
    """Return one JSON object."""
    comes = outlook(case)
    judged = JudgedCapture(case.name, case.assessment)
    found = as_object(judged) if case.row is None else json_report.finding(case.row, now_ms)
    found |= {
        "as_of": rfc3339(case.as_of_ms),
        "decided_by_window_s": case.window_s,
        "evidence": [_test(test) for test in case.assessment.evidence],
        "confirmation": list(comes.pending),
        "would_change": list(comes.changes),
        "earliest_at": time(comes.at_ms),
        "earliest": comes.decides or None,
        "earliest_after_samples": comes.samples,
        "next_steps": [step.line for step in next_steps(case)],
    }
    return json_text({"schema": SCHEMA, "generated_at": rfc3339(now_ms), **found}, indent=1)


def _test(test: Criterion) -> dict[str, Any]:
    return criterion(test) | {"sentence": sentences.sentence(test), "purpose": sentences.purpose(test)}
