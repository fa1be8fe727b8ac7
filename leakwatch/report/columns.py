"""Text in columns, as a terminal shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Sequence


def widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return how wide each column must be for the widest of its cells."""
    return [max(width(line[column]) for line in lines) for column in range(len(lines[0]))]


def padded(text: str, columns: int) -> str:
    """Return the text with blanks behind it up to a width."""
    return text + " " * (columns - width(text))


def joined(cells: Sequence[str], wide: Sequence[int]) -> str:
    """Return cells as one line without blanks at its end."""
    return "  ".join(padded(cell, columns) for cell, columns in zip(cells, wide, strict=True)).rstrip()


def width(text: str) -> int:
    """Return the columns of a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
