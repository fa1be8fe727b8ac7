"""What sampling has cost, summed up over restarts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch.collectors.processes.collector import ProcessCollector
from leakwatch.collectors.processes.cost_stats import CostRound, SamplingCost, Totals
from leakwatch.collectors.result import CollectorResult
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from pathlib import Path

CUMULATIVE = (
    "rounds", "sampling_cpu_seconds", "listing_cpu_seconds", "looking_cpu_seconds", "reading_cpu_seconds",
    "delivering_cpu_seconds", "kernel_cpu_seconds", "storing_cpu_seconds", "evaluating_cpu_seconds", "full_reads",
    "estimated", "skipped",
)  # fmt: skip


def test_a_round_is_added_part_by_part() -> None:
    totals = Totals(rounds=2, sampling_cpu_seconds=1.0, full_reads=5)
    totals.add(CostRound(1_000_000, 2_000_000, 3_000_000, 4_000_000, processes=9, full_reads=1, estimated=8, skipped=2))
    assert (totals.rounds, totals.full_reads, totals.estimated, totals.skipped) == (3, 6, 8, 2)
    assert totals.sampling_cpu_seconds == pytest.approx(1.01)
    assert totals.reading_cpu_seconds == pytest.approx(0.003)


def test_what_other_threads_spend_is_added_at_the_next_round() -> None:
    spent = SamplingCost()

    def judge() -> None:
        for _ in range(1000):
            spent.took("evaluating_cpu_seconds", 0.25)

    threads = [threading.Thread(target=judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        spent.add(CostRound())
    for thread in threads:
        thread.join()
    spent.add(CostRound())
    assert (spent.totals.rounds, spent.totals.evaluating_cpu_seconds) == (101, 1000.0)


@pytest.mark.parametrize(
    "stored", [{}, {"rounds": None}, {"rounds": "7"}, {"rounds": True}, {"rounds": -1}, {"of_another_version": 7}]
)
def test_what_a_store_does_not_hold_begins_at_nothing(stored: dict[str, Any]) -> None:
    assert Totals.of(stored) == Totals()


def test_every_round_is_counted_from_listing_to_samples() -> None:
    collector = ProcessCollector(ProcFS(), "boot")
    before = 0.0
    for rounds in range(1, 4):
        collector.collect(CollectorResult(), slow=True)
        told = collector.spent.to_json()
        assert told["rounds"] == rounds
        assert told["sampling_cpu_seconds"] > before
        before = told["sampling_cpu_seconds"]
        parts = ("listing", "looking", "reading", "delivering")
        assert sum(told[f"{part}_cpu_seconds"] for part in parts) == pytest.approx(before, abs=1e-5)
    own = next(row for row in collector.spent.dearest if row["pid"] == os.getpid())
    assert own["cost_seconds"] > 0
    json.dumps(told)


@pytest.mark.live
def test_the_totals_never_fall_not_even_over_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        f'[sampling]\ninterval = "0.5s"\n[analysis]\nwindows = ["6s"]\n[store]\nurl = "sqlite:///{tmp_path}/s.db"\n'
        'keep_samples = "1h"\nkeep_blocks = "1h"\n'
    )

    def leakwatch(*words: str) -> str:
        argv = [sys.executable, "-m", "leakwatch", *words, "--config", str(config)]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    leakwatch("daemon", "--for", "2s")
    first = json.loads(leakwatch("stats", "--format", "json"))
    leakwatch("daemon", "--for", "2s")
    second = json.loads(leakwatch("stats", "--format", "json"))
    assert first["schema"] == 1
    assert first["rounds"] >= 3
    assert second["rounds"] > first["rounds"]
    for name in CUMULATIVE:
        assert second[name] >= first[name], name
    for name in ("sampling_cpu_seconds", "kernel_cpu_seconds", "storing_cpu_seconds", "full_reads", "estimated"):
        assert first[name] > 0, name
    assert leakwatch("stats").startswith("Sampling ")
