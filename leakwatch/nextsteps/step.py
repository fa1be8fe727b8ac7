"""One thing to do next: its command for this process, what it costs whom, and in which order to try several."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from leakwatch.nextsteps.runtime import Runtime, RuntimeKind, guess
from leakwatch.nextsteps.runtime_signs import Traces
from leakwatch.text.escape import printable


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


DEBIAN = {
    "gdb": "gdb", "heaptrack": "heaptrack", "valgrind": "valgrind", "slabtop": "procps",
    "numfmt": "coreutils",
}  # fmt: skip
"""The package a tool comes in."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A process and the tools at hand."""

    traces: Traces
    runtime: Runtime
    tools: Mapping[str, str] | None
    """Path by name, empty for what is not installed; None: this is another machine, nothing was looked for."""
    sudo: str = "sudo "
    """What makes a command run as root: empty where we are root and there is no sudo."""
    known: bool = True
    """False where only a name is known: the commands say PID."""

    @property
    def pid(self) -> str:
        """Its number."""
        return str(self.traces.pid) if self.known else "PID"

    @property
    def inner_pid(self) -> str:
        """Its number where it lives."""
        return str(self.traces.inner_pid or self.traces.pid) if self.known else "PID"

    @property
    def command_line(self) -> str:
        """Its own command line, for starting it again, without secrets; ``PROGRAM …`` where it is not known."""
        if not self.traces.arguments:
            return "PROGRAM ARGUMENTS"
        exe = self.traces.exe.removesuffix(" (deleted)") or self.traces.arguments[0]
        return printable(shlex.join((exe, *self.traces.arguments[1:])))

    def tool(self, name: str, get: str = "") -> Tool:
        """Return a tool and whether it is there."""
        path = None if self.tools is None else self.tools.get(name, "")
        return Tool(name, path, get or f"apt-get install {DEBIAN.get(name, name)}")

    def out(self, kind: str) -> str:
        """Return where a tool writes; the kernel lets nobody redirect root there by a link (fs.protected_symlinks)."""
        return f"/tmp/leakwatch-{self.inner_pid}.{kind}"  # noqa: S108 - a text for the operator, nothing we open

    def path(self, name: str) -> str:
        """Return how to call a tool: its path where it lies beside what it is for, else its name."""
        found = (self.tools or {}).get(name, "")
        return shlex.quote(found) if found and not found.startswith(("/usr/bin/", "/usr/sbin/", "/bin/")) else name

    def as_user(self, command: str) -> str:
        """Return the command as the user it runs as, inside its container where it is in one."""
        if self.traces.contained:
            return self.inside(command)
        uid = self.traces.uid
        if not uid:
            return f"{self.sudo}{command}"
        return f"sudo -u '#{uid}' {command}" if self.sudo else f"setpriv --reuid={uid} --clear-groups {command}"

    def inside(self, command: str) -> str:
        """Return the command as run by root where it lives: in its container, where it is in one."""
        enter = f"nsenter -t {self.pid} -m -p -n -- " if self.traces.contained else ""
        return f"{self.sudo}{enter}{command}"

    @property
    def place(self) -> tuple[str, str]:
        """The two for commands in its container: what is to be known of it, and of gdb from outside."""
        if not self.traces.contained:
            return "", ""
        return "; it runs in a container: the tool must be installed in there", "; it runs in a container, gdb outside"


def nobody(name: str, pid: int | None) -> Patient:
    """Return what stands for a process of which only the name is known, as in a capture."""
    kind = guess(name)
    return Patient(
        Traces(pid or 0, name), Runtime(kind, guessed=kind is not RuntimeKind.UNKNOWN), None, known=pid is not None
    )
