"""What is found where the registry has four rows more, and nothing else knows of them: ``new_metric_child STORE``.

Prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import leakwatch

ROWS = """
    Metric("process.tables_bytes", Unit.BYTES, "tables", "/proc/PID/status VmTables", judged=True, slow=True),
    Metric("process.signals", Unit.COUNT, "signals", "/proc/PID/status Sig", judged=True, slow=True, bytes_each=160,
           limit=Sysctl("kernel/signals")),
    Metric("kernel.pool_bytes", Unit.BYTES, "pool", "/proc/pool", judged=True),
    Metric("kernel.widgets", Unit.COUNT, "widgets", "/proc/widgets", judged=True, slow=True),
"""


def main(store: Path) -> None:
    registry = sys.modules["leakwatch.metrics"] = ModuleType("leakwatch.metrics")
    text = Path(leakwatch.__path__[0], "metrics.py").read_text()
    exec(text.replace("_OTHERS = (", f"_OTHERS = ({ROWS}", 1), registry.__dict__)
    leakwatch.metrics = registry

    from leakwatch.config import IgnoreConfig
    from leakwatch.importers.store import stored_captures
    from leakwatch.model.identity import HOST
    from leakwatch.nextsteps.counts import of_count
    from leakwatch.report.build import ReportRow, rank
    from leakwatch.report.words import what
    from leakwatch.store.files.open import open_writer
    from leakwatch.store.read.reader import Reader
    from tests.monitoring.scrapes import KIB, MIB, START_MS, Machine, leak, process
    from tests.monitoring.test_detector_counts import about, rising, scraped, watch

    one = process(1)
    target = one.identity.target
    machine = Machine({one: 50 * MIB}, host={"kernel.pool_bytes": leak(), "kernel.mem_available_bytes": 1 << 40})
    more = {
        ("process.tables_bytes", target): leak(64 * KIB),
        ("process.signals", target): rising(),
        ("kernel.widgets", HOST): rising(),
    }
    evaluation = watch(machine, more, 400)
    writer = open_writer(store, START_MS)
    for at in range(60):
        writer.write_scrape(scraped(machine, more, at, 5))
    writer.close()
    reader = Reader(store)
    told = {}
    for metric in ("process.tables_bytes", "process.signals", "kernel.pool_bytes", "kernel.widgets"):
        finding = about(evaluation, metric)
        row = ReportRow(finding)
        told[metric] = {
            "verdict": finding.assessment.verdict,
            "unit": finding.assessment.unit,
            "what": what(row),
            "ends": finding.limit_name,
            "rank": rank(row, START_MS, 0.0)[-2] / (finding.assessment.slope_bytes_per_hour or 1.0),
        }
    told["about all"] = sorted(finding.metric for finding in evaluation.findings)
    told["at every tick"] = sorted(metric for metric, _ in evaluation.counted)
    told["suspects"] = len(evaluation.suspects)
    told["steps"] = [step.line for step in of_count("process.tables_bytes", "1", ())]
    told["captures"] = {capture.name: capture.subject.screened for capture in stored_captures(reader, IgnoreConfig())}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
