"""The report as Markdown, for a ticket or a chat."""

from __future__ import annotations

from collections.abc import Sequence

from leakwatch.report import summary, words
from leakwatch.report.build import Report, ReportRow
from leakwatch.text.escape import markdown


def render(report: Report) -> str:
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
        "| verdict | what | rate (95 % interval) | per day | grown | lasts | why |",
        "|---|---|--:|--:|---|--:|---|",
    ]
    for row in rows:
        cells = (
            str(row.finding.assessment.verdict),
            words.what(row),
            words.rate(row),
            words.per_day(row),
            words.grown(row),
            words.lasts(row, now_ms),
            "; ".join(words.more(row, now_ms)),
        )
        lines.append("| " + " | ".join(markdown(cell) for cell in cells) + " |")
    return lines
