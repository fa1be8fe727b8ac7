"""Charts of ``ps``: bars or shares of the rows, those of one label together, in plain characters or as a picture.

matplotlib draws the picture. It is an extra, imported when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

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


FORMATS = ("png", "svg", "pdf")
INCHES_A_BAR = 0.28


def picture_format(path: str) -> str:
    """Return the format a file's name asks for; raises UsageError."""
    ending = path.rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise UsageError(f"-o {path}: the name must end in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}")
    return ending


def figure_class() -> Any:
    """Return matplotlib's ``Figure``; raises UsageError where it is not installed."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, of 50 MB and half a second
    except ImportError:
        raise UsageError(
            "a chart in a file needs matplotlib, which is not installed; install it with: "
            "pip install 'leakwatchd[plot]', or leave -o out: then it is drawn in the terminal"
        ) from None
    return Figure


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of so many inches; raises UsageError."""
    return figure_class()(figsize=(width, height), layout="constrained")


def save_bars(chart: Chart, out: BinaryIO, form: str) -> None:
    """Write horizontal bars, the largest on top."""
    several = len(chart.columns)
    figure = new_figure(9, 1 + INCHES_A_BAR * len(chart.labels) * (1 + 0.6 * (several - 1)))
    axes = figure.subplots()
    thickness = 0.8 / several
    places = range(len(chart.labels))
    for number, column in enumerate(chart.columns):
        values = [values[number] for values in chart.values]
        drawn = axes.barh([place + number * thickness for place in places], values, thickness, label=column)
        axes.bar_label(drawn, labels=[chart.text(value) for value in values], padding=3, fontsize=8)
    axes.set_yticks([place + (several - 1) * thickness / 2 for place in places], _labels(chart), fontsize=8)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # a process may be called $x$
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.02)
    axes.set_xticks([])  # every bar says how much it is
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xlabel(chart.left_out, fontsize=8)
    axes.set_title(chart.title)
    if several > 1:
        axes.legend(loc="lower right")
    figure.savefig(out, format=form)


def save_pie(chart: Chart, out: BinaryIO, form: str) -> None:
    """Write a pie, clockwise from the top, the largest first."""
    figure = new_figure(8, 6)
    axes = figure.subplots()
    values = [values[0] for values in chart.values]
    _, labels, _ = axes.pie(
        values,
        labels=_labels(chart),
        autopct="%.1f%%",
        startangle=90,
        counterclock=False,
        pctdistance=0.8,
        textprops={"fontsize": 8},
    )
    for text in labels:
        text.set_parse_math(False)
    of = f", of {chart.text(chart.whole)}" if chart.whole else ""
    axes.set_title(f"{chart.title}{of}")
    figure.savefig(out, format=form)


def _labels(chart: Chart) -> list[str]:
    return [cut(label, LABEL_WIDTH) for label in chart.labels]
