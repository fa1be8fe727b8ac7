"""``leakwatch stats`` for people and for programs."""

from __future__ import annotations

import json
from typing import Any

from leakwatch.report import stats

ROW = {
    "pid": 812,
    "name": "postgres\x1b[2J",
    "cost_seconds": 0.0131,
    "resident_bytes": 1 << 30,
    "possible_error_bytes": 40960,
    "full_reads": 12,
    "why": "steady",
}


def stored(**changed: Any) -> dict[str, Any]:
    parts = ("listing", "looking", "reading", "delivering", "kernel", "storing", "evaluating", "upkeep")
    return {
        "at_ms": 1_790_000_000_000,
        "interval_s": 60.0,
        "rounds": 10,
        "sampling_cpu_seconds": 4.0,
        **{f"{part}_cpu_seconds": 1.0 for part in parts},
        "full_reads": 1200,
        "estimated": 8800,
        "skipped": 0,
        "last": {"processes": 1000, "full_reads": 12, "estimated": 988, "skipped": 0, "cpu_seconds": 0.03},
        "dearest": [ROW],
        "over_stall": [],
        "waiting": [],
        **changed,
    }


def test_the_answer_comes_first_then_the_time_then_who_is_dear() -> None:
    assert stats.table(stored()) == (
        "Sampling 1000 processes took 30 ms of CPU in the last round, 0.05 % of a core at one round every 60 s.\n"
        "12 read fully, 988 estimated, none skipped.\n"
        "\n"
        "CPU time                           in 10 rounds  a round  share\n"
        "listing processes                  1.0 s         100 ms   12 %\n"
        "reading statm of each, names       1.0 s         100 ms   12 %\n"
        "full reads (smaps_rollup)          1.0 s         100 ms   12 %\n"
        "values, threads, open files        1.0 s         100 ms   12 %\n"
        "kernel (slab, vmalloc, meminfo)    1.0 s         100 ms   12 %\n"
        "storing                            1.0 s         100 ms   12 %\n"
        "evaluating                         1.0 s         100 ms   12 %\n"
        "compressing history, removing old  1.0 s         100 ms   12 %\n"
        "8800 values were estimated and 0 skipped, counted by process and round; 1200 full reads, 0 of them mapping by "
        "mapping.\n"
        "\n"
        "Most expensive full reads:\n"
        "pid  name             resident  one full read  full reads  possible error  now\n"
        "812  postgres\\x1b[2J  1.00 GiB  13 ms          12          40.0 KiB        estimated: cannot have changed by "
        "much\n"
        "\n"
        "As of 2026-09-21T14:13:20Z, totals since the store was created.\n"
    )


def test_who_is_left_out_too_large_or_waiting_is_named() -> None:
    large, waiting = {**ROW, "why": "over_stall", "cost_seconds": None}, {**ROW, "why": "waiting"}
    last = {"processes": 7, "full_reads": 1, "estimated": 6, "skipped": 2, "cpu_seconds": 1.5}
    told = stats.table(stored(over_stall=[large], waiting=[waiting], last=last))
    assert "1 read fully, 6 estimated, 2 skipped." in told
    assert "  never  " in told
    assert "estimated: a full read would stall it" in told
    assert "waits: the CPU budget went to others" in told


def test_programs_get_plain_numbers_and_a_schema() -> None:
    told = json.loads(stats.as_json(stored()))
    assert told["schema"] == 1
    assert told["at"] == "2026-09-21T14:13:20Z"
    assert (told["rounds"], told["sampling_cpu_seconds"], told["full_reads"]) == (10, 4.0, 1200)
    assert told["dearest"][0]["cost_seconds"] == 0.0131
    assert "at_ms" not in told
