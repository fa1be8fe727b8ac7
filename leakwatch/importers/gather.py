"""Collects samples as they come, series interleaved, and hands them out as one capture a series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.replay.capture import CLOCK_MS, Capture, in_elapsed_time
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.importers.names import Names
from leakwatch.importers.scales import in_bytes

if TYPE_CHECKING:
    from leakwatch.importers.plain import Floats, Places

_HALF = 16
"""Bits numpy sorts by in one pass over the data; the numbers of more series take two passes."""


MOST_SAMPLES = 30_000_000
"""1.5 GiB while they are put in order. Some megabytes may unpack to any number."""
MOST_NAMES = 1_000_000
MOST_NAME_BYTES = 128 << 20


class Gathering:
    """All samples read so far: 20 bytes each, as arrays."""

    def __init__(self, factor: int | None = None) -> None:
        """``factor`` is by what values of memory are to be multiplied; None where nothing tells."""
        self.names = Names()
        self._factor = factor
        self._series: list[np.ndarray[tuple[int, ...], np.dtype[np.int32]]] = []
        self._times: list[Places] = []
        self._values: list[Floats] = []

    def add(self, series: Places, times_ms: Places, values: Floats) -> None:
        """Take samples in the order they were taken, the series by their numbers."""
        self._series.append(series.astype(np.int32))
        self._times.append(times_ms)
        self._values.append(values)

    def too_much(self) -> str:
        """Return what there is more of than can be held, and what to do; empty where all can."""
        if sum(map(len, self._series)) > MOST_SAMPLES:
            return f"more than {MOST_SAMPLES:,} samples; give fewer series or a shorter time at once"
        if len(self.names) > MOST_NAMES or self.names.size_bytes > MOST_NAME_BYTES:
            return f"more than {MOST_NAMES:,} series, or their names are too long; give fewer at once"
        return ""

    def captures(self) -> list[Capture]:
        """Return all series, in the order of their first samples, and forget the samples.

        Of samples of one series that follow each other at the same time, to the millisecond, the last is kept: it is
        what was known last of that moment.
        """
        series = _taken(self._series)
        order = _order(series) if (series[1:] < series[:-1]).any() else slice(None)
        series, times, values = series[order], _taken(self._times)[order], _taken(self._values)[order]
        starts = _starts(series)
        first = starts if isinstance(order, slice) else order[starts]
        kept = np.append((series[1:] != series[:-1]) | (times[1:] != times[:-1]), [True])
        if not kept.all():
            series, times, values = series[kept], times[kept], values[kept]
            starts = _starts(series)
        ends = [*starts[1:].tolist(), len(series)]
        for at in _where_set(series, times, starts):
            one = slice(starts[at], ends[at])
            times[one] = in_elapsed_time(times[one])
        names = list(self.names)
        found = [
            _capture(names[number], times[start:end], values[start:end], self._factor)
            for number, start, end in zip(series[starts].tolist(), starts.tolist(), ends, strict=True)
        ]
        return [found[at] for at in np.argsort(first).tolist()]


def _capture(raw: bytes, times_ms: Places, values: Floats, factor: int | None) -> Capture:
    name = raw.decode("utf-8", "surrogateescape")
    subject = subject_of(name)
    return Capture(name, subject, times_ms, in_bytes(name, subject, values, factor))


def _taken(parts: list[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _starts(series: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Places:
    """Return where each series begins, of samples ordered by series."""
    return np.append([0], np.flatnonzero(series[1:] != series[:-1]) + 1)


def _where_set(series: Places, times_ms: Places, starts: Places) -> list[int]:
    """Return which series' times may have been set while it was sampled: of 200,000 mostly none."""
    odd = (times_ms[1:] <= times_ms[:-1]) | ((times_ms[:-1] < CLOCK_MS) & (times_ms[1:] >= CLOCK_MS))
    odd &= series[1:] == series[:-1]
    return sorted({int(at) for at in np.searchsorted(starts, np.flatnonzero(odd), "right") - 1})


def _order(series: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Places:
    """Return the order by series, each series' samples as they came: by the lower half of the numbers, then the upper.

    numpy sorts 16 bits by counting, several times as fast as it compares 32.
    """
    order = np.argsort((series & ((1 << _HALF) - 1)).astype(np.uint16), kind="stable")
    upper = (series >> _HALF).astype(np.uint16)
    return order[np.argsort(upper[order], kind="stable")] if upper.any() else order
