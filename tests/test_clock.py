"""Times as text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwatch.clock import parse_rfc3339, rfc3339

MILLISECONDS = st.integers(0, 253_402_300_799_999)


@given(MILLISECONDS)
def test_what_is_written_is_read_back_to_the_second(ms: int) -> None:
    assert parse_rfc3339(rfc3339(ms)) == ms // 1000 * 1000


@given(MILLISECONDS, st.integers(-14 * 60, 14 * 60), st.sampled_from("Tt "))
def test_any_offset_and_fraction(ms: int, offset_min: int, between: str) -> None:
    zone = timezone(timedelta(minutes=offset_min))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        moment = (epoch + timedelta(milliseconds=ms)).astimezone(zone)
    except OverflowError:
        return  # the year 10000 has no such text
    assert parse_rfc3339(moment.isoformat(between, "milliseconds")) == ms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-24T05:19:00", "time zone open"),
        ("2026-11-24", "no time"),
        ("2026-11-24T05:19Z", "no time"),
        ("2026-11-24T25:00:00Z", "calendar"),
        ("2026-02-29T05:19:00Z", "calendar"),
        ("2026-11-24T05:19:00+99:00", "calendar"),
        ("2026-11-24T05:19:00Z ", "no time"),
        ("٢٠٢٦-11-24T05:19:00Z", "no time"),
    ],
)
def test_other_times_are_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_rfc3339(text)
