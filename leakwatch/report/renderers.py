"""Output formats: a verb has a table of them by name, a row each. The report's table is here.

For a terminal: the answer, the ranked list with the reason under each, then what limits it. Markdown is for a ticket or
a chat. CSV has one line a finding (RFC 4180), bytes as integers, times in RFC 3339.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from leakwatch.report import growth_words, json_report, summary, words
from leakwatch.report.build import Report, ReportRow
from leakwatch.report.columns import WIDEST, aligned, coloured
from leakwatch.text.escape import csv_cell, markdown


def render_markdown(report: Report) -> str:
    """Return the report."""
    lines = [f"**{markdown(summary.headline(report))}**", ""]
    if summary.alarm(report):
        lines += [f"**{markdown(summary.alarm(report))}**", ""]
    lines += _table(report.loud, report.generated_ms)
    if report.silenced:
        lines += ["", "**Silenced:**", "", *_table(report.silenced, report.generated_ms)]
    lines += ["", *(f"- {markdown(remark)}" for remark in summary.remarks(report))]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: Sequence[ReportRow], now_ms: int) -> list[str]:
    if not rows:
        return []
    lines = [
        "| verdict | what | rate (95 % interval) | per day | grown | time to limit | why |",
        "|---|---|--:|--:|---|--:|---|",
    ]
    for row in rows:
        cells = (
            str(row.finding.assessment.verdict),
            words.what(row),
            words.rate(row),
            words.per_day(row),
            words.grown(row),
            words.time_to_limit(row, now_ms),
            "; ".join(words.more(row, now_ms)),
        )
        lines.append("| " + " | ".join(markdown(cell) for cell in cells) + " |")
    return lines


_HEADINGS = ("verdict", "what", "rate (95 % interval)", "per day", "grown", "time to limit")


def render_terminal(report: Report, *, colour: bool = False) -> str:
    """Return the report as text."""
    lines = [summary.headline(report), *filter(None, [summary.alarm(report)]), ""]
    if report.loud:
        lines += [*_rows(report.loud, report.generated_ms, colour=colour), ""]
    if report.silenced:
        lines += ["Silenced:", *_rows(report.silenced, report.generated_ms, colour=False), ""]
    remarks = summary.remarks(report)
    lines += remarks
    if report.evaluated_ms is not None:
        lines.append(f"Judged {growth_words.minute(report.evaluated_ms)}, {_scrapes(report)}.")
    return "\n".join(lines).rstrip() + "\n"


def _scrapes(report: Report) -> str:
    last = growth_words.minute(report.host.last_scrape_ms)
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
        words.time_to_limit(row, now_ms),
    )


COLUMNS = (
    "id", "kind", "name", "pid", "service", "user", "metric", "verdict", "slope_bytes_per_hour", "slope_low",
    "slope_high", "since", "grown_bytes", "current_bytes", "limit_bytes", "exhaustion_at", "ended_at", "confidence",
    "reason", "incident", "incident_state", "acknowledged_by", "silenced_until", "slope_count_per_hour", "grown_count",
    "current_count", "left_count", "limit_count",
)  # fmt: skip


def render_csv(report: Report) -> str:
    """Return the findings as CSV with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        one = json_report.finding(row, report.generated_ms)
        one |= _incident(one["incident"])
        writer.writerow([csv_cell(one.get(column)) for column in COLUMNS])
    return out.getvalue()


def _incident(one: dict[str, Any] | None) -> dict[str, Any]:
    """Return the columns about an incident, empty without one."""
    one = one or {"id": None, "state": None, "acknowledged": None, "silenced": None}
    return {
        "incident": one["id"],
        "incident_state": one["state"],
        "acknowledged_by": (one["acknowledged"] or {}).get("by"),
        "silenced_until": (one["silenced"] or {}).get("until"),
    }


class Renderer(NamedTuple):
    """One format of a verb: what turns the verb's values into text."""

    render: Callable[..., str]
    coloured: bool = False
    """Whether ``render`` takes ``colour=``: true on a terminal whose user wants colours."""


REPORT: Mapping[str, Renderer] = {
    "table": Renderer(render_terminal, coloured=True),
    "json": Renderer(json_report.render),
    "csv": Renderer(render_csv),
    "markdown": Renderer(render_markdown),
}
