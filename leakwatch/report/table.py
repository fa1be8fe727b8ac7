"""The report for a terminal: the answer, the ranked list with the reason under each, then what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch.model import Verdict
from leakwatch.report import columns, incident_words, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.report.build import Report, Row

_COLOURS = {Verdict.LEAK: "\x1b[1;31m", Verdict.WATCH: "\x1b[33m"}
_PLAIN = "\x1b[0m"
_HEADINGS = ("verdict", "what", "rate (95 % interval)", "per day", "grown", "lasts")
WIDEST = 48
"""Characters of a name in the table; the rest of a longer one is left out here, not in the other formats."""


def render(report: Report, *, colour: bool = False) -> str:
    """Return the report as text."""
    lines = [words.headline(report), *filter(None, [words.alarm(report)]), ""]
    if report.loud:
        lines += [*_rows(report.loud, report.generated_ms, colour=colour), ""]
    if report.silenced:
        lines += ["Silenced:", *_rows(report.silenced, report.generated_ms, colour=False), ""]
    remarks = words.remarks(report)
    lines += remarks
    if report.evaluated_ms is not None:
        lines.append(f"Judged {incident_words.minute(report.evaluated_ms)}, {_scrapes(report)}.")
    return "\n".join(lines).rstrip() + "\n"


def _scrapes(report: Report) -> str:
    last = incident_words.minute(report.host.last_scrape_ms)
    return f"from scrapes every {report.host.interval_s:g} s, the last at {last}"


def _rows(rows: Sequence[Row], now_ms: int, *, colour: bool) -> list[str]:
    cells = [_HEADINGS, *(_cells(row, now_ms) for row in rows)]
    widths = columns.widths(cells)
    lines = [columns.joined(cells[0], widths)]
    for row, line in zip(rows, cells[1:], strict=True):
        text = columns.joined(line, widths)
        verdict = row.finding.assessment.verdict
        if colour and verdict in _COLOURS:
            text = f"{_COLOURS[verdict]}{text[: widths[0]]}{_PLAIN}{text[widths[0] :]}"
        lines.append(text)
        more = (words.why(row), words.limit(row), words.where(row), words.incident(row, now_ms))
        lines += [f"    {one}" for one in more if one]
    return lines


def _cells(row: Row, now_ms: int) -> tuple[str, ...]:
    return (
        str(row.finding.assessment.verdict),
        words.what(row, WIDEST),
        words.rate(row),
        words.per_day(row),
        words.grown(row),
        words.lasts(row, now_ms),
    )
