"""Stored samples, scrape by scrape, for other programs: read, chosen and named here, written by ``report.export``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from leakwatch.analysis.replay.series_name import series_name
from leakwatch.config import matches
from leakwatch.model.identity import ProcessInfo, Target
from leakwatch.model.memory_class import process_of
from leakwatch.report.samples import Exported, Named
from leakwatch.store.read.reader import Reader
from leakwatch.text.escape import printable


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
