"""Traces and labels of a recorded corpus, as files.

``traces/NAME.csv.gz`` holds ``time,series,value`` (epoch seconds, name, bytes) in the order sampled; ``labels.csv``
one line a series: `leak` from onset_s to end_s (relative to the trace's first row) at true_rate_bytes_per_hour; `ok`,
where onset_s to end_s is a climb that may rightly alarm; `ambiguous` where the recording cannot decide.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STRETCH = 60
"""One second of a recording stands for a minute, so that twenty minutes make the twenty hours a detector needs."""
EPOCH = 1_750_000_000
"""All recordings begin here: when they were made is of no interest."""
PER_HOUR = 3600 / STRETCH
"""Bytes a recorded second, times this, are bytes an hour of the trace."""
FIELDS = ("trace", "series", "label", "kind", "onset_s", "end_s", "true_rate_bytes_per_hour", "note")

Row = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class Label:
    """Times and rate are those of the trace, thus stretched."""

    series: str
    label: str
    kind: str
    onset_s: float | None = None
    end_s: float | None = None
    rate: float | None = None
    note: str = ""

    def cells(self, trace: str) -> list[str]:
        onset, end, rate = (
            "" if value is None else format(value, spec)
            for value, spec in ((self.onset_s, ".0f"), (self.end_s, ".0f"), (self.rate, ".1f"))
        )
        return [trace, self.series, self.label, self.kind, onset, end, rate, self.note]


def write_trace(path: Path, rows: list[Row]) -> None:
    """Write rows of (recorded seconds since the start, series, bytes), stretched, the same bytes for the same rows."""
    text = io.StringIO()
    text.write("time,series,value\n")
    for seconds, series, value in rows:
        text.write(f"{EPOCH + STRETCH * seconds:.0f},{series},{value}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as file:
        file.write(text.getvalue().encode())


def write_labels(path: Path, trace: str, labels: list[Label]) -> None:
    """Replace the labels of one trace, keeping those of the others."""
    kept = []
    if path.exists():
        with path.open(newline="") as file:
            kept = [row for row in list(csv.reader(file))[1:] if row[0] != trace]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(sorted(kept + [label.cells(trace) for label in labels], key=lambda row: (row[0], row[1])))
