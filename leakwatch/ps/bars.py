"""Charts in a terminal: plain characters, no library."""

from __future__ import annotations

from leakwatch.ps.chart import Chart
from leakwatch.report.columns import aligned, cut

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
