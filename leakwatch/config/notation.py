"""Values written so that reading them gives exactly the same value back (``units.format_*`` round for the eye)."""

from __future__ import annotations

from decimal import Decimal

_DURATIONS = {"d": 86400, "h": 3600, "m": 60}
_SIZES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}


def exact_duration(seconds: float) -> str:
    """Return e.g. ``10d``, ``90m``, ``0.5s``: the largest unit that divides."""
    return _exact(seconds, _DURATIONS, "s")


def exact_size(size_bytes: float) -> str:
    """Return e.g. ``1GiB``, ``1025B``: the largest unit that divides."""
    return _exact(size_bytes, _SIZES, "B")


def exact_rate(bytes_per_hour: float) -> str:
    """Return e.g. ``64KiB/h``."""
    return f"{exact_size(bytes_per_hour)}/h"


def exact_count_rate(per_hour: float) -> str:
    """Return e.g. ``1/h``."""
    return f"{_exact(per_hour, {}, '')}/h"


def quoted(text: str) -> str:
    """Return a TOML basic string of one line; what a terminal would not print as it is becomes an escape."""
    return f'"{"".join(map(_character, text))}"'


def _exact(value: float, units: dict[str, int], smallest: str) -> str:
    for unit, factor in units.items():
        if value and value % factor == 0:
            return f"{int(value // factor)}{unit}"
    # Through Decimal: repr() writes 1e+16 and 1e-07, which nobody types and parse_* do not read.
    digits = f"{Decimal(repr(value)):f}"
    return f"{digits.removesuffix('.0')}{smallest}"


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
