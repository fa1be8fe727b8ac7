"""The process the steps are for: how a command reaches it, with its number, its user and its container filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from leakwatch.nextsteps.runtime import Runtime, RuntimeKind, guess
from leakwatch.nextsteps.runtime_signs import Traces
from leakwatch.nextsteps.step import Tool
from leakwatch.text.escape import printable

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
