"""What a chart shows: bars or shares of the rows, those of one label together. ``bars`` and ``figure`` draw it.

Charts in a terminal: plain characters, no library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakwatch.errors import UsageError
from leakwatch.ps.table import Scale, suffixed
from leakwatch.ps.views import Row, View, ViewKind
from leakwatch.report.columns import aligned, cut
from leakwatch.text.escape import printable

SHOWN = 20
"""Bars: more than a screen of them is a list, which the table is better at."""
SMALL = 0.005
"""Share of the whole below which a slice of the pie is put under "other", as in smem."""
TAIL = 0.02
"""Share of the whole up to which the smallest slices together are, too."""
OTHER = "other"
_NO_AMOUNT = frozenset({"pid", "order"})

Values = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, in a terminal or in a file: for each label a value a column, the largest first."""

    title: str
    columns: tuple[str, ...]
    """Their headings."""
    sizes: bool
    """Whether the values are bytes."""
    labels: tuple[str, ...]
    values: tuple[Values, ...]
    whole: int | None
    """What 100 % is; None where that is the sum of what is shown."""
    longest: int
    """What the longest bar stands for."""
    left_out: str = ""
    """What is not drawn, in words."""

    def text(self, value: int) -> str:
        """Return a value as it is shown."""
        return suffixed(value) if self.sizes else str(value)


def bars(view: View, rows: Sequence[Row], label: str, columns: tuple[str, ...], scale: Scale) -> Chart:
    """Return the largest by the first column; raises UsageError for what is no number, or not of one kind."""
    sizes = _are_sizes(view, columns)
    found = _by_label(rows, label, columns)
    shown, rest = found[:SHOWN], [values[0] for _, values in found[SHOWN:]]
    amount = suffixed(sum(rest)) if sizes else str(sum(rest))
    return Chart(
        title=_title(view, label, columns),
        columns=tuple(view.columns[name].heading for name in columns),
        sizes=sizes,
        labels=tuple(name for name, _ in shown),
        values=tuple(values for _, values in shown),
        whole=scale.whole(columns[0]) if sizes else None,
        longest=max((max(values) for _, values in shown), default=0),
        left_out=f"{len(rest)} more, not drawn: {view.columns[columns[0]].heading} {amount} together" if rest else "",
    )


def shares(view: View, rows: Sequence[Row], label: str, column: str, scale: Scale) -> Chart:
    """Return every label's share, small ones under "other", and what none of them holds as the last."""
    sizes = _are_sizes(view, (column,))
    found = [(name, values[0]) for name, values in _by_label(rows, label, (column,)) if values[0]]
    total = sum(value for _, value in found)
    whole = max(total, (scale.whole(column) if sizes else None) or 0)
    other = 0
    while found and (other + found[-1][1] < TAIL * whole or found[-1][1] < SMALL * whole):
        other += found.pop()[1]
    if other:
        found.append((OTHER, other))
    if whole > total:
        found.append(("unused" if column == "swap" else "everything else", whole - total))
    return Chart(
        title=_title(view, label, (column,)),
        columns=(view.columns[column].heading,),
        sizes=sizes,
        labels=tuple(name for name, _ in found),
        values=tuple((value,) for _, value in found),
        whole=whole if sizes else None,
        longest=whole,
    )


def _are_sizes(view: View, columns: tuple[str, ...]) -> bool:
    for name in columns:
        if view.columns[name].kind is ViewKind.TEXT or name in _NO_AMOUNT:
            raise UsageError(f"a chart draws sizes or counts, not {name}; choose one with -s, like -s {view.drawn}")
    return all(view.columns[name].kind is ViewKind.SIZE for name in columns)


def _by_label(rows: Sequence[Row], label: str, columns: tuple[str, ...]) -> list[tuple[str, Values]]:
    """Return the sums by label, the largest first by the first column; rows with a value that is unknown are left out.

    A pool of workers is one bar, and so is what is left of a name after it was made printable.
    """
    sums: dict[str, list[Values]] = {}
    for row in rows:
        values = [value for name in columns if isinstance(value := row[name], int)]
        if len(values) == len(columns):
            sums.setdefault(printable(str(row[label])), []).append(tuple(values))
    found = [
        (f"{name} ({len(parts)})" if len(parts) > 1 else name, tuple(map(sum, zip(*parts, strict=True))))
        for name, parts in sums.items()
    ]
    return sorted(found, key=lambda one: one[1][0], reverse=True)


def _title(view: View, label: str, columns: tuple[str, ...]) -> str:
    return f"{', '.join(view.columns[name].heading for name in columns)} by {label}"


LABEL_WIDTH = 32
BAR_WIDTH = 40
"""Characters of the longest bar where no terminal says how much room there is."""
NARROWEST = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def draw(chart: Chart, terminal_width: int | None, *, plain: bool, header: bool = True) -> str:
    """Return the chart as lines; ``plain`` is for terminals that show ASCII only."""
    several = len(chart.columns) > 1
    whole = chart.whole or sum(values[0] for values in chart.values)
    lengths, cells = [], []
    for label, values in zip(chart.labels, chart.values, strict=True):
        for place, (column, value) in enumerate(zip(chart.columns, values, strict=True)):
            lengths.append(value / chart.longest if chart.longest else 0.0)
            share = f"{100 * value / whole:.1f}%" if whole else ""
            named = cut(label if place == 0 else "", LABEL_WIDTH)
            cells.append([named, *([column] if several else []), chart.text(value), share])
    title = f"{chart.title}, of {chart.text(chart.whole)}" if chart.whole else chart.title
    lines = [title] * header + _lines(cells, lengths, terminal_width, plain=plain)
    return "\n".join([*lines, *filter(None, [chart.left_out])]) + "\n"


def _lines(cells: list[list[str]], lengths: list[float], terminal_width: int | None, *, plain: bool) -> list[str]:
    if not cells:
        return []
    places = len(cells[0])
    numbers = frozenset({places - 2, places - 1})
    room = BAR_WIDTH
    if terminal_width is not None:
        room = max(NARROWEST, terminal_width - max(map(len, aligned([[*row, "|"] for row in cells], numbers))) + 1)
    drawn = [[*row, bar(length, room, plain=plain)] for row, length in zip(cells, lengths, strict=True)]
    return aligned(drawn, numbers)


def bar(share: float, width: int, *, plain: bool) -> str:
    """Return a bar of ``share`` (0 to 1) of the width, in eighths of a character where the terminal has them."""
    if plain:
        return "#" * round(share * width)
    full, eighth = divmod(round(share * width * 8), 8)
    return "█" * full + (_EIGHTHS[eighth] if eighth else "")
