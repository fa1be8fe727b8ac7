"""Times as text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.clock import rfc3339
from leakwatch.importers.moments import parse_time

MILLISECONDS = st.integers(0, 253_402_300_799_999)


@given(MILLISECONDS)
def test_what_is_written_is_read_back_to_the_second(ms: int) -> None:
    assert parse_time(rfc3339(ms)) == ms // 1000 * 1000


@given(st.integers())
def test_any_time_has_a_text(ms: int) -> None:
    try:
        expected = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()[:19] + "Z"
    except OverflowError:
        expected = "after 9999" if ms > 0 else "before the year 1"
    assert rfc3339(ms) == expected


@given(MILLISECONDS, st.integers(-14 * 60, 14 * 60), st.sampled_from("Tt "))
def test_any_offset_and_fraction(ms: int, offset_min: int, between: str) -> None:
    zone = timezone(timedelta(minutes=offset_min))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        moment = (epoch + timedelta(milliseconds=ms)).astimezone(zone)
    except OverflowError:
        return  # the year 10000 has no such text
    assert parse_time(moment.isoformat(between, "milliseconds")) == ms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-24T05:19:00", "time zone open"),
        ("2026-11-24", "is a day.*T00:00Z"),
        ("20261124", "is a day"),
        ("Nov 24 05:19:00", "no year"),
        ("Nov 24 05:19:00 board app[1]:", "no year"),
        ("2026-11-24T05:19:00 CEST", "write its offset"),
        ("2026-11-24T05:19:00+0200 UTC", "contradicts itself"),
        ("2026-11-24 05:19:00 PM +0200", "no time.*ISO 8601"),
        ("24/11/2026 05:19:00Z", "no time"),
        ("2026-366T05:19:00Z", "calendar"),
        ("2026-11-24T05:19:00+02000", "no time"),
        ("0001-01-01T00:00:00+05:00", "calendar"),
        ("2026-11-24T25:00:00Z", "calendar"),
        ("2026-02-29T05:19:00Z", "calendar"),
        ("2026-11-24T05:19:00+99:00", "calendar"),
        ("2026-11-24T05:19:00Z ", "no time"),
        ("٢٠٢٦-11-24T05:19:00Z", "no time"),
    ],
)
def test_other_times_are_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T07:19:00+0200",
        "2026-11-24T07:19:00+02",
        "2026-11-24T05:19Z",
        "2026-11-24T05:19:00,000Z",
        "2026-11-24T05:19:00 UTC",
        "2026-11-24 07:19:00 +0200",
        "2026-11-24 05:19:00 +0000 UTC",
        "2026-11-24 07:19:00.000000001 +0200 CEST m=+0.000012",
        "2026-11-24T07:19:00+02:00[Europe/Berlin]",
        "20261124T051900Z",
        "2026-W48-2T05:19:00Z",
        "2026-328T05:19:00Z",
        "2026/11/24 05:19:00 +0000",
        "Tue 2026-11-24 05:19:00 UTC",
        "Tue, 24 Nov 2026 07:19:00 +0200",
        "Tue, 24 Nov 2026 05:19:00 +0000 (UTC)",
        "24/Nov/2026:07:19:00 +0200",
        "2026-11-24T05:18:60Z",
    ],
)
def test_one_moment_as_programs_write_it(text: str) -> None:
    assert parse_time(text) == 1_795_497_540_000
