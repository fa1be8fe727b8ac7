"""When each job of the daemon is due, by the monotonic clock: no step of the wall clock moves a turn.

A turn that comes while the job still runs is taken as soon as it has ended, and then once, however many were missed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(slots=True)
class _Turn:
    every_ms: int
    due_ms: int
    given_ms: int | None = None
    """When its newest turn was handed out; None when it was taken."""
    running: bool = False


class Timetable:
    """The turns of some jobs; times are monotonic milliseconds. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}

    def add(self, name: str, every_ms: int, first_ms: int) -> None:
        """Let a job be due at ``first_ms`` and every ``every_ms`` from then on."""
        with self._lock:
            self._turns[name] = _Turn(every_ms, first_ms)

    def hand_out(self, now_ms: int) -> list[str]:
        """Return the jobs that are due, each once a turn; one that nothing has begun is handed out again later."""
        with self._lock:
            due = [name for name, turn in self._turns.items() if (at := _wakes_ms(turn)) is not None and at <= now_ms]
            for name in due:
                self._turns[name].given_ms = now_ms
        return due

    def begin(self, name: str) -> bool:
        """Take the turn that was handed out; return False where it was taken already."""
        with self._lock:
            turn = self._turns[name]
            if turn.running or turn.given_ms is None:
                return False
            turn.running, turn.given_ms = True, None
        return True

    def end(self, name: str, now_ms: int) -> None:
        """Say that the job has ended: its next turn is the first it has not had, turns missed beyond that are left."""
        with self._lock:
            turn = self._turns[name]
            turn.running = False
            turn.due_ms += turn.every_ms * max(1, (now_ms - turn.due_ms) // turn.every_ms)

    def next_ms(self) -> int | None:
        """Return when there is something to hand out next, None while all jobs run."""
        with self._lock:
            times = [at for turn in self._turns.values() if (at := _wakes_ms(turn)) is not None]
        return min(times, default=None)


def _wakes_ms(turn: _Turn) -> int | None:
    if turn.running:
        return None
    return turn.due_ms if turn.given_ms is None else turn.given_ms + turn.every_ms
