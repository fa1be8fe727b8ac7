"""One use case: from a store and a finding to what part of the memory grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leakwatch import metrics
from leakwatch.model.identity import ProcessInfo, Target, identity_of
from leakwatch.model.memory_class import Growth, process_and_class
from leakwatch.model.verdict import SUSPECT, Finding, FindingKind
from leakwatch.store.read.reader import Reader


def growths(reader: Reader, findings: Sequence[Finding]) -> dict[str, Growth]:
    """Return by finding's id what grows, of those suspects whose mappings were looked into twice at least.

    Raises the reader's errors.
    """
    wanted = [one for one in findings if one.kind is not FindingKind.KERNEL and one.assessment.verdict in SUSPECT]
    series = reader.series_of([metrics.CLASS_HELD, metrics.CLASS_MAPPINGS]) if wanted else {}
    if not series:
        return {}
    known = {process_and_class(target)[0] for _, target in series.values()}
    processes = reader.processes()
    of = {one.id: [target for target in _processes_of(one, processes, known) if target in known] for one in wanted}
    needed = {target for targets in of.values() for target in targets}
    return _grown(reader, series, of, needed)


def _processes_of(finding: Finding, processes: Iterable[ProcessInfo], known: Iterable[Target]) -> list[Target]:
    """Return the process a finding names, else all of its service."""
    if finding.pid is not None:
        alive = [one.identity.target for one in processes if one.identity.pid == finding.pid]
        # One that has ended is no longer among the living: the youngest of those that had its number.
        ended = sorted(known, key=lambda target: identity_of(target.key).start_ticks)
        return alive or [target for target in ended if identity_of(target.key).pid == finding.pid][-1:]
    return [one.identity.target for one in processes if one.service and one.service.name == finding.service]


def _grown(
    reader: Reader, series: dict[int, tuple[str, Target]], of: dict[str, list[Target]], needed: set[Target]
) -> dict[str, Growth]:
    from leakwatch.analysis.findings.mapping_growth import Course, growth_of, together  # noqa: PLC0415 - numpy, needed by few reports

    numbers = {number: key for number, key in series.items() if process_and_class(key[1])[0] in needed}
    looks: dict[Target, dict[str, tuple[Course, Course]]] = {target: {} for target in needed}
    for number, past in reader.pasts(numbers.keys()).items():
        metric, target = numbers[number]
        process, key = process_and_class(target)
        held, mappings = looks[process].setdefault(key, ({}, {}))
        course = held if metric == metrics.CLASS_HELD else mappings
        course.update(zip(past.times_ms, past.values, strict=True))
    grown = {target: growth for target, seen in looks.items() if (growth := growth_of(seen)) is not None}
    found = {one: together([grown[target] for target in targets if target in grown]) for one, targets in of.items()}
    return {one: growth for one, growth in found.items() if growth is not None}
