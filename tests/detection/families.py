#!/usr/bin/env python3
"""Generator of synthetic families: every shape of leak, and every shape that only looks like one.

    families.py --out DIR [--seed N]

About 170 series (and some 120 short-lived workers) in traces of 4-6 series that share a
host's sampling times: 24-72 h at a nominal 60 s with jitter, missed samples and short gaps.
Values are in whole pages.  Deterministic for a seed: the same random numbers are drawn in the
same order, so what a seed gives does not change with the code around it.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from tests.detection.labelled import Label, fresh_dir, write_labels, write_trace

MB = 1e6
PAGE = 4096
T0 = 1_750_000_000  # some Sunday in June 2025, UTC

PROCESS_NAMES = [
    "nginx",
    "postgres",
    "python3",
    "java",
    "node",
    "redis-server",
    "dockerd",
    "kubelet",
    "gunicorn",
    "beam.smp",
    "mysqld",
    "prometheus",
    "sshd",
    "celery",
    "Xorg",
    "firefox",
    "code",
    "etcd",
    "haproxy",
    "envoy",
]
SLAB_NAMES = [
    "slab/dentry",
    "slab/kmalloc-256",
    "slab/kmalloc-1k",
    "slab/buffer_head",
    "slab/filp",
    "slab/ext4_inode_cache",
    "slab/sock_inode_cache",
    "slab/task_struct",
    "vmalloc/total",
    "slab/SUnreclaim",
    "slab/skbuff_head_cache",
]


# ---------------------------------------------------------------- noise


def white(rng, n, sd):
    return rng.normal(0, sd, n)


def ar1(rng, n, sd, corr_h, dt_h=1 / 60):
    """AR(1) of marginal standard deviation sd and correlation time corr_h."""
    phi = math.exp(-dt_h / corr_h)
    e = rng.normal(0, sd * math.sqrt(1 - phi * phi), n)
    x = np.empty(n)
    acc = rng.normal(0, sd)
    for i in range(n):
        acc = phi * acc + e[i]
        x[i] = acc
    return x


def reflected_walk(rng, n, step, half_width):
    """Random walk kept in [-half_width, half_width] by reflection (stationary)."""
    x = rng.uniform(-half_width, half_width) + np.cumsum(rng.normal(0, step, n))
    period = 4 * half_width
    y = np.mod(x + half_width, period)
    return np.where(y > 2 * half_width, period - y, y) - half_width


def everyday_noise(rng, n, base):
    """What a live process shows on top of its trend: a little of both kinds."""
    sd = base * 10 ** rng.uniform(-3.3, -2)
    return white(rng, n, sd * 0.5) + ar1(rng, n, sd, rng.uniform(0.05, 0.5))


# ---------------------------------------------------------------- shapes
# Each takes (rng, h, n) with h = hours since start on the regular grid and
# returns dict(v=MB per sample, label=..., [onset_h, end_h, rate (MB/h), note]).


def pick_base(rng):
    return 10 ** rng.uniform(1.2, 3.2)  # 16 MB .. 1.6 GB


def pick_rate(rng, base, hours, lo=0.3, hi=30.0):
    """Log-uniform MB/h, at least 3 % of base over the trace, at most 6 x base."""
    r = 10 ** rng.uniform(math.log10(lo), math.log10(hi))
    return float(np.clip(r, max(lo, 0.03 * base / hours), max(lo, 6 * base / hours)))


def leak(v, onset_h, end_h, rate, note=""):
    return {"v": v, "label": "leak", "onset_h": onset_h, "end_h": end_h, "rate": rate, "note": note}


def ok(v, climb=None, note=""):
    d = {"v": v, "label": "ok", "note": note}
    if climb:
        d["onset_h"], d["end_h"] = climb
    return d


def ambiguous(v, note):
    return {"v": v, "label": "ambiguous", "note": note}


def k_linear(rng, h):
    base = pick_base(rng)
    r = pick_rate(rng, base, h[-1])
    return leak(base + r * h + everyday_noise(rng, len(h), base), 0, h[-1], r)


def k_staircase(rng, h):
    base = pick_base(rng)
    r = pick_rate(rng, base, h[-1])
    per_day = rng.uniform(10, 60)
    steps = rng.random(len(h)) < per_day / 1440
    size = rng.exponential(1.0, len(h)) * steps
    total = size.sum()
    v = base + np.cumsum(size) * (r * h[-1] / total)
    return leak(v + everyday_noise(rng, len(h), base * 0.3), 0, h[-1], r)


def k_noisy_slow(rng, h):
    base = pick_base(rng)
    r = pick_rate(rng, base, h[-1], 0.3, 5)
    sd = r * h[-1] / rng.uniform(4, 9)
    return leak(
        base + 3 * sd + r * h + 0.6 * white(rng, len(h), sd) + 0.8 * ar1(rng, len(h), sd, rng.uniform(0.1, 0.7)),
        0,
        h[-1],
        r,
    )


def daily(rng, h, amp):
    ph = rng.uniform(0, 24)
    second = rng.uniform(0, 0.35)
    return amp * (
        0.5
        - 0.5 * np.cos(2 * math.pi * (h - ph) / 24)
        + second * np.sin(4 * math.pi * (h - ph) / 24 + rng.uniform(0, 6))
    )


def k_leak_on_daily(rng, h):
    base = pick_base(rng)
    amp = base * rng.uniform(0.1, 0.4)
    r = amp / 24 * rng.uniform(0.5, 2.0)
    r = max(r, 0.3)
    return leak(base + daily(rng, h, amp) + r * h + everyday_noise(rng, len(h), base), 0, h[-1], r)


def gc_saw(rng, h, amp, period_h):
    """Grows at a varying pace and falls to the trough when it reaches amp."""
    v = np.zeros(len(h))
    cur = 0.0
    top = amp
    for i in range(1, len(h)):
        cur += amp / period_h / 60 * rng.uniform(0.4, 1.6)
        if cur >= top:
            cur = amp * rng.uniform(0, 0.08)
            top = amp * rng.uniform(0.85, 1.15)
        v[i] = cur
    return v


def k_gc_rising(rng, h):
    base = pick_base(rng)
    r = pick_rate(rng, base, h[-1], 0.5, 20)
    amp = base * rng.uniform(0.2, 1.0)
    r = max(r, 0.35 * amp / h[-1])  # else it drowns in the troughs' scatter
    v = base + gc_saw(rng, h, amp, 10 ** rng.uniform(-0.7, 0.5)) + r * h
    return leak(v + everyday_noise(rng, len(h), base * 0.2), 0, h[-1], r)


def k_onset_mid(rng, h):
    base = pick_base(rng)
    on = h[-1] * rng.uniform(0.3, 0.6)
    r = pick_rate(rng, base, h[-1] - on, 0.5, 30)
    return leak(base + r * np.maximum(h - on, 0) + everyday_noise(rng, len(h), base), on, h[-1], r)


def k_accelerating(rng, h):
    base = pick_base(rng)
    p = rng.uniform(1.6, 2.6)
    total = pick_rate(rng, base, h[-1], 1, 30) * h[-1]
    return leak(
        base + total * (h / h[-1]) ** p + everyday_noise(rng, len(h), base), 0, h[-1], total / h[-1], "rate=avg"
    )


def k_sqrt(rng, h):
    base = pick_base(rng)
    total = pick_rate(rng, base, h[-1], 1.5, 30) * h[-1]
    return leak(
        base + total * np.sqrt(h / h[-1]) + everyday_noise(rng, len(h), base * 0.5), 0, h[-1], total / h[-1], "rate=avg"
    )


def k_working_hours(rng, h):
    base = pick_base(rng)
    start = rng.uniform(0, 24)
    length = rng.uniform(7, 10)
    active = np.mod(h - start, 24) < length
    r_act = pick_rate(rng, base, h[-1], 1, 30)
    on = h[np.argmax(active)]
    v = base + np.cumsum(active * r_act / 60)
    grown = v[-1] - base
    return leak(v + everyday_noise(rng, len(h), base * 0.5), on, h[-1], grown / (h[-1] - on), "rate=avg")


def k_partial_release(rng, h):
    """Now and then 20-60 % of what was taken since the last time is given back."""
    base = pick_base(rng)
    r = pick_rate(rng, base, h[-1], 1, 30)
    v = np.zeros(len(h))
    cur = since = 0.0
    p = rng.uniform(3, 10) / 1440  # releases a day
    for i in range(1, len(h)):
        cur += r / 60
        since += r / 60
        if rng.random() < p:
            cur -= since * rng.uniform(0.2, 0.6)
            since = 0.0
        v[i] = cur
    return leak(base + v + everyday_noise(rng, len(h), base * 0.5), 0, h[-1], float(np.polyfit(h, v, 1)[0]))


def k_multi_sum(rng, h):
    """Sum over workers that come and go; the sum rises, no single worker is big."""
    n = int(rng.integers(4, 13))
    base = 10 ** rng.uniform(0.8, 1.8)
    total = np.zeros(len(h))
    r_sum = max(pick_rate(rng, base * n, h[-1], 0.6, 20), 0.4 * base * math.sqrt(n) / h[-1])
    for _ in range(n):
        jump = ar1(rng, len(h), base * 0.08, rng.uniform(0.1, 1.0))
        total += base * rng.uniform(0.7, 1.3) + jump
    total += r_sum * h
    return leak(total, 0, h[-1], r_sum)


def k_constant(rng, h):
    return ok(np.full(len(h), pick_base(rng)))


def k_white(rng, h):
    b = pick_base(rng)
    return ok(b + white(rng, len(h), b * 10 ** rng.uniform(-2.5, -0.9)))


def k_ar1(rng, h):
    b = pick_base(rng)
    return ok(b + ar1(rng, len(h), b * 10 ** rng.uniform(-2.2, -1.0), 10 ** rng.uniform(-1, 0.3)))


def k_bounded_walk(rng, h):
    b = pick_base(rng)
    w = b * rng.uniform(0.02, 0.2)
    # crosses its band many times in the trace: relaxation time <= ~3 h
    return ok(b + reflected_walk(rng, len(h), w * rng.uniform(0.1, 0.25), w))


def k_warmup(rng, h):
    b = pick_base(rng)
    tau = 10 ** rng.uniform(math.log10(1 / 6), math.log10(min(12, h[-1] / 4)))
    amp = b * rng.uniform(0.3, 3)
    climb = (0, 3 * tau) if tau > 2 else None
    return ok(b + amp * (1 - np.exp(-h / tau)) + everyday_noise(rng, len(h), b), climb, f"tau_h={tau:.2f}")


def k_cache_cap(rng, h):
    b = pick_base(rng)
    cap = b * rng.uniform(0.5, 3)
    start = h[-1] * rng.uniform(0, 0.1)
    full = start + (h[-1] - start) * rng.uniform(0.2, 0.65)
    f = np.clip((h - start) / (full - start), 0, 1)
    return ok(b + cap * f + everyday_noise(rng, len(h), b * 0.5), (start, full))


def k_single_step(rng, h):
    b = pick_base(rng)
    at = h[-1] * rng.uniform(0.15, 0.85)
    return ok(b + b * rng.uniform(0.1, 1.5) * (h > at) + everyday_noise(rng, len(h), b))


def k_multi_step(rng, h):
    b = pick_base(rng)
    n = int(rng.integers(4, 10))
    at = np.sort(rng.uniform(0.03, 0.97, n)) * h[-1]
    levels = b * (1 + rng.uniform(0, 0.8, n + 1))
    levels[-1] = levels[: n // 2 + 1].mean()  # ends inside its own range
    return ok(levels[np.searchsorted(at, h)] + everyday_noise(rng, len(h), b))


def k_daily(rng, h):
    b = pick_base(rng)
    return ok(b + daily(rng, h, b * rng.uniform(0.1, 0.6)) + everyday_noise(rng, len(h), b))


def k_weekly(rng, h):
    """A daily cycle whose amplitude falls at the weekend, which the trace straddles."""
    b = pick_base(rng)
    weekend = h[-1] * rng.uniform(0.35, 0.6)
    scale = np.where(h < weekend, 1.0, rng.uniform(0.2, 0.5))
    smooth = np.convolve(np.pad(scale, 60, mode="edge"), np.ones(121) / 121, "valid")
    return ok(b + smooth * daily(rng, h, b * rng.uniform(0.2, 0.6)) + everyday_noise(rng, len(h), b))


def k_gc_flat(rng, h):
    b = pick_base(rng)
    return ok(
        b
        + gc_saw(rng, h, b * rng.uniform(0.2, 1.5), 10 ** rng.uniform(-0.7, 0.8))
        + everyday_noise(rng, len(h), b * 0.2)
    )


def k_batch(rng, h):
    b = pick_base(rng)
    every = rng.choice([1, 2, 6, 12, 24])
    length = every * rng.uniform(0.05, 0.35)
    ph = rng.uniform(0, every)
    pos = np.mod(h - ph, every)
    job = np.clip(pos / (0.3 * length), 0, 1) * (pos < length)
    return ok(b + b * rng.uniform(0.3, 3) * job + everyday_noise(rng, len(h), b))


def k_logrotate(rng, h):
    b = pick_base(rng)
    every = rng.choice([1.0, 2.0, 4.0, 6.0, 8.0])
    pos = np.mod(h - rng.uniform(0, every), every)
    return ok(b + b * rng.uniform(0.1, 0.8) * pos / every + everyday_noise(rng, len(h), b * 0.3))


def k_freed_end(rng, h):
    b = pick_base(rng)
    start, stop = h[-1] * rng.uniform(0.05, 0.3), h[-1] * rng.uniform(0.7, 0.9)
    climb = np.clip((h - start) / (stop - start), 0, 1) * (h < stop)
    return ok(b + b * rng.uniform(0.3, 2) * climb + everyday_noise(rng, len(h), b * 0.5), (start, stop))


def k_tiny_drift(rng, h):
    b = pick_base(rng)
    return ok(b + rng.uniform(0.1, 0.9) / 24 * h + white(rng, len(h), 0.02))


def k_page_noise(rng, h):
    b = pick_base(rng)
    pages = np.cumsum(rng.integers(-1, 2, len(h)))
    pages = np.abs(np.mod(pages, 40) - 20)
    return ok(b + pages * PAGE / MB)


def k_quantised(rng, h):
    """A kernel counter that moves in whole slabs (32 kB .. 1 MB) around a level."""
    b = pick_base(rng)
    q = 2.0 ** rng.integers(-5, 1)
    x = ar1(rng, len(h), q * rng.uniform(1, 6), rng.uniform(0.1, 1.5))
    return ok(b + np.round(x / q) * q)


def k_slab_bounded(rng, h):
    """Slabs never given back: the running maximum of a stationary load."""
    b = pick_base(rng)
    load = ar1(rng, len(h), b * 0.05, rng.uniform(0.05, 0.3))
    warm = b * 0.2 * (1 - np.exp(-h / rng.uniform(0.3, 2)))
    return ok(b + warm + np.maximum.accumulate(load))


def k_dentry(rng, h):
    """Reclaimable cache: grows with file system activity, reclaimed under pressure."""
    b = pick_base(rng)
    v = np.zeros(len(h))
    cur, cap = 0.0, b * rng.uniform(0.5, 1.5)
    r = cap / rng.uniform(3, 10)
    for i in range(1, len(h)):
        cur += r / 60 * rng.uniform(0.3, 1.7)
        if cur > cap:
            cur *= rng.uniform(0.2, 0.6)
            cap = b * rng.uniform(0.5, 1.5)
        v[i] = cur
    grow_h = h[np.argmax(np.diff(v) < -0.1 * b)]  # up to the first reclaim
    return ok(b + v, (0, grow_h))


def k_log(rng, h):
    b = pick_base(rng)
    return ambiguous(b + b * rng.uniform(0.1, 0.5) * np.log1p(h) + everyday_noise(rng, len(h), b), "log growth")


def k_free_walk(rng, h):
    b = pick_base(rng)
    return ambiguous(b * 1.5 + np.cumsum(rng.normal(0, b * 0.003, len(h))), "unbounded random walk")


def k_grey_drift(rng, h):
    b = pick_base(rng)
    return ambiguous(b + rng.uniform(1.5, 4) / 24 * h + white(rng, len(h), 0.05), "1-4 MB/day: near materiality")


PLAN = [  # (kind, count)
    (k_linear, 7),
    (k_staircase, 6),
    (k_noisy_slow, 6),
    (k_leak_on_daily, 6),
    (k_gc_rising, 6),
    (k_onset_mid, 6),
    (k_accelerating, 5),
    (k_sqrt, 5),
    (k_working_hours, 5),
    (k_partial_release, 5),
    (k_multi_sum, 5),
    (k_constant, 3),
    (k_white, 4),
    (k_ar1, 6),
    (k_bounded_walk, 4),
    (k_warmup, 9),
    (k_cache_cap, 6),
    (k_single_step, 5),
    (k_multi_step, 5),
    (k_daily, 6),
    (k_weekly, 4),
    (k_gc_flat, 6),
    (k_batch, 5),
    (k_logrotate, 4),
    (k_freed_end, 4),
    (k_tiny_drift, 4),
    (k_page_noise, 3),
    (k_quantised, 4),
    (k_slab_bounded, 4),
    (k_dentry, 4),
    (k_log, 2),
    (k_free_walk, 2),
    (k_grey_drift, 2),
]
RESTARTS = 4  # services that leak and restart: 2-5 lives each
POOLS = 4  # prefork services with their workers: one trace each
LONG_KINDS = {k_leak_on_daily, k_working_hours, k_daily, k_weekly, k_noisy_slow}


# ---------------------------------------------------------------- sampling


def sample_index(rng, n):
    """Which grid points were sampled, and the jitter of each (seconds)."""
    keep = rng.random(n) > rng.choice([0.0, 0.002, 0.02])
    for _ in range(rng.poisson(n / 1440 * 0.7)):  # gaps
        at = int(rng.integers(0, n))
        keep[at : at + int(rng.integers(3, 60))] = False
    keep[0] = True
    jitter = np.abs(rng.normal(0, rng.choice([0.02, 0.5, 2.0]), n))
    return keep, jitter


def to_pages(v_mb):
    return np.maximum(np.round(v_mb * MB / PAGE), 1).astype(np.int64) * PAGE


def series_name(rng, used):
    """A name of a process or a slab cache that is not in ``used`` yet."""
    pool = SLAB_NAMES if rng.random() < 0.35 else PROCESS_NAMES
    while True:
        s = str(rng.choice(pool))
        s = s if "/" in s else f"proc/{s}[{rng.integers(300, 40000)}]"
        if s not in used:
            used.add(s)
            return s


def add_restarts(rng, trace, service, h, columns, labels):
    """A service that leaks and is restarted: its lives, one after another."""
    n, base = len(h), pick_base(rng)
    r = base * rng.uniform(0.02, 0.15)
    at, life = 0, 1
    while at < n - 60:
        length = min(int(rng.uniform(7, 18) * 60), n - at)
        lh = np.arange(length) / 60
        v = base * (1 - 0.3 * np.exp(-lh / 0.2)) + r * lh + everyday_noise(rng, length, base * 0.5)
        s = f"{service}#{life}"
        columns.append((s, at, to_pages(v)))
        label, note = "leak" if length >= 360 else "ambiguous", f"life {life} of {service}"
        labels.append(Label(trace, s, label, "restart", h[at] * 3600, h[at + length - 1] * 3600, r * MB, note))
        at += length + int(rng.integers(1, 6))
        life += 1


def build(out: str, seed: int) -> list[Label]:
    """Write the corpus of a seed to the folder ``out``; return its labels."""
    rng = np.random.default_rng([seed, 0xA])
    traces_dir = fresh_dir(out)
    jobs = [k for k, c in PLAN for _ in range(c)]
    rng.shuffle(jobs)
    long = [k for k in jobs if k in LONG_KINDS]
    short = [k for k in jobs if k not in LONG_KINDS]
    groups = []
    while long or short:
        use_long = len(long) / max(1, len(long) + len(short)) > rng.random()
        pool = long if (use_long and long) or not short else short
        size = int(rng.integers(4, 7))
        hours = float(rng.choice([60, 72])) if pool is long else float(rng.choice([24, 30, 36, 48, 72]))
        groups.append((hours, [pool.pop() for _ in range(min(size, len(pool)))]))
    labels: list[Label] = []
    restart_at = set(rng.choice(len(groups), RESTARTS, replace=False).tolist())
    for gi, (hours, kinds) in enumerate(groups):
        name = f"A{gi:03d}"
        n = int(hours * 60)
        h = np.arange(n) / 60
        keep, jitter = sample_index(rng, n)
        wall = T0 + gi * 86400 + rng.uniform(0, 3600) + h * 3600 + jitter
        columns, used = [], set()  # columns: (series, first index, values)
        for k in kinds:
            d = k(rng, h)
            s = series_name(rng, used)
            columns.append((s, 0, to_pages(d["v"])))
            onset_s, end_s = (d[at] * 3600 if at in d else None for at in ("onset_h", "end_h"))
            rate = d["rate"] * MB if "rate" in d else None
            labels.append(Label(name, s, d["label"], k.__name__[2:], onset_s, end_s, rate, d.get("note", "")))
        if gi in restart_at:
            add_restarts(rng, name, series_name(rng, used).split("[")[0], h, columns, labels)
        rows = []
        for i in np.flatnonzero(keep):
            for s, start, v in columns:
                if start <= i < start + len(v):
                    rows.append((wall[i], s, v[i - start]))
        write_trace(f"{traces_dir}/{name}.csv.gz", rows)
    labels += worker_pools(traces_dir, len(groups), np.random.default_rng([seed, 0xAA]))
    write_labels(f"{out}/labels.csv", labels)
    return labels


def worker_pools(traces_dir, first, rng) -> list[Label]:
    """Prefork services: short-lived workers that are each healthy (they warm up and stay).
    In every other pool each generation is a little bigger, so that `group/<name>`, their
    sum, leaks.  Each trace also has a service that restarts and does not leak."""
    labels = []
    for gi in range(first, first + POOLS):
        name, hours = f"A{gi:03d}", float(rng.choice([30, 36, 48]))
        n = int(hours * 60)
        keep, jitter = sample_index(rng, n)
        wall = T0 + gi * 86400 + np.arange(n) * 60 + jitter
        service = str(rng.choice(["gunicorn", "php-fpm", "apache2", "celery"]))
        base = 10 ** rng.uniform(1.3, 2.2)
        leaks = (gi - first) % 2 == 0
        growth = base * rng.uniform(0.01, 0.04) * leaks  # MB/h of a worker's size at birth
        total, columns, pid = np.zeros(n), [], int(rng.integers(1000, 30000))
        workers = int(rng.integers(3, 5))
        for _ in range(workers):
            at = -int(rng.uniform(0, 240))
            while at < n:
                life = int(rng.uniform(180, 480))
                lo, hi = max(at, 0), min(at + life, n)
                if hi - lo > 20:
                    lh = (np.arange(lo, hi) - at) / 60
                    size = base + growth * max(at, 0) / 60
                    v = size * (1 - 0.35 * np.exp(-lh / 0.15)) + ar1(rng, hi - lo, base * 0.01, 0.2)
                    pid += int(rng.integers(1, 90))
                    columns.append((f"proc/{service}[{pid}]", lo, to_pages(v)))
                    total[lo:hi] += v
                    labels.append(Label(name, columns[-1][0], "ok", "pool_worker"))
                at += life + 1
        columns.append((f"group/{service}", 0, to_pages(total)))
        if leaks:
            labels.append(
                Label(
                    name,
                    columns[-1][0],
                    "leak",
                    "pool_sum",
                    0,
                    hours * 3600,
                    growth * workers * MB,
                    f"{workers} workers",
                )
            )
        else:
            labels.append(Label(name, columns[-1][0], "ok", "pool_sum_ok", note=f"{workers} workers"))
        stem, size = f"proc/{rng.choice(PROCESS_NAMES)}", pick_base(rng)
        at, life = 0, 1
        while at < n - 60:
            length = min(int(rng.uniform(7, 18) * 60), n - at)
            lh = np.arange(length) / 60
            v = size * (1 - 0.4 * np.exp(-lh / rng.uniform(0.2, 1.2))) + everyday_noise(rng, length, size)
            columns.append((f"{stem}#{life}", at, to_pages(v)))
            labels.append(Label(name, columns[-1][0], "ok", "restart_ok", note=f"life {life} of {stem}"))
            at += length + int(rng.integers(1, 6))
            life += 1
        rows = []
        for i in np.flatnonzero(keep):
            rows += [(wall[i], s, v[i - lo]) for s, lo, v in columns if lo <= i < lo + len(v)]
        write_trace(f"{traces_dir}/{name}.csv.gz", rows)
    return labels


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", required=True)
    ap.add_argument("--seed", type=int, default=1)
    args = ap.parse_args()
    labels = build(args.out, args.seed)
    by = {}
    for lab in labels:
        by[lab.label] = by.get(lab.label, 0) + 1
    print(args.out, len(labels), "series", by)


if __name__ == "__main__":
    main()
