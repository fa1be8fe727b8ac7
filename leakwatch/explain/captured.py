"""From captured series to the one that is meant, judged as at its end."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from leakwatch.analysis.replay import interval_s, replay
from leakwatch.analysis.spans import plan_of
from leakwatch.analysis.sparse import is_sparse
from leakwatch.analysis.subject import SubjectKind
from leakwatch.errors import FindingNotFoundError, UsageError
from leakwatch.escape import printable
from leakwatch.explain.case import Case, What

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.analysis.capture import Capture
    from leakwatch.analysis.replay import Settings
    from leakwatch.analysis.subject import Subject

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
    capture = captures[at]
    subject = capture.subject
    outcome = replay(captures, settings)[at]  # with the others: earlier lives and siblings teach it
    pid = _PID.search(capture.name) if subject.kind is SubjectKind.PROCESS else None
    sparse = is_sparse(capture, settings.windows_s)
    return Case(
        name=capture.name,
        what=What.VMALLOC if capture.name.startswith("vmalloc/") else _WHAT[subject.kind],
        assessment=outcome.assessment,
        as_of_ms=int(capture.times_ms[-1]),
        plan=plan_of(settings.windows_s, interval_s(capture)),
        criteria=settings.criteria_for(subject),
        field=subject.field,
        pid=int(pid[1]) if pid else None,
        climb=outcome.climb,
        ground=outcome.ground,
        sparse=sparse,
        at_most_watch=_at_most_watch(subject, captures),
    )


def _at_most_watch(subject: Subject, captures: Sequence[Capture]) -> bool:
    """Return whether growth of it is never called a leak, as ``analysis.replay`` has it."""
    kernel = any(one.name.startswith("kernel/") and one.subject.kind is SubjectKind.KERNEL for one in captures)
    return not subject.grows or (bool(subject.reclaimable) and kernel)


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
