"""What ``leakwatch db stats`` prints.

Stored samples, scrape by scrape, for other programs: read, chosen and named here, written by ``report.export``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakwatch.analysis.replay.series_name import series_name
from leakwatch.clock import rfc3339
from leakwatch.config import matches
from leakwatch.model.identity import ProcessInfo, Target
from leakwatch.model.memory_class import process_of
from leakwatch.report.samples import Exported, Named
from leakwatch.store.maintenance.inventory import Inventory, PartKind, StoreForecast
from leakwatch.store.maintenance.retention import RetentionLimits
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import json_text, printable
from leakwatch.units import format_bytes, format_duration

SCHEMA = 1
"""Of the JSON object."""
DAY_S = 86_400


def as_table(path: Path, found: Inventory, limits: RetentionLimits, outlook: StoreForecast) -> str:
    """Return the answer first, then what takes the room, largest first, then how far back it reaches."""
    free = f", {format_bytes(found.free_bytes)} free within it" if found.free_bytes else ""
    size = f"{format_bytes(found.file_bytes)}{free}"
    lines = [
        f"{printable(str(path))}: {size}, {format_bytes(limits.max_size_bytes)} allowed (max_size).",
        _prospect(outlook),
        "",
    ]
    rows = [("part", "takes", "share", "holds", "bytes each")]
    for part in sorted(found.parts, key=lambda part: -part.bytes):
        each = part.bytes_a_row
        held = "" if part.rows is None else f"{part.rows:,}"
        share = f"{part.bytes / max(1, found.used_bytes):.0%}"
        rows.append((part.name, format_bytes(part.bytes), share, held, "" if each is None else f"{each:.2f}"))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"{found.scrapes:,} scrapes of {found.series:,} series.",
        f"Samples {_reach(found.samples)}; kept for {format_duration(limits.keep_samples_s)}.",
        f"Blocks {_reach(found.blocks)}; kept for {format_duration(limits.keep_blocks_s)}.",
    ]
    return "\n".join(lines) + "\n"


def _reach(kind: PartKind) -> str:
    if kind.first_ms is None or kind.last_ms is None:
        return "are none there"
    return f"reach from {rfc3339(kind.first_ms)} to {rfc3339(kind.last_ms)}"


def _prospect(outlook: StoreForecast) -> str:
    if not outlook.day_bytes:
        return "It grows no more: what comes takes the place of what goes."
    grows = f"It grows by {format_bytes(outlook.day_bytes)} a day"
    if outlook.full_in_days is None:
        return f"{grows} and levels off at about {format_bytes(outlook.levels_at_bytes)}, when history goes by age."
    when = format_duration(max(60.0, outlook.full_in_days * DAY_S)) if outlook.full_in_days else ""
    full = f"is full in about {when}" if when else "is full"
    return f"{grows} and {full}; then the oldest goes before its time. Raise max_size or keep less."


def as_json(path: Path, found: Inventory, limits: RetentionLimits, outlook: StoreForecast) -> str:
    """Return one object; sizes are bytes, times RFC 3339."""
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "path": str(path),
        "file_bytes": found.file_bytes,
        "log_bytes": found.log_bytes,
        "used_bytes": found.used_bytes,
        "free_bytes": found.free_bytes,
        "max_size_bytes": limits.max_size_bytes,
        "growth_bytes_per_day": outlook.day_bytes,
        "full_in_days": outlook.full_in_days,
        "levels_at_bytes": outlook.levels_at_bytes,
        "scrapes": found.scrapes,
        "series": found.series,
        "samples": _kind(found.samples),
        "blocks": _kind(found.blocks),
        "parts": [
            {"name": part.name, "bytes": part.bytes, "rows": part.rows, "bytes_each": part.bytes_a_row}
            for part in found.parts
        ],
    }
    return json_text(body, indent=1)


def _kind(kind: PartKind) -> dict[str, Any]:
    return {
        "count": kind.rows,
        "bytes": kind.bytes,
        "oldest": None if kind.first_ms is None else rfc3339(kind.first_ms),
        "newest": None if kind.last_ms is None else rfc3339(kind.last_ms),
        "bytes_per_day": kind.day_bytes,
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """What to export; empty patterns stand for all."""

    metrics: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """Shell patterns of a target's key, a process's name or service, or a series' whole name."""
    since_ms: int | None = None
    until_ms: int | None = None


def exported(reader: Reader, choice: Choice) -> Iterator[Exported]:
    """Yield the samples chosen, oldest first. Holds a sealed day of them at most. Raises the reader's errors."""
    series = _chosen(reader, choice)
    heads = [
        head
        for head in reader.scrapes_since(choice.since_ms or 0)
        if choice.until_ms is None or head.ts_ms < choice.until_ms
    ]
    for head, found in reader.scraped(heads, series):
        for number, value in found.values.items():
            yield head.ts_ms, series[number], value, number in found.estimated


def _chosen(reader: Reader, choice: Choice) -> dict[int, Named]:
    """Return the series chosen by number, each with a name of its own."""
    processes = {one.info.identity.target: one.info for one in reader.lifetimes()}
    taken: Counter[str] = Counter()
    chosen: dict[int, Named] = {}
    for number, (metric, target) in sorted(reader.all_series().items()):
        process = processes.get(process_of(target))
        name = printable(series_name(metric, target, process))
        taken[name] += 1
        if taken[name] > 1:  # a pid that was given out again to a program of the same name
            name = f"{name}#{taken[name]}"
        if _is_chosen(choice, metric, target, name, process):
            chosen[number] = (metric, str(target.kind), target.key, name)
    return chosen


def _is_chosen(choice: Choice, metric: str, target: Target, name: str, process: ProcessInfo | None) -> bool:
    if choice.metrics and not matches(choice.metrics, metric):
        return False
    of_process = (process.name, process.service.name if process.service else "") if process else ()
    return not choice.targets or matches(choice.targets, target.key, name, *of_process)
