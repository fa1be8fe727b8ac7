"""An explanation: for a terminal the verdict, what speaks for and against it, and what comes next.

For programs: what a report or ``analyze`` says of the series, with every sentence beside it.

Where to look next: what leakwatch sees from outside says who grows, these say what it is made of.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from leakwatch.clock import has_name, rfc3339
from leakwatch.explain import outlook as explain_outlook
from leakwatch.explain.case import Case, What
from leakwatch.explain.outlook import Outlook, outlook
from leakwatch.model.verdict import SUSPECT, Criterion, Verdict
from leakwatch.nextsteps import counts, kernel_tools
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.step import Risk, Step, nobody
from leakwatch.report import growth_words, json_report, phrases, words
from leakwatch.report.captures import JudgedCapture, as_object
from leakwatch.report.columns import aligned, coloured
from leakwatch.report.json_values import criterion, time
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_amount, format_duration

ENDED = "It has ended. After a restart its history begins again."


def next_steps(case: Case) -> tuple[Step, ...]:
    """Return what to do about what grows, safest first; nothing for what does not.

    Without ``case.patient`` or ``case.facts``, as for a capture, the steps are by name alone.
    """
    if case.verdict not in SUSPECT:
        return ()
    if case.row is not None and case.row.ended_ms is not None:
        return (Step(ENDED, "", Risk.LOOK),)
    if case.field in counts.TOLD:
        return counts.of_count(case.field, _number(case), case.row.finding.sorts if case.row is not None else ())
    facts = case.facts or kernel_tools.Facts()
    match case.what:
        case What.PROCESS:
            steps = steps_for(case.patient or nobody(case.name, case.pid))
        case What.SLAB:
            steps = kernel_tools.of_slab(case.field, facts, reclaimable=case.at_most_watch)
        case What.VMALLOC:
            steps = kernel_tools.of_vmalloc(case.field, facts)
        case What.KERNEL:
            steps = kernel_tools.of_total(case.field, facts)
        case _:
            steps = ()
    return steps


def _number(case: Case) -> str:
    """Return the process id for commands; of one that is gone none, as the number may be another's by now."""
    if case.patient is not None:
        return case.patient.pid
    return "PID" if case.pid is None else str(case.pid)


WIDTH = 120
_HEADINGS = ("window", "rate (95 % interval)", "shape", "by this window alone")


def render(case: Case, now_ms: int, *, colour: bool = False) -> str:
    """Return the explanation."""
    comes = outlook(case)
    parts = [
        _verdict(case, now_ms, colour=colour),
        _tests("Against a leak", case, passed=False),
        _tests("For a leak", case, passed=True),
        _windows(case),
        _growth(case),
        _section("Confirmation", comes.pending),
        _section("What would change it", comes.changes),
        _section("At the earliest", [earliest(case, comes)]),
        _section("Next", _next(case), whole=True),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(case: Case, now_ms: int, *, colour: bool) -> str:
    line = f"{case.verdict}  {case.title}: {headline(case, now_ms)}"
    lines = [coloured(line, case.verdict) if colour else line]
    more = [case.alarm, words.why_of(case.assessment)]
    if case.row is not None:
        more += [
            words.limit(case.row),
            words.where(case.row, now_ms),
            words.owner(case.row),
            words.incident(case.row, now_ms),
        ]
    lines += [f"    {text}" for text in more if text]
    return "\n".join(lines)


def headline(case: Case, now_ms: int) -> str:
    """Return what the verdict means here, in one line; never more than the data show."""
    found = case.assessment
    when = words.when(case.row, now_ms) if case.row is not None else "now"
    size = f"{format_amount(found.current_bytes, found.unit)} {when}"
    if case.verdict is Verdict.LEARNING:
        return f"too little data yet; {size}"
    if case.verdict is Verdict.OK:
        return f"no sign of a leak; {size}"
    grown = words.grown_of(found)
    growth = f"{words.rate_of(found)}, {size}{'' if grown == '-' else f', grown by {grown}'}"
    if case.verdict is Verdict.LEAK:
        return f"consistent with a leak: {growth}"
    if case.at_most_watch:
        return f"grows, but the kernel can reclaim it: {growth}"
    return f"{'looks like a leak, not confirmed yet' if case.suspected else 'grows, may be bounded'}: {growth}"


def _tests(title: str, case: Case, *, passed: bool) -> str:
    tests = case.passed if passed else case.failed
    over = case.window_s
    if over is not None and any(test.window_s for test in tests):
        title = f"{title}, in the window of {format_duration(over)} that decided"
    lines = []
    for test in tests:
        lines.append(explain_outlook.sentence(test))
        if not passed and explain_outlook.purpose(test):
            lines[-1] += f" Why: {explain_outlook.purpose(test)}"
    if not passed and not tests and case.verdict is not Verdict.LEAK and case.assessment.reasons:
        # What no single test says: below its highest level, given back.
        reason = printable(phrases.text(case.assessment.reasons))
        lines.append(f"{reason[0].upper()}{reason[1:]}.")
    return _section(title, lines)


def _windows(case: Case) -> str:
    trends = case.assessment.windows
    if not trends:
        return ""
    cells = [
        (
            format_duration(trend.window_s),
            words.rate_of_window(trend, case.assessment.unit),
            trend.shape,
            str(trend.verdict),
        )
        for trend in trends
    ]
    return "\n".join(["Windows:", *(f"  {line}" for line in aligned([_HEADINGS, *cells]))])


def _growth(case: Case) -> str:
    growth = case.row.growth if case.row is not None else None
    if growth is None:
        return ""
    return "\n".join([f"{growth_words.heading(growth)}:", *(f"  {line}" for line in growth_words.table(growth))])


def earliest(case: Case, comes: Outlook) -> str:
    """Return when what is decided, in one sentence; empty where nothing more will be."""
    if comes.samples is not None:
        lasts = "" if comes.at_ms is None or not has_name(comes.at_ms) else f", about {rfc3339(comes.at_ms)}"
        return f"after {words.count(comes.samples, 'more sample')}{lasts}: {comes.decides}."
    if comes.at_ms is None:
        return "the next sample: each one is judged when it arrives" if case.sparse else ""
    judged = f"; evaluated every {format_duration(case.every_s)}" if case.every_s else ""
    return f"{rfc3339(comes.at_ms)}: {comes.decides}{judged}."


def _next(case: Case) -> list[str]:
    lines = [step.line for step in next_steps(case)]
    if lines and case.row is not None:
        lines.append(f"Costs, and what is installed: leakwatch explain {case.row.finding.id} --next")
    return lines


def _section(title: str, lines: Iterable[str], *, whole: bool = False) -> str:
    """Return a list below its title; ``whole``: lines are not broken, as there are commands in them to copy."""
    shown = [f"  - {line}" if whole else _broken(line) for line in lines if line]
    return "\n".join([f"{title}:", *shown]) if shown else ""


def _broken(line: str) -> str:
    return textwrap.fill(line, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)


SCHEMA = 2


def render_json(case: Case, now_ms: int) -> str:
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
    return criterion(test) | {"sentence": explain_outlook.sentence(test), "purpose": explain_outlook.purpose(test)}
