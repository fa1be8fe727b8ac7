"""What was read of a process to tell what runs in it; where it came from, a live tree or a recorded one, is open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ENVIRONMENT = (
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "NODE_OPTIONS", "LD_PRELOAD", "PYTHONMALLOC",
    "PYTHONTRACEMALLOC", "MALLOC_CONF", "HEAPPROFILE",
)  # fmt: skip
"""The only variables that are kept, to decide by; none is ever shown, as options may hold a password."""


@dataclass(frozen=True, slots=True)
class Elf:
    """What an executable file says of itself."""

    interpreter: str = ""
    """The dynamic loader; empty: statically linked."""
    sections: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    """The names found in it of those ``elf.MARKS`` looks for."""
    go_version: str = ""
    """Such as ``go1.22.1``, from the build information of Go; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What is known of a process; empty fields are what could not be read, and ``unread`` says why."""

    pid: int
    name: str = ""
    """comm."""
    exe: str = ""
    """The executable's path in the process's own file system."""
    arguments: tuple[str, ...] = ()
    directory: str = ""
    """Its working directory."""
    mapped: tuple[str, ...] = ()
    """Paths of the files it maps, each once, in the order of addresses."""
    elf: Elf | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of ``ENVIRONMENT`` those that are set."""
    caught: frozenset[int] | None = None
    """The signals it handles; None: not known."""
    uid: int | None = None
    inner_pid: int | None = None
    """Its number in its own pid namespace, None where that is ours."""
    contained: bool = False
    """Whether it sees another file system than we do: it runs in a container."""
    ports: tuple[int, ...] = ()
    """TCP ports it listens on."""
    stuck: bool = False
    """Whether a thread of it waits in the kernel: none of its files was touched, as their server may not answer."""
    unread: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The executable's name without its directory, and without what the kernel writes behind a deleted one."""
        return self.exe.removesuffix(" (deleted)").rpartition("/")[2]

    @property
    def options(self) -> str:
        """All options it was given, by arguments and by the variables of its runtime."""
        return " ".join((*self.arguments, *self.environment.values()))
