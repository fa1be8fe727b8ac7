"""From a finding to its steps on this machine: its process if it is still the same one, this kernel's facts."""

from __future__ import annotations

from collections.abc import Sequence

from leakwatch.errors import ProcUnavailableError
from leakwatch.model.identity import ProcessIdentity, ProcessInfo
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import SUSPECT, Finding, FindingKind
from leakwatch.nextsteps import counts, kernel_tools
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.process_context import Patient, nobody
from leakwatch.nextsteps.process_reading import read_traces
from leakwatch.nextsteps.step import Step, first
from leakwatch.nextsteps.toolbox import facts_here, patient_of
from leakwatch.procfs.fs import ProcFS


def identity_of(finding: Finding, processes: Sequence[ProcessInfo]) -> ProcessIdentity | None:
    """Return whose process a finding names, by what was stored of the processes alive at the last scrape."""
    return next((info.identity for info in processes if info.identity.pid == finding.pid), None)


def is_alive(procfs: ProcFS, identity: ProcessIdentity) -> bool:
    """Return whether this run of this process is there: its number may belong to another one by now."""
    try:
        if procfs.boot_id() != identity.boot_id:
            return False
    except ProcUnavailableError:
        return False
    stat = procfs.stat(identity.pid)
    return not isinstance(stat, Absence) and stat.start_ticks == identity.start_ticks


def patient_for(procfs: ProcFS, identity: ProcessIdentity | None, *, deep: bool = True) -> Patient | None:
    """Return the process with the tools at hand, None when it is gone or on another machine."""
    if identity is None or not is_alive(procfs, identity):
        return None
    traces = read_traces(procfs, identity.pid, deep=deep)
    return None if traces is None else patient_of(procfs, traces)


def kernel_steps(finding: Finding) -> tuple[Step, ...]:
    """Return the steps for a finding about the kernel, on this machine."""
    kind = finding.metric.partition(".")[0]
    if kind == "slab":
        reclaimable = finding.is_reclaimable
        return kernel_tools.of_slab(finding.name, facts_here(finding.name.partition("@")[0]), reclaimable=reclaimable)
    if kind == "vmalloc":
        return kernel_tools.of_vmalloc(finding.name, facts_here())
    return kernel_tools.of_total(finding.metric, facts_here())


def brief(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> str:
    """Return the first step in one line; empty where there is nothing to be done or nobody to do it to."""
    if finding.assessment.verdict not in SUSPECT:
        return ""
    step = first(_steps(procfs, finding, processes))
    return step.command if step else ""


def _steps(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> tuple[Step, ...]:
    if finding.kind is FindingKind.KERNEL:
        if finding.metric in counts.TOLD:
            return counts.of_count(finding.metric, "", ())
        return kernel_steps(finding)
    patient = patient_for(procfs, identity_of(finding, processes), deep=False)
    if patient is None:
        return ()
    if finding.metric in counts.TOLD:
        return counts.of_count(finding.metric, patient.pid, finding.sorts)
    return steps_for(patient)


def patient_or_nobody(procfs: ProcFS, finding: Finding, processes: Sequence[ProcessInfo]) -> Patient:
    """Return the process of a finding, or what stands for it where it is gone: its number may be another's by now."""
    patient = patient_for(procfs, identity_of(finding, processes))
    return patient or nobody(f"{finding.name} {finding.service or ''}".strip(), None)
