"""Bars and shares as a picture in a file, by matplotlib, which is an extra: imported when a picture is asked for."""

from __future__ import annotations

from typing import Any, BinaryIO

from leakwatch.errors import UsageError
from leakwatch.ps.chart import Chart
from leakwatch.report.columns import cut

FORMATS = ("png", "svg", "pdf")
LABEL_WIDTH = 32
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
