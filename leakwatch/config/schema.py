"""What can be configured, as frozen values whose defaults are the defaults.

``config.example.toml`` tells the operator the same in words; a test holds the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from leakwatch.text.redact import CommandLines

OverrideKind = Literal["service", "process", "kernel"]
Sensitivity = Literal["low", "normal", "high"]

HOUR_S = 3600
DAY_S = 86400
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_WILDCARD = re.compile(r"\*|\?|\[[^]]+\]")


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """``[sampling]``: how often memory is read."""

    interval_s: float = 60.0
    """A minute: 60 points in the shortest window, and too seldom for anybody to notice the cost."""
    slow_every: int = 5
    """What is counted, and control groups, at every n-th tick: a sample in each finest block at the defaults."""
    tolerance_bytes: int = 128 * KIB
    """By how much USS may have changed before a process is read fully: an eighth of the least growth worth telling."""
    max_age_s: float = 900.0
    """After how long it is read fully in any case: some changes no counter tells (see docs/sampling.md)."""
    cpu_budget: float = 0.002
    """Share of one core for full reads. Measured: a tenth of it does for 1000 processes at the default interval."""
    max_stall_s: float = 0.02
    """What a process may be kept waiting for its own memory lock: some 1.5 GiB of 4 KiB pages."""


@dataclass(frozen=True, slots=True)
class AnalysisConfig:
    """``[analysis]``: the spans over which a trend is sought."""

    windows_s: tuple[int, ...] = (HOUR_S, 4 * HOUR_S, 16 * HOUR_S, 64 * HOUR_S, 10 * DAY_S)
    """Strictly increasing. A factor of 4 from one to the next: a leak too slow for one shows in another."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """``[store]``: where history is kept, and how much of it."""

    url: str = ""
    """Empty: the store is where the service or this user keeps state (``leakwatch.store`` decides)."""
    keep_samples_s: float = 14.0 * DAY_S
    """Every sample, for longer than the longest default window (10 days)."""
    keep_blocks_s: float = 90.0 * DAY_S
    """The summaries that trends are fitted to."""
    max_size_bytes: int = GIB
    """All of it."""
    max_samples_bytes: int = 768 * MIB
    """Of ``max_size``, so that samples leave room for the summaries, which outlive them."""
    max_blocks_bytes: int = 512 * MIB
    """Of ``max_size``; each kind may use what the other leaves."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``[thresholds]``: what is too small to be worth waking somebody for."""

    sensitivity: Sensitivity = "normal"
    """How far growth must stand out of its own noise; ``leakwatch.analysis.settings`` has the numbers."""
    min_rate_bytes_per_hour: float = 64.0 * KIB
    """64 KiB/h is 45 MiB in a month."""
    min_growth_bytes: int = MIB
    """Below it, growth within a window cannot be told from an allocator's arenas."""
    min_growth_ratio: float = 0.02
    """Of the level, within the window. Measured, see ``LeakCriteria``: 0.01 takes warm-ups for leaks, 0.03 loses slow
    ones."""
    min_rate_count_per_hour: float = 1.0
    """At one an hour the usual limit on open files, 1024, is reached in six weeks."""
    min_growth_count: int = 16
    """Connections of a pool, worker threads, log files being rotated: a dozen come and go in normal work."""
    horizon_s: float = 30.0 * DAY_S
    """Memory that runs out within it ranks first and is worded as urgent; it decides no verdict."""


@dataclass(frozen=True, slots=True)
class Override:
    """``[thresholds.KIND."PATTERN"]``: other thresholds for what the pattern names."""

    kind: OverrideKind
    pattern: str
    """A shell pattern, case-sensitive."""
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """``[evidence]``: what is kept of a leak for whoever looks into it."""

    when_confirmed: bool = True
    """A bundle of what the machine showed is made, once an incident."""
    keep_s: float = 30.0 * DAY_S
    """As long as somebody may come back to it."""
    max_size_bytes: int = 64 * MIB
    """Of all bundles: some hundred, measured at 100 to 600 KiB each."""


@dataclass(frozen=True, slots=True)
class PrivacyConfig:
    """``[privacy]``: what is kept and shown of other people's command lines."""

    command_lines: CommandLines = "redacted"
    """Everybody on the machine may read them; a store, a report and a bundle go further."""


@dataclass(frozen=True, slots=True)
class IgnoreConfig:
    """``[ignore]``: shell patterns of what is never reported."""

    services: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured, checked."""

    sampling: SamplingConfig = SamplingConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    store: StoreConfig = StoreConfig()
    thresholds: Thresholds = Thresholds()
    overrides: tuple[Override, ...] = ()
    ignore: IgnoreConfig = IgnoreConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    sources: tuple[str, ...] = ()
    """The files read, in the order in which the later overrule the earlier."""

    def thresholds_for(self, kind: str, *names: str) -> Thresholds:
        """Return what the most specific override matching any of the names sets, else the general thresholds.

        A name without wildcards beats every pattern; among patterns the one with more literal characters wins, and
        of two alike the one written first. Order between files thus seldom matters, which conf.d makes hard to see.
        """
        fitting = [o for o in self.overrides if o.kind == kind and matches((o.pattern,), *names)]
        return max(fitting, key=_specificity).thresholds if fitting else self.thresholds


def matches(patterns: tuple[str, ...], *names: str) -> bool:
    """Tell whether any of the shell patterns matches any of the names, upper and lower case told apart."""
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _specificity(override: Override) -> tuple[bool, int]:
    literal = _WILDCARD.sub("", override.pattern)
    return literal == override.pattern, len(literal)
