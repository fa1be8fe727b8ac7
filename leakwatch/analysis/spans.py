"""How windows are cut into blocks.

Every window is cut in about twelve blocks (twelve points carry a robust line; more only cost), and every block of a
longer window is made of whole blocks of the shortest one, so that a sample is looked at once and never again.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCKS_A_WINDOW = 12
KEPT_WINDOWS = 2
"""Blocks are kept for twice the window, to see where a growth began and what was the range before it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding span and the blocks it is cut in."""

    window_s: int
    span_s: int
    """Of a block; a multiple of the shortest window's."""

    @property
    def blocks(self) -> int:
        """How many blocks fill the window."""
        return self.window_s // self.span_s


def plan_windows(windows_s: tuple[int, ...], interval_s: float) -> tuple[Window, ...]:
    """Return the windows, shortest first, cut in blocks of at least one sampling interval."""
    ordered = sorted(windows_s)
    base = max(1, round(ordered[0] / BLOCKS_A_WINDOW), -int(-interval_s // 1))
    return tuple(Window(length, base * max(1, round(length / BLOCKS_A_WINDOW / base))) for length in ordered)
