"""What would have been alarmed when, for ``leakwatch backtest``: as JSON lines and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from leakwatch.model.verdict import Assessment, Verdict
from leakwatch.report import growth_words, words
from leakwatch.report.captures import source, text
from leakwatch.report.columns import WIDEST, aligned
from leakwatch.report.json_values import growth
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_duration

HOURS_A_RATE = 1000
"""Alarms are told per this many hours of one series, as detectors are compared: six weeks of one, a day of 42."""
_HEADINGS = ("first alarm", "series", "alarms", "time alarmed", "at the end")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One series as it would have been judged."""

    series: str
    assessment: Assessment
    """At its end."""
    alerts: tuple[tuple[int, int | None], ...]
    """Times with verdict leak, UTC milliseconds; None: to the end."""
    last_ms: int
    hours: float
    """Of samples."""
    file: str | None = None
    """None where there is but one source."""
    config: str | None = None
    """None where there is but one configuration."""
    decides: bool = True
    """As ``judged.Judged`` has it."""

    @property
    def key(self) -> tuple[str | None, str]:
        """What the series is called in every run."""
        return self.file, self.series

    @property
    def alarmed_s(self) -> float:
        """For how long it was alarmed."""
        return sum((self.last_ms if end is None else end) - start for start, end in self.alerts) / 1000


def as_object(one: Replayed) -> dict[str, Any]:
    """Return the object of one series; times are seconds since 1970."""
    alerts = [[start / 1000, None if end is None else end / 1000] for start, end in one.alerts]
    config = {} if one.config is None else {"config": text(one.config)}
    return (
        config
        | source(one.file)
        | {
            "series": text(one.series),
            "verdict": str(one.assessment.verdict),
            **_slope(one.assessment),
            "first_alert": alerts[0][0] if alerts else None,
            "alerts": alerts,
        }
    )


def _slope(found: Assessment) -> dict[str, Any]:
    """Return a slope without its interval."""
    return {name: value for name, value in growth(found, found.unit).items() if name.endswith("_per_hour")}


def lines(rows: Iterable[Replayed]) -> str:
    """Return one JSON object a line."""
    return "".join(json_text(as_object(row)) for row in rows)


def table(rows: Sequence[Replayed]) -> str:
    """Return how much would have been alarmed, and what, in the order of the first alarms."""
    alarmed = sorted((row for row in rows if row.alerts), key=lambda row: row.alerts[0][0])
    out = [_headline(rows), ""]
    if alarmed:
        out += aligned([_HEADINGS, *map(_cells, alarmed)])
    return "\n".join(out).rstrip() + "\n"


def _headline(rows: Sequence[Replayed]) -> str:
    total = _Total(rows)
    over = f"in {total.hours:.0f} series-hours"
    if not total.alarms:
        return f"None of {words.count(len(rows), 'series', 'series')} would have been alarmed {over}."
    return (
        f"{total.alarmed} of {words.count(len(rows), 'series', 'series')} would have been alarmed, "
        f"{words.count(total.alarms, 'alarm')} {over}: {total.rate} per {HOURS_A_RATE}."
    )


class _Total:
    """All series of one run together."""

    def __init__(self, rows: Sequence[Replayed]) -> None:
        self.alarms = sum(len(row.alerts) for row in rows)
        self.alarmed = sum(bool(row.alerts) for row in rows)
        self.leaking = sum(row.assessment.verdict is Verdict.LEAK for row in rows)
        self.alarmed_s = sum(row.alarmed_s for row in rows)
        self.hours = sum(row.hours for row in rows)
        self.rate = f"{self.alarms / self.hours * HOURS_A_RATE:.2f}" if self.hours else "-"


def _cells(row: Replayed) -> tuple[str, ...]:
    return (
        growth_words.minute(row.alerts[0][0]),
        _name(row),
        str(len(row.alerts)),
        format_duration(row.alarmed_s),
        f"{row.assessment.verdict}, {words.rate_of(row.assessment)}",
    )


def _name(row: Replayed) -> str:
    name = words.short(row.series, WIDEST)
    return name if row.file is None else f"{printable(row.file)}: {name}"


def comparison(before: Sequence[Replayed], after: Sequence[Replayed]) -> str:
    """Return two runs over the same series side by side, and the series in which they differ."""
    one, other = _Total(before), _Total(after)
    names = [printable(rows[0].config or "") for rows in (before, after)]
    out = aligned(
        [
            ("", *names),
            ("alarms", str(one.alarms), str(other.alarms)),
            (f"alarms per {HOURS_A_RATE} series-hours", one.rate, other.rate),
            (f"series alarmed, of {len(before)}", str(one.alarmed), str(other.alarmed)),
            ("leaks at the end", str(one.leaking), str(other.leaking)),
            ("time alarmed, in total", format_duration(one.alarmed_s), format_duration(other.alarmed_s)),
        ]
    )
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if _differ(a, b)]
    if not pairs:
        return "\n".join([*out, "", "Every series has the same alarms and verdict."]) + "\n"
    out += ["", f"Differences in {words.count(len(pairs), 'series', 'series')}:", ""]
    out += aligned([("series", *names), *((_name(a), _course(a), _course(b)) for a, b in pairs)])
    return "\n".join(out) + "\n"


def _differ(one: Replayed, other: Replayed) -> bool:
    return one.alerts != other.alerts or one.assessment.verdict is not other.assessment.verdict


def _course(row: Replayed) -> str:
    """Return in a few words when a series would have been alarmed, and what it is called at the end."""
    if not row.alerts:
        return f"no alarm, {row.assessment.verdict}"
    first = growth_words.minute(row.alerts[0][0])
    return f"{first} {words.count(len(row.alerts), 'alarm')}, {row.assessment.verdict}"
