"""Seeded families of noise and growth: what memory does that leaks, and what it does that does not.

Each function takes hours since the start and a generator and returns MiB; each draws its own rates and levels.
"""

from __future__ import annotations

import numpy as np

Family = "Callable[[np.ndarray, np.random.Generator], np.ndarray]"


def _white(h: np.ndarray, r: np.random.Generator, share: float = 0.004) -> np.ndarray:
    return r.normal(0, 1, len(h)) * share * 300


def _ar1(h: np.ndarray, r: np.random.Generator, sd: float, memory_h: float) -> np.ndarray:
    """Return noise that forgets in so many hours."""
    keep = np.exp(-(h[1] - h[0]) / memory_h)
    steps = r.normal(0, sd * (1 - keep**2) ** 0.5, len(h))
    out = np.empty(len(h))
    value = 0.0
    for at, step in enumerate(steps):
        value = keep * value + step
        out[at] = value
    return out


def _level(r: np.random.Generator) -> float:
    return float(r.uniform(80, 600))


def _rate(r: np.random.Generator) -> float:
    """Return MiB an hour, from 0.5 to 20, as many small as large ones."""
    return float(np.exp(r.uniform(np.log(0.5), np.log(20))))


def _day(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return np.maximum(0, np.sin((h - r.uniform(0, 24)) / 24 * 2 * np.pi)) ** r.uniform(0.7, 2)


def _saw(h: np.ndarray, every_h: float, depth: float) -> np.ndarray:
    return h % every_h / every_h * depth


# Healthy


def white(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _white(h, r, r.uniform(0.001, 0.02))


def ar1(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + 300 + _ar1(h, r, r.uniform(2, 20), r.uniform(0.2, 3))


def bounded_walk(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + 300 + _ar1(h, r, r.uniform(5, 40), r.uniform(6, 24))


def page_quantised(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + np.round(_ar1(h, r, 1.0, 1.0)) * 2


def daily(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + r.uniform(20, 150) * _day(h, r) + _white(h, r)


def weekly(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    week = 1 - 0.6 * ((h / 24 + r.integers(0, 7)) % 7 >= 5)
    return _level(r) + r.uniform(20, 150) * _day(h, r) * week + _white(h, r)


def gc_saw(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _saw(h, np.exp(r.uniform(np.log(0.05), np.log(3))), r.uniform(20, 200)) + _white(h, r)


def batch(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every, lasts = r.uniform(4, 24), r.uniform(0.5, 3)
    return _level(r) + np.where(h % every < lasts, h % every / lasts * r.uniform(50, 400), 0) + _white(h, r)


def log_rotate(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _saw(h + r.uniform(0, 24), 24, r.uniform(30, 200)) + _white(h, r)


def warm_up(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + r.uniform(30, 200) * (1 - np.exp(-h / np.exp(r.uniform(np.log(0.2), np.log(12))))) + _white(h, r)


def cache_fills(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + r.uniform(60, 400) * np.minimum(1, h / r.uniform(1, 14)) + _white(h, r)


def single_step(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + r.uniform(20, 200) * (h > r.uniform(0.1, 0.9) * h[-1]) + _white(h, r)


def unequal_steps(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    times = np.sort(r.uniform(0, 0.5 * h[-1], 4))
    sizes = r.uniform(0.2, 1, 4) * 60
    return _level(r) + (sizes * (h[:, None] > times)).sum(axis=1) + _white(h, r)


def running_maximum(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + np.maximum.accumulate(_ar1(h, r, r.uniform(5, 30), r.uniform(0.05, 0.5)))


def restart_ok(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every = r.uniform(6, 30)
    return 60 + r.uniform(60, 300) * (1 - np.exp(-(h % every) / r.uniform(0.2, 1.5))) + _white(h, r)


def warming_lives(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    """Return lives that end before they have settled, as a worker recycled at noon and midnight."""
    every = r.uniform(6, 12)
    return 80 + r.uniform(60, 300) * (1 - np.exp(-(h % every) / r.uniform(1, 3.5))) + _white(h, r)


# Leaks


def linear(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _rate(r) * h + _white(h, r, 0.001)


def slow_noisy(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    level = _level(r)
    return level * (1 + r.uniform(0.03, 0.08) * h / 24) + level * r.uniform(0.005, 0.015) * r.normal(0, 1, len(h))


def staircase(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every = r.uniform(0.5, 4)
    return _level(r) + np.floor(h / every) * every * _rate(r) + _white(h, r, 0.001)


def gc_rising(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _rate(r) * h + _saw(h, r.uniform(0.05, 1), r.uniform(20, 100)) + _white(h, r, 0.002)


def onset_mid(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + (2 + _rate(r)) * np.maximum(0, h - ONSET * h[-1]) + _white(h, r, 0.001)


def square_root(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + 10 * _rate(r) * np.sqrt(h) + _white(h, r, 0.001)


def accelerating(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + _rate(r) * h * (0.3 + h / h[-1]) + _white(h, r, 0.001)


def working_hours(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    busy = (h + r.uniform(0, 24)) % 24 < 10
    return _level(r) + np.cumsum(busy) * (h[1] - h[0]) * (3 + _rate(r)) + _white(h, r, 0.001)


def partial_release(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every, rate = r.uniform(5, 20), 2 + _rate(r)
    return _level(r) + rate * h - 0.4 * rate * every * np.floor(h / every) + _white(h, r, 0.001)


def pool_sum(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    swings = sum(_ar1(h, r, 3, r.uniform(0.1, 2)) for _ in range(6))
    return 400 + (2 + _rate(r)) * h + swings


def restarting(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    every = r.uniform(10, 30)
    return _level(r) + (3 + _rate(r)) * (h % every) + _white(h, r, 0.001)


def on_daily(h: np.ndarray, r: np.random.Generator) -> np.ndarray:
    return _level(r) + (2 + _rate(r)) * h + r.uniform(20, 60) * _day(h, r) + _white(h, r, 0.002)


ONSET = 0.3
"""Share of the recording after which ``onset_mid`` begins to leak."""
HEALTHY: tuple[Family, ...] = (
    white, ar1, bounded_walk, page_quantised, daily, weekly, gc_saw, batch, log_rotate, warm_up, cache_fills,
    single_step, unequal_steps, running_maximum, restart_ok, warming_lives,
)  # fmt: skip
LEAKS: tuple[Family, ...] = (
    linear, slow_noisy, staircase, gc_rising, onset_mid, square_root, accelerating, working_hours, partial_release,
    pool_sum, restarting, on_daily,
)  # fmt: skip
LIVES = (restart_ok, warming_lives, restarting)
"""Families whose lives are also given as series of their own, ``X#1``, ``X#2`` and so on."""
