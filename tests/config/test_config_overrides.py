"""Which thresholds hold for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.config import Config, Thresholds, load_config, matches

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
[thresholds]
min_rate = "10KiB/h"
min_growth = "10MiB"

[thresholds.service."*"]
min_growth = "1KiB"
[thresholds.service."redis*"]
min_growth = "2KiB"
[thresholds.service."redis-*"]
min_growth = "3KiB"
[thresholds.service.redis]
min_growth = "4KiB"
[thresholds.service."[pq]*"]
min_growth = "5KiB"
[thresholds.service."?*"]
min_growth = "6KiB"
[thresholds.process."java*"]
min_growth_ratio = 0.5
[thresholds.kernel."kmalloc-*"]
horizon = "1d"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "c.toml").write_text(TEXT)
    return load_config(str(tmp_path / "c.toml"))


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("redis-7.service", 3),  # the longer pattern, wherever it stands
        ("redisearch", 2),
        ("redis", 4),  # a full name beats "redis*", although that is longer
        ("Redis", 1),  # case counts; then of two alike the first holds
        ("postgres", 1),  # a set of characters is no literal
    ],
)
def test_the_most_specific_pattern_wins(config: Config, name: str, kib: int) -> None:
    assert config.thresholds_for("service", name).min_growth_bytes == kib << 10


def test_any_of_several_names_may_match(config: Config) -> None:
    assert config.thresholds_for("process", "4711", "java").min_growth_ratio == 0.5
    assert config.thresholds_for("service", "x", "redis-7", "redis").min_growth_bytes == 4 << 10


def test_a_kind_only_sees_its_own_overrides(config: Config) -> None:
    assert config.thresholds_for("kernel", "java") == config.thresholds
    assert config.thresholds_for("host", "redis") == config.thresholds
    assert config.thresholds_for("process") == config.thresholds


def test_unset_keys_come_from_the_general_thresholds(config: Config) -> None:
    assert config.thresholds_for("kernel", "kmalloc-64") == Thresholds(
        min_rate_bytes_per_hour=10 << 10, min_growth_bytes=10 << 20, horizon_s=86400
    )


def test_without_overrides_the_general_thresholds_hold() -> None:
    assert Config().thresholds_for("service", "nginx") == Thresholds()


def test_matches_takes_shell_patterns() -> None:
    assert matches(("cron", "back*"), "x", "backup")
    assert not matches((), "x")
    assert not matches(("Cron",), "cron")
