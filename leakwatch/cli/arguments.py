"""Arguments several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from leakwatch.clock import END_S
from leakwatch.errors import UsageError
from leakwatch.importers.moments import parse_time
from leakwatch.model.verdict import Verdict
from leakwatch.units import parse_duration

EXIT_CODE_HELP = "end with 1 when something shown leaks, 3 when nothing is decided yet, 4 without recent samples"
"""Of ``--exit-code``."""
EPOCH_FROM_S = 100_000_000
"""A plain number from here on is seconds since 1970 (March 1973), below it a duration."""


def add_format(parser: argparse.ArgumentParser, formats: Iterable[str]) -> None:
    """Add ``--format``; the first one named is the default."""
    names = tuple(formats)
    parser.add_argument("--format", choices=names, default=names[0], help=f"default: {names[0]}")


def file_name(text: str) -> str:
    """Return the name of an output; for ``type=`` of an argument. Raises argparse.ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give that of a file")
    return text


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
