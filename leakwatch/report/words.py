"""A finding in an operator's words; the table and the Markdown report share them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.escape import printable
from leakwatch.incident import IncidentState
from leakwatch.model import AbsenceReason, FindingKind, Verdict
from leakwatch.report import growth_words, incident_words, whose
from leakwatch.units import format_amount, format_bytes, format_duration, format_growth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwatch.model import Assessment, Finding, Trend
    from leakwatch.report.build import Report, Row

DAY_H = 24
_LEFT_OUT = {AbsenceReason.NO_ADDRESS_SPACE, AbsenceReason.GONE}
"""Nothing is lost by these: kernel threads and zombies have no memory, and processes end."""
_CAUSE = {
    AbsenceReason.DENIED: "refused by the kernel",
    AbsenceReason.UNSUPPORTED: "not offered by this kernel",
    AbsenceReason.MALFORMED: "not in a known format",
    AbsenceReason.SKIPPED: "not read this time",
}


def count(number: int, one: str, many: str = "") -> str:
    """Return e.g. ``1 value``, ``2 values``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def what(row: Row, widest: int | None = None) -> str:
    """Return whose memory it is: ``redis-server (pid 812)``, ``kmalloc-4k``, the name cut to ``widest`` characters.

    Of a count it says which: ``redis-server (pid 812): open files``.
    """
    one = row.finding
    name = short(one.name, widest)
    whose = f"{name} (pid {one.pid})" if one.pid is not None else name
    return f"{whose}: {metrics.title(one.metric)}" if one.metric in metrics.PROCESS_COUNTS else whose


def short(name: str, widest: int | None = None) -> str:
    """Return a name made safe to print, cut to ``widest`` characters."""
    text = printable(name)
    return text if widest is None or len(text) <= widest else text[: widest - 1] + "…"


def rate(row: Row) -> str:
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


def per_day(row: Row) -> str:
    """Return the rate a day."""
    return per_day_of(row.finding.assessment)


def per_day_of(found: Assessment) -> str:
    """Return an assessment's rate a day."""
    slope = found.slope_bytes_per_hour
    return "-" if slope is None else format_growth(slope * DAY_H, found.unit).replace("/h", "/d")


def grown(row: Row) -> str:
    """Return how much it has grown and since when."""
    return grown_of(row.finding.assessment)


def grown_of(found: Assessment) -> str:
    """Return how much was grown and since when."""
    if found.grown_bytes is None or found.since_ms is None:
        return "-"
    return f"{format_amount(found.grown_bytes, found.unit)} since {incident_words.minute(found.since_ms)}"


def lasts(row: Row, now_ms: int) -> str:
    """Return the time until the limit."""
    if row.ended_ms is not None:
        return "ended"
    at = row.finding.exhaustion_at_ms
    if at is None:
        return "-"
    return "now" if at <= now_ms else format_duration((at - now_ms) / 1000)


def limit(row: Row) -> str:
    """Return what the time until the limit is measured against."""
    one = row.finding
    if one.exhaustion_at_ms is None or row.ended_ms is not None:
        return ""
    left = f"{format_amount(one.limit_bytes or 0, one.assessment.unit)} left"
    of = "" if one.limit_total is None else f" of {one.limit_total}"
    return f"{left}{of} ({printable(one.limit_name)})"


def why(row: Row) -> str:
    """Return how sure it is and why, in one line."""
    return why_of(row.finding.assessment)


def why_of(found: Assessment) -> str:
    """Return how sure an assessment is and why, in one line."""
    sure = f"sure {found.confidence:.2f}: " if found.verdict in (Verdict.LEAK, Verdict.WATCH) else ""
    return f"{sure}{printable(found.reason)}"


def grows(row: Row) -> str:
    """Return what part of it grows; empty where that is not known."""
    return growth_words.sentence(row.growth)


def where(row: Row) -> str:
    """Return what grows and how large it is, what else names it, and its id."""
    one = row.finding
    parts = [f"{metrics.title(one.metric)}: {format_amount(one.assessment.current_bytes, one.assessment.unit)} now"]
    if row.too_large and row.ended_ms is None:
        parts[0] += " (estimated: too large to be read)"
    if one.sorts and row.ended_ms is None:
        parts.append(made_of(one))
    if one.kind is FindingKind.PROCESS and one.service:
        parts.append(printable(one.service))
    if one.user:
        parts.append(f"user {printable(one.user)}")
    if one.note:
        parts.append(printable(one.note))
    if row.ended_ms is not None:
        parts[0] = parts[0].removesuffix(" now") + " at its end"
        parts.append(f"ended {incident_words.minute(row.ended_ms)}")
    parts.append(f"id {one.id}")
    return " · ".join(parts)


SORTS_NAMED = 3


def made_of(one: Finding) -> str:
    """Return of which sort most of a count are, and which grew: ``104 socket, 6 file; since 05:10Z +96 socket``."""
    grown = sorted((sort for sort in one.sorts if sort.grown > 0), key=lambda sort: -sort.grown)[:SORTS_NAMED]
    most = sorted(one.sorts, key=lambda sort: -sort.now)[:SORTS_NAMED]
    text = ", ".join(f"{sort.now} {printable(sort.name)}" for sort in most)
    if grown and one.sorted_since_ms is not None:
        since = incident_words.minute(one.sorted_since_ms)
        text += f"; since {since} {', '.join(f'+{sort.grown} {printable(sort.name)}' for sort in grown)}"
    return text


def owner(row: Row) -> str:
    """Return whose it is, what its control group holds against its limit, and what of it was OOM killed."""
    return " · ".join(whose.lines(row.whose))


def incident(row: Row, now_ms: int) -> str:
    """Return how far its incident has come, who knows of it and until when it is silenced; empty without one.

    A resolved one is told of only while it is silenced, as what leaks then would not be announced.
    """
    one = row.incident
    if one is None or (one.state is IncidentState.RESOLVED and one.silenced(now_ms) is None):
        return ""
    return incident_words.line(one, now_ms)


def more(row: Row, now_ms: int) -> tuple[str, ...]:
    """Return the lines below a finding's own: why, what of it grows, its limit, whose it is, and what to do next."""
    lines = (why(row), grows(row), limit(row), where(row), owner(row), incident(row, now_ms), next_step(row))
    return tuple(line for line in lines if line)


def next_step(row: Row) -> str:
    """Return the command to try first; empty where there is none."""
    return f"next: {printable(row.next_step)}" if row.next_step else ""


def headline(report: Report) -> str:
    """Return the answer in one line."""
    leaks, watched = _running(report.loud, Verdict.LEAK), _running(report.loud, Verdict.WATCH)
    ended = sum(row.ended_ms is not None for row in report.loud)
    if report.evaluated_ms is None:
        return f"Nothing judged yet {_among(report)}."
    found = [count(leaks, "leak")] if leaks else []
    found += [f"{watched} to watch"] if watched else []
    found += [f"{count(ended, 'that has', 'that have')} ended"] if ended else []
    found += [f"{len(report.silenced)} silenced"] if report.silenced else []
    return f"{', '.join(found) or 'Nothing found that leaks'} {_among(report)}."


def _running(rows: Sequence[Row], verdict: Verdict) -> int:
    return sum(row.finding.assessment.verdict is verdict and row.ended_ms is None for row in rows)


def _among(report: Report) -> str:
    read = report.host.targets_read
    kinds = {"processes": ("process", "processes"), "slab": ("slab cache", ""), "vmalloc": ("vmalloc caller", "")}
    parts = [count(read[name], *words) for name, words in kinds.items() if read.get(name)]
    if not parts:
        return "and nothing could be read"
    *head, last = parts
    return f"among {', '.join(head)} and {last}" if head else f"among {last}"


def alarm(report: Report) -> str:
    """Return what makes the answer worthless unless it is known first, else nothing."""
    if report.stale_s is None:
        return ""
    return (
        f"Nobody samples: the last scrape is {format_duration(report.stale_s)} old. "
        "Start the daemon (systemctl start leakwatch)."
    )


def remarks(report: Report) -> list[str]:
    """Return what limits the answer: what is not shown, too little data, what could not be read and why."""
    lines = _hidden(report)
    learning = report.counts.get(Verdict.LEARNING, 0)
    if learning and report.host.windows_s:
        half = format_duration(min(report.host.windows_s) / 2)
        lines.append(f"{learning} still learning: a first verdict takes {half} of data.")
    if report.window_s is not None:
        lines.append(f"As the window of {format_duration(report.window_s)} alone sees it, without confirmation.")
    lines += _killed(report) + _irregular(report) + _unread(report) + _own(report)
    if report.leaking:
        lines.append("Why, test by test, and what would change it: leakwatch explain ID")
    if any(row.next_step for row in report.rows):
        lines.append("What to do next, with costs and risks: leakwatch explain ID --next")
    return lines


def _killed(report: Report) -> list[str]:
    parts = [
        f"{printable(name)} {whose.killed(kills)}"
        if name
        else f"somebody unknown {whose.killed(replace(kills, certain=True))}"
        for name, kills in sorted(report.kills.items())
    ]
    return [f"Killed by the kernel for want of memory: {'; '.join(parts)}."] if parts else []


def _own(report: Report) -> list[str]:
    if report.own is None:
        return []
    found = report.own.finding.assessment
    cpu = "" if report.own.cpu_share is None else f", {100 * report.own.cpu_share:.2f} % of a core"
    memory = f"{format_bytes(found.current_bytes)}{cpu}"
    return [f"leakwatch itself takes {memory}; its own verdict: {found.verdict}, {printable(found.reason)}."]


def _hidden(report: Report) -> list[str]:
    """Return that the filters leave out leaks: who asks about one service must not take the rest for healthy."""
    more = report.counts.get(Verdict.LEAK, 0) - _running(report.rows, Verdict.LEAK)
    return [f"{count(more, 'more leak')} not shown here: the options leave {'it' if more == 1 else 'them'} out."] * (
        more > 0 and report.window_s is None
    )


def _irregular(report: Report) -> list[str]:
    host = report.host
    parts = []
    if host.missed:
        were = "was" if host.missed == 1 else "were"
        parts.append(f"{host.missed} of {host.scrapes + host.missed} scrapes {were} missed")
    if host.suspended_ms:
        parts.append(f"the machine slept for {format_duration(host.suspended_ms / 1000)}")
    if host.clock_stepped_ms:
        parts.append(f"the clock was set by {format_duration(host.clock_stepped_ms / 1000)} in all")
    return [f"In the last day {', '.join(parts)}."] if parts else []


def _unread(report: Report) -> list[str]:
    host = report.host
    lines = [
        f"Not read: {count(number, 'value')} {_CAUSE[reason]} ({_examples(report, reason)})."
        for reason, number in sorted(host.absences.items())
        if reason not in _LEFT_OUT
    ]
    if host.absences.get(AbsenceReason.DENIED):
        lines.append("What is refused and which privilege it takes: leakwatch doctor.")
    return lines


def _examples(report: Report, reason: AbsenceReason) -> str:
    prefix = f"{reason}: "
    found = [note for notes in report.host.notes.values() for note in notes if note.startswith(prefix)]
    return f"such as {printable(found[0].removeprefix(prefix))}" if found else "no example kept"
