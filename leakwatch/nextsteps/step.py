"""One thing to do next, what it costs whom, and in which order to try several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Risk(IntEnum):
    """What a step does to a running program or machine, mildest first: the order in which steps are offered."""

    LOOK = 0
    """Reads what the kernel shows anyway."""
    ASK = 1
    """Asks what the program itself offers to be asked, at hardly any cost."""
    PROBE = 2
    """The kernel counts beside it: slower while it lasts, never stopped."""
    PAUSE = 3
    """The program stands still for a while: a full collection, a heap snapshot."""
    ATTACH = 4
    """A debugger stops it by ptrace and runs code inside it."""
    RESTART = 5
    """It has to be started anew."""
    REBOOT = 6
    """The machine has to be started anew."""


HEADERS = "kernel headers"
"""What bcc compiles its programs against; looked for like a tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program a step needs."""

    name: str
    path: str | None
    """Where it is; empty: not installed; None: it was not looked for, as on another machine."""
    get: str = ""
    """How to get it."""

    @property
    def missing(self) -> bool:
        """Whether it was looked for in vain."""
        return self.path == ""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    purpose: str
    """What it tells, as a clause that a colon may follow."""
    command: str
    """To copy as it is, one line; empty where there is nothing to type."""
    risk: Risk
    cost: str = ""
    """Whom it costs what, and what can go wrong."""
    tools: tuple[Tool, ...] = ()
    lacks: str = ""
    """What must be so first and is not, beside missing tools."""

    @property
    def ready(self) -> bool:
        """Whether it can be done now."""
        return not self.lacks and not any(tool.missing for tool in self.tools)

    @property
    def line(self) -> str:
        """The step in one line: the purpose, then the command."""
        return f"{self.purpose}: {self.command}" if self.command else self.purpose


def look(purpose: str, command: str = "", cost: str = "hardly any") -> Step:
    """Return a step that only reads what the kernel shows anyway."""
    return Step(purpose, command, Risk.LOOK, cost if command else "")


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps, safest first, of equally safe ones those that can be done now; else as they were."""
    return tuple(sorted(steps, key=lambda step: (step.risk, not step.ready)))


def first(steps: Iterable[Step]) -> Step | None:
    """Return the safest that can be done now, else the safest, None where there is none with a command."""
    ordered = [step for step in in_order(steps) if step.command]
    return next((step for step in ordered if step.ready), ordered[0] if ordered else None)
