"""Durations, sizes and rates: read as people write them, written as people read them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwatch.config.values import exact_duration, exact_rate, exact_size
from leakwatch.units import format_bytes, format_duration, format_rate, parse_duration, parse_rate, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

# A first run builds hypothesis's tables of characters, which takes a second, and a busy machine knows no deadline.
RELAXED = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
PARSERS: list[Callable[[str], float]] = [parse_duration, parse_size, parse_rate]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("0.5", 0.5), ("60s", 60), ("15m", 900), ("15min", 900), ("1h30m", 5400), ("1h 30m", 5400),
        ("10 d", 864000), ("2w", 1209600), ("250ms", 0.25), (" 1.5h ", 5400), ("0", 0),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "h", "1x", "-1s", "+1s", "1h30", "1 2", "1..5s", "1e3", "nan", "5M", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write it like 60s, 15m, 1h30m or 10d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096), ("1B", 1), ("64KiB", 65536), ("1.5 GiB", 3 << 29), ("10MB", 10_000_000), ("1kB", 1000),
        ("2M", 2 << 20), ("1TiB", 1 << 40), ("0.3KiB", 307), ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1 mib", "-1", "1MiB/h", "1MiB 2KiB", "1e6", "0x10", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write it like 4096, 512KiB, 64MiB or 1\.5GiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "bytes_per_hour"),
    [
        ("1MiB/h", 1 << 20), ("24MiB/d", 1 << 20), ("1KiB/s", 3600 << 10), ("1 KiB / min", 60 << 10), ("12B/d", 0.5),
        ("1.5B/h", 1.5),
    ],
)  # fmt: skip
def test_rates(text: str, bytes_per_hour: float) -> None:
    assert parse_rate(text) == pytest.approx(bytes_per_hour, rel=1e-15)


@pytest.mark.parametrize("text", ["", "1MiB", "1MiB/", "/h", "1MiB/x", "1MiB/2h", "-1MiB/h", "h/1MiB", "1/h/h"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate; write it like 256KiB/h, 1MiB/d or 200KiB/s"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"), (-0.3, "0 B"), (-0.5, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1.00 KiB"),
        (-3250586, "-3.10 MiB"), (10 << 20, "10.0 MiB"), (99.96 * 1024, "100 KiB"), (1 << 60, "1048576 TiB"),
    ],
)  # fmt: skip
def test_formatted_bytes(value: float, text: str) -> None:
    assert format_bytes(value) == text


def test_a_formatted_rate_is_always_signed() -> None:
    assert format_rate(3250586) == "+3.10 MiB/h"
    assert format_rate(-1024) == "-1.00 KiB/h"
    assert format_rate(-0.2) == "+0 B/h"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (45.4, "45 s"), (119.4, "119 s"), (119.6, "2 min"), (720, "12 min"), (7199, "2 h"),
        (12000, "3 h 20 min"), (172799, "2 d"), (792000, "9 d 4 h"), (863999, "10 d"), (10**7, "115 d"),
    ],
)  # fmt: skip
def test_formatted_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@RELAXED
@given(st.integers(0, 1 << 62))
def test_formatted_bytes_read_back_within_three_digits(value: int) -> None:
    assert parse_size(format_bytes(value)) == pytest.approx(value, rel=0.006, abs=0.5)


@RELAXED
@given(st.floats(-(2.0**60), 2.0**60))
def test_a_formatted_rate_reads_back_within_three_digits_and_keeps_its_sign(value: float) -> None:
    sign, text = format_rate(value)[0], format_rate(value)[1:]
    assert parse_rate(text) == pytest.approx(abs(value), rel=0.006, abs=0.5)
    assert sign == ("-" if value < -0.5 else "+")


@RELAXED
@given(st.floats(0, 1e9))
def test_a_formatted_duration_reads_back_within_its_smaller_unit(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.055, abs=0.5)


@RELAXED
@given(st.floats(0.001, 1e12))
def test_exact_notation_loses_nothing(value: float) -> None:
    assert parse_duration(exact_duration(value)) == value
    assert parse_rate(exact_rate(value)) == value


@RELAXED
@given(st.integers(0, 1 << 62))
def test_an_exact_size_loses_nothing(value: int) -> None:
    assert parse_size(exact_size(value)) == value
    assert parse_size(str(value)) == value


@RELAXED
@given(st.integers(0, 10**6), st.sampled_from(["s", "m", "h", "d", "w"]), st.sampled_from(["", " "]))
def test_a_space_before_the_unit_changes_nothing(number: int, unit: str, space: str) -> None:
    assert parse_duration(f"{number}{space}{unit}") == parse_duration(f"{number}{unit}")


@pytest.mark.parametrize("parse", PARSERS)
@RELAXED
@given(text=st.text() | st.from_regex(re.compile(r"[0-9.]{0,30}[ KMGTiBsmhdw/]{0,6}", re.ASCII), fullmatch=True))
def test_any_text_gives_a_finite_number_or_a_value_error(parse: Callable[[str], float], text: str) -> None:
    try:
        value = parse(text)
    except ValueError as error:
        assert "write it like" in str(error)  # noqa: PT017 - either outcome is fine, silence is not
    else:
        assert math.isfinite(value)
        assert value >= 0
