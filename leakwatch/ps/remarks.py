"""Says what limits the answer: who could not be read, and what would read them."""

from __future__ import annotations

import os
from collections.abc import Sequence, Sized

from leakwatch.ps.reading import Reading
from leakwatch.text.escape import printable

NAMED = 3
"""Processes named as examples."""


def remarks(reading: Reading, *, filtered: bool, root: bool | None = None) -> list[str]:
    """Return a line for each thing that is missing; ``root`` is whether we are, worked out when not given."""
    root = os.geteuid() == 0 if root is None else root
    lines = []
    if reading.refused:
        named = _named(reading.refused)
        way = "refused even to root: see leakwatch doctor" if root else "sudo leakwatch ps shows them"
        lines.append(f"Not shown: {_processes(reading.refused)} whose memory we may not read, such as {named}; {way}.")
    if reading.silent:
        locked = "that hangs with its memory map" if len(reading.silent) == 1 else "that hang with their memory maps"
        lines.append(f"Not shown: {_processes(reading.silent)} {locked} locked, such as {_named(reading.silent)}.")
    if reading.failed:
        lines.append(f"Not read: {_processes(reading.failed)}, such as {printable(reading.failed[0])}.")
    if filtered and not reading.held and not lines:
        lines.append("No process matches.")
    return lines


def _named(those: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{pid} ({printable(name)})" for pid, name in those[:NAMED])


def _processes(those: Sized) -> str:
    return "1 process" if len(those) == 1 else f"{len(those)} processes"
