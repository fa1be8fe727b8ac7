"""The next steps in full, as ``explain --next`` shows them: command, tools, cost and risk, for people and programs."""

from __future__ import annotations

import textwrap
from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.explain.case import Case
from leakwatch.explain.text import next_steps
from leakwatch.nextsteps.step import Risk, Step, Tool
from leakwatch.text.escape import json_text, printable

SCHEMA = 1
WIDTH = 120
RISKS = {
    Risk.LOOK: "reads only",
    Risk.ASK: "asks the program",
    Risk.PROBE: "slows it while it lasts",
    Risk.PAUSE: "pauses it",
    Risk.ATTACH: "stops it by ptrace and runs code in it",
    Risk.RESTART: "takes a restart",
    Risk.REBOOT: "takes a reboot",
}


def render(case: Case) -> str:
    """Return the steps as text, the safest first."""
    steps = next_steps(case)
    head = f"{case.verdict}  {case.title}"
    if not steps:
        return f"{head}: nothing to do, as nothing grows\n"
    lines = [head, *(f"    {line}" for line in inside(case)), ""]
    for number, step in enumerate(steps, 1):
        lines += [*_step(number, step), ""]
    return "\n".join(lines).rstrip() + "\n"


def inside(case: Case) -> list[str]:
    """Return what runs in it and what of it could not be read, in sentences."""
    patient = case.patient
    if patient is None:
        return []
    lines = [printable(patient.runtime.sentence)]
    if not patient.known:
        lines.append("its process is not running here any more: put the number of the one in its place for PID")
    elif not patient.traces.exe and not patient.traces.mapped:
        lines.append("its process cannot be looked into: run this as root to have the steps for what runs in it")
    if patient.traces.contained:
        lines.append(f"in a container, where it is process {patient.inner_pid}: paths are those in there")
    return lines


def _step(number: int, step: Step) -> list[str]:
    lines = _wrapped(f"{number}. ", f"{step.purpose} ({RISKS[step.risk]})")
    if step.command:
        lines.append(f"      {step.command}")  # whole: it is there to be copied
    for text in _notes(step):
        lines += _wrapped("   ", text)
    return lines


def _notes(step: Step) -> list[str]:
    tools = "; ".join(_tool(tool) for tool in step.tools if tool.path is not None)
    notes = [step.lacks and f"not now: {step.lacks}", tools, step.cost and f"cost: {step.cost}"]
    return [note for note in notes if note]


def _tool(tool: Tool) -> str:
    return f"{tool.name} is not installed: {tool.get}" if tool.missing else f"{tool.name}: {tool.path}"


def _wrapped(begin: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin), break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def as_json(case: Case, now_ms: int) -> str:
    """Return the steps as one JSON object."""
    patient = case.patient
    found = {
        "schema": SCHEMA,
        "generated_at": rfc3339(now_ms),
        "id": case.row.finding.id if case.row else None,
        "name": case.name,
        "pid": case.pid,
        "verdict": str(case.verdict),
        "runtime": None if patient is None else _runtime(case),
        "steps": [_object(step) for step in next_steps(case)],
    }
    return json_text(found, indent=1)


def _runtime(case: Case) -> dict[str, Any]:
    assert case.patient is not None
    runtime, traces = case.patient.runtime, case.patient.traces
    return {
        "kind": str(runtime.kind),
        "version": runtime.version or None,
        "where": runtime.where or None,
        "libc": str(runtime.libc) or None,
        "allocator": runtime.allocator or None,
        "sanitizer": "AddressSanitizer" if runtime.asan else None,
        "guessed": runtime.guessed,
        "container": traces.contained,
    }


def _object(step: Step) -> dict[str, Any]:
    return {
        "purpose": step.purpose,
        "command": step.command or None,
        "risk": step.risk.name.lower(),
        "ready": step.ready,
        "cost": step.cost,
        "lacks": step.lacks or None,
        "tools": [
            {"name": tool.name, "installed": None if tool.path is None else bool(tool.path), "path": tool.path or None,
             "get": tool.get}
            for tool in step.tools
        ],
    }  # fmt: skip
