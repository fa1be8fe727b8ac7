"""Cuts the windows that are judged out of series' blocks: many looks of many series at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from leakwatch.analysis.time_plan import BLOCKS, FINE_KEPT
from leakwatch.analysis.windows.context import CYCLE_BLOCKS, Context, Track
from leakwatch.analysis.windows.features import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from leakwatch.analysis.time_plan import Span
    from leakwatch.analysis.windows.block_table import Bools, Ints, Table
    from leakwatch.analysis.windows.robust_rows import Floats

MEDIAN_FROM_UNITS = 12.0
"""From here on windows are cut from medians too: a worker replaced every few hours leaves a dip in any trough, and no
trace in a median of an hour."""
CYCLE_FROM_UNITS = 8.0
"""From here on windows are cut from the troughs of cycles too: load that comes in waves of two hours hides a leak from
any block of one. 5: FA 0.1 higher, one more in 156 healthy recordings; 12: as from 8."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowRows:
    """Windows, one a row."""

    y: Floats
    """(rows, 12) bytes, finite."""
    checkpoint: Ints
    """Which of the looks asked for."""
    span: Ints
    """Index in ``plan.spans``."""
    track: Ints
    """What its values are, a ``Track``."""
    known: Floats
    """Highest trough before the window, -inf where nothing is known."""
    prior: Floats
    """Range of the troughs before the window, without the first two units of the life, 0 where unknown."""
    previous: Floats
    """Growth over the preceding stretch of the same length, NaN where there is none."""
    day_rise: Floats
    """Level now over that at the same time yesterday, NaN without a day of data."""
    age: Floats
    """Of the segment, in units."""
    newest: Floats
    """Rise of the fine blocks since the look before, NaN where one of the two has no data."""
    usual: Floats
    """Median of that rise over the last dozen looks, NaN where these are not all held."""


Screen: TypeAlias = "Callable[[Floats], Bools]"


def tracks_of(span: Span) -> tuple[Track, ...]:
    """Return what a window of this length is cut from."""
    tracks = [Track.LOWS]
    if span.units >= MEDIAN_FROM_UNITS:
        tracks.append(Track.MEDIANS)
    held = span.coarse or span.q * (BLOCKS + CYCLE_BLOCKS - 1) <= FINE_KEPT
    if span.units >= CYCLE_FROM_UNITS and held:
        tracks.append(Track.CYCLES)
    return tuple(tracks)


def join(parts: Sequence[WindowRows]) -> WindowRows:
    """Return all rows as one table."""
    return WindowRows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(WindowRows)))


def cut(table: Table, whose: Ints, ends: Ints, shortest_units: float = 0.0, screen: Screen | None = None) -> WindowRows:
    """Return the windows of these looks, of at least ``shortest_units``.

    ``screen`` tells of windows (rows, 12) which of them matter; no others are returned.
    """
    context = Context(table, whose, ends)
    parts = []
    for at, span in enumerate(table.plan.spans):
        if span.units < shortest_units:
            continue
        for track in tracks_of(span):
            rows = _rows(context, at, span, screen, track)
            if rows is not None:
                parts.append(rows)
    return join(parts) if parts else _NO_ROWS


def _rows(context: Context, at: int, span: Span, screen: Screen | None, track: Track) -> WindowRows | None:
    """Return the windows of one length, None where there are none."""
    y, checkpoints = context.windows(span, track)
    if not len(checkpoints):
        return None
    y, enough = filled(y)
    if screen is not None:
        enough &= screen(y)
    if not enough.all():
        y, checkpoints = y[enough], checkpoints[enough]
    count = len(checkpoints)
    if not count:
        return None
    return WindowRows(
        y=y,
        checkpoint=checkpoints,
        span=np.full(count, at, dtype=np.int64),
        track=np.full(count, track, dtype=np.int64),
        known=context.known(span, checkpoints, track),
        prior=context.prior(span, checkpoints),
        previous=context.previous(span, checkpoints, by_medians=track is Track.MEDIANS),
        day_rise=context.day_rise[checkpoints],
        age=context.age[checkpoints],
        newest=context.newest[checkpoints],
        usual=context.usual[checkpoints],
    )


def _no_rows() -> WindowRows:
    none, numbers = np.empty(0), np.empty(0, dtype=np.int64)
    return WindowRows(np.empty((0, BLOCKS)), numbers, numbers, numbers, *[none] * 7)


_NO_ROWS = _no_rows()
