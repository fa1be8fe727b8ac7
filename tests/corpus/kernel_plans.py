"""What leaks and what merely comes and goes in each recording of the kernel. Rates are objects a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.corpus.shapes import (
    Levels,
    accelerating,
    batch,
    bursts,
    bursty,
    fill,
    flat,
    linear,
    saturating,
    step,
    under_load,
    wander,
    wave,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One pool: a kind of object and how many of them there are; ``leaked`` is the share never given back."""

    kind: str
    role: str
    levels: Levels
    leaked: Levels
    climb: tuple[int, int] | None = None


def leak(kind: str, role: str, leaked: Levels, working: Levels | None = None) -> Part:
    return Part(kind, role, leaked + (0 if working is None else working), leaked)


def busy(kind: str, role: str, levels: Levels, climb: tuple[int, int] | None = None) -> Part:
    return Part(kind, role, levels, np.zeros(len(levels)), climb)


def plan_a(n: int, rng: np.random.Generator) -> list[Part]:
    load = wave(n, 0.1, 1, n / 3.3)
    return [
        leak("message-900", "linear", linear(n, rng.uniform(25, 50))),
        leak("key-24", "linear_slow", linear(n, rng.uniform(10, 15))),
        leak("record-lock", "bursty", bursty(n, rng.uniform(50, 80), 45, rng)),
        leak("eventfd", "late", linear(n, rng.uniform(35, 60), n // 3)),
        leak("thread", "linear", linear(n, rng.uniform(0.8, 1.2))),
        leak("tmpfs-file", "under_load", under_load(n, rng.uniform(0.3, 0.6), load)),
        leak("page-table", "linear", linear(n, rng.uniform(0.1, 0.2))),
        leak("bpf-array", "linear", linear(n, rng.uniform(0.03, 0.05))),
        leak("signal", "linear", linear(n, rng.uniform(60, 85))),
        busy("unix-socket", "wave", wave(n, 200, 2500, n / 4.4)),
        busy("udp-socket", "bursts", flat(n, 100) + bursts(n, 1500, 70, 25, rng)),
        busy("tcp-connection", "saturating", saturating(n, 1200, n / 10), (0, n // 2)),
        busy("pipe", "step", flat(n, 300) + step(n, 2500, int(n * 0.4))),
        busy("mapping", "wander", wander(n, 4000, 900, 40, rng)),
        busy("timerfd", "batch", batch(n, 6000, 170)),
        busy("memory-group", "fill", fill(n, 350, n // 3), (0, n // 3)),
        busy("missing-name", "reclaimable_fill", fill(n, 60000, n // 2), (0, n // 2)),
    ]


def plan_b(n: int, rng: np.random.Generator) -> list[Part]:
    load = bursts(n, 1, 60, 25, rng)
    return [
        leak("message-4000", "leak_on_wave", linear(n, rng.uniform(5, 9)), wave(n, 0, 0.5, n / 5)),
        leak("udp-socket", "leak_on_wave", linear(n, rng.uniform(5, 9)), wave(n, 50, 1500, n / 6)),
        leak("pipe", "linear", linear(n, rng.uniform(6, 12))),
        leak("timerfd", "under_load", under_load(n, rng.uniform(18, 30), load)),
        leak("mapping", "linear", linear(n, rng.uniform(18, 25))),
        leak("memory-group", "linear", linear(n, rng.uniform(0.7, 1.1))),
        leak("bpf-percpu", "bursty", bursty(n, rng.uniform(0.5, 1.0), 30, rng)),
        leak("memfd", "late", linear(n, rng.uniform(0.3, 0.6), int(n * 0.4))),
        leak("mount", "linear", linear(n, rng.uniform(3, 5))),
        busy("message-900", "wave", wave(n, 500, 9000, n / 3.7)),
        busy("key-24", "step", flat(n, 500) + step(n, 9000, int(n * 0.3))),
        busy("record-lock", "batch", batch(n, 15000, 210)),
        busy("thread", "wander", wander(n, 250, 60, 30, rng)),
        busy("page-table", "bursts", bursts(n, 60, 90, 30, rng)),
        busy("tcp-connection", "wave", wave(n, 100, 1200, n / 5.3)),
        busy("unread-datagram", "fill", fill(n, 1800, n // 2), (0, n // 2)),
        busy("signal", "saturating", saturating(n, 60000, n / 8), (0, int(n * 0.6))),
        busy("netns", "step", flat(n, 2) + step(n, 14, n // 2)),
    ]


def plan_c(n: int, rng: np.random.Generator) -> list[Part]:
    return [
        leak("tcp-connection", "linear", linear(n, rng.uniform(2, 4))),
        leak("unread-datagram", "bursty", bursty(n, rng.uniform(2, 4), 50, rng)),
        leak("netns", "linear", linear(n, rng.uniform(0.1, 0.2))),
        leak("zombie", "linear", linear(n, rng.uniform(1.5, 2.5))),
        leak("epoll", "late", linear(n, rng.uniform(20, 30), int(n * 0.45))),
        leak("tmpfs-empty-file", "accelerating", accelerating(n, rng.uniform(15, 25))),
        leak("message-200", "square_root", accelerating(n, rng.uniform(50, 80), 0.5)),
        leak("page-table", "leak_on_wave", linear(n, rng.uniform(0.06, 0.12)), wave(n, 5, 40, n / 6)),
        leak("record-lock", "leak_on_wander", linear(n, rng.uniform(25, 40)), wander(n, 12000, 2500, 25, rng)),
        busy("message-4000", "batch", batch(n, 3000, 190)),
        busy("signal", "wave", wave(n, 5000, 60000, n / 2.8)),
        busy("pipe", "saturating", saturating(n, 5000, n / 7), (0, int(n * 0.6))),
        busy("memfd", "fill", fill(n, 500, int(n * 0.55)), (0, int(n * 0.55))),
        busy("udp-socket", "step", flat(n, 200) + step(n, 5000, int(n * 0.25))),
        busy("bpf-array", "bursts", bursts(n, 20, 80, 35, rng)),
        busy("bpf-percpu", "wave", wave(n, 20, 300, n / 4.5)),
        busy("mapping", "bursts", bursts(n, 14000, 100, 30, rng)),
        busy("key-400", "fill", fill(n, 12000, int(n * 0.4)), (0, int(n * 0.4))),
        busy("missing-name", "reclaimable_walk", linear(n, 60), (0, n)),
    ]


def plan_healthy(n: int, rng: np.random.Generator) -> list[Part]:
    return [
        busy("message-900", "bursts", flat(n, 3000) + bursts(n, 20000, 60, 25, rng)),
        busy("message-4000", "fill", fill(n, 9000, int(n * 0.45)), (0, int(n * 0.45))),
        busy("key-24", "wander", wander(n, 8000, 1500, 60, rng)),
        busy("record-lock", "saturating", saturating(n, 40000, n / 9), (0, n // 2)),
        busy("eventfd", "wave", wave(n, 1000, 14000, n / 3.2)),
        busy("pipe", "wander", wander(n, 3000, 700, 50, rng)),
        busy("unix-socket", "saturating", saturating(n, 5000, n / 12), (0, n // 2)),
        busy("udp-socket", "wave", wave(n, 100, 4000, n / 7)),
        busy("tcp-connection", "step", flat(n, 150) + step(n, 1500, n // 3)),
        busy("timerfd", "bursts", bursts(n, 12000, 110, 50, rng)),
        busy("epoll", "batch", batch(n, 4000, 230)),
        busy("thread", "wave", wave(n, 20, 900, n / 3.6)),
        busy("zombie", "bursts", bursts(n, 500, 70, 20, rng)),
        busy("tmpfs-file", "batch", batch(n, 800, 150)),
        busy("memfd", "saturating", saturating(n, 500, n / 10), (0, n // 2)),
        busy("mapping", "step", flat(n, 2000) + step(n, 15000, n // 2)),
        busy("page-table", "wave", wave(n, 20, 200, n / 4.8)),
        busy("bpf-array", "step", flat(n, 3) + step(n, 25, int(n * 0.35))),
        busy("bpf-percpu", "fill", fill(n, 600, n // 2), (0, n // 2)),
        busy("memory-group", "wave", wave(n, 30, 400, n / 3)),
        busy("mount", "saturating", saturating(n, 1500, n / 9), (0, n // 2)),
        busy("netns", "wave", wave(n, 1, 15, n / 4)),
        busy("missing-name", "reclaimable_walk", linear(n, 90), (0, n)),
    ]


PLANS = {"a": plan_a, "b": plan_b, "c": plan_c, "healthy": plan_healthy}
