"""Bars and shares for a terminal: plain characters, no library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leakwatch.errors import UsageError
from leakwatch.escape import printable
from leakwatch.ps.table import ordered, suffixed
from leakwatch.ps.views import Kind
from leakwatch.report.columns import aligned, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.ps.table import Scale
    from leakwatch.ps.views import Row, View

SHOWN = 20
"""Bars: more than a screen of them is a list, which the table is better at. The rest is one bar."""
LABEL_WIDTH = 32
BAR_WIDTH = 40
SMALL = 0.005
"""Share of the whole below which a slice of the pie is put under "other", as smem does."""
REST = 0.02
"""Share of the whole up to which the smallest slices together are, too."""
OTHER = "other"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, in a terminal or in a file: one value a label and column, the largest first."""

    title: str
    columns: tuple[str, ...]
    sizes: bool
    """Whether the values are bytes."""
    labels: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    """For each label one value a column."""
    whole: int | None
    """What 100 % is; None where it is unknown or the values are no sizes."""

    def text(self, value: int) -> str:
        """Return a value as it is shown."""
        return suffixed(value) if self.sizes else str(value)


def bars(view: View, rows: Sequence[Row], label: str, columns: tuple[str, ...], scale: Scale) -> Chart:
    """Return the largest rows by the first column, and the rest in one; raises UsageError for what is no number."""
    found = _values(view, rows, label, columns)
    shown, rest = found[:SHOWN], found[SHOWN:]
    if rest:
        sums = tuple(map(sum, zip(*(values for _, values in rest), strict=True)))
        shown = [*shown, (f"{len(rest)} more", sums)]
    return _chart(view, shown, label, columns, scale)


def shares(view: View, rows: Sequence[Row], label: str, column: str, scale: Scale) -> Chart:
    """Return every row's share of the whole, small ones under "other", and what nobody of them holds as the last."""
    found = [(name, values[0]) for name, values in _values(view, rows, label, (column,)) if values[0]]
    total = sum(value for _, value in found)
    is_size = view.columns[column].kind is Kind.SIZE
    whole = (scale.whole(column) if is_size else None) or total
    other = 0
    while found and (other + found[-1][1] < REST * whole or found[-1][1] < SMALL * whole):
        other += found.pop()[1]
    slices = [(name, (value,)) for name, value in found]
    if other:
        slices.append((OTHER, (other,)))
    if whole > total:
        slices.append(("unused" if column == "swap" else "everything else", (whole - total,)))
    return _chart(view, slices, label, (column,), scale)


def _values(view: View, rows: Sequence[Row], label: str, columns: tuple[str, ...]) -> list[tuple[str, tuple[int, ...]]]:
    for name in columns:
        if view.columns[name].kind is Kind.TEXT or name in {"pid", "order"}:
            raise UsageError(f"a chart draws sizes or counts, not {name}; choose one with -s, like -s {view.sort}")
    known = [row for row in rows if all(isinstance(row[name], int) for name in columns)]
    return [
        (printable(str(row[label])), tuple(int(row[name] or 0) for name in columns))
        for row in ordered(known, columns[0], largest_first=True)
    ]


def _chart(
    view: View, found: Sequence[tuple[str, tuple[int, ...]]], label: str, columns: tuple[str, ...], scale: Scale
) -> Chart:
    kinds = {view.columns[name].kind for name in columns}
    if len(kinds) > 1:
        raise UsageError("a chart draws sizes or counts, not both; choose columns of one kind with -c")
    sizes = Kind.SIZE in kinds
    headings = ", ".join(view.columns[name].heading for name in columns)
    return Chart(
        title=f"{headings} by {label}",
        columns=tuple(view.columns[name].heading for name in columns),
        sizes=sizes,
        labels=tuple(name for name, _ in found),
        values=tuple(values for _, values in found),
        whole=scale.whole(columns[0]) if sizes else None,
    )


def draw(chart: Chart, terminal_width: int | None, *, plain: bool, header: bool = True) -> str:
    """Return the chart as lines; ``plain`` is for terminals that show ASCII only."""
    several = len(chart.columns) > 1
    longest = max((max(values) for values in chart.values), default=0)
    total = chart.whole or sum(sum(values) for values in chart.values)
    cells = []
    for label, values in zip(chart.labels, chart.values, strict=True):
        for place, (column, value) in enumerate(zip(chart.columns, values, strict=True)):
            share = f"{100 * value / total:.1f}%" if total else ""
            named = [cut(label, LABEL_WIDTH) if place == 0 else ""]
            cells.append([*named, *([column] if several else []), chart.text(value), share, ""])
    room = _room(cells, terminal_width)
    values_in_order = [value for values in chart.values for value in values]
    for row, value in zip(cells, values_in_order, strict=True):
        row[-1] = bar(value / longest if longest else 0, room, plain=plain)
    numbers = frozenset({2, 3} if several else {1, 2})
    of = f", of {chart.text(chart.whole)}" if chart.whole else ""
    lines = [f"{chart.title}{of}"] if header else []
    lines += aligned(cells, numbers) if cells else []
    return "\n".join(lines) + "\n"


def _room(cells: list[list[str]], terminal_width: int | None) -> int:
    if terminal_width is None or not cells:
        return BAR_WIDTH
    taken = max(map(len, aligned([[*row[:-1], "."] for row in cells])))
    return max(10, terminal_width - taken + 1)


def bar(share: float, width: int, *, plain: bool) -> str:
    """Return a bar of ``share`` (0 to 1) of the width, in eighths of a character where the terminal has them."""
    if plain:
        return "#" * round(share * width)
    full, eighth = divmod(round(share * width * 8), 8)
    return "█" * full + (_EIGHTHS[eighth] if eighth else "")
