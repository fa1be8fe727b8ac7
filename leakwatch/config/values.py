"""One TOML value → one value of the schema.

A reader takes what tomllib gave and returns the value, or raises ValueError whose ``args`` are the problems in words:
what is wrong; what to write.

Values written so that reading them gives exactly the same value back (``units.format_*`` round for the eye).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from leakwatch.units import parse_duration, parse_rate, parse_size

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


Reader = Callable[[object], Any]

_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
_SQLITE = "sqlite:///"
_SQLITE_EXAMPLE = 'write "sqlite:////var/lib/leakwatch/leakwatch.db"'


def described(raw: object) -> str:
    """Return what kind of TOML value this is, in words."""
    return _KINDS.get(type(raw), "a date or time")


def duration(low: float, high: float) -> Reader:
    """Read seconds from ``"60s"`` or a plain number of seconds."""

    def read(raw: object) -> float:
        if not isinstance(raw, str) and not _is_number(raw):
            raise _not_a("duration", raw, 'write it like "60s", "15m", "1h30m" or "10d"')
        value = parse_duration(raw) if isinstance(raw, str) else raw
        return float(_within(value, low, high, raw, lambda s: quoted(exact_duration(s))))

    return read


def size(low: int, high: int) -> Reader:
    """Read bytes from ``"64MiB"`` or a plain whole number of bytes."""

    def read(raw: object) -> int:
        if not isinstance(raw, str) and type(raw) is not int:
            raise _not_a("size", raw, 'write it like "512KiB", "64MiB" or whole bytes')
        value = parse_size(raw) if isinstance(raw, str) else raw
        return int(_within(value, low, high, raw, lambda n: quoted(exact_size(n))))

    return read


def rate(low: float, high: float) -> Reader:
    """Read bytes per hour from ``"64KiB/h"``; a plain number would not say per what."""

    def read(raw: object) -> float:
        if not isinstance(raw, str):
            raise _not_a("rate", raw, 'write it like "256KiB/h", "1MiB/d" or "200KiB/s"')
        return float(_within(parse_rate(raw), low, high, raw, lambda r: quoted(exact_rate(r))))

    return read


def count_rate(low: float, high: float) -> Reader:
    """Read how many an hour from ``"1/h"`` or ``"24/d"``."""

    def read(raw: object) -> float:
        amount, slash, per = raw.partition("/") if isinstance(raw, str) else ("", "", "")
        if not slash or not amount.strip().replace(".", "", 1).isdecimal() or not amount.isascii():
            raise _not_a("number in a time", raw, 'write it like "1/h" or "24/d"')
        try:
            value = float(amount) * 3600 / parse_duration(f"1{per.strip()}")
        except ValueError:
            raise _not_a("number in a time", raw, 'write it like "1/h" or "24/d"') from None
        return float(_within(value, low, high, raw, lambda r: quoted(exact_count_rate(r))))

    return read


def count(low: int, high: int) -> Reader:
    """Read a whole number."""

    def read(raw: object) -> int:
        if type(raw) is not int:
            raise _not_a("whole number", raw, f"write one from {low} to {high}")
        return int(_within(raw, low, high, raw, str))

    return read


def boolean(raw: object) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise _not_a("boolean", raw, "write true or false")
    return raw


def ratio(raw: object) -> float:
    """Read a share above 0, at most 1."""
    if not _is_number(raw):
        raise _not_a("ratio", raw, "write a number like 0.01 for one percent")
    if not 0 < raw <= 1:  # type: ignore[operator]  # _is_number said so
        raise ValueError(f"{_echo(raw)} is out of range; write a number above 0 and up to 1, like 0.01 for one percent")
    return float(raw)  # type: ignore[arg-type]


def one_of(*words: str) -> Reader:
    """Read one of a few words."""
    choice = f"write {', '.join(map(quoted, words[:-1]))} or {quoted(words[-1])}"

    def read(raw: object) -> str:
        if not isinstance(raw, str):
            raise _not_a("word", raw, choice)
        if raw not in words:
            raise ValueError(f"{_echo(raw)} is none of the words there are; {choice}")
        return raw

    return read


def windows(most: int, longest_s: int) -> Reader:
    """Read strictly increasing durations of whole seconds."""
    item = duration(2, longest_s)

    def read(raw: object) -> tuple[int, ...]:
        if not isinstance(raw, list):
            raise _not_a("list", raw, 'write it like ["1h", "4h", "16h"]')
        if not 0 < len(raw) <= most:
            raise ValueError(f"{len(raw)} windows are not possible; write 1 to {most}")
        return _increasing(_each(raw, item))

    return read


def patterns(raw: object) -> tuple[str, ...]:
    """Read a list of shell patterns."""
    if not isinstance(raw, list):
        raise _not_a("list", raw, 'write it like ["cron", "backup-*"]')
    return tuple(_each(raw, pattern))


def pattern(raw: object) -> str:
    """Read one shell pattern."""
    if not isinstance(raw, str):
        raise _not_a("pattern", raw, 'write a name like "nginx" or a pattern like "java*"')
    if not raw.strip():
        raise ValueError('an empty pattern matches nothing; write a name or a pattern like "java*"')
    return raw


def sqlite_url(raw: object) -> str:
    """Read the store's URL; the message never repeats it, since other databases' URLs carry passwords."""
    if not isinstance(raw, str):
        raise _not_a("URL", raw, f'{_SQLITE_EXAMPLE}, or "" to have it chosen')
    if raw and (problem := _sqlite_problem(raw)):
        raise ValueError(f"{problem}; {_SQLITE_EXAMPLE}")
    return raw


def _sqlite_problem(url: str) -> str:
    scheme, colon, _ = url.partition("://")
    path = url.removeprefix(_SQLITE)
    checks = (
        (not colon, "a path is not a URL"),
        (scheme != "sqlite", f"only SQLite is supported for now, not {quoted(scheme)}"),
        (
            ":memory:" in url or "mode=memory" in url or not path or url == "sqlite://",
            "a database in memory would forget everything at each restart",
        ),
        (not url.startswith(_SQLITE), "a SQLite URL has three slashes and then the path"),
        ("?" in path, "options after a ? are not supported"),
        (not path.isprintable(), "there are characters in it that do not belong in a path"),
        (path.endswith("/"), "this names a directory, not a file"),
        (path.startswith(("~", "/~")), "~ is not expanded here"),
    )
    return next((problem for wrong, problem in checks if wrong), "")


def _not_a(wanted: str, raw: object, advice: str) -> ValueError:
    return ValueError(f"{described(raw)} is not a {wanted}; {advice}")


def _is_number(raw: object) -> bool:
    return isinstance(raw, int | float) and not isinstance(raw, bool)


def _within(value: Any, low: float, high: float, raw: object, written: Callable[[float], str]) -> Any:
    # Written so that NaN fails, and before any float(): an int may be too large for one.
    if not low <= value <= high:
        raise ValueError(f"{_echo(raw)} is out of range; write {written(low)} to {written(high)}")
    return value


def _echo(raw: object) -> str:
    if isinstance(raw, int) and raw.bit_length() > 64:
        return "a number of that size"  # its digits would fill the screen, and beyond 4300 Python refuses to write them
    text = repr(raw)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _each(items: list[object], read: Reader) -> list[Any]:
    values, problems = [], []
    for number, raw in enumerate(items, 1):
        try:
            values.append(read(raw))
        except ValueError as error:
            problems += [f"item {number}: {problem}" for problem in error.args]
    if problems:
        raise ValueError(*problems)
    return values


def _increasing(seconds: list[float]) -> tuple[int, ...]:
    problems = [f"{exact_duration(s)} is not a whole number of seconds; round it" for s in seconds if s % 1]
    problems += [
        f"{exact_duration(later)} comes after {exact_duration(earlier)}; write each window longer than the one before"
        for earlier, later in pairwise(seconds)
        if later <= earlier
    ]
    if problems:
        raise ValueError(*problems)
    return tuple(int(s) for s in seconds)
