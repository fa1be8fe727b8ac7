"""A finding in an operator's words; the table and the Markdown report share them."""

from __future__ import annotations

from leakwatch import metrics
from leakwatch.model.incident import IncidentState
from leakwatch.model.verdict import SUSPECT, Assessment, Finding, FindingKind, Trend, Verdict
from leakwatch.report import growth_words, ownership, phrases
from leakwatch.report.build import ReportRow
from leakwatch.text.escape import printable
from leakwatch.units import format_amount, format_duration, format_growth

DAY_H = 24
NOW_MS = 1_800_000
"""A size is that of now until it is as old as two evaluations at the defaults."""


def count(number: int, one: str, many: str = "") -> str:
    """Return e.g. ``1 value``, ``2 values``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def what(row: ReportRow, widest: int | None = None) -> str:
    """Return whose memory it is: ``redis-server (pid 812)``, ``kmalloc-4k``, the name cut to ``widest`` characters.

    Of a count it says which: ``redis-server (pid 812): open files``.
    """
    one = row.finding
    name = short(one.name, widest)
    whose = f"{name} (pid {one.pid})" if one.pid is not None else name
    return f"{whose}: {metrics.title(one.metric)}" if one.metric in metrics.APART else whose


def short(name: str, widest: int | None = None) -> str:
    """Return a name made safe to print, cut to ``widest`` characters."""
    text = printable(name)
    return text if widest is None or len(text) <= widest else text[: widest - 1] + "…"


def rate(row: ReportRow) -> str:
    """Return the rate an hour, with its interval."""
    return rate_of(row.finding.assessment)


def rate_of(found: Assessment) -> str:
    """Return an assessment's rate an hour, with its interval."""
    return "-" if found.slope_bytes_per_hour is None else _rate(found.slope_bytes_per_hour, found, found.unit)


def rate_of_window(trend: Trend, unit: str = "") -> str:
    """Return one window's rate an hour, with its interval."""
    return _rate(trend.slope_bytes_per_hour, trend, unit)


def _rate(per_hour: float, found: Assessment | Trend, unit: str) -> str:
    text = format_growth(per_hour, unit)
    if found.slope_low is None or found.slope_high is None:
        return text
    low, high = format_amount(found.slope_low, unit), format_amount(found.slope_high, unit)
    if low.partition(" ")[2] == high.partition(" ")[2]:
        low = low.partition(" ")[0]  # the unit once
    return f"{text} ({low} to {high})"


def per_day(row: ReportRow) -> str:
    """Return the rate a day."""
    return per_day_of(row.finding.assessment)


def per_day_of(found: Assessment) -> str:
    """Return an assessment's rate a day."""
    slope = found.slope_bytes_per_hour
    return "-" if slope is None else format_growth(slope * DAY_H, found.unit).replace("/h", "/d")


def grown(row: ReportRow) -> str:
    """Return how much it has grown and since when."""
    return grown_of(row.finding.assessment)


def grown_of(found: Assessment) -> str:
    """Return how much was grown and since when."""
    if found.grown_bytes is None or found.since_ms is None:
        return "-"
    return f"{format_amount(found.grown_bytes, found.unit)} since {growth_words.minute(found.since_ms)}"


def time_to_limit(row: ReportRow, now_ms: int) -> str:
    """Return the time until the limit."""
    if row.ended_ms is not None:
        return "ended"
    at = row.finding.exhaustion_at_ms
    if at is None:
        return "-"
    return "now" if at <= now_ms else format_duration((at - now_ms) / 1000)


def limit(row: ReportRow) -> str:
    """Return what the time until the limit is measured against."""
    one = row.finding
    if one.exhaustion_at_ms is None or row.ended_ms is not None:
        return ""
    left = f"{format_amount(one.limit_bytes or 0, one.assessment.unit)} left"
    of = "" if one.limit_total is None else f" of {one.limit_total}"
    return f"{left}{of} ({printable(one.limit_name)})"


def why(row: ReportRow) -> str:
    """Return how sure it is and why, in one line."""
    return why_of(row.finding.assessment)


def why_of(found: Assessment) -> str:
    """Return how sure an assessment is and why, in one line."""
    sure = f"confidence {found.confidence:.2f}: " if found.verdict in SUSPECT else ""
    return f"{sure}{printable(reason_of(found))}"


def reason_of(found: Assessment) -> str:
    """Return why an assessment is what it is, with the growth that was seen where none could be judged yet."""
    seen = seen_of(found)
    reason = phrases.text(found.reasons)
    return f"{reason}; {seen}" if seen else reason


def seen_of(found: Assessment) -> str:
    """Return the growth seen of what is too young for a verdict; empty where there is none."""
    if found.verdict is not Verdict.LEARNING or not found.grown_bytes:
        return ""
    before = format_amount(found.current_bytes - found.grown_bytes, found.unit)
    now = format_amount(found.current_bytes, found.unit)
    return "" if before == now else f"grown from {before} to {now}: too few samples to judge"


def grows(row: ReportRow) -> str:
    """Return what part of it grows; empty where that is not known."""
    return growth_words.sentence(row.growth)


def when(row: ReportRow, now_ms: int) -> str:
    """Return ``now``, or the time of a size that is older: what is no suspect is stored anew once an hour only."""
    one = row.finding
    if row.ended_ms is not None:
        return "at its end"
    old = one.evaluated_at_ms and now_ms - one.evaluated_at_ms > NOW_MS
    return f"at {growth_words.minute(one.evaluated_at_ms)}" if old else "now"


def where(row: ReportRow, now_ms: int) -> str:
    """Return what grows and how large it is, what else names it, and its id."""
    one = row.finding
    least = "at least " if one.is_lower_bound and row.ended_ms is None else ""
    size = format_amount(one.assessment.current_bytes, one.assessment.unit)
    parts = [f"{metrics.title(one.metric)}: {least}{size} {when(row, now_ms)}"]
    if row.too_large and row.ended_ms is None:
        parts[0] += " (estimated: too large to read)"
    if one.sorts and row.ended_ms is None:
        parts.append(made_of(one))
    if one.kind is FindingKind.PROCESS and one.service:
        parts.append(printable(one.service))
    if one.user:
        parts.append(f"user {printable(one.user)}")
    if one.notes:
        parts.append(printable(phrases.text(one.notes)))
    if row.ended_ms is not None:
        parts.append(f"ended {growth_words.minute(row.ended_ms)}")
    parts.append(f"id {one.id}")
    return " · ".join(parts)


SORTS_NAMED = 3


def made_of(one: Finding) -> str:
    """Return of which sort most of a count are, and which grew: ``104 socket, 6 file; since 05:10Z +96 socket``."""
    grown = sorted((sort for sort in one.sorts if sort.grown > 0), key=lambda sort: -sort.grown)[:SORTS_NAMED]
    most = sorted(one.sorts, key=lambda sort: -sort.now)[:SORTS_NAMED]
    text = ", ".join(f"{sort.now} {printable(sort.name)}" for sort in most)
    if grown and one.sorted_since_ms is not None:
        since = growth_words.minute(one.sorted_since_ms)
        text += f"; since {since} {', '.join(f'+{sort.grown} {printable(sort.name)}' for sort in grown)}"
    return text


def owner(row: ReportRow) -> str:
    """Return whose it is, what its control group holds against its limit, and what of it was OOM killed."""
    return " · ".join(ownership.lines(row.whose))


def incident(row: ReportRow, now_ms: int) -> str:
    """Return how far its incident has come, who knows of it and until when it is silenced; empty without one.

    A resolved one is told of only while it is silenced, as what leaks then would not be announced.
    """
    one = row.incident
    if one is None or (one.state is IncidentState.RESOLVED and one.silenced(now_ms) is None):
        return ""
    return growth_words.line(one, now_ms)


def more(row: ReportRow, now_ms: int) -> tuple[str, ...]:
    """Return the lines below a finding's own: why, what of it grows, its limit, whose it is, and what to do next."""
    lines = (why(row), grows(row), limit(row), where(row, now_ms), owner(row), incident(row, now_ms), next_step(row))
    return tuple(line for line in lines if line)


def next_step(row: ReportRow) -> str:
    """Return the command to try first; empty where there is none."""
    return f"next: {printable(row.next_step)}" if row.next_step else ""
