"""Output formats: a verb has a table of them by name, a row each. The report's table is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from leakwatch.report import csv_report, json_report, markdown, terminal


class Renderer(NamedTuple):
    """One format of a verb: what turns the verb's values into text."""

    render: Callable[..., str]
    coloured: bool = False
    """Whether ``render`` takes ``colour=``: true on a terminal whose user wants colours."""


REPORT: Mapping[str, Renderer] = {
    "table": Renderer(terminal.render, coloured=True),
    "json": Renderer(json_report.render),
    "csv": Renderer(csv_report.render),
    "markdown": Renderer(markdown.render),
}
