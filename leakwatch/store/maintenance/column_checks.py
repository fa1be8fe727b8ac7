"""Values of columns as they must be: SQLite keeps any sort in any column, and so does damage."""

from __future__ import annotations

from leakwatch.store.encoding.integers import PayloadError


def whole(value: object) -> int:
    """Return an integer. Raises PayloadError for anything else."""
    if not isinstance(value, int):
        raise PayloadError(f"{type(value).__name__} where a number should be")
    return value


def none_or(value: object) -> int | None:
    """Return an integer or None. Raises PayloadError for anything else."""
    return None if value is None else whole(value)


def text(value: object) -> str:
    """Return a text. Raises PayloadError for anything else."""
    if not isinstance(value, str):
        raise PayloadError(f"{type(value).__name__} where text should be")
    return value
