"""The report for a terminal: the answer, the ranked list with the reason under each, then what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from leakwatch.model import Verdict
from leakwatch.report import words

if TYPE_CHECKING:
    from leakwatch.report.build import Report, Row

_COLOURS = {Verdict.LEAK: "\x1b[1;31m", Verdict.WATCH: "\x1b[33m"}
_PLAIN = "\x1b[0m"
_HEADINGS = ("verdict", "what", "rate (95 % interval)", "per day", "grown", "lasts")
WIDEST = 48
"""Characters of a name in the table; the rest of a longer one is left out here, not in the other formats."""


def render(report: Report, *, colour: bool = False) -> str:
    """Return the report as text."""
    lines = [words.headline(report), *filter(None, [words.alarm(report)]), ""]
    if report.rows:
        lines += [*_rows(report, colour=colour), ""]
    remarks = words.remarks(report)
    lines += remarks
    if report.evaluated_ms is not None:
        lines.append(f"Judged {words.minute(report.evaluated_ms)}, {_scrapes(report)}.")
    return "\n".join(lines).rstrip() + "\n"


def _scrapes(report: Report) -> str:
    return f"from scrapes every {report.host.interval_s:g} s, the last at {words.minute(report.host.last_scrape_ms)}"


def _rows(report: Report, *, colour: bool) -> list[str]:
    cells = [_HEADINGS, *(_cells(row, report.generated_ms) for row in report.rows)]
    widths = [max(_width(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_padded(cell, width) for cell, width in zip(cells[0], widths, strict=True)).rstrip()]
    for row, line in zip(report.rows, cells[1:], strict=True):
        padded = [_padded(cell, width) for cell, width in zip(line, widths, strict=True)]
        verdict = row.finding.assessment.verdict
        if colour and verdict in _COLOURS:
            padded[0] = f"{_COLOURS[verdict]}{padded[0]}{_PLAIN}"
        lines.append("  ".join(padded).rstrip())
        lines += [f"    {text}" for text in (words.why(row), words.limit(row), words.where(row)) if text]
    return lines


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return the columns of a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _cells(row: Row, now_ms: int) -> tuple[str, ...]:
    return (
        str(row.finding.assessment.verdict),
        words.what(row, WIDEST),
        words.rate(row),
        words.per_day(row),
        words.grown(row),
        words.lasts(row, now_ms),
    )
