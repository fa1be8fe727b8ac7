"""The report for a terminal: the answer, the ranked list with the reason under each, then what limits it."""

from __future__ import annotations

from collections.abc import Sequence

from leakwatch.report import incident_words, summary, words
from leakwatch.report.build import Report, ReportRow
from leakwatch.report.columns import WIDEST, aligned, coloured

_HEADINGS = ("verdict", "what", "rate (95 % interval)", "per day", "grown", "lasts")


def render(report: Report, *, colour: bool = False) -> str:
    """Return the report as text."""
    lines = [summary.headline(report), *filter(None, [summary.alarm(report)]), ""]
    if report.loud:
        lines += [*_rows(report.loud, report.generated_ms, colour=colour), ""]
    if report.silenced:
        lines += ["Silenced:", *_rows(report.silenced, report.generated_ms, colour=False), ""]
    remarks = summary.remarks(report)
    lines += remarks
    if report.evaluated_ms is not None:
        lines.append(f"Judged {incident_words.minute(report.evaluated_ms)}, {_scrapes(report)}.")
    return "\n".join(lines).rstrip() + "\n"


def _scrapes(report: Report) -> str:
    last = incident_words.minute(report.host.last_scrape_ms)
    return f"from scrapes every {report.host.interval_s:g} s, the last at {last}"


def _rows(rows: Sequence[ReportRow], now_ms: int, *, colour: bool) -> list[str]:
    heading, *lines = aligned([_HEADINGS, *(_cells(row, now_ms) for row in rows)])
    out = [heading]
    for row, line in zip(rows, lines, strict=True):
        out.append(coloured(line, row.finding.assessment.verdict) if colour else line)
        out += [f"    {text}" for text in words.more(row, now_ms)]
    return out


def _cells(row: ReportRow, now_ms: int) -> tuple[str, ...]:
    return (
        str(row.finding.assessment.verdict),
        words.what(row, WIDEST),
        words.rate(row),
        words.per_day(row),
        words.grown(row),
        words.lasts(row, now_ms),
    )
