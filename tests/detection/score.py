#!/usr/bin/env python3
"""Scores a leak detector on a labelled corpus.

    score.py CORPUS_DIR [options] -- CMD [ARG...]

CMD is run once for each trace as `CMD FILE.csv.gz` and prints JSON lines or one JSON
array, one object per series:

    {"series": "...", "verdict": "leak"|"ok"|..., "slope_bytes_per_hour": 1.2e6,
     "first_alert": 1750001234.0 | null, "alerts": [[start, end|null], ...]}

`alerts` is optional; without it the alarm is taken to last from first_alert to the end
when the verdict is "leak", and to be momentary otherwise.

What is scored (ambiguous series never are):

verdict     precision, recall, F1 of verdict == "leak" at the end of each series
false alarm share and rate per 1000 series-hours of `ok` series with a first alert outside
            their marked climb (`onset_s`..`end_s` of an ok label: a cache that fills, ...);
            "all" counts every alert interval instead of the first one
climb       share of the series with a marked climb that were alarmed on during it
early       leaks alarmed on before their onset
delay       from onset to the first time at or after it when an alarm is on; over the
            detected leaks, and (`all`) with a missed leak as infinitely late
leaked      bytes leaked by then: delay x true rate
slope       |slope - true| / true over leaks called "leak" whose true rate is a rate
            (not `rate=avg`), as reported at the end

Confidence intervals: percentile bootstrap over traces (so that series of one host stay
together), 95 %.  `--time-scale K` multiplies all times of a trace (from its first time) by
K before handing it over and maps the answers back, so that tables stay in corpus hours.
"""

from __future__ import annotations

import argparse
import concurrent.futures as cf
import gzip
import json
import math
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.detection.labelled import read_labels, read_trace, trace_files

HOUR = 3600.0


# ------------------------------------------------------------------ running a detector


def parse_output(text: str) -> list[dict]:
    text = text.strip()
    if text.startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in map(str.strip, text.splitlines()) if line.startswith("{")]


def scaled_copy(path: str, k: float, folder: str) -> str:
    out = str(Path(folder, Path(path).name))
    t0 = None
    with gzip.open(path, "rt") as src, gzip.open(out, "wt", compresslevel=1) as dst:
        dst.write(next(src))
        for line in src:
            t, rest = line.split(",", 1)
            t = float(t)
            if t0 is None:
                t0 = t
            dst.write(f"{t0 + k * (t - t0):.6f},{rest}")
    return out


def run_one(cmd: list[str], path: str, timeout: float, scale: float):
    """-> (results by series, seconds, error or None), times not mapped back yet."""
    with tempfile.TemporaryDirectory() as tmp:
        f = scaled_copy(path, scale, tmp) if scale != 1 else path
        begin = time.perf_counter()
        try:
            p = subprocess.run([*cmd, f], capture_output=True, timeout=timeout, text=True, check=False)
            took = time.perf_counter() - begin
            if p.returncode != 0:
                return {}, took, f"exit {p.returncode}: {p.stderr.strip()[-300:]}"
            return {r["series"]: r for r in parse_output(p.stdout)}, took, None
        except subprocess.TimeoutExpired:
            return {}, timeout, "timeout"
        except (ValueError, KeyError, TypeError) as e:
            return {}, time.perf_counter() - begin, f"bad output: {e!r}"


def unscale(result: dict, t0: float, k: float) -> dict:
    if k == 1:
        return result

    def back(t):
        return None if t is None else t0 + (t - t0) / k

    r = dict(result)
    r["first_alert"] = back(r.get("first_alert"))
    if r.get("alerts"):
        r["alerts"] = [[back(a), back(b)] for a, b in r["alerts"]]
    if r.get("slope_bytes_per_hour") is not None:
        r["slope_bytes_per_hour"] *= k
    return r


# ------------------------------------------------------------------ scoring


def intervals(res: dict, t_end: float) -> list[tuple[float, float]]:
    alerts = res.get("alerts")
    if alerts:
        return [(a, t_end if b is None else b) for a, b in alerts]
    fa = res.get("first_alert")
    if fa is None:
        return []
    return [(fa, t_end if res.get("verdict") == "leak" else fa)]


def outcome(lab, res: dict | None, t0: float, span: tuple[float, float]) -> dict:
    """One scored series -> the numbers that the aggregates are made of."""
    missing = res is None
    res = res or {}
    called = res.get("verdict") == "leak"
    first, last = span
    iv = intervals(res, last)
    fa = res.get("first_alert")
    if fa is None and iv:
        fa = min(a for a, _ in iv)
    o = {
        "trace": lab.trace,
        "series": lab.series,
        "kind": lab.kind,
        "label": lab.label,
        "called": called,
        "missing": missing,
        "first_alert_h": None if fa is None else (fa - t0) / HOUR,
    }
    hours = max(0.0, last - first) / HOUR
    if lab.label == "ok":
        climb = None
        if lab.onset_s is not None:
            climb = (t0 + lab.onset_s, t0 + lab.end_s)
            hours -= (climb[1] - climb[0]) / HOUR

        def inside(t):
            return climb is not None and climb[0] <= t <= climb[1]

        starts = sorted({a for a, _ in iv} | ({fa} if fa is not None else set()))
        o.update(
            hours=max(hours, 0.0),
            has_climb=climb is not None,
            fa_first=int(fa is not None and not inside(fa)),
            fa_all=sum(not inside(a) for a in starts),
            climb_alarm=int(any(inside(a) for a in starts)),
        )
        return o
    onset, _end = t0 + lab.onset_s, t0 + lab.end_s
    o["early"] = int(fa is not None and fa < onset - 1)
    hits = [max(a, onset) for a, b in iv if b >= onset]
    delay = (min(hits) - onset) / HOUR if hits else math.inf
    o.update(delay_h=delay, detected=int(math.isfinite(delay)), pre_hours=max(0.0, lab.onset_s) / HOUR)
    o["leaked_mb"] = delay * lab.rate / 1e6 if lab.rate else math.inf
    slope = res.get("slope_bytes_per_hour")
    if called and lab.rate and "rate=avg" not in lab.note and slope is not None and math.isfinite(slope):
        o["slope_err"] = abs(slope - lab.rate) / lab.rate
    return o


def _median(x, q=50):
    """Percentile that keeps infinities (missed leaks): nearest rank, None when empty/inf."""
    if len(x) == 0:
        return None
    s = np.sort(np.asarray(x, float))
    v = s[min(len(s) - 1, math.ceil(q / 100 * len(s)) - 1 if q != 50 else (len(s) - 1) // 2)]
    return None if not math.isfinite(v) else float(v)


def aggregate(rows: list[dict]) -> dict:
    leak = [r for r in rows if r["label"] == "leak"]
    good = [r for r in rows if r["label"] == "ok"]
    tp = sum(r["called"] for r in leak)
    fp = sum(r["called"] for r in good)
    out = {
        "n": len(rows),
        "n_leak": len(leak),
        "n_ok": len(good),
        "tp": tp,
        "fn": len(leak) - tp,
        "fp": fp,
        "tn": len(good) - fp,
        "missing": sum(r["missing"] for r in rows),
    }
    out["precision"] = tp / (tp + fp) if tp + fp else None
    out["recall"] = tp / len(leak) if leak else None
    out["f1"] = 2 * tp / (2 * tp + fp + len(leak) - tp) if leak else None
    hours = sum(r["hours"] for r in good)
    climbs = [r for r in good if r["has_climb"]]
    if good:
        out["ok_hours"] = hours
        out["fa_per_1000h"] = 1000 * sum(r["fa_first"] for r in good) / hours if hours else None
        out["fa_all_per_1000h"] = 1000 * sum(r["fa_all"] for r in good) / hours if hours else None
        out["fa_series"] = sum(r["fa_first"] for r in good) / len(good)
        out["n_climb"] = len(climbs)
        out["climb_alarm"] = sum(r["climb_alarm"] for r in climbs) / len(climbs) if climbs else None
    if leak:
        d = [r["delay_h"] for r in leak]
        found = [x for x in d if math.isfinite(x)]
        out["detected"] = len(found) / len(leak)
        out["early"] = sum(r["early"] for r in leak) / len(leak)
        out["delay_med_h"] = _median(found)
        out["delay_p90_h"] = _median(found, 90)
        out["delay_med_all_h"] = _median(d)
        out["leaked_med_mb"] = _median([r["leaked_mb"] for r in leak if r["detected"]])
        out["leaked_p90_mb"] = _median([r["leaked_mb"] for r in leak if r["detected"]], 90)
        errs = [r["slope_err"] for r in leak if "slope_err" in r]
        out["slope_err_med"] = _median(errs)
        out["slope_err_n"] = len(errs)
    return out


CI_KEYS = [
    "precision",
    "recall",
    "f1",
    "fa_per_1000h",
    "fa_all_per_1000h",
    "climb_alarm",
    "detected",
    "delay_med_h",
    "delay_p90_h",
    "slope_err_med",
]


def bootstrap(rows: list[dict], n: int, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    by = {}
    for r in rows:
        by.setdefault(r["trace"], []).append(r)
    groups = list(by.values())
    samples = {k: [] for k in CI_KEYS}
    for _ in range(n):
        pick = rng.integers(0, len(groups), len(groups))
        agg = aggregate([r for i in pick for r in groups[i]])
        for k in CI_KEYS:
            if agg.get(k) is not None:
                samples[k].append(agg[k])
    return {k: [float(np.percentile(v, 2.5)), float(np.percentile(v, 97.5))] for k, v in samples.items() if v}


def evaluate(labels, results: dict, spans: dict, t0s: dict, boot: int = 500, seed: int = 0) -> dict:
    """results: {(trace, series): detector object}; spans: {(trace, series): (first, last)};
    t0s: {trace: time of first row}."""
    rows = []
    for lab in labels:
        if lab.label == "ambiguous":
            continue
        key = (lab.trace, lab.series)
        rows.append(outcome(lab, results.get(key), t0s[lab.trace], spans[key]))
    kinds = {}
    for r in rows:
        kinds.setdefault((r["label"], r["kind"]), []).append(r)
    return {
        "overall": aggregate(rows),
        "ci": bootstrap(rows, boot, seed) if boot else {},
        "kinds": [dict(label=lb, kind=k, **aggregate(v)) for (lb, k), v in sorted(kinds.items())],
        "series": [
            {k: (None if isinstance(v, float) and not math.isfinite(v) else v) for k, v in r.items()} for r in rows
        ],
    }


def corpus_spans(files):
    """-> (spans, t0s) from the trace files."""
    spans, t0s = {}, {}
    for f in files:
        tr = read_trace(f)
        t0s[tr.name] = min(t[0] for t, _ in tr.series.values())
        for s, (t, _) in tr.series.items():
            spans[tr.name, s] = (float(t[0]), float(t[-1]))
    return spans, t0s


# ------------------------------------------------------------------ tables


def fmt(v, spec=".2f", pct=False):
    if v is None:
        return "-"
    return f"{100 * v:.0f}%" if pct else format(v, spec)


def with_ci(rep, key, spec=".2f", pct=False):
    v, ci = rep["overall"].get(key), rep["ci"].get(key)
    s = fmt(v, spec, pct)
    return s + (f" [{fmt(ci[0], spec, pct)}, {fmt(ci[1], spec, pct)}]" if ci and v is not None else "")


def overall_table(rep: dict) -> str:
    o = rep["overall"]
    lines = [
        f"series scored      {o['n']} ({o['n_leak']} leak, {o['n_ok']} ok), no answer for {o['missing']}",
        f"precision          {with_ci(rep, 'precision')}",
        f"recall             {with_ci(rep, 'recall')}",
        f"F1                 {with_ci(rep, 'f1')}",
        (
            f"false alarms/1000h {with_ci(rep, 'fa_per_1000h')} first, {with_ci(rep, 'fa_all_per_1000h')} all"
            f" ({fmt(o.get('ok_hours'), '.0f')} ok hours)"
        ),
        f"climbs alarmed     {with_ci(rep, 'climb_alarm', pct=True)} of {o.get('n_climb')}",
        f"leaks ever alarmed {with_ci(rep, 'detected', pct=True)}; before onset {fmt(o.get('early'), pct=True)}",
        (
            f"delay median       {with_ci(rep, 'delay_med_h', '.1f')} h; p90 {with_ci(rep, 'delay_p90_h', '.1f')} h;"
            f" median with misses {fmt(o.get('delay_med_all_h'), '.1f')} h"
        ),
        (
            f"leaked by then     median {fmt(o.get('leaked_med_mb'), '.1f')} MB;"
            f" p90 {fmt(o.get('leaked_p90_mb'), '.0f')} MB"
        ),
        f"slope error        median {with_ci(rep, 'slope_err_med', pct=True)} (n={o.get('slope_err_n')})",
    ]
    return "\n".join(lines)


def kind_table(rep: dict) -> str:
    """Markdown, one line a kind."""
    lines = [
        (
            "| label | kind | n | verdict right | FA/1000h | climb alarmed | ever alarmed | early |"
            " delay med h | p90 h | leaked med MB | slope err |"
        ),
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for k in rep["kinds"]:
        right = (k["tp"] + k["tn"]) / k["n"]
        lines.append(
            f"| {k['label']} | {k['kind']} | {k['n']} | {fmt(right, pct=True)} | "
            f"{fmt(k.get('fa_per_1000h'), '.1f')} | {fmt(k.get('climb_alarm'), pct=True)} | "
            f"{fmt(k.get('detected'), pct=True)} | {fmt(k.get('early'), pct=True)} | "
            f"{fmt(k.get('delay_med_h'), '.1f')} | {fmt(k.get('delay_p90_h'), '.1f')} | "
            f"{fmt(k.get('leaked_med_mb'), '.0f')} | {fmt(k.get('slope_err_med'), pct=True)} |"
        )
    return "\n".join(lines)


def parsed():
    """-> (arguments, the detector's command)"""
    argv = sys.argv[1:]
    if "--" in argv:
        cut = argv.index("--")
        argv, cmd = argv[:cut], argv[cut + 1 :]
    else:
        cmd = []
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("corpus")
    ap.add_argument("--cmd", help="the detector as one shell-quoted string (instead of -- CMD)")
    ap.add_argument("--time-scale", type=float, default=1.0, metavar="K")
    ap.add_argument("--timeout", type=float, default=300, help="seconds for one trace")
    ap.add_argument("-j", "--jobs", type=int, default=1)
    ap.add_argument("--boot", type=int, default=500, help="bootstrap resamples (0: none)")
    ap.add_argument("--json", metavar="FILE", help="write everything, with a row for each series")
    ap.add_argument("--wrong", action="store_true", help="list wrong verdicts and false alarms")
    args = ap.parse_args(argv)
    cmd = cmd or (shlex.split(args.cmd) if args.cmd else [])
    if not cmd:
        ap.error("no detector command")
    return args, cmd


def main():
    args, cmd = parsed()
    labels = read_labels(Path(args.corpus, "labels.csv"))
    files = trace_files(args.corpus)
    spans, t0s = corpus_spans(files)
    results, errors, seconds = {}, [], 0.0
    with cf.ThreadPoolExecutor(args.jobs) as pool:
        answers = pool.map(lambda f: run_one(cmd, f, args.timeout, args.time_scale), files)
        for f, (res, took, err) in zip(files, answers, strict=False):
            name = Path(f).name.removesuffix(".csv.gz")
            seconds += took
            if err:
                errors.append(f"{name}: {err}")
            for s, r in res.items():
                results[name, s] = unscale(r, t0s[name], args.time_scale)
    rep = evaluate(labels, results, spans, t0s, args.boot)
    rep["detector"] = cmd
    rep["time_scale"] = args.time_scale
    rep["seconds"] = seconds
    rep["errors"] = errors
    unknown = [k for k in results if k not in spans]
    print(overall_table(rep))
    print(f"detector time      {seconds:.1f} s for {len(files)} traces\n")
    print(kind_table(rep))
    for e in errors:
        print("ERROR", e)
    if unknown:
        print("ANSWERS FOR UNKNOWN SERIES", unknown[:5], len(unknown))
    if args.wrong:
        for r in rep["series"]:
            if r["called"] != (r["label"] == "leak") or r.get("fa_first") or r.get("early"):
                print(json.dumps(r))
    if args.json:
        Path(args.json).write_text(json.dumps(rep, indent=1))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
