"""Reading and writing of labelled traces.

A corpus directory holds

    traces/<name>.csv.gz   time,series,value      epoch seconds, string, bytes
    labels.csv             trace,series,label,kind,onset_s,end_s,
                           true_rate_bytes_per_hour,note

Rows of a trace are in the order they were sampled; `time` is the wall clock at
the sample, which may jump.  `onset_s` and `end_s` are relative to the
time of the first row of the trace.

* label `leak`: the leak is active from onset_s to end_s.
* label `ok` with a non-empty onset_s: [onset_s, end_s] is a *legitimately
  alarming climb* (a cache that fills, a slow warm-up, memory freed later).  Alarms
  raised in it are reported apart ("climb alarms") and are not false alarms.
* label `ambiguous`: not scored.
* note holds `key=value` words; `rate=avg` says that true_rate is only the mean
  growth over [onset, end] (curved leaks), so no slope error is computed for it.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LABEL_FIELDS = ["trace", "series", "label", "kind", "onset_s", "end_s", "true_rate_bytes_per_hour", "note"]


@dataclass
class Label:
    trace: str
    series: str
    label: str
    kind: str
    onset_s: float | None = None
    end_s: float | None = None
    rate: float | None = None  # bytes per hour
    note: str = ""

    def row(self):
        def num(v, fmt):
            return "" if v is None else format(v, fmt)

        return [
            self.trace,
            self.series,
            self.label,
            self.kind,
            num(self.onset_s, ".0f"),
            num(self.end_s, ".0f"),
            num(self.rate, ".1f"),
            self.note,
        ]


@dataclass
class Trace:
    """series name -> (times, values), rows in sampled order."""

    name: str
    series: dict = field(default_factory=dict)


def write_trace(path: str, rows) -> None:
    """rows: iterable of (time, series, value) in sampled order.  Byte-for-byte
    reproducible (no mtime, no file name in the gzip header)."""
    buf = io.StringIO()
    buf.write("time,series,value\n")
    for t, s, v in rows:
        buf.write(f"{t:.3f},{s},{int(v)}\n")
    with (
        Path(path).open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as f,
    ):
        f.write(buf.getvalue().encode())


def read_trace(path: str) -> Trace:
    name = Path(path).name
    for suffix in (".gz", ".csv"):
        name = name.removesuffix(suffix)
    out: dict[str, tuple[list, list]] = {}
    with gzip.open(path, "rt", newline="") as f:
        next(f)
        for line in f:
            t, s, v = line.rstrip("\n").split(",")
            tv = out.get(s)
            if tv is None:
                tv = out[s] = ([], [])
            tv[0].append(float(t))
            tv[1].append(float(v))
    return Trace(name, {s: (np.array(t), np.array(v)) for s, (t, v) in out.items()})


def write_labels(path: str, labels) -> None:
    with Path(path).open("w", newline="") as f:
        w = csv.writer(f)
        w.writerow(LABEL_FIELDS)
        for lab in labels:
            w.writerow(lab.row())


def read_labels(path: str) -> list[Label]:
    def num(s):
        return float(s) if s != "" else None

    with Path(path).open(newline="") as f:
        return [
            Label(
                r["trace"],
                r["series"],
                r["label"],
                r["kind"],
                num(r["onset_s"]),
                num(r["end_s"]),
                num(r["true_rate_bytes_per_hour"]),
                r["note"],
            )
            for r in csv.DictReader(f)
        ]


def fresh_dir(out: str) -> str:
    """Empties OUT/traces and returns its path."""
    traces = str(Path(out, "traces"))
    shutil.rmtree(traces, ignore_errors=True)
    Path(traces).mkdir(parents=True)
    return traces


def trace_files(corpus_dir: str) -> list[str]:
    return sorted(str(path) for path in Path(corpus_dir, "traces").glob("*.csv.gz"))
