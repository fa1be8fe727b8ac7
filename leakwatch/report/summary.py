"""What is said of a report as a whole: the answer in one line, what makes it worthless, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.model.sample import AbsenceReason
from leakwatch.model.verdict import Verdict
from leakwatch.report import ownership, phrases
from leakwatch.report.build import Host, Report, ReportRow
from leakwatch.report.conclusion import Outcome
from leakwatch.report.growth_words import minute
from leakwatch.report.words import count
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes, format_duration

_DAY_MS = 86_400_000
_LEFT_OUT = {AbsenceReason.NO_ADDRESS_SPACE, AbsenceReason.GONE, AbsenceReason.NO_ANSWER}
"""Nothing is lost by the first two: kernel threads and zombies have no memory, and processes end. The third has a line
of its own."""
_NAMED = 5
"""Processes that do not answer, by name."""
_CAUSE = {
    AbsenceReason.DENIED: "refused by the kernel",
    AbsenceReason.UNSUPPORTED: "not offered by this kernel",
    AbsenceReason.MALFORMED: "not in a known format",
    AbsenceReason.SKIPPED: "not read this time",
}

PARTLY_NAMED = 3
"""Services named in one line."""


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
    return f"{', '.join(found) or _nothing(report)} {_among(report)}."


def _nothing(report: Report) -> str:
    """Return what to say where nothing is listed: what was not decided is not fine."""
    return "Nothing decided yet" if report.tally.undecided and not report.tally.decided else "No leaks found"


def _running(rows: Sequence[ReportRow], verdict: Verdict) -> int:
    return sum(row.finding.assessment.verdict is verdict and row.ended_ms is None for row in rows)


def _among(report: Report) -> str:
    read = report.host.targets_read
    kinds = {"processes": ("process", "processes"), "slab": ("slab cache", ""), "vmalloc": ("vmalloc caller", "")}
    parts = [count(read[name], *words) for name, words in kinds.items() if read.get(name)]
    if not parts:
        return "and nothing could be read"
    *head, last = parts
    unseen = "; other users' processes are hidden" if report.host.hidepid else ""
    return (f"among {', '.join(head)} and {last}" if head else f"among {last}") + unseen


def alarm(report: Report) -> str:
    """Return what makes the answer worthless unless it is known first, else nothing."""
    if report.stale_s is None:
        return _unjudged(report)
    return (
        f"No samples for {format_duration(report.stale_s)}. "
        "Start the daemon: sudo systemctl start leakwatch, or leakwatch daemon."
    )


def _unjudged(report: Report) -> str:
    reading = report.host.reading_since_ms is not None
    if report.unjudged_s is None:
        return "The daemon reads its history back after its start; verdicts follow." if reading else ""
    ago = f"No verdicts for {format_duration(max(0.0, report.unjudged_s))}; what follows is older."
    if reading:
        return f"{ago} The daemon reads its history back after its start; verdicts follow."
    return f"{ago} The daemon's log says why: journalctl -u leakwatch"


def remarks(report: Report) -> list[str]:
    """Return what limits the answer: what is not shown, too little data, what could not be read and why."""
    lines = _unseen(report.host) + _hidden(report) + _over(report)
    learning = report.counts.get(Verdict.LEARNING, 0) - len(report.partly_read)
    if learning > 0 and report.host.windows_s:
        shortest_s = min(report.host.windows_s)
        half, whole = format_duration(shortest_s / 2), format_duration(shortest_s)
        lines.append(f"{learning} still learning: a first verdict takes {half} of data, {whole} where it grows.")
    lines += _partly_read(report)
    if report.window_s is not None:
        lines.append(f"Verdicts of the {format_duration(report.window_s)} window alone, without confirmation.")
    lines += _killed(report) + _irregular(report) + _store(report) + _unread(report) + _own(report)
    if report.leaking:
        lines.append("To see why, test by test, and what would change it: leakwatch explain ID")
    if any(row.next_step for row in report.rows):
        lines.append("To see what to do next, with costs and risks: leakwatch explain ID --next")
    return lines


def _partly_read(report: Report) -> list[str]:
    """Return which services are undecided because processes of theirs are not read."""
    if not report.partly_read:
        return []
    names = [printable(name) for name in report.partly_read[:PARTLY_NAMED]]
    more = f" and {len(report.partly_read) - PARTLY_NAMED} more" if len(report.partly_read) > PARTLY_NAMED else ""
    return [
        (
            f"Undecided, as not all of their processes are read: {', '.join(names)}{more} "
            "(--verdict learning; leakwatch doctor)."
        )
    ]


def _unseen(host: Host) -> list[str]:
    """Return what cannot be judged at all: nobody must take it for healthy."""
    lines = []
    number = max(len(host.hung), host.absences.get(AbsenceReason.NO_ANSWER, 0))
    if number:
        they = "1 process does" if number == 1 else f"{number} processes do"
        named = [f"{pid} {printable(name)} since {minute(since_ms)}" for pid, name, since_ms in host.hung[:_NAMED]]
        lines.append(
            f"{they} not answer{': ' if named else ''}{', '.join(named)}{', …' if number > len(named) > 0 else ''}."
        )
        lines.append("A locked memory map cannot be read: those values are estimates or missing.")
    if host.hung:
        lines.append(f"To see what the first one waits for: sudo cat /proc/{host.hung[0][0]}/task/*/stack")
    if host.hidepid:
        lines.append(
            f"/proc is mounted with hidepid={host.hidepid}: other users' processes are hidden, their number is "
            "unknown, and none is judged. The daemon needs CAP_SYS_PTRACE (leakwatch doctor)."
        )
    return lines


def _over(report: Report) -> list[str]:
    """Return what leaked until a restart ended it; its new process is judged for itself and may not be listed."""
    return [
        f"{printable(row.finding.name)} leaked until it was restarted at {rfc3339(row.incident.restarted_ms)}."
        for row in report.leaked
        if row.finding.assessment.verdict is not Verdict.LEAK and row.incident and row.incident.restarted_ms
    ]


def reason(report: Report) -> str:
    """Return in one line why ``--exit-code`` is not 0, empty where it is."""
    if report.outcome is Outcome.OK:
        return ""
    if report.outcome is Outcome.NOT_SAMPLED:
        return alarm(report)
    if report.outcome is Outcome.LEAK:
        names = [_leak_name(row) for row in report.leaked[:3]] + ["…"] * (len(report.leaked) > 3)
        return f"{count(len(report.leaked), 'leak')}: {', '.join(names)}"
    if report.unjudged_s is not None:
        return f"not decided: {_unjudged(report)}"
    if not report.tally.decided + report.tally.undecided:
        early = report.evaluated_ms is None
        why = "nothing is judged yet; ask again later" if early else "the options match nothing that is judged"
        return f"not decided: {why}"
    return f"not decided: {report.tally.undecided} still learning, {report.tally.decided} decided; ask again later"


def _leak_name(row: ReportRow) -> str:
    ended = f" (ended {rfc3339(row.ended_ms)})" if row.ended_ms is not None else ""
    return f"{row.finding.name}{ended}"


def _killed(report: Report) -> list[str]:
    parts = [
        f"{printable(name)} {ownership.killed(kills)}"
        if name
        else f"unknown process {ownership.killed(replace(kills, certain=True))}"
        for name, kills in sorted(report.kills.items())
    ]
    return [f"OOM killed by the kernel: {'; '.join(parts)}."] if parts else []


def _own(report: Report) -> list[str]:
    if report.own is None:
        return []
    found = report.own.finding.assessment
    cpu = "" if report.own.cpu_share is None else f", {100 * report.own.cpu_share:.2f} % of a core"
    memory = f"{format_bytes(found.current_bytes)}{cpu}"
    return [
        f"leakwatch itself uses {memory}; its own verdict: {found.verdict}, {printable(phrases.text(found.reasons))}."
    ]


def _hidden(report: Report) -> list[str]:
    """Return that the filters leave out leaks: who asks about one service must not take the rest for healthy."""
    more = report.counts.get(Verdict.LEAK, 0) - _running(report.rows, Verdict.LEAK)
    return [f"{count(more, 'more leak')} not shown: the options exclude {'it' if more == 1 else 'them'}."] * (
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


def _store(report: Report) -> list[str]:
    """Return what happened to the store in the last day."""
    since_ms = report.generated_ms - _DAY_MS
    return [_stored(note) for note in report.host.store_notes if note["at_ms"] >= since_ms]


def _stored(note: Mapping[str, Any]) -> str:
    at, why = rfc3339(note["at_ms"]), printable(note["why"])
    if note["what"] != "outage":
        lost = " This store does not hold what was stored before." if note["what"] == "lost" else ""
        return f"{at}: {why}.{lost}"
    lost = f"{note['dropped']:,} were lost" if note["dropped"] else "none was lost"
    lasted = format_duration(max(1.0, note["lasted_s"]))
    return (
        f"{at}: the store could not be written for {lasted}; {note['kept']:,} scrapes waited in memory and were "
        f"stored later, {lost} ({why})."
    )


def _unread(report: Report) -> list[str]:
    host = report.host
    lines = [
        f"Not read: {count(number, 'value')} {_CAUSE[reason]} ({_examples(report, reason)})."
        for reason, number in sorted(host.absences.items())
        if reason not in _LEFT_OUT
    ]
    if host.absences.get(AbsenceReason.DENIED):
        lines.append("To see what is refused and which privilege it needs: leakwatch doctor")
    return lines


def _examples(report: Report, reason: AbsenceReason) -> str:
    prefix = f"{reason}: "
    found = [note for notes in report.host.notes.values() for note in notes if note.startswith(prefix)]
    return f"such as {printable(found[0].removeprefix(prefix))}" if found else "no example kept"
