"""What runs in a recording of programs: drawn by its seed, the same kinds each time, other runtimes, rates and noise.

Rates are bytes a recorded second; a second stands for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tests.corpus.programs import Plan, Workload
from tests.corpus.servers import (
    Known,
    Memcached,
    Nginx,
    Postgres,
    Redis,
    Session,
    ever_more_tables,
    prepared_statements,
    random_keys,
    sorts,
    temporary_tables,
    writes,
)
from tests.corpus.shapes import (
    Levels,
    accelerating,
    batch,
    bursts,
    bursty,
    fill,
    flat,
    linear,
    pausing,
    saturating,
    step,
    under_load,
    wander,
    wave,
)

if TYPE_CHECKING:
    from pathlib import Path

KB, MB = 1000, 1_000_000
LEAKY = ["c-glibc", "c-jemalloc", "c-tcmalloc", "python-list", "python-dict", "python-objects", "node-array",
         "node-closure", "node-buffer", "java-serial-list", "java-g1-map", "java-serial-direct"]  # fmt: skip
HEALTHY = ["c-glibc", "c-jemalloc", "c-tcmalloc", "python-list", "node-array", "java-serial-list", "java-g1-list",
           "java-parallel-list"]  # fmt: skip

Make = Callable[[int, np.random.Generator], Plan]


def plan(role: str, leaked: Levels | float, working: Levels, churn: float, **more: object) -> Plan:
    n = len(working)
    return Plan(role, np.zeros(n) + leaked, working, np.full(n, churn), **more)


def leaks() -> dict[str, Make]:
    """Each leak on another kind of working set, from obvious to small against the noise."""

    def rate(rng: np.random.Generator, low: float = 15, high: float = 150) -> float:
        return float(np.exp(rng.uniform(np.log(low * KB), np.log(high * KB))))

    def load(n: int, rng: np.random.Generator) -> Levels:
        return wave(n, 0, 1, n / rng.uniform(3.2, 7), rng.uniform(0, 1))

    def loaded(n: int, rng: np.random.Generator) -> Plan:
        busy = load(n, rng)
        return plan("leak_under_load", under_load(n, rate(rng), busy), 10 * MB + 25 * MB * busy, 200, curved=True)

    def late(n: int, rng: np.random.Generator) -> Plan:
        onset = int(n * rng.uniform(0.25, 0.5))
        return plan("leak_late", linear(n, rate(rng, 30), onset), wander(n, 25 * MB, 3 * MB, 60, rng), 150)

    def after_warmup(n: int, rng: np.random.Generator) -> Plan:
        return plan("leak_with_warmup", linear(n, rate(rng)), saturating(n, 40 * MB, n / 12), 100)

    return {
        "linear": lambda n, rng: plan("leak_linear", linear(n, rate(rng)), flat(n, rng.uniform(5, 60) * MB), 100),
        "linear_quiet": lambda n, rng: plan("leak_linear", linear(n, rate(rng, 8, 40)), flat(n, 15 * MB), 0),
        "bursty": lambda n, rng: plan(
            "leak_bursty", bursty(n, rate(rng), rng.uniform(15, 70), rng), flat(n, 20 * MB), 100
        ),
        "loaded": loaded,
        "on_wave": lambda n, rng: plan("leak_on_wave", linear(n, rate(rng, 25)), 15 * MB + 30 * MB * load(n, rng), 150),
        "slow_noisy": lambda n, rng: plan(
            "leak_slow_noisy", linear(n, rate(rng, 15, 40)), 20 * MB + bursts(n, 40 * MB, 45, 15, rng), 200
        ),
        "late": late,
        "accelerating": lambda n, rng: plan(
            "leak_accelerating", accelerating(n, rate(rng, 30)), flat(n, 20 * MB), 100, curved=True
        ),
        "square_root": lambda n, rng: plan(
            "leak_square_root", accelerating(n, rate(rng, 40), 0.6), flat(n, 20 * MB), 100, curved=True
        ),
        "pausing": lambda n, rng: plan(
            "leak_pausing", pausing(n, rate(rng), 80, int(rng.uniform(40, 90))), flat(n, 20 * MB), 100, curved=True
        ),
        "warm": after_warmup,
        "batch": lambda n, rng: plan(
            "leak_on_batch", linear(n, rate(rng, 25)), 10 * MB + batch(n, 50 * MB, int(rng.uniform(90, 180))), 100
        ),
    }


def healthy() -> dict[str, Make]:
    def third(n: int, rng: np.random.Generator) -> Plan:
        until = int(n * rng.uniform(0.25, 0.4))
        return plan("fill_third", 0, 10 * MB + fill(n, rng.uniform(30, 120) * MB, until), 100, climb=(0, until))

    def warm(n: int, rng: np.random.Generator) -> Plan:
        tau = n / rng.uniform(9, 30)
        return plan("warm_up", 0, saturating(n, rng.uniform(30, 120) * MB, tau), 200, climb=(0, int(5 * tau)))

    def one_step(n: int, rng: np.random.Generator) -> Plan:
        return plan("one_step", 0, 20 * MB + step(n, 40 * MB, int(n * rng.uniform(0.2, 0.7))), 100)

    return {
        "idle": lambda n, rng: plan("idle", 0, flat(n, rng.uniform(1, 30) * MB), 0),
        "churn": lambda n, rng: plan("allocator_churn", 0, flat(n, rng.uniform(20, 60) * MB), 1500),
        "wave": lambda n, rng: plan(
            "load_wave", 0, wave(n, 10 * MB, rng.uniform(30, 90) * MB, n / rng.uniform(3, 9), rng.uniform(0, 1)), 300
        ),
        "bursts": lambda n, rng: plan("bursts", 0, 15 * MB + bursts(n, 60 * MB, 60, 20, rng), 200),
        "batch": lambda n, rng: plan("batch", 0, 10 * MB + batch(n, rng.uniform(40, 100) * MB, int(n / 6.5)), 100),
        "wander": lambda n, rng: plan("wander", 0, wander(n, 40 * MB, 6 * MB, rng.uniform(20, 90), rng), 300),
        "third": third,
        "warm": warm,
        "step": one_step,
    }


def draw(n: int, rng: np.random.Generator, directory: Path) -> list[Workload]:
    """Each role once or twice, each in a runtime of its own, so that over a few seeds all meet all."""
    found = []
    for makes, runtimes, rounds in ((leaks(), LEAKY, 1), (healthy(), HEALTHY, 2)):
        for turn in range(rounds):
            deck = [runtimes[i % len(runtimes)] for i in rng.permutation(max(len(makes), len(runtimes)))]
            for (role, make), runtime in zip(makes.items(), deck, strict=False):
                name = f"{runtime}-{role}{'-' + str(turn + 1) if rounds > 1 else ''}".replace("_", "-")
                found.append(Workload(name, runtime, [make(n, rng)], directory, int(rng.integers(1, 10**6))))
    return found


def restarting(n: int, rng: np.random.Generator, directory: Path) -> list[Workload]:
    """Services that are replaced again and again: some leak in each life, some warm up in each."""
    lives = [int(n * share) for share in rng.uniform(0.2, 0.4, 3)]
    rate = rng.uniform(60, 150) * KB
    leak = [plan("leak_restart", linear(k, rate), flat(k, 15 * MB), 100) for k in lives]
    warm = [
        plan("restart_warm_up", 0, saturating(k, 60 * MB, k / rng.uniform(7, 11)), 200, climb=(0, k // 2))
        for k in lives
    ]
    calm = [plan("restart_wave", 0, wave(k, 20 * MB, 40 * MB, k / 2.5), 200) for k in lives[::-1]]
    leaky = str(rng.choice(["c-glibc", "python-list", "node-array"]))
    return [
        Workload(f"restarted-leaky-{leaky}", leaky, leak, directory, 11),
        Workload("restarted-warming-c-jemalloc", "c-jemalloc", warm, directory, 12),
        Workload("restarted-wave-python", "python-list", calm, directory, 13),
    ]


def pools(n: int, rng: np.random.Generator, directory: Path) -> dict[str, list[Workload]]:
    """Workers of one name: in one pool one of four leaks, in one all do, in one none, in one they are recycled."""
    one, every = rng.uniform(60, 120) * KB, rng.uniform(15, 30) * KB
    load = wave(n, 5 * MB, 20 * MB, n / 5.5)
    size, runtime = 4, str(rng.choice(["c-glibc", "c-tcmalloc", "python-dict"]))

    def worker(name: str, plans: list[Plan], which: str, i: int) -> Workload:
        return Workload(name, which, plans, directory, 100 + i)

    def one_of(i: int) -> Plan:
        return plan("leak_pool_one", linear(n, one), load, 100) if i == 0 else plan("pool_worker", 0, load, 100)

    first_lives = [int(n * (i + 1) / 13) + 20 for i in range(3)]
    warm, climb = n / 60, (0, int(n / 12))
    short = plan("recycled_worker", 0, saturating(int(n / 4), 25 * MB, warm), 100, climb=climb)
    first = [plan("recycled_worker", 0, saturating(k, 25 * MB, warm), 100, climb=climb) for k in first_lives]
    return {
        "pool-one-leaks": [worker("pool-one-leaks", [one_of(i)], runtime, i) for i in range(size)],
        "pool-all-leak": [
            worker("pool-all-leak", [plan("leak_pool_all", linear(n, every * f), load, 100)], "c-jemalloc", i)
            for i, f in enumerate((0.9, 1.0, 1.1))
        ],
        "pool-healthy": [worker("pool-healthy", [plan("pool_worker", 0, load, 100)], "c-glibc", i) for i in range(3)],
        "pool-recycled": [worker("pool-recycled", [first[i]] + [short] * 12, "c-glibc", i) for i in range(3)],
    }


def redis_servers(n: int, rng: np.random.Generator, directory: Path) -> list[Redis]:
    def keys(number: int, per_second: float | Levels, low: int = 200, high: int = 3000) -> Callable:
        return random_keys(np.random.default_rng(rng.integers(10**9)), number, np.zeros(n) + per_second, low, high)

    def push(load: Levels) -> Callable[[int], list[tuple]]:
        def commands(second: int) -> list[tuple]:
            return [("RPUSH", f"log:{i % 20}", b"event" * 40) for i in range(int(load[second]))]

        return commands

    def expiring(per_second: int, lifetime: int) -> Callable[[int], list[tuple]]:
        def commands(second: int) -> list[tuple]:
            return [("SET", f"s:{second}:{i}", b"v" * (300 + 37 * i), "EX", lifetime) for i in range(per_second)]

        return commands

    lru = ["--maxmemory-policy", "allkeys-lru", "--maxmemory"]
    busy = wave(n, 20, 300, n / rng.uniform(3.5, 6))
    speed = rng.uniform(25, 60)
    late_cap = f"{int(speed * 1600 * n * 0.3)}"
    fills = Known("ok", "cache_fill", fills=True)
    again = Known("ok", "restart_cache", fills=True)
    return [
        Redis("redis-evicting", [*lru, late_cap], keys(0, speed), fills, directory),
        Redis("redis-small-cache", [*lru, "12mb"], keys(0, 80), fills, directory),
        Redis("redis-overwriting", [], keys(20000, 150), fills, directory),
        Redis("redis-expiring", [], expiring(30, int(n * 0.12)), Known("ok", "warm_up", fills=True), directory),
        Redis("redis-idle", [], keys(0, 0), Known("ok", "idle"), directory),
        Redis("redis-restarted", [*lru, "15mb"], keys(0, 100), again, directory, int(n * 0.28)),
        Redis("redis-ever-new", [], keys(0, rng.uniform(15, 60)), Known("leak", "leak_ever_new_keys"), directory),
        Redis("redis-lists", [], push(busy), Known("leak", "leak_under_load", curved=True), directory),
    ]


def other_servers(n: int, rng: np.random.Generator, directory: Path) -> list:
    def sets(per_second: float, low: int, high: int, keys: int) -> Callable[[int], list[tuple[str, int]]]:
        chance = np.random.default_rng(rng.integers(10**9))

        def wanted(second: int) -> list[tuple[str, int]]:
            return [
                (f"k{chance.integers(keys)}", int(chance.integers(low, high)))
                for _ in range(int(per_second + chance.random()))
            ]

        return wanted

    load = wave(n, 0.1, 1, n / rng.uniform(3.5, 6), rng.uniform(0, 1))
    filling = 64_000 / (n * rng.uniform(0.25, 0.45))
    waves = wave(n, 2, 15, n / 4.7)
    sessions = [
        Session("prepared", prepared_statements(rng.uniform(2.0, 5.0)), Known("leak", "leak_prepared_statements")),
        Session("temporary", temporary_tables(rng.uniform(1.5, 2.5)), Known("leak", "leak_temporary_tables")),
        Session("fills", ever_more_tables(400 / (n * rng.uniform(0.15, 0.4))), Known("ok", "backend_cache_fill", True)),
        Session("fills", ever_more_tables(6.0), Known("ok", "backend_cache_fill", True)),
        Session("sorts", sorts(load, 55000), Known("ok", "backend_sorts")),
        Session("writes", writes(40 * load), Known("ok", "backend_writes", True)),
        Session("idle", lambda _: "", Known("ok", "idle")),
    ]
    return [
        Memcached("memcached-filling", 64, sets(filling, 200, 1800, 10**9), Known("ok", "cache_fill", True), directory),
        Memcached("memcached-steady", 200, sets(60, 100, 4000, 8000), Known("ok", "cache_fill", True), directory),
        Nginx("nginx", waves, directory / "nginx"),
        Nginx("nginx-reloaded", waves[::-1], directory / "nginx-reloaded", int(n * 0.23)),
        Postgres("postgres", directory / "postgres", sessions),
    ]  # fmt: skip
