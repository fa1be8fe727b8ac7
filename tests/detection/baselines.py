#!/usr/bin/env python3
"""What people use today, replayed as streams.

    baselines.py NAME FILE.csv.gz      one JSON line per series (the contract of score.py)
    baselines.py --list

Every rule is evaluated each STEP minutes on what has been sampled so far; it fires after
its condition has held for its `for` time and resolves at the first evaluation where the
condition is false.  The verdict is "leak" when it is firing at the last evaluation.
Like Prometheus, samples whose time is not after the last one are dropped.

Thresholds are those a careful user would pick knowing what is material (a few MB a day);
they are not fitted, except for `*_tuned` (a grid search on the synthetic corpus).
"""

from __future__ import annotations

import itertools
import json
import math
import sys

import numpy as np

from tests.detection.labelled import read_trace

MBYTE = 1e6
STEP_H = 1 / 6


# ------------------------------------------------------------------ shared machinery


class Series:
    """In-order samples with running sums for regressions over any window."""

    def __init__(self, t, v):
        keep = np.ones(len(t), bool)
        if len(t) > 1:
            keep[1:] = t[1:] > np.maximum.accumulate(t)[:-1]
        self.t, v = t[keep], v[keep] / MBYTE
        self.h = (self.t - self.t[0]) / 3600
        self.v, self.v0 = v, v[0]
        y = v - self.v0  # keeps the sums well conditioned
        self.sums = [np.r_[0.0, np.cumsum(x)] for x in (np.ones(len(y)), self.h, y, self.h**2, self.h * y, y**2)]
        self.evals = np.arange(STEP_H, self.h[-1] + 1e-9, STEP_H)

    def ols(self, window_h, at=None):
        """Vectorised OLS over (at - window, at].  -> slope MB/h, R2, value at `at`, span, n."""
        at = self.evals if at is None else at
        hi = np.searchsorted(self.h, at, "right")
        lo = np.searchsorted(self.h, at - window_h, "right")
        n, x, y, xx, xy, yy = (s[hi] - s[lo] for s in self.sums)
        with np.errstate(all="ignore"):
            sxx, sxy, syy = xx - x * x / n, xy - x * y / n, yy - y * y / n
            slope = np.where((n >= 2) & (sxx > 0), sxy / sxx, np.nan)
            r2 = np.where(syy > 1e-12, sxy**2 / (sxx * syy), 0.0)
            value = y / n + slope * (at - x / n) + self.v0
            span = self.h[np.maximum(hi - 1, 0)] - self.h[np.minimum(lo, len(self.h) - 1)]
        return slope, r2, value, span, n

    def regular(self, step_h, f=np.median):
        """Bins of step_h (nan when empty): -> end times in hours, values."""
        b = (self.h / step_h).astype(int)
        out = np.full(b[-1] + 1, np.nan)
        cut = np.flatnonzero(np.diff(b)) + 1
        for s, e in zip(np.r_[0, cut], np.r_[cut, len(b)], strict=False):
            out[b[s]] = f(self.v[s:e])
        return (np.arange(len(out)) + 1) * step_h, out


def alarm(series, at_h, cond, slope, for_h=0.0):
    """Firing logic on evaluations at at_h -> detector object."""
    alerts, since, on = [], None, False
    for a, c in zip(at_h, cond, strict=False):
        wall = float(series.t[0] + a * 3600)
        if c:
            since = a if since is None else since
            if not on and a - since >= for_h - 1e-9:
                alerts.append([wall, None])
                on = True
        else:
            if on:
                alerts[-1][1] = wall
            since, on = None, False
    s = slope[-1] if len(slope) else 0.0
    return {
        "verdict": "leak" if on else "ok",
        "slope_bytes_per_hour": float(s) * MBYTE if np.isfinite(s) else None,
        "first_alert": alerts[0][0] if alerts else None,
        "alerts": alerts,
    }


# ------------------------------------------------------------------ (a) (b) (c) regressions


def ols(window_h, threshold, r2_min=0.8, for_h=0.0):
    """(a) OLS over a full window: slope over the threshold (MB/h) and R2 > 0.8."""

    def det(t, v):
        s = Series(t, v)
        slope, r2, _, span, _ = s.ols(window_h)
        return alarm(s, s.evals, (span >= 0.9 * window_h) & (slope > threshold) & (r2 > r2_min), slope, for_h)

    return det


def promql_deriv(t, v):
    """(b) `deriv(x[6h]) > 1 MB/h` for 2h.  As in Prometheus the range need not be full."""
    s = Series(t, v)
    slope, _, _, _, n = s.ols(6)
    return alarm(s, s.evals, (n >= 2) & (slope > 1.0), slope, for_h=2)


def promql_predict(t, v):
    """(c) `predict_linear(x[6h], 24*3600) > limit` for 1h.  The limit is what a user with
    memory limits has: twice the level of the first two hours, at least 256 MB above it."""
    s = Series(t, v)
    slope, _, value, _, n = s.ols(6)
    level = np.median(s.v[s.h <= 2])
    limit = max(2 * level, level + 256)
    return alarm(s, s.evals, (n >= 2) & (s.evals >= 2) & (value + 24 * slope > limit), slope, for_h=1)


# ------------------------------------------------------------------ (d) (e) Mann-Kendall


def normal_tail(z):
    return 0.5 * math.erfc(z / math.sqrt(2))


def mk(window_h=24, modified=False, p_max=0.01, threshold=0.2, least_h=12, for_h=0.0):
    """(d) Mann-Kendall p < 0.01 (one-sided) and Sen's slope > 0.2 MB/h, on 15-minute medians
    over 24 h (from 12 h on).  (e) the same with Hamed & Rao's (1998) variance correction:
    significant autocorrelations of the ranks of the Sen-detrended values."""

    def det(t, v):
        s = Series(t, v)
        at, x = s.regular(0.25)
        cond, slopes, when = [], [], []
        for k in range(int(least_h * 4), len(x) + 1, 2):
            w = x[max(0, k - int(window_h * 4)) : k]
            i = np.flatnonzero(np.isfinite(w))
            y = w[i]
            n = len(y)
            when.append(at[k - 1])
            if n < 30:
                cond.append(False)
                slopes.append(np.nan)
                continue
            a, b = np.triu_indices(n, 1)
            diff = y[b] - y[a]
            sen = np.median(diff / ((i[b] - i[a]) * 0.25))
            score = np.sign(diff).sum()
            ties = np.unique(y, return_counts=True)[1]
            var = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
            if modified and var > 0:
                resid = y - sen * i * 0.25
                ranks = np.argsort(np.argsort(resid, kind="stable"), kind="stable").astype(float)
                ranks -= ranks.mean()
                den = ranks @ ranks
                lag = np.arange(1, n - 2)
                rho = np.array([ranks[:-j] @ ranks[j:] / den for j in lag])
                big = np.abs(rho) > 1.96 / math.sqrt(n)
                corr = 1 + 2 / (n * (n - 1) * (n - 2)) * np.sum(((n - lag) * (n - lag - 1) * (n - lag - 2) * rho)[big])
                var *= max(corr, 1e-3)
            z = (score - 1) / math.sqrt(var) if score > 0 and var > 0 else 0.0
            cond.append(normal_tail(z) < p_max and sen > threshold)
            slopes.append(sen)
        return alarm(s, when, cond, slopes, for_h)

    return det


# ------------------------------------------------------------------ (f) coroot


def coroot_mb(t, v):
    """(f) coroot 0.11's "Memory leak" check: OLS over the window in view (taken to be 1 h
    here), fitted growth over the last hour > 10 MB.  (auditor/memory.go:
    lr.Calc(now) - lr.Calc(now - 1h); model/check.go: DefaultThreshold 10, "MB per hour".)"""
    s = Series(t, v)
    slope, _, _, span, _ = s.ols(1)
    return alarm(s, s.evals, (span >= 0.8) & (slope * MBYTE / 2**20 > 10), slope)


def coroot_percent(t, v):
    """(f') today's check: fitted growth over the last hour > 10 % of the fitted value an hour
    ago, with 80 % of the window's points present (MemoryLeakPercent, DefaultThreshold 10)."""
    s = Series(t, v)
    slope, _, value, span, _ = s.ols(1)
    before = value - slope
    with np.errstate(all="ignore"):
        growing = (before > 0) & (slope / before > 0.10)
    return alarm(s, s.evals, (span >= 0.8) & growing, slope)


# ------------------------------------------------------------------ (g) monotone growth


def monotone(n=6, least_mb=1.0):
    """(g) The hourly mean grew in each of 6 successive hours, by more than 1 MB in all."""

    def det(t, v):
        s = Series(t, v)
        at, x = s.regular(1.0, np.mean)
        cond, slopes = [], []
        for k in range(len(x)):
            w = x[max(0, k - n) : k + 1]
            full = len(w) == n + 1 and np.all(np.isfinite(w))
            cond.append(bool(full and np.all(np.diff(w) > 0) and w[-1] - w[0] > least_mb))
            slopes.append((w[-1] - w[0]) / n if full else np.nan)
        return alarm(s, at, cond, slopes)

    return det


# ------------------------------------------------------------------ (h) Precog-like


def precog(r2_min=0.75, critical_h=7 * 24, least_h=3.0):  # noqa: C901 - one rule, in the order of its paper
    """(h) After Jindal et al., "Online Memory Leak Detection in the Cloud-based
    Infrastructures" (2020): 5-minute medians, smoothed; change points are outliers
    (|z| > 3) of the first difference; lines are fitted from each change point to now; the
    longest with R2 >= 0.75 that reaches the critical level within the critical time (7 days)
    and is steeper or longer than any trend kept from the past is a leak.  The paper's level
    is 100 % of a VM's memory; here it is the limit of (c).  Past trends come from the series
    itself: lines that ended at a change point before."""

    def det(t, v):
        s = Series(t, v)
        at, x = s.regular(1 / 12)
        idx = np.flatnonzero(np.isfinite(x))
        x = np.interp(np.arange(len(x)), idx, x[idx])
        pad = np.pad(x, 2, mode="edge")
        x = np.median(np.stack([pad[j : j + len(x)] for j in range(5)]), axis=0)
        level = np.median(s.v[s.h <= 2])
        limit = max(2 * level, level + 256)
        y = x - x[0]
        sums = [np.r_[0.0, np.cumsum(c)] for c in (at, y, at**2, at * y, y**2)]

        def fit(lo, hi):
            n = hi - lo
            sx, sy, sxx, sxy, syy = (c[hi] - c[lo] for c in sums)
            vx, vy, cov = sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n
            if vx <= 0 or vy <= 1e-9:
                return 0.0, 0.0
            return cov / vx, cov * cov / (vx * vy)

        d = np.diff(x, prepend=x[0])
        cond, slopes, when = [], [], []
        past_slope, past_len, seen = 0.0, 0.0, 0
        for k in range(36, len(x) + 1, 6):
            seg = d[:k]
            sd = seg.std()
            points = [0, *(np.flatnonzero(np.abs(seg - seg.mean()) > 3 * sd) if sd > 0 else np.array([], int)).tolist()]
            for a, b in itertools.pairwise(points):  # finished trends, kept once
                if b > seen and b - a >= least_h * 12:
                    sl, r2 = fit(a, b)
                    if r2 >= r2_min and sl > 0:
                        past_slope, past_len = max(past_slope, sl), max(past_len, (b - a) / 12)
            seen = points[-1]
            hit, slope = False, np.nan
            for p in points:
                if k - p < least_h * 12:
                    break
                sl, r2 = fit(p, k)
                if r2 >= r2_min and sl > 0:
                    slope = sl
                    reach = (limit - x[k - 1]) / sl
                    hit = reach <= critical_h and (sl > past_slope or (k - p) / 12 > past_len)
                    break
            cond.append(bool(hit))
            slopes.append(slope)
            when.append(at[k - 1])
        return alarm(s, when, cond, slopes)

    return det


DETECTORS = {
    "ols6h": ols(6, 1.0),
    "ols24h": ols(24, 0.2),
    "ols_tuned": ols(12, 0.3, r2_min=0.5),  # the best of a grid by F1 on the synthetic corpus
    "deriv6h": promql_deriv,
    "predict24h": promql_predict,
    "mk": mk(),
    "mk_hamed_rao": mk(modified=True),
    "mk_hr_tuned": mk(window_h=36, modified=True, threshold=0.1),  # likewise
    "coroot_10mb": coroot_mb,
    "coroot_10pct": coroot_percent,
    "monotone6": monotone(),
    "precog": precog(),
}
NAMES = [*DETECTORS]


def run_trace(name: str, trace) -> dict:
    """-> {series: detector object}"""
    return {s: DETECTORS[name](t, v) for s, (t, v) in trace.series.items()}


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(NAMES))
        return
    name, path = sys.argv[1:]
    for s, r in run_trace(name, read_trace(path)).items():
        print(json.dumps({"series": s, **r}))


if __name__ == "__main__":
    main()
