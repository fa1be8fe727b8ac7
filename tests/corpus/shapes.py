"""How an amount goes over a recording: arrays with one level a second, added up to a plan (`linear(...) + wave(...)`).

A leak is a level that only rises and is never given back; a working set is one that also falls.
"""

from __future__ import annotations

import numpy as np

Levels = np.ndarray


def flat(seconds: int, level: float) -> Levels:
    return np.full(seconds, float(level))


def linear(seconds: int, rate: float, onset: int = 0) -> Levels:
    return rate * np.maximum(0.0, np.arange(seconds) - onset)


def bursty(seconds: int, rate: float, every: float, rng: np.random.Generator, onset: int = 0) -> Levels:
    """Rises by unequal steps at random times, ``every`` seconds apart on average, ``rate`` a second on average."""
    steps = np.zeros(seconds)
    at = float(onset)
    while (at := at + rng.uniform(0.3, 1.7) * every) < seconds:
        steps[int(at)] += rate * every * rng.uniform(0.4, 1.6)
    return np.cumsum(steps)


def under_load(seconds: int, rate: float, load: Levels, onset: int = 0) -> Levels:
    """Rises in proportion to ``load``, ``rate`` a second on average."""
    share = (load - load.min()) * (np.arange(seconds) >= onset)
    return np.cumsum(share) * rate * (seconds - onset) / share.sum()


def accelerating(seconds: int, rate: float, power: float = 2.0) -> Levels:
    """Ends where a line of ``rate`` ends; ``power`` below 1 slows down without bound being reached."""
    return rate * seconds * (np.arange(seconds) / seconds) ** power


def pausing(seconds: int, rate: float, on: int, off: int) -> Levels:
    return np.cumsum(rate * (np.arange(seconds) % (on + off) < on)) * (on + off) / on


def fill(seconds: int, cap: float, until: int, onset: int = 0) -> Levels:
    """Rises on a line and stops dead at ``cap``, reached ``until`` seconds from the start."""
    return np.clip(cap * (np.arange(seconds) - onset) / (until - onset), 0.0, cap)


def saturating(seconds: int, level: float, tau: float) -> Levels:
    return level * (1 - np.exp(-np.arange(seconds) / tau))


def step(seconds: int, size: float, at: int) -> Levels:
    return size * (np.arange(seconds) >= at).astype(float)


def wave(seconds: int, low: float, high: float, period: float, phase: float = 0.0) -> Levels:
    return low + (high - low) * (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(seconds) / period + phase)))


def bursts(seconds: int, size: float, every: float, length: float, rng: np.random.Generator) -> Levels:
    """Rectangles of unequal height and length, back to nothing in between."""
    out, at = np.zeros(seconds), 0.0
    while (at := at + rng.uniform(0.4, 1.6) * every) < seconds:
        out[int(at) : int(at + length * rng.uniform(0.5, 1.5))] = size * rng.uniform(0.4, 1.0)
    return out


def batch(seconds: int, size: float, period: int, pause: int = 20) -> Levels:
    """A job that takes memory on a ramp, releases all of it and starts anew after a pause."""
    return (
        size
        * np.minimum(1.0, np.arange(seconds) % period / (period - pause))
        * (np.arange(seconds) % period < period - pause)
    )


def wander(seconds: int, middle: float, spread: float, memory: float, rng: np.random.Generator) -> Levels:
    """A first-order autoregressive walk that stays about ``middle``; ``memory`` is its time constant in seconds."""
    keep, out, value = np.exp(-1 / memory), np.empty(seconds), 0.0
    for i, kick in enumerate(rng.normal(0, spread * np.sqrt(1 - keep * keep), seconds)):
        value = keep * value + kick
        out[i] = middle + value
    return np.maximum(out, 0.0)
