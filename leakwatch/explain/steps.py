"""Where to look next: what leakwatch sees from outside says who grows, these say what it is made of."""

from __future__ import annotations

from leakwatch.explain.case import Case, What
from leakwatch.model.verdict import SUSPECT
from leakwatch.nextsteps import counts, kernel_tools
from leakwatch.nextsteps.process_context import nobody
from leakwatch.nextsteps.program_tools import steps_for
from leakwatch.nextsteps.step import Risk, Step

ENDED = "It has ended; after a restart it is watched anew."


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
