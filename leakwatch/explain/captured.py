"""From captured series to the one that is meant, judged as at its end."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from leakwatch.analysis.replay.capture import Capture, Settings, look_briefly, prepared
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.analysis.time_plan import plan_of
from leakwatch.errors import FindingNotFoundError, UsageError
from leakwatch.explain.case import Case, What
from leakwatch.text.escape import printable

MOST_NAMED = 10
_PID = re.compile(r"\[([0-9]{1,10})\]")
_WHAT = {
    SubjectKind.PROCESS: What.PROCESS,
    SubjectKind.GROUP: What.PROCESS,
    SubjectKind.SLAB: What.SLAB,
    SubjectKind.KERNEL: What.KERNEL,
    SubjectKind.OTHER: What.OTHER,
}


def case_of(captures: Sequence[Capture], named: str | None, settings: Settings) -> Case:
    """Return the case of one series of a host; ``named`` may be left out where there is but one.

    Raises FindingNotFoundError where none is called so, UsageError where a name is needed.
    """
    at = _find(captures, named)
    name, subject = captures[at].name, captures[at].subject
    one = prepared(captures, settings)[at]
    outcome = replay(captures, settings)[at]  # with the others: earlier lives and siblings teach it
    assessment = look_briefly(captures[at], outcome.assessment, settings.criteria_for)
    pid = _PID.search(name) if subject.kind is SubjectKind.PROCESS else None
    return Case(
        name=name,
        what=_what_of(captures[at]),
        assessment=assessment,
        as_of_ms=int(captures[at].times_ms[-1]),
        plan=plan_of(settings.windows_s, one.interval_s),
        criteria=one.criteria,
        field=subject.screened or subject.field,
        pid=int(pid[1]) if pid else None,
        alarm_state=outcome.alarm_state,
        history=outcome.history,
        sparse=one.is_sparse,
        interval_s=one.interval_s,
        at_most_watch=one.at_most_watch,
    )


def _what_of(capture: Capture) -> What:
    if capture.subject.screened and capture.subject.kind is SubjectKind.PROCESS:
        return What.COUNT
    return What.VMALLOC if capture.name.startswith("vmalloc/") else _WHAT[capture.subject.kind]


def _find(captures: Sequence[Capture], named: str | None) -> int:
    names = [capture.name for capture in captures]
    if named is None:
        if len(names) > 1:
            raise UsageError(f"which of the {len(names)} series; there are {_listed(names)}")
        return 0
    if named not in names:
        near = [name for name in names if named in name] or difflib.get_close_matches(named, names, 3) or names
        raise FindingNotFoundError(f"no series is called {printable(named)}; there is {_listed(near)}")
    return names.index(named)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:MOST_NAMED])
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
