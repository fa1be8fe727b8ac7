"""What part of a process's memory grows: in words, as a table and for programs.

An incident in an operator's words, and as JSON.
"""

from __future__ import annotations

from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.model.incident import Incident, IncidentState
from leakwatch.model.memory_class import ClassTrend, Growth, title
from leakwatch.report import phrases
from leakwatch.report.columns import WIDEST, aligned
from leakwatch.report.json_values import finite, integer
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes, format_duration, format_rate

NAMED_PART = 0.2
"""Of the growth, from which on a class is named beside the first one."""
SHOWN_MOST = 12
"""Rows of a table; the rest hold still or shrink."""
_HEADINGS = ("class", "mappings", "held", "trend (95 % interval)", "share of the growth", "mappings an hour")


def sentence(growth: Growth | None) -> str:
    """Return e.g. ``grows: the heap, +3.1 MiB/h of 3.2 (97 %), by 9 reads in 2 h``; empty where nothing does."""
    if growth is None or growth.slope_bytes_per_hour <= 0 or not growth.classes:
        return ""
    first, *others = growth.classes
    if first.slope_bytes_per_hour <= 0:
        return ""
    parts = [f"{printable(title(first.key))}, {_of_all(first, growth)}"]
    parts += [
        f"{printable(title(one.key))} {format_rate(one.slope_bytes_per_hour)}"
        for one in others
        if one.share is not None and one.share >= NAMED_PART
    ]
    return f"grows: {'; '.join(parts)}, by {_looks(growth)}"


def _of_all(one: ClassTrend, growth: Growth) -> str:
    rate, whole = format_rate(one.slope_bytes_per_hour), format_rate(growth.slope_bytes_per_hour)
    if whole.partition(" ")[2] == rate.partition(" ")[2]:
        whole = whole.partition(" ")[0]  # the unit once
    return f"{rate} of {whole.removeprefix('+')} ({_percent(one)})"


def _percent(one: ClassTrend) -> str:
    return "-" if one.share is None else f"{100 * one.share:.0f} %"


def _looks(growth: Growth) -> str:
    over = format_duration((growth.last_ms - growth.first_ms) / 1000)
    of = f" at {growth.processes} processes" if growth.processes > 1 else ""
    return f"{growth.reads} reads{of} in {over}"


def table(growth: Growth | None) -> list[str]:
    """Return the classes as lines of a table, the fastest growth first; empty without reads."""
    if growth is None:
        return []
    cells = [
        (
            short_title(one.key),
            str(one.mappings),
            format_bytes(one.held_bytes),
            f"{format_rate(one.slope_bytes_per_hour)} ({_interval(one)})" if one.slope_bytes_per_hour else "-",
            _percent(one) if one.slope_bytes_per_hour else "-",
            _number(one.mappings_per_hour),
        )
        for one in _shown(growth)
    ]
    left = len(growth.classes) - len(cells)
    more = [f"and {left} more that do not grow"] if left > 0 else []
    return [*aligned([_HEADINGS, *cells]), *more]


def short_title(key: str) -> str:
    """Return a class's title safe to print and short enough for a table: of a long path its end is kept."""
    text = printable(title(key))
    if len(text) <= WIDEST:
        return text
    kind = text.partition("/")[0] if "/" in text else ""
    return f"{kind}…{text[-(WIDEST - len(kind) - 1) :]}"


def _number(per_hour: float) -> str:
    if not per_hour:
        return "-"
    return f"{per_hour:+.0f}" if abs(per_hour) >= 10 else f"{per_hour:+.2g}"


def _interval(one: ClassTrend) -> str:
    return f"{format_bytes(one.slope_low)} to {format_bytes(one.slope_high)}"


def _shown(growth: Growth) -> list[ClassTrend]:
    """Return what grows, then the largest of what does not."""
    growing = [one for one in growth.classes if one.slope_bytes_per_hour > 0]
    still = [one for one in growth.classes if one.slope_bytes_per_hour <= 0 and one.held_bytes]
    still.sort(key=lambda one: one.held_bytes, reverse=True)
    return [*growing, *still][: max(SHOWN_MOST, len(growing))]


def heading(growth: Growth) -> str:
    """Return what stands above the table."""
    return f"What grows, by {_looks(growth)}, the last at {rfc3339(growth.last_ms)} (held: private and in swap)"


def growth_object(growth: Growth | None) -> dict[str, Any] | None:
    """Return the same for programs; None without looks."""
    if growth is None:
        return None
    return {
        "looks": growth.reads,
        "processes": growth.processes,
        "first_at": rfc3339(growth.first_ms),
        "last_at": rfc3339(growth.last_ms),
        "slope_bytes_per_hour": integer(growth.slope_bytes_per_hour),
        "classes": [
            {
                "class": in_json(one.key),
                "title": in_json(title(one.key)),
                "held_bytes": one.held_bytes,
                "mappings": one.mappings,
                "slope_bytes_per_hour": integer(one.slope_bytes_per_hour),
                "slope_low": integer(one.slope_low),
                "slope_high": integer(one.slope_high),
                "mappings_per_hour": finite(one.mappings_per_hour),
                "share": None if one.share is None else finite(one.share),
            }
            for one in growth.classes
        ],
    }


def in_json(name: str) -> str:
    """Return a name as JSON carries it: escaped where it is not UTF-8, which strict readers of JSON refuse."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return printable(name)
    return name


def minute(ts_ms: int) -> str:
    """Return a time to the minute, UTC."""
    return rfc3339(ts_ms).replace("T", " ")[:16] + "Z"


def course(incident: Incident) -> str:
    """Return how far it has come and since when: ``confirmed 2026-11-25 08:00Z, reopened 2 times``."""
    if incident.state is IncidentState.RESOLVED:
        why = printable(phrases.text(incident.reasons))
        return f"resolved {minute(incident.resolved_ms or incident.opened_ms)}: {why}"
    if incident.state is IncidentState.OPEN:
        return f"suspected {minute(incident.opened_ms)}, not confirmed yet"
    parts = [f"confirmed {minute(incident.confirmed_ms or incident.opened_ms)}"]
    if incident.reopened_ms is not None:
        often = f", {incident.reopened} times in all" if incident.reopened > 1 else ""
        parts.append(f"reopened {minute(incident.reopened_ms)}{often}")
    if incident.restarted_ms is not None:
        parts.append(f"restarted {minute(incident.restarted_ms)} and no leak since")
    return ", ".join(parts)


def marks(incident: Incident, now_ms: int) -> str:
    """Return who has acknowledged or silenced it, until when and why; empty when nobody has."""
    parts = []
    if given := incident.acknowledged:
        parts.append(f"acknowledged by {printable(given.by)} {minute(given.at_ms)}{_because(given.reason)}")
    if silence := incident.silenced(now_ms):
        parts.append(f"silenced by {printable(silence.by)} until {minute(silence.until_ms)}{_because(silence.reason)}")
    return "; ".join(parts)


def line(incident: Incident, now_ms: int) -> str:
    """Return all of it in one line."""
    noted = marks(incident, now_ms)
    return f"incident {incident.id}: {course(incident)}{f'; {noted}' if noted else ''}"


def _because(reason: str) -> str:
    return f" ({printable(reason)})" if reason else ""


def incident_object(incident: Incident, now_ms: int) -> dict[str, Any]:
    """Return it for programs: times in RFC 3339, None for what does not apply."""
    given, silence = incident.acknowledged, incident.silenced(now_ms)
    return {
        "id": incident.id,
        "state": str(incident.state),
        "opened_at": rfc3339(incident.opened_ms),
        "confirmed_at": _time(incident.confirmed_ms),
        "resolved_at": _time(incident.resolved_ms),
        "resolution": None if incident.resolution is None else str(incident.resolution),
        "reason": phrases.text(incident.reasons),
        "reopened": incident.reopened,
        "reopened_at": _time(incident.reopened_ms),
        "restarted_at": _time(incident.restarted_ms),
        "acknowledged": given and {"at": rfc3339(given.at_ms), "by": given.by, "reason": given.reason},
        "silenced": silence
        and {
            "since": rfc3339(silence.since_ms),
            "until": rfc3339(silence.until_ms),
            "by": silence.by,
            "reason": silence.reason,
        },
    }


def _time(ts_ms: int | None) -> str | None:
    return None if ts_ms is None else rfc3339(ts_ms)
