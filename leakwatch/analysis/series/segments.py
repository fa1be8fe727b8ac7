"""Where one stretch of a series ends and the next begins: a line is never drawn across.

A gap is judged window by window: what is a hole in one of an hour is nothing in one of ten days.
"""

from __future__ import annotations

RESET_RATIO = 0.5
"""A fall below half of the sample before is a restart, a flush or a freed cache (coroot and others split there too)."""
RESET_FLOOR_BYTES = 4 << 20
"""Below this level a halving is everyday noise: 60 kB instead of 130 kB is no restart."""
TOOTH_UNITS = 2
"""Falls closer together than this are the teeth of a saw, a part of the shape and no new beginning: cutting there would
leave nothing long enough to judge."""


def is_fall(previous: tuple[int, float] | None, value: float) -> bool:
    """Return whether ``value`` fell so far below the sample before that what grew was given back."""
    return previous is not None and previous[1] >= RESET_FLOOR_BYTES and value < RESET_RATIO * previous[1]
