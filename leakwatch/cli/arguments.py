"""Arguments several verbs share."""

from __future__ import annotations

from leakwatch.errors import UsageError
from leakwatch.units import parse_duration


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
