"""Arguments several verbs share."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from leakwatch.clock import END_S
from leakwatch.errors import UsageError
from leakwatch.model.verdict import Verdict
from leakwatch.units import parse_duration

if TYPE_CHECKING:
    import argparse

    from leakwatch.analysis.replay.capture import Capture

LEAST_ROOM = 160 << 20
"""Bytes of address space that numpy's library takes, which ends the process with 1, "something leaks", without them."""
EPOCH_FROM_S = 100_000_000
"""A plain number from here on is seconds since 1970 (March 1973), below it a duration."""


def duration(option: str, text: str | None) -> float | None:
    """Return seconds, None where the option was not given. Raises UsageError."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{option}: {text!r} must be longer than nothing")
    return seconds


def verdicts(text: str) -> frozenset[Verdict]:
    """Return the verdicts a list names. Raises UsageError."""
    if text == "all":
        return frozenset(Verdict)
    try:
        return frozenset(Verdict(word.strip()) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--verdict: {text!r}; write some of ok,learning,watch,leak, or all") from None


def moment(option: str, text: str | None, now_ms: int) -> int | None:
    """Return a time in UTC milliseconds: seconds since 1970, ISO 8601, or how long ago ("3d", "1h ago").

    Raises UsageError.
    """
    from leakwatch.importers.moments import parse_time

    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if EPOCH_FROM_S <= number < END_S:
        return round(number * 1000)
    try:
        return max(0, now_ms - round(parse_duration(text.strip().removesuffix("ago")) * 1000))
    except ValueError:
        pass
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} {error}; or write how long ago, like 3d") from None


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Add what a captured file's values are, where it does not say so itself."""
    parser.add_argument(
        "--unit",
        metavar="UNIT",
        help="of the file's values: B, kB or KiB (1024 bytes), MiB, GiB, MB, GB (default: B, or what the file says)",
    )


def captured(path: str, unit: str | None) -> tuple[list[Capture], str]:
    """Return a captured file's series, and what shows that its values are in another unit, empty where nothing does.

    That is said on standard error as well. Raises UsageError and what ``sources.tidy.read_captures`` raises.
    """
    from leakwatch.cli.output import complain
    from leakwatch.importers.scales import ACCEPTED, doubt_of, factor_of
    from leakwatch.importers.tidy import read_captures

    mmap.mmap(-1, LEAST_ROOM).close()
    factor = None if unit is None else factor_of(unit)
    if unit is not None and factor is None:
        raise UsageError(f"--unit: {unit!r} is no unit that is known; {ACCEPTED}")
    captures = read_captures(path, factor)
    doubt = doubt_of(captures) if factor is None else ""
    if doubt:
        complain(f"{'stdin' if path == '-' else path}: {doubt}")
    return captures, doubt
