"""Columns for a terminal, aligned by what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import combining, east_asian_width

from leakwatch.model.verdict import Verdict

WIDEST = 48
"""Characters of a name in a table; the rest of a longer one is left out there, not in the other formats."""
GAP = "  "
"""Between two columns."""
_COLOURS = {Verdict.LEAK: "\x1b[1;31m", Verdict.WATCH: "\x1b[33m"}
_PLAIN = "\x1b[0m"


def aligned(cells: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Return the rows as lines, every column as wide as its widest cell; those at the places ``right`` end together."""
    widths = [max(width(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [GAP.join(_padded(row, widths, right)).rstrip() for row in cells]


def coloured(line: str, verdict: Verdict) -> str:
    """Return a line that begins with a verdict with that in its colour."""
    colour = _COLOURS.get(verdict)
    return f"{colour}{verdict}{_PLAIN}{line.removeprefix(verdict)}" if colour else line


def _padded(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> Iterator[str]:
    for place, (text, widest) in enumerate(zip(row, widths, strict=True)):
        blank = " " * (widest - width(text))
        yield blank + text if place in right else text + blank


def cut(text: str, widest: int) -> str:
    """Return the text, or as much of its beginning as takes ``widest`` columns with an ellipsis behind it."""
    if width(text) <= widest:
        return text
    text = text[:widest]
    while width(text) > widest - 1:
        text = text[:-1]
    return text + "…"


def cut_front(text: str, widest: int) -> str:
    """Return the text, or as much of its end as takes ``widest`` columns with an ellipsis before it."""
    if width(text) <= widest:
        return text
    text = text[-widest:]
    while width(text) > widest - 1:
        text = text[1:]
    return "…" + text


def width(text: str) -> int:
    """Return the columns of a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)
