"""What the operator's words become for the detector, and that the daemon and a replay turn them alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from leakwatch import metrics
from leakwatch.analysis.replay.capture import settings_of
from leakwatch.analysis.replay.series_name import subject_of
from leakwatch.analysis.settings import SENSITIVITY, criteria_of
from leakwatch.analysis.thresholds import LeakCriteria
from leakwatch.config import Config, Override, Sensitivity, Thresholds, load_config
from leakwatch.errors import ConfigError
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.verdict import Rooms
from leakwatch.monitoring.detector import Detector

if TYPE_CHECKING:
    from pathlib import Path


class NoLimits:
    def rooms_of(self, pid: int, free_swap: int) -> Rooms:  # noqa: ARG002 - the protocol's
        return Rooms()

    def swap_worth(self) -> float:
        return 1.0


def live(config: Config, metric: str, target: Target) -> LeakCriteria:
    return Detector(config, NoLimits())._criteria((metric, target))


def test_the_defaults_are_the_detectors_own() -> None:
    assert criteria_of(Thresholds()) == LeakCriteria()


def test_every_word_has_its_number_and_low_asks_for_more() -> None:
    assert set(SENSITIVITY) == set(get_args(Sensitivity))
    assert SENSITIVITY["low"] > SENSITIVITY["normal"] == 1.0 > SENSITIVITY["high"]


@pytest.mark.parametrize("word", ["low", "normal", "high"])
def test_a_scan_and_a_replay_understand_it_alike(word: Sensitivity) -> None:
    config = Config(thresholds=replace(Thresholds(), sensitivity=word, min_growth_ratio=0.07))
    slab = live(config, metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "kmalloc-4k"))
    assert slab == settings_of(config).criteria_for(subject_of("slab/kmalloc-4k"))
    assert (slab.sensitivity, slab.min_growth_ratio) == (SENSITIVITY[word], 0.07)


def test_one_program_may_be_watched_more_closely_than_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[thresholds]\nsensitivity = "low"\n[thresholds.kernel."kmalloc-*"]\nsensitivity = "high"\n')
    config = load_config(str(file))
    assert config.overrides == (Override("kernel", "kmalloc-*", replace(Thresholds(), sensitivity="high")),)
    assert live(config, metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "kmalloc-4k")).sensitivity == 0.75
    assert live(config, metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "dentry")).sensitivity == 1.5


def test_counts_have_floors_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    for written, an_hour in (("1/h", 1.0), ("24/d", 1.0), ("0.5/h", 0.5), ("2/m", 120.0)):
        file.write_text(f'[thresholds]\nmin_count_rate = "{written}"\nmin_count_growth = 5\n')
        config = load_config(str(file))
        found = live(config, metrics.PROCESS_FDS, Target(TargetKind.PROCESS, "b/1/2"))
        assert (found.min_rate_bytes_per_hour, found.min_growth_bytes) == (an_hour, 5.0)
        assert live(config, metrics.SLAB_ACTIVE, Target(TargetKind.SLAB, "x")) == LeakCriteria()


@pytest.mark.parametrize("written", ["5", '"5"', '"1MiB/h"', '"1/x"', '"-1/h"', '"/h"', '"0/h"', '"\u0661/h"'])
def test_what_is_no_rate_of_a_count_is_refused_with_an_example(tmp_path: Path, written: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[thresholds]\nmin_count_rate = {written}\n")
    with pytest.raises(ConfigError, match=r"min_count_rate.*(1/h|0\.001/h)"):
        load_config(str(file))


def test_all_memory_of_a_machine_needs_no_share_of_it() -> None:
    assert live(Config(), metrics.KERNEL_UNAVAILABLE, HOST).min_growth_ratio == 0.0
