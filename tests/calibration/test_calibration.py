"""What the detector says of seeded families of noise and growth, as a table a person can judge the change of.

The table lies in golden/families.txt. After a change of a rule run with LEAKWATCH_UPDATE_GOLDEN=1, look at the diff,
and commit it with the reason if it is for the better.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture, Settings
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.model.verdict import Verdict
from tests.calibration.calibration_families import HEALTHY, LEAKS, LIVES, ONSET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from leakwatch.analysis.replay.capture import ReplayOutcome
    from tests.calibration.calibration_families import Family

pytestmark = pytest.mark.quality

GOLDEN = Path(__file__).parent / "golden" / "families.txt"
HOUR, DAY = 3600, 86400
MIB = 1 << 20
START_MS = 1_700_000_000_000 // (DAY * 1000) * DAY * 1000
WINDOWS_S = (HOUR, 4 * HOUR, 16 * HOUR, 64 * HOUR, 10 * DAY)
SEEDS = 12
DAYS = 5
SHORT = ("white", "ar1", "gc_saw", "warm_up", "linear", "gc_rising", "staircase")
"""Families tried at other intervals as well: there it is blocks, medians and holes that differ."""
HEAD = """\
# What the detector says of each family of tests/calibration/calibration_families.py: {seeds} series each.
# interval and days of each series; leak: share called a leak at the end; ever: share ever called one;
# watch: share called `watch` at the end; delay: median hours from the onset to the first alert, misses counted as inf.
# Written by LEAKWATCH_UPDATE_GOLDEN=1 pytest tests/calibration; a change here is a change of the rules: judge it.
"""


@dataclass(frozen=True)
class Row:
    family: str
    leaks: bool
    interval_s: int
    days: int
    leak: float
    ever: float
    watch: float
    delay_h: float

    def text(self) -> str:
        kind = "leak" if self.leaks else "healthy"
        return (
            f"{kind:8}{self.family:20}{self.interval_s:>5} s {self.days} d  leak {self.leak:4.2f}"
            f"  ever {self.ever:4.2f}  watch {self.watch:4.2f}  delay {self.delay_h:5.1f} h"
        )


def _series(family: Family, interval_s: int, days: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return times in seconds and bytes of every seed."""
    out = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([zlib.crc32(family.__name__.encode()), interval_s, seed])
        t = np.arange(0, days * DAY, interval_s, dtype=np.float64)
        # Whole pages; nothing anybody draws here reaches down to zero.
        out.append((t, np.round(np.maximum(family(t / HOUR, rng), 1.0) * 256) * 4096))
    return out


def _capture(name: str, t: np.ndarray, values: np.ndarray) -> Capture:
    return Capture(name, subject_of(name), START_MS + (t * 1000).astype(np.int64), values)


def _judged(captures: list[Capture]) -> list[ReplayOutcome]:
    return replay(captures, Settings(WINDOWS_S, lambda _: LeakCriteria()))


def _row(family: Family, interval_s: int, days: int) -> Row:
    leaks = family in LEAKS
    # Each series is a host of its own: their names must not make them lives of one service.
    captures = [_capture(f"host{seed}", t, y) for seed, (t, y) in enumerate(_series(family, interval_s, days))]
    return _counted(family.__name__, leaks, interval_s, days, [[outcome] for outcome in _judged(captures)])


def _counted(name: str, leaks: bool, interval_s: int, days: int, hosts: list[list[ReplayOutcome]]) -> Row:
    onset_h = ONSET * days * 24 if name == "onset_mid" else 0.0
    firsts = [min((o.alerts[0][0] for o in host if o.alerts), default=None) for host in hosts]
    delays = [np.inf if first is None else (first - START_MS) / 3.6e6 - onset_h for first in firsts]
    ends = [host[-1].assessment.verdict for host in hosts]
    return Row(
        name, leaks, interval_s, days,
        leak=float(np.mean([verdict is Verdict.LEAK for verdict in ends])),
        ever=float(np.mean([first is not None for first in firsts])),
        watch=float(np.mean([verdict is Verdict.WATCH for verdict in ends])),
        delay_h=float(np.median(delays)),
    )  # fmt: skip


def _row_of_lives(family: Family, interval_s: int, days: int) -> Row:
    """Each life is a series of its own, as a process is."""
    hosts = []
    for t, y in _series(family, interval_s, days):
        falls = np.flatnonzero((y[1:] < 0.7 * y[:-1]) & (y[1:] < y[:-1] - 20 * MIB)) + 1
        parts = zip(np.split(t, falls), np.split(y, falls), strict=True)
        hosts.append([_capture(f"proc/worker#{at}", a, b) for at, (a, b) in enumerate(parts, 1)])
    name = f"{family.__name__}, lives"
    return _counted(name, family in LEAKS, interval_s, days, [_judged(host) for host in hosts])


def _rows() -> Iterator[Row]:
    for family in (*HEALTHY, *LEAKS):
        yield _row(family, 60, DAYS)
        if family in LIVES:
            yield _row_of_lives(family, 60, DAYS)
        if family.__name__ in SHORT:
            yield _row(family, 10, 1)
            yield _row(family, 300, DAYS)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(_rows())


def test_the_table_is_the_one_that_was_judged(rows: list[Row]) -> None:
    table = HEAD.format(seeds=SEEDS) + "\n" + "".join(row.text() + "\n" for row in rows)
    if os.environ.get("LEAKWATCH_UPDATE_GOLDEN"):
        GOLDEN.write_text(table)
    assert table == GOLDEN.read_text()


INDISTINGUISHABLE = {
    "cache_fills",
    "log_rotate",
    "warm_up",
    "weekly",
    "bounded_walk",
    "unequal_steps",
    "warming_lives, lives",
}
"""Rise straight for hours before they stop: until then nothing in the series tells them from a leak."""


def test_what_is_healthy_is_seldom_ever_called_a_leak(rows: list[Row]) -> None:
    healthy = [row for row in rows if not row.leaks]
    assert [row.family for row in healthy if row.family not in INDISTINGUISHABLE and row.ever > 0.25] == []
    assert np.mean([row.ever for row in healthy]) <= 0.25


def test_what_is_healthy_is_not_called_a_leak_in_the_end(rows: list[Row]) -> None:
    # A known limit: two lives that end while they still rise are taken for two that leaked.
    ended = [row for row in rows if not row.leaks and row.days == DAYS and row.family != "warming_lives, lives"]
    assert [row.family for row in ended if row.leak > 0.2] == []
    assert np.mean([row.leak for row in ended]) <= 0.03


def test_leaks_are_found_within_a_day(rows: list[Row]) -> None:
    leaks = [row for row in rows if row.leaks]
    assert [row.family for row in leaks if row.ever < 0.75] == []
    assert np.mean([row.ever for row in leaks]) >= 0.95
    assert [row.family for row in leaks if row.delay_h > 30] == []
    still = [row for row in leaks if row.days == DAYS and not row.family.startswith("restarting")]
    assert np.mean([row.leak for row in still]) >= 0.95
