"""Durations, sizes and rates as people write them, and back.

Sizes use binary prefixes (KiB, MiB, GiB, TiB); ``KB``/``kB``, ``MB`` and ``GB`` are decimal, as SI and systemd's
documentation have it. A rate is a size per time: ``1MiB/h``.
"""

from __future__ import annotations

import re
from decimal import Decimal

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {
    "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
    "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
    "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
}  # fmt: skip
_PART = re.compile(r"\s*(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z]*)\s*", re.ASCII)
"""Twenty digits count the bytes of any machine; without an end, a screen full of digits overflows a float."""


def parse_duration(text: str) -> float:
    """Return seconds: ``90``, ``15m``, ``1h30m``, ``10 d``. Raises ValueError with the accepted form."""
    total, at = 0.0, 0
    while part := _PART.match(text, at):
        # A number without a unit is seconds only where it stands alone: "1h30" is meant as minutes by most.
        unit = part[2] or ("s" if part[0] == text else "")
        if unit not in _SECONDS:
            break
        total += float(part[1]) * _SECONDS[unit]
        at = part.end()
    if not text.strip() or at < len(text):
        raise ValueError(f"{text!r} is not a duration; write it like 60s, 15m, 1h30m or 10d")
    return total


def parse_size(text: str) -> int:
    """Return bytes: ``4096``, ``64MiB``, ``1.5 GiB``, ``10MB``. Raises ValueError with the accepted form."""
    size = _bytes_in(text)
    if size is None:
        raise ValueError(f"{text!r} is not a size; write it like 4096, 512KiB, 64MiB or 1.5GiB")
    return round(size)


def parse_rate(text: str) -> float:
    """Return bytes per hour: ``1MiB/h``, ``200KiB/s``, ``24MiB/d``. Raises ValueError with the accepted form."""
    amount, _, per = text.partition("/")
    size, per = _bytes_in(amount), per.strip()
    if size is None or per not in _SECONDS:
        raise ValueError(f"{text!r} is not a rate; write it like 256KiB/h, 1MiB/d or 200KiB/s")
    # Not rounded to whole bytes: 10B/d is a rate.
    return float(size) * (3600 / _SECONDS[per])


def _bytes_in(text: str) -> Decimal | None:
    # Decimal: float would round sizes above 8 PiB and decimal fractions.
    part = _PART.fullmatch(text)
    return Decimal(part[1]) * _BYTES[part[2]] if part and part[2] in _BYTES else None


def format_bytes(value: float) -> str:
    """Return e.g. ``3.1 MiB``, three significant digits; a negative value keeps its sign."""
    size, sign = abs(float(value)), "-" if value < -0.5 else ""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 999.5 or unit == "TiB":
            break
        size /= 1024
    if unit == "B":
        return f"{sign}{size:.0f} B"
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{sign}{size:.{digits}f} {unit}"


def format_at_most(value: float) -> str:
    """Return as ``format_bytes`` does what is an upper bound: rounded up."""
    text = format_bytes(value)
    if parse_size(text) >= value:
        return text
    number, unit = text.split(" ")
    digits = len(number.partition(".")[2])
    return f"{float(number) + 10.0**-digits:.{digits}f} {unit}"


def format_rate(bytes_per_hour: float) -> str:
    """Return e.g. ``+3.1 MiB/h``, always signed."""
    text = format_bytes(bytes_per_hour)
    return f"{'' if text.startswith('-') else '+'}{text}/h"


def format_amount(value: float, unit: str = "bytes") -> str:
    """Return bytes as ``format_bytes`` does, a ``count`` as a number: ``812``, ``1.5``."""
    if unit != "count":
        return format_bytes(value)
    value = round(float(value), 1) + 0.0  # of -0.0 makes 0.0
    return f"{value:.0f}" if abs(value) >= 9.95 or value == round(value) else f"{value:.1f}"


def format_growth(per_hour: float, unit: str = "bytes") -> str:
    """Return what an amount grows by an hour, always signed: ``+3.1 MiB/h``, ``+120/h``."""
    text = format_amount(per_hour, unit)
    return f"{'' if text.startswith('-') else '+'}{text}/h"


def format_duration(seconds: float) -> str:
    """Return the two largest units: ``45 s``, ``12 min``, ``3 h 20 min``, ``9 d 4 h``."""
    if 0.01 <= seconds < 0.995:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"
