"""The stored series a bundle holds, as CSV that ``leakwatch analyze`` reads."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator, Sequence

from leakwatch.evidence.entry import BundleEntry, bounded
from leakwatch.model.identity import ProcessInfo, Target, TargetKind
from leakwatch.model.verdict import Finding, FindingKind
from leakwatch.queries.export import Choice, exported
from leakwatch.report.samples import Exported, write_csv
from leakwatch.store.read.reader import Reader

BEFORE_MS = 86_400_000
"""How much is shown of the time before it began to grow."""
MOST_SAMPLES = 120_000
"""Rows: some 6 MB of text."""
ABOUT = "the stored samples of it: leakwatch analyze series.csv judges them anew"
_OF_HOST = frozenset({"kernel.mem_total_bytes", "kernel.mem_available_bytes"})
"""What of the machine belongs to every finding."""


def series(
    reader: Reader, finding: Finding, infos: Sequence[ProcessInfo], now_ms: int, interval_s: float, longest_s: float
) -> BundleEntry:
    """Return series.csv: of the process or its service, or of the cache, from a day before it began to grow.

    No longer than ``longest_s``, nor more than ``MOST_SAMPLES``: what is older goes.
    """
    targets = _targets(finding, infos)
    began_ms = (finding.assessment.since_ms or now_ms) - BEFORE_MS
    counted = len(targets) * 6  # samples a scrape: memory, threads, files of a process
    most_ms = round(min(longest_s, MOST_SAMPLES / counted * interval_s) * 1000)
    choice = Choice(targets=tuple(glob.escape(one.key) for one in targets), since_ms=max(began_ms, now_ms - most_ms))
    text = io.StringIO()
    count = write_csv(_chosen(exported(reader, choice), finding, targets), text)
    data = text.getvalue().encode()
    if not count:
        return BundleEntry("series.csv", ABOUT, None, "no samples of it are stored for that time")
    return bounded("series.csv", ABOUT, data)


def _targets(finding: Finding, infos: Sequence[ProcessInfo]) -> list[Target]:
    host = Target(TargetKind.HOST, "host")
    if finding.kind is FindingKind.KERNEL:
        kind = finding.metric.partition(".")[0]
        return [Target(TargetKind(kind), finding.name), host] if kind in ("slab", "vmalloc") else [host]
    services = {info.service.target for info in infos if info.service is not None}
    return [*(info.identity.target for info in infos), *services, host]


def _chosen(samples: Iterator[Exported], finding: Finding, targets: Sequence[Target]) -> Iterator[Exported]:
    wanted = {(str(target.kind), target.key) for target in targets}
    metrics = _OF_HOST | {finding.metric}
    for sample in samples:
        metric, kind, key, _ = sample[1]
        if (kind, key) in wanted and (kind != TargetKind.HOST or metric in metrics):
            yield sample
