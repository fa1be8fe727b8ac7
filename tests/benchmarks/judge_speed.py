#!/usr/bin/env python3
"""What judging costs: CPU seconds for many series of a day, over all windows, and for one live evaluation.

usage: python -m tests.benchmarks.judge_speed [-n 10000] [--live 1000] [--seed 1] [--cprofile]

Three quarters of the series are healthy, of several shapes; a quarter leaks. They are judged once, all windows at the
newest look, and as `leakwatch analyze` judges a file: with suspicion and confirmation, which takes every look on the
way. Beside it in the same run, over the same
series: a least-squares line through each (numpy) and Theil-Sen through its hourly minima (scipy, of --live series,
scaled up). Then --live of the series are fed to the daemon's own `SeriesState` and evaluated every quarter of an hour,
beside what sampling as many processes costs. One core: numpy's threads are held to one.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import cProfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

from leakwatch.analysis.online import SeriesState
from leakwatch.analysis.replay import checkpoint_walk
from leakwatch.analysis.replay import replay as replaying
from leakwatch.analysis.replay.block_grid import all_segments
from leakwatch.analysis.replay.capture import Capture, settings_of
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.rules.evaluate import answer, answers_at
from leakwatch.analysis.time_plan import plan_of
from leakwatch.analysis.windows.block_table import Table
from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.result import CollectorResult
from leakwatch.config import load_config
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES, INTERVAL_S, MIB, PAGE = 1440, 60, 1 << 20, 4096
START_MS = 1_750_000_000_000
HOURS = np.arange(SAMPLES) / 60
PARTS = (
    (replaying, "all_segments", "blocks"),
    (checkpoint_walk, "all_checkpoints", "blocks"),
    (checkpoint_walk.Windows, "of", "windows"),
)
"""Functions of the replay by what they are part of; everything else is the climb: looks, states, verdicts."""


def healthy(rng: np.random.Generator, base: float) -> np.ndarray:
    """MiB over a day, by one of eight shapes."""
    amp, phase = base * rng.uniform(0.1, 1.0), rng.uniform(0, 24)
    every = rng.choice([0.5, 1, 2, 4, 6])
    return (
        lambda: np.zeros(SAMPLES),
        lambda: np.zeros(SAMPLES),
        lambda: 0.3 * amp * np.cos(2 * np.pi * (HOURS - phase) / 24),  # a daily cycle
        lambda: amp * (1 - np.exp(-HOURS / rng.uniform(0.1, 4))),  # a warm-up
        lambda: amp * np.clip(HOURS / rng.uniform(4, 18), 0, 1),  # a cache that fills to its cap
        lambda: amp * (phase < HOURS),  # one step
        lambda: amp * np.mod(HOURS + phase, every) / every,  # a sawtooth
        lambda: amp * (np.mod(HOURS + phase, every) < every / 4),  # a batch now and then
    )[rng.integers(8)]()


def leaking(rng: np.random.Generator, base: float) -> np.ndarray:
    """MiB over a day, by one of five shapes."""
    grown, onset = base * rng.uniform(0.1, 1.5), rng.uniform(4, 14)
    steps = rng.random(SAMPLES) < 40 / SAMPLES
    return (
        lambda: grown * HOURS / 24,
        lambda: grown * np.sqrt(HOURS / 24),
        lambda: grown * np.maximum(HOURS - onset, 0) / (24 - onset),
        lambda: grown * np.cumsum(steps) / max(1, steps.sum()),
        lambda: grown * HOURS / 24 + base * 0.3 * np.mod(HOURS, 1.3),  # under a sawtooth
    )[rng.integers(5)]()


def captures(count: int, seed: int) -> list[Capture]:
    rng = np.random.default_rng(seed)
    out = []
    for number in range(count):
        base = 10 ** rng.uniform(1.2, 3.2)
        shape = leaking(rng, base) if number % 4 == 3 else healthy(rng, base)
        noise = base * 10 ** rng.uniform(-4, -2) * rng.normal(size=SAMPLES)
        pages = np.round(np.maximum(base + shape + noise, 1) * MIB / PAGE) * PAGE
        times = START_MS + np.arange(SAMPLES) * INTERVAL_S * 1000 + rng.integers(0, 900, SAMPLES)
        name = f"proc/program-{number}[{1000 + number}]"
        out.append(Capture(name, subject_of(name), times.astype(np.int64), pages))
    return out


@dataclass
class Split:
    """CPU seconds by part, of the functions the replay calls."""

    seconds: Counter[str] = field(default_factory=Counter)

    def watch(self, where: object, name: str, part: str) -> None:
        inner: Callable = getattr(where, name)

        @wraps(inner)
        def timed(*args: object, **kwargs: object) -> object:
            began = time.process_time()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[part] += time.process_time() - began

        setattr(where, name, timed)


def judge_once(series: list[Capture]) -> None:
    """Judge all windows at the newest checkpoint of each series, with the whole answer, and nothing before it."""
    settings = settings_of(load_config(None))
    plan = plan_of(settings.windows_s, INTERVAL_S)
    for at in range(0, len(series), 1000):
        segments = [of_one[-1] for of_one in all_segments(series[at : at + 1000], plan)]
        blocks = [segment.blocks for segment in segments]
        criteria = [settings.criteria_for(one.subject) for one in series[at : at + 1000]]
        ends = np.array([segment.ends[-1] for segment in segments], dtype=np.int64)
        answers_at(Table(blocks, plan), blocks, criteria, np.arange(len(ends)), ends)


def cpu_of(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def lines(series: list[Capture]) -> None:
    for one in series:
        np.polyfit(one.times_ms / 3.6e6, one.values, 1)


def theil_sen(series: list[Capture]) -> None:
    from scipy.stats import theilslopes

    for one in series:
        theilslopes(one.values.reshape(-1, 60).min(axis=1), np.arange(SAMPLES // 60))


def sampling_a_process() -> float:
    """Return CPU seconds the daemon's collector takes for one of the processes running here, once it knows them."""
    collector = ProcessCollector(ProcFS(), boot_id="here")
    collector.collect(CollectorResult(), slow=True)
    result = [CollectorResult() for _ in range(20)]
    seconds = cpu_of(lambda: [collector.collect(one, slow=False) for one in result])
    return seconds / sum(len({sample.target for sample in one.samples}) for one in result)


def live(series: list[Capture]) -> tuple[float, float, int]:
    """Return CPU seconds of feeding one scrape and of one evaluation, and how many looks a closer one was taken at."""
    settings = settings_of(load_config(None))
    plan = plan_of(settings.windows_s, INTERVAL_S)
    states = [SeriesState(plan, settings.criteria_for(one.subject)) for one in series]
    rows = list(zip(*(zip(one.times_ms.tolist(), one.values.tolist(), strict=True) for one in series), strict=True))
    feeding = settling = 0.0
    asked = evaluations = 0
    for number, row in enumerate(rows, 1):
        began = time.process_time()
        for state, (ts_ms, value) in zip(states, row, strict=True):
            state.feed(ts_ms, value)
        fed = time.process_time()
        feeding += fed - began
        if number % 15 == 0:
            questions = [state.questions() for state in states]
            together = [question for of_one in questions for question in of_one]
            answers = dict(zip(together, answer(together), strict=True))
            for state in states:
                state.settle(answers)
            settling += time.process_time() - fed
            asked += sum(map(len, questions))
            evaluations += 1
    return feeding / len(rows), settling / evaluations, round(asked / evaluations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--series", type=int, default=10_000)
    parser.add_argument("--live", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cprofile", action="store_true", help="print where the time goes instead")
    args = parser.parse_args()
    series = captures(args.series, args.seed)
    settings = settings_of(load_config(None))
    if args.cprofile:
        cProfile.runctx("replaying.replay(series, settings)", globals(), locals(), sort="tottime")
        return
    once_s = cpu_of(lambda: judge_once(series))
    split = Split()
    for where, name, part in PARTS:
        split.watch(where, name, part)
    verdicts: Counter[str] = Counter()
    judged_s = cpu_of(lambda: verdicts.update(one.assessment.verdict for one in replaying.replay(series, settings)))
    climb_s = judged_s - split.seconds.total()
    part = series[: args.live]
    scale = len(series) / len(part)
    print(f"{len(series)} series of {SAMPLES} samples; " + ", ".join(f"{n} {v}" for v, n in verdicts.most_common()))
    print()
    print("| CPU seconds on one core | all | blocks | windows | climb |")
    print("|---|--:|--:|--:|--:|")
    print(f"| leakwatch, one judgement at the end | {once_s:.2f} | | | |")
    print(
        f"| leakwatch, every look on the way | {judged_s:.2f} | {split.seconds['blocks']:.2f} "
        f"| {split.seconds['windows']:.2f} | {climb_s:.2f} |"
    )
    print(f"| one least-squares line a series (numpy) | {cpu_of(lambda: lines(series)):.2f} | | | |")
    print(f"| one Theil-Sen line of hourly minima (scipy) | {scale * cpu_of(lambda: theil_sen(part)):.2f} | | | |")
    feed_s, settle_s, asked = live(part)
    sampled_s = len(part) * sampling_a_process()
    print()
    print(f"| live, {len(part)} series | CPU milliseconds |")
    print("|---|--:|")
    print(f"| sampling as many processes once | {1000 * sampled_s:.1f} |")
    print(f"| taking one scrape's samples | {1000 * feed_s:.1f} |")
    print(f"| one evaluation, every 15 minutes, {asked} of them looked at closely | {1000 * settle_s:.1f} |")
    print(f"| feeding and evaluation, a scrape | {1000 * (feed_s + settle_s / 15):.1f} |")


if __name__ == "__main__":
    main()
