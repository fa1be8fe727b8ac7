#!/usr/bin/env python3
"""Runs every baseline on a corpus in this process (faster than score.py's process a trace).

    run_baselines.py CORPUS_DIR OUT_DIR [NAME...]

Writes OUT_DIR/<name>.json (score.py's report, with a row for each series) and prints a
line for each detector.
"""

import json
import sys
import time
from pathlib import Path

from tests.detection import baselines
from tests.detection.labelled import read_labels, read_trace, trace_files
from tests.detection.score import evaluate, with_ci


def main():
    corpus_dir, out = sys.argv[1:3]
    names = sys.argv[3:] or baselines.NAMES
    if unknown := set(names) - set(baselines.NAMES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(baselines.NAMES)}")
    labels = read_labels(f"{corpus_dir}/labels.csv")
    traces = [read_trace(f) for f in trace_files(corpus_dir)]
    spans = {(tr.name, s): (float(t[0]), float(t[-1])) for tr in traces for s, (t, _) in tr.series.items()}
    t0s = {tr.name: min(t[0] for t, _ in tr.series.values()) for tr in traces}
    Path(out).mkdir(parents=True, exist_ok=True)
    for name in names:
        begin = time.process_time()
        results = {(tr.name, s): r for tr in traces for s, r in baselines.run_trace(name, tr).items()}
        cpu = time.process_time() - begin
        rep = evaluate(labels, results, spans, t0s, boot=400)
        rep["detector"], rep["cpu_seconds"] = name, cpu
        Path(out, name + ".json").write_text(json.dumps(rep, indent=1))
        print(
            f"{name:14s} P {with_ci(rep, 'precision')}  R {with_ci(rep, 'recall')}  F1 {with_ci(rep, 'f1')}"
            f""
            f"  FA/1000h {with_ci(rep, 'fa_per_1000h', '.1f')}  delay {with_ci(rep, 'delay_med_h', '.1f')} h"
            f"  cpu {cpu:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
