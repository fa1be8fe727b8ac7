"""The registry: what rows say of each other must hold."""

from __future__ import annotations

from collections import Counter

import pytest

from leakwatch import metrics
from leakwatch.metrics import METRICS, Metric, Unit
from leakwatch.model.identity import TargetKind

ROWS = [pytest.param(one, id=one.name) for one in METRICS.values()]


@pytest.mark.parametrize("one", ROWS)
def test_what_a_row_names_is_a_row(one: Metric) -> None:
    named = {*one.made_of, *one.part_of, one.held_as, one.judged_with} - {""}
    assert named <= METRICS.keys()
    assert all(METRICS[total].judged for total in one.part_of)
    assert not one.held_as or (one.unit is Unit.COUNT and METRICS[one.held_as].unit is Unit.BYTES)


@pytest.mark.parametrize("one", ROWS)
def test_units_are_those_of_the_name(one: Metric) -> None:
    assert one.unit is Unit.BYTES or not one.name.endswith("_bytes")
    assert one.unit is Unit.COUNT or (one.limit is None and one.bytes_each == 1)


def test_what_is_judged_has_a_finding_of_its_own() -> None:
    """Of a service, a cache or a caller there is one finding: a second judged metric would be lost or share its id."""
    judged = Counter(one.scope for one in METRICS.values() if one.judged)
    of_many = (TargetKind.PROCESS, TargetKind.HOST)
    assert {kind: number for kind, number in judged.items() if kind not in of_many} == {
        TargetKind.SERVICE: 1,
        TargetKind.SLAB: 1,
        TargetKind.VMALLOC: 1,
    }


def test_two_judged_series_of_one_target_never_share_a_name_in_captures() -> None:
    judged = [one for one in METRICS.values() if one.judged]
    assert len({(one.scope, metrics.capture_name(one.name)) for one in judged}) == len(judged)


def test_a_metric_of_another_version_is_called_by_its_name() -> None:
    unknown = metrics.row("process.of_tomorrow_bytes")
    assert (metrics.title(unknown.name), unknown.judged, unknown.scope) == (unknown.name, False, TargetKind.PROCESS)
    assert metrics.capture_name(unknown.name) == "of_tomorrow"
