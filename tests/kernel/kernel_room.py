"""Real memory of each kind, taken by a child and given back with it, and what an account of RAM says of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from leakwatch.clock import SystemClock
from leakwatch.collectors.kernel.collector import kernel_now
from leakwatch.kernel.view import part_changes
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable

    from leakwatch.kernel.view import KernelView

MIB = 1 << 20
WITHIN = 16 * MIB
TRIES = 10
"""The machine is not ours alone: what another program takes meanwhile spoils a measurement, not the bound."""
TAKER = Path(__file__).with_name("kernel_taker.py")


class Taker:
    """A child that takes memory when told, and gives all of it back when it ends."""

    def __init__(self, kind: str, amount: int, *arguments: object) -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(TAKER), kind, str(amount), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("prepared")

    def take(self) -> None:
        """Take it; returns when it is taken."""
        assert self._child.stdin is not None
        self._child.stdin.write("take\n")
        self._child.stdin.flush()
        self._answer("taken")

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _answer(self, expected: str) -> None:
        assert self._child.stdout is not None
        answer = self._child.stdout.readline().strip()
        if answer != expected:
            self.close()
        assert answer == expected, answer


def view() -> KernelView:
    return kernel_now(ProcFS(), SystemClock().now().wall_ms)


@dataclass(frozen=True, slots=True)
class Seen:
    """One measurement."""

    before: KernelView
    after: KernelView

    @property
    def changes(self) -> dict[str, int | None]:
        return part_changes(self.after, self.before)

    def change(self, part: str) -> int:
        found = self.changes[part]
        assert found is not None
        return found

    def told(self) -> str:
        return ", ".join(f"{name} {size / MIB:+.1f}" for name, size in self.changes.items() if size) + " MiB"


def seen_by(kind: str, amount: int, *arguments: object, good: Callable[[Seen], bool]) -> Seen:
    """Return a measurement that is good, else the last of several."""
    seen = None
    for _ in range(TRIES):
        with contextlib.closing(Taker(kind, amount, *arguments)) as taker:
            before = view()
            taker.take()
            seen = Seen(before, view())
        print(f"{kind}: {seen.told()}")
        if good(seen):
            break
    assert seen is not None
    return seen


def raises(part: str, amount: int) -> Callable[[Seen], bool]:
    """Return the test of a part that must rise by an amount, with nothing left unaccounted."""
    return lambda seen: abs(seen.change(part) - amount) <= WITHIN and abs(seen.change("unaccounted")) < WITHIN
