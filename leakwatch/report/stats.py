"""What watching has cost and on whom: for a terminal and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leakwatch.clock import rfc3339
from leakwatch.report.columns import WIDEST, aligned
from leakwatch.report.words import count, short
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_bytes

SCHEMA = 1
_PARTS = (
    ("listing_cpu_seconds", "listing processes"),
    ("looking_cpu_seconds", "reading statm of each, names"),
    ("reading_cpu_seconds", "full reads (smaps_rollup)"),
    ("delivering_cpu_seconds", "values, threads, open files"),
    ("kernel_cpu_seconds", "kernel (slab, vmalloc, meminfo)"),
    ("storing_cpu_seconds", "storing"),
    ("evaluating_cpu_seconds", "evaluating"),
    ("upkeep_cpu_seconds", "compressing history, removing old"),
)
_WHY = {
    "read": "read in the last round",
    "steady": "estimated: cannot have changed by much",
    "over_stall": "estimated: a full read would stall it",
    "waiting": "waits: the CPU budget went to others",
    "refused": "the kernel refuses a full read",
}
_ROW_HEADINGS = ("pid", "name", "resident", "one full read", "full reads", "possible error", "now")


def as_json(stats: Mapping[str, Any]) -> str:
    """Return the stored statistics as one JSON object: cumulative, seconds of CPU and plain counts."""
    rest = {name: value for name, value in stats.items() if name != "at_ms"}
    body = {"schema": SCHEMA, "at": rfc3339(stats["at_ms"]), **rest}
    return json_text(body, indent=1)


def cpu_share(stats: Mapping[str, Any]) -> float | None:
    """Return what all of watching took of a core since the store was begun, None where no round was kept."""
    if not stats.get("rounds") or not stats.get("interval_s"):
        return None
    spent: float = sum(stats.get(key, 0.0) for key, _ in _PARTS)
    share: float = spent / (stats["rounds"] * stats["interval_s"])
    return share


def table(stats: Mapping[str, Any]) -> str:
    """Return the same for a terminal, the answer first."""
    lines = [*_answer(stats), "", *_parts(stats), ""]
    for title, rows in (
        ("Most expensive full reads:", stats["dearest"]),
        ("Estimated, as a full read would exceed [sampling] max_stall; the largest:", stats["over_stall"]),
        ("Waiting for CPU time ([sampling] cpu_budget); the most uncertain:", stats["waiting"]),
    ):
        if rows:
            lines += [title, *_rows(rows), ""]
    lines.append(f"As of {rfc3339(stats['at_ms'])}, totals since the store was created.")
    return "\n".join(lines) + "\n"


def _answer(stats: Mapping[str, Any]) -> list[str]:
    last = stats["last"]
    cpu_s, interval_s = last["cpu_seconds"], stats["interval_s"]
    skipped = f"{last['skipped']} skipped" if last["skipped"] else "none skipped"
    told = count(last["processes"], "process", "processes")
    share = f"{100 * cpu_s / interval_s:.2f} % of a core at one round every {interval_s:g} s"
    return [
        f"Sampling {told} took {_seconds(cpu_s)} of CPU in the last round, {share}.",
        f"{last['full_reads']} read fully, {last['estimated']} estimated, {skipped}.",
    ]


def _parts(stats: Mapping[str, Any]) -> list[str]:
    total, rounds = sum(stats.get(key, 0.0) for key, _ in _PARTS) or 1.0, stats["rounds"] or 1
    cells = [
        (title, _seconds(spent), _seconds(spent / rounds), f"{100 * spent / total:.0f} %")
        for spent, title in ((stats.get(key, 0.0), title) for key, title in _PARTS)
    ]
    heading = ("CPU time", f"in {count(stats['rounds'], 'round')}", "a round", "share")
    counted = (
        f"{stats['estimated']} values were estimated and {stats['skipped']} skipped, counted by process and"
        f" round; {count(stats['full_reads'], 'full read')}, {stats.get('looks', 0)} of them mapping by mapping."
    )
    return [*aligned([heading, *cells]), counted]


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return aligned([_ROW_HEADINGS, *(_cells(row) for row in rows)])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    cost_s = row["cost_seconds"]
    return (
        str(row["pid"]),
        short(printable(row["name"]), WIDEST),
        format_bytes(row["resident_bytes"]),
        "never" if cost_s is None else _seconds(cost_s),
        str(row["full_reads"]),
        format_bytes(row["possible_error_bytes"]),
        _WHY.get(row["why"], row["why"]),
    )


def _seconds(value: float) -> str:
    """Return seconds as a person reads them: ``0.12 ms``, ``36 ms``, ``4.2 s``."""
    if value < 0.01:
        return f"{value * 1000:.2f} ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
