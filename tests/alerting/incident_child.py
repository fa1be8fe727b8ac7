"""A daemon's evaluations without its sampling, as a program to be killed: ``incident_child.py STORE``.

It resumes from the store, judges a leak that comes and goes, and tells of each evaluation once it is committed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from leakwatch.alerting.announce import Incidents
from leakwatch.alerting.resolution import IncidentTimings
from leakwatch.store.incident.rows import ChangedIncidents
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.alerting.observations import LEAK, OK, START_MS, WATCH, finding

SECOND_MS = 1000
PACE = IncidentTimings(4 * SECOND_MS, 8 * SECOND_MS)
CYCLE = [WATCH, WATCH, *[LEAK] * 6, OK, WATCH, *[LEAK] * 4, *[OK] * 12]
"""Suspicion, leak, pause, leak, and no leak for long enough to be over."""


def main(store: Path) -> None:
    reader = Reader(store)
    incidents = Incidents(PACE, reader.incidents())
    number = int(reader.states().get("number", {}).get("is", 0))
    reader.close()
    writer = Writer(store)
    while True:
        number += 1
        now_ms = START_MS + number * SECOND_MS
        verdict = CYCLE[number % len(CYCLE)]
        suspected = frozenset({"s1"}) if number % len(CYCLE) < 2 else frozenset()
        began_ms = now_ms - number % len(CYCLE) * SECOND_MS
        found = finding(verdict, since_ms=began_ms)
        marks = writer.incident_marks()
        changes = incidents.update([found], now_ms, suspected=suspected, lives={"s1": "a"}, marks=marks)
        for one in changes.announce:
            print(f"told {number} {one.message}", flush=True)
        changed = ChangedIncidents(changes.write, changes.events, changes.silences)
        writer.write_evaluation([(found, None)], {}, {"number": {"is": number}}, now_ms, changed)
        print(f"stored {number}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
