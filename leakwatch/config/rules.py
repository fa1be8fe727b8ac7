"""What must hold between keys: each alone may be sensible, together they contradict each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from leakwatch.config.key_lines import Path
from leakwatch.config.notation import exact_duration
from leakwatch.config.schema import Config

BLOCKS_PER_WINDOW = 12
"""A window is cut in 12 blocks: fewer samples than that leave blocks empty, and no trend can be fitted."""
WINDOWS_OF_SAMPLES = 2
"""Samples reach back over the shortest window and the one before it, which a change is told by."""

_INTERVAL = ("sampling", "interval")
_WINDOWS = ("analysis", "windows")
_KEEP_SAMPLES = ("store", "keep_samples")
_KEEP_BLOCKS = ("store", "keep_blocks")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Keys that do not go together, and why."""

    keys: tuple[Path, ...]
    problem: str


def contradictions(config: Config) -> Iterator[Contradiction]:
    """Yield every contradiction; messages name both numbers and a way out."""
    yield from _samples_per_window(config)
    yield from _samples_kept(config)
    yield from _blocks_kept(config)


def _samples_per_window(config: Config) -> Iterator[Contradiction]:
    interval, shortest = config.sampling.interval_s, config.analysis.windows_s[0]
    # In whole samples, and with the tolerance of floating point: 1.2 s hold twelve of 0.1 s.
    samples = math.floor(shortest / interval + 1e-9)
    if samples < BLOCKS_PER_WINDOW:
        fitting = exact_duration(math.floor(shortest / BLOCKS_PER_WINDOW * 1000) / 1000)
        needed = exact_duration(math.ceil(interval * BLOCKS_PER_WINDOW - 1e-9))
        yield Contradiction(
            (_INTERVAL, _WINDOWS),
            f"at one sample every {exact_duration(interval)} the shortest window, {exact_duration(shortest)}, holds "
            f"{samples} but {BLOCKS_PER_WINDOW} are needed; set [sampling] interval to {fitting} or less, "
            f"or let [analysis] windows begin with {needed} or more",
        )


def _samples_kept(config: Config) -> Iterator[Contradiction]:
    shortest, kept = config.analysis.windows_s[0], config.store.keep_samples_s
    needed = WINDOWS_OF_SAMPLES * shortest
    if kept < needed:
        yield Contradiction(
            (_KEEP_SAMPLES, _WINDOWS),
            f"samples are kept for {exact_duration(kept)} but the shortest window is {exact_duration(shortest)} and "
            f"{WINDOWS_OF_SAMPLES} of it are needed; set [store] keep_samples to {exact_duration(needed)} or more",
        )


def _blocks_kept(config: Config) -> Iterator[Contradiction]:
    longest, kept = config.analysis.windows_s[-1], config.store.keep_blocks_s
    if kept < longest:
        yield Contradiction(
            (_KEEP_BLOCKS, _WINDOWS),
            f"blocks are kept for {exact_duration(kept)} but the longest window is {exact_duration(longest)}; "
            f"set [store] keep_blocks to {exact_duration(longest)} or more, or drop that window",
        )
