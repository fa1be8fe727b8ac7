"""Few samples: how much data there is, what was seen of it, and when more can be said; alike at any spacing."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from leakwatch.analysis.replay.capture import Capture, Settings
from leakwatch.analysis.replay.replay import replay
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.cli.main import main
from leakwatch.model.verdict import Verdict
from tests.analysis.shapes import CRITERIA, DEFAULT, HOUR, MIB, START_MS

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURES = Path(__file__).parents[1] / "data" / "captures"


@pytest.mark.parametrize(
    ("file", "data", "seen", "earliest"),
    [
        ("d10_cycles_subsecond", "6 s of data", "grown from 192 MiB to 264 MiB", "2025-06-15T15:30:00Z"),
        ("p1_rocm_4pts", "2 h 35 min of data", "grown from 81.9 MiB to 102 MiB", "2017-10-13T14:45:00Z"),
        ("p3_openwrt_6pts", "5 h 45 min of data", "grown from 15.9 MiB to 17.0 MiB", "2026-06-01T21:15:00Z"),
        ("p2_sysmon_4pts", "4 samples over 2 d of data", "grown from 115 MiB to 2.29 GiB", "after 4 more samples"),
        (
            "p6_whitebox_4pts_10d",
            "4 samples over 10 d of data",
            "grown from 51.0 MiB to 472 MiB",
            "after 4 more samples",
        ),
    ],
)
def test_what_there_is_what_was_seen_and_what_it_takes_are_told(
    capsys: pytest.CaptureFixture[str], file: str, data: str, seen: str, earliest: str
) -> None:
    path = str(CAPTURES / f"{file}.csv")
    assert main(["explain", "--file", path]) == 0
    explained = capsys.readouterr().out
    assert f"{data}, " in explained
    assert f"{seen}: too few samples to judge" in explained
    assert earliest in explained.partition("At the earliest:")[2]
    assert main(["analyze", path]) == 0
    assert f"{seen}: too few samples to judge" in capsys.readouterr().out
    assert main(["analyze", "--format", "json", path]) == 0
    (one,) = json.loads(capsys.readouterr().out)["series"]
    assert one["verdict"] == "learning"
    assert one["since"] is not None
    assert one["grown_bytes"] > 0
    assert seen in one["reason"]


def verdict_of(minutes: int, rows: int, shape: Callable[[float], float]) -> Verdict:
    hours = np.arange(rows) * minutes / 60
    times = START_MS + (hours * HOUR * 1000).astype(np.int64)
    values = np.array([shape(hour) for hour in hours.tolist()]) * MIB
    capture = Capture("proc/x[1]", subject_of("proc/x[1]"), times, values)
    (outcome,) = replay([capture], Settings(DEFAULT, lambda _: CRITERIA))
    return outcome.assessment.verdict


SPACINGS = (90, 95, 100, 105, 110, 115, 119, 120, 121, 125, 130, 135, 140, 145, 150)
ROWS = range(6, 17)
SHAPES: dict[str, Callable[[float], float]] = {
    "steep": lambda hour: 100 + 20 * hour,
    "mild": lambda hour: 500 + 8 * hour,
    "late": lambda hour: 100 + 20 * max(0.0, hour - 8),
    "faster": lambda hour: 100 + hour * hour,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_little_more_or_less_time_between_samples_changes_little(shape: str) -> None:
    said = {(m, n): verdict_of(m, n, SHAPES[shape]) for m in SPACINGS for n in ROWS}
    assert Verdict.LEAK in said.values()
    for (minutes, rows), verdict in said.items():
        span = minutes * (rows - 1)
        near = [m for m in SPACINGS if abs(m - minutes) <= 10]
        # The same span at a slightly different spacing, as nearly as whole rows allow.
        alike = {said[m, n] for m in near for n in ROWS if abs(m * (n - 1) - span) <= minutes / 2}
        if verdict is Verdict.LEAK:
            assert Verdict.LEARNING not in alike, (minutes, rows)
    for minutes in SPACINGS:  # more rows never take a leak that goes on back, nor make it too young again
        order = [said[minutes, n] for n in ROWS]
        assert all(b is Verdict.LEAK for a, b in itertools.pairwise(order) if a is Verdict.LEAK), (minutes, order)


def test_twelve_samples_are_as_young_just_below_two_hours_apart_as_just_above() -> None:
    for rows in ROWS:
        assert verdict_of(120, rows, SHAPES["steep"]) is verdict_of(121, rows, SHAPES["steep"]), rows
