"""Of what is counted the next steps are about that count, wherever they are shown."""

from __future__ import annotations

import os

import pytest

from leakwatch import metrics
from leakwatch.evidence.gather import case_for
from leakwatch.explain import next_text
from leakwatch.model.identity import ProcessIdentity, ProcessInfo
from leakwatch.model.sample import Absence
from leakwatch.model.verdict import Assessment, Finding, FindingKind, Sort, Verdict
from leakwatch.nextsteps.locate import brief
from leakwatch.procfs.fs import ProcFS
from leakwatch.report.build import ReportRow


def ourselves(proc: ProcFS) -> ProcessInfo:
    stat = proc.stat(os.getpid())
    assert not isinstance(stat, Absence)
    identity = ProcessIdentity(proc.boot_id(), os.getpid(), stat.start_ticks)
    return ProcessInfo(identity, "pytest", "pytest", 0, None)


def finding(metric: str, kind: FindingKind = FindingKind.PROCESS, pid: int | None = None) -> Finding:
    found = Assessment(Verdict.LEAK, 900, unit="count" if metric in metrics.COUNTS else "")
    return Finding("s1", kind, "shop", metric, found, pid=pid, sorts=(Sort("socket", 800, 700),))


@pytest.mark.parametrize(
    ("metric", "command"),
    [
        (metrics.PROCESS_FDS, "/proc/{pid}/fd"),
        (metrics.PROCESS_THREADS, "ps -L -o comm= -p {pid}"),
        (metrics.PROCESS_ZOMBIES, "ps --ppid {pid}"),
    ],
)
def test_a_count_of_a_process_has_steps_of_its_own(metric: str, command: str) -> None:
    proc = ProcFS()
    infos = [ourselves(proc)]
    one = finding(metric, pid=os.getpid())
    wanted = command.replace("{pid}", str(os.getpid()))
    assert wanted in brief(proc, one, infos)
    case = case_for(proc, ReportRow(one), infos)
    assert wanted in next_text.render(case)
    assert "leakwatch maps" not in next_text.render(case)


@pytest.mark.parametrize(
    ("metric", "command"),
    [
        (metrics.IPC_SHM_ORPHANS, "ipcs -m -p"),
        (metrics.TMPFS_ORPHANS, "df -t tmpfs"),
        (metrics.IPC_SEM_SETS, "ipcs -s"),
    ],
)
def test_so_has_what_belongs_to_nobody(metric: str, command: str) -> None:
    proc, one = ProcFS(), finding(metric, FindingKind.KERNEL)
    assert command in brief(proc, one, [])
    assert command in next_text.render(case_for(proc, ReportRow(one), []))


def test_of_a_process_that_is_gone_there_is_no_number() -> None:
    proc = ProcFS()
    one = finding(metrics.PROCESS_FDS, pid=4_194_000)
    assert brief(proc, one, []) == ""
    text = next_text.render(case_for(proc, ReportRow(one), []))
    assert "/proc/PID/fd" in text
    assert "4194000" not in text.partition("\n")[2]
