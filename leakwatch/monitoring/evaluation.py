"""What one evaluation says of everything under watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leakwatch.analysis.series.derived import Key
from leakwatch.model.identity import Target
from leakwatch.model.verdict import Finding, Verdict


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
