"""Rows chosen, ordered and written as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from leakwatch.errors import UsageError
from leakwatch.ps.views import Row, Value, View, ViewKind, total_row
from leakwatch.report.columns import GAP, aligned, cut, cut_front, width
from leakwatch.text.escape import json_text, printable

PIPED_WIDTH = 48
"""Characters of a command line or mapping where no terminal says how much room there is; JSON has all of it."""
NARROWEST = 10
_LONG = ("command", "map", "name")
"""What gives way where a line is too long, the first of these that is shown."""
UNKNOWN = "-"


class TableStyle(Enum):
    """How sizes are written."""

    KIB = "KiB"
    """A plain number of KiB, as in /proc."""
    SUFFIX = "suffix"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Scale:
    """How sizes are written, and what is 100 %."""

    style: TableStyle
    memory_bytes: int | None
    swap_bytes: int | None

    def whole(self, column: str) -> int | None:
        """Return what a column's sizes are a share of."""
        return self.swap_bytes if column == "swap" else self.memory_bytes

    def text(self, column: str, size: int) -> str:
        """Return a size as it is shown."""
        if self.style is TableStyle.SUFFIX:
            return suffixed(size)
        if self.style is TableStyle.KIB:
            return str(size // 1024)
        whole = self.whole(column)
        return f"{100 * size / whole:.2f}%" if whole else "N/A"


def suffixed(size: float) -> str:
    """Return e.g. ``3.1M``: one decimal, powers of 1024."""
    if not size:
        return "0"
    for unit in ("", "K", "M", "G", "T"):
        if abs(size) < 1024 or unit == "T":
            break
        size /= 1024
    return f"{size:.1f}{unit}"


def chosen(option: str, view: View, text: str | None) -> tuple[str, ...]:
    """Return the columns named, apart by blanks or commas; none where the option was not given. Raises UsageError."""
    names = tuple((text or "").replace(",", " ").split())
    for name in names:
        if name not in view.columns:
            near = get_close_matches(name, view.columns, 1)
            there = ", ".join(f"{known} ({column.about})" for known, column in view.columns.items())
            did = f"; did you mean {near[0]}?" if near else "."
            raise UsageError(f"{option}: no column {name!r} in this view{did} There are: {there}")
    if text is not None and not names:
        raise UsageError(f"{option}: names no column; there are: {', '.join(view.columns)}")
    return names


def ordered(rows: Sequence[Row], column: str, *, largest_first: bool) -> list[Row]:
    """Return the rows by one column, the smallest first as in smem; what is unknown counts as smallest."""
    return sorted(rows, key=lambda row: _rank(row[column]), reverse=largest_first)


def _rank(value: Value) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (-1, value or "")


def render(
    view: View,
    rows: Sequence[Row],
    columns: Sequence[str],
    scale: Scale,
    *,
    header: bool,
    totals: bool,
    terminal_width: int | None,
) -> str:
    """Return the table; empty without anything to show."""
    cells = [[_cell(view, name, row[name], scale) for name in columns] for row in rows]
    headings = [[view.columns[name].heading for name in columns]] if header else []
    sums = [[_cell(view, name, total_row(view, rows)[name], scale) for name in columns]] if totals else []
    every = [*headings, *cells, *sums]
    if not every:
        return ""
    _fit(every, columns, terminal_width)
    right = frozenset(place for place, name in enumerate(columns) if view.columns[name].kind is not ViewKind.TEXT)
    lines = aligned(every, right)
    if totals:
        lines.insert(-1, "-" * max(map(len, lines)))
    return "\n".join(lines) + "\n"


def _cell(view: View, name: str, value: Value, scale: Scale) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, int) and view.columns[name].kind is ViewKind.SIZE:
        return scale.text(name, value)
    return printable(str(value))


def _fit(cells: list[list[str]], columns: Sequence[str], terminal_width: int | None) -> None:
    """Shorten the one column that may be long until the lines fit the terminal, or to a bearable width without one."""
    long = next((columns.index(name) for name in _LONG if name in columns), None)
    if long is None:
        return
    room = PIPED_WIDTH
    if terminal_width is not None:
        others = [max(width(row[place]) for row in cells) for place in range(len(columns)) if place != long]
        room = max(NARROWEST, terminal_width - sum(others) - len(GAP) * len(others))
    shorten = cut_front if columns[long] == "map" else cut  # the end of a path tells more than its beginning
    for row in cells:
        row[long] = shorten(row[long], room)


def as_json(view: View, rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return one array of objects; sizes are whole bytes, null is what could not be known."""
    keys = {name: f"{name}_bytes" if view.columns[name].kind is ViewKind.SIZE else name for name in columns}
    return json_text([{key: row[name] for name, key in keys.items()} for row in rows], indent=1)
