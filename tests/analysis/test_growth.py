"""Which class grows: robust slopes of looks that come at irregular times, classes that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.analysis.findings.mapping_growth import LOOKS_MOST, Course, growth_of, together

if TYPE_CHECKING:
    from leakwatch.model.memory_class import Growth

MIB, HOUR = 1 << 20, 3_600_000
TIMES = (0, 900_000, 1_900_000, 2_700_000, 3_500_000, 4_600_000)


def course(per_hour: float, start: float = 0.0, times: tuple[int, ...] = TIMES) -> Course:
    return {ts_ms: round(start + per_hour * ts_ms / HOUR) for ts_ms in times}


def grown(**classes: tuple[Course, Course]) -> Growth:
    found = growth_of(classes)
    assert found is not None
    return found


def test_each_class_has_its_part() -> None:
    found = grown(
        heap=(course(3 * MIB, 10 * MIB), course(0, 1)),
        thread_stacks=(course(MIB, MIB), course(100, 20)),
        stack=(course(0, 8192), course(0, 1)),
    )
    assert [one.key for one in found.classes] == ["heap", "thread_stacks", "stack"]
    heap, stacks, stack = found.classes
    assert heap.slope_bytes_per_hour == pytest.approx(3 * MIB, rel=1e-3)
    assert (heap.share, stacks.share, stack.share) == (pytest.approx(0.75, 1e-3), pytest.approx(0.25, 1e-3), 0)
    assert stacks.mappings_per_hour == pytest.approx(100, rel=0.05)
    assert stacks.mappings == 20 + round(100 * TIMES[-1] / HOUR)
    assert found.slope_bytes_per_hour == pytest.approx(4 * MIB, rel=1e-3)
    assert (found.reads, found.first_ms, found.last_ms) == (6, 0, TIMES[-1])
    assert heap.slope_low <= heap.slope_bytes_per_hour <= heap.slope_high


def test_one_outlier_does_not_turn_it() -> None:
    heap = course(MIB, 10 * MIB)
    heap[TIMES[3]] += 200 * MIB
    (one,) = grown(heap=(heap, course(0, 1))).classes
    assert one.slope_bytes_per_hour == pytest.approx(MIB, rel=0.3)


def test_a_class_that_a_look_did_not_see_had_nothing_then() -> None:
    late = course(4 * MIB, 0, TIMES[3:])
    gone = course(0, MIB, TIMES[:2])
    found = grown(heap=(course(0, MIB), course(0, 1)), memfd=(late, course(0, 1, TIMES[3:])), old=(gone, gone))
    by_key = {one.key: one for one in found.classes}
    assert by_key["memfd"].slope_bytes_per_hour > MIB
    assert by_key["old"].slope_bytes_per_hour <= 0
    assert (by_key["old"].held_bytes, by_key["old"].mappings) == (0, 0)


def test_two_looks_tell_a_difference_and_one_tells_nothing() -> None:
    assert growth_of({"heap": (course(MIB, 0, (0,)), course(0, 1, (0,)))}) is None
    assert growth_of({}) is None
    (one,) = grown(heap=(course(MIB, 0, (0, HOUR)), course(0, 1, (0, HOUR)))).classes
    assert one.slope_bytes_per_hour == MIB


def test_nothing_grows_then_there_are_no_shares() -> None:
    found = grown(heap=(course(-MIB, 50 * MIB), course(0, 1)), stack=(course(0, 1), course(0, 1)))
    assert [one.share for one in found.classes] == [None, None]


def test_of_many_looks_enough_are_used_up_to_the_newest() -> None:
    times = tuple(range(0, 1000 * HOUR, HOUR))
    found = grown(heap=(course(MIB, 0, times), course(0, 1, times)))
    assert found.reads <= LOOKS_MOST
    assert (found.first_ms, found.last_ms) == (times[0], times[-1])
    assert found.slope_bytes_per_hour == pytest.approx(MIB)


def test_processes_of_a_service_add_up() -> None:
    one = grown(heap=(course(MIB), course(0, 1)), arenas=(course(MIB), course(0, 2)))
    other = grown(heap=(course(2 * MIB), course(0, 1)))
    both = together([one, other])
    assert both is not None
    assert both.processes == 2
    assert [trend.key for trend in both.classes] == ["heap", "arenas"]
    assert both.classes[0].share == pytest.approx(0.75, rel=1e-3)
    assert both.classes[0].mappings == 2
    assert together([one]) is one
    assert together([]) is None
