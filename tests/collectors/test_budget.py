"""Who is read fully: by error put right a microsecond, within a share of a core, and nobody who would wait for long."""

from __future__ import annotations

import pytest

from leakwatch.collectors.processes.budget import (
    ASKED_OVER_STALL_EVERY_S,
    Costs,
    CpuBudget,
    ReadRequest,
    age_limit_us,
    by_rank,
    is_out_of_the_question,
    may_stall,
)


def test_first_come_suspects_then_most_error_for_the_cost() -> None:
    cheap, dear, large, asked = (
        ReadRequest(1, 200, 100),
        ReadRequest(2, 200, 1000),
        ReadRequest(3, 9000, 1000),
        ReadRequest(4, 1, 9e9, True),
    )
    assert by_rank([dear, cheap, asked, large]) == [asked, large, cheap, dear]


def test_what_is_not_spent_is_saved_for_five_minutes() -> None:
    cpu_budget = CpuBudget(0.002, 60.0)
    assert cpu_budget.left_us == pytest.approx(3e6)  # the first look, at 10,000 processes
    cpu_budget.earn(60e6)
    assert cpu_budget.left_us == pytest.approx(3e6)
    cpu_budget.spend(3e6 + 10_000)
    cpu_budget.earn(5e6)
    assert cpu_budget.left_us == pytest.approx(0)
    cpu_budget.earn(3600e6)
    assert cpu_budget.left_us == pytest.approx(600_000)


def test_a_long_interval_is_worth_all_of_its_budget() -> None:
    cpu_budget = CpuBudget(0.002, 3600.0)
    cpu_budget.spend(1e9)
    cpu_budget.earn(3600e6 * 1000)
    assert cpu_budget.left_us == pytest.approx(7.2e6)


def test_a_read_is_expected_to_cost_what_it_last_did_for_its_size() -> None:
    costs = Costs()
    assert costs.forecast_us(100) == 80 + 1500
    assert costs.forecast_us(100, last_us=400, last_mib=100) == 400  # huge pages: a fraction of the usual
    assert costs.forecast_us(200, last_us=4000, last_mib=100) == 8000  # slow memory stays slow


def test_what_a_mib_costs_here_is_learnt_from_large_processes_alone() -> None:
    costs = Costs()
    for _ in range(200):
        costs.learn(2, 40)
        costs.learn(20, 9e9)
        costs.learn(1000, 30_040)
    assert costs.base_us == pytest.approx(40, rel=0.01)
    assert costs.us_per_mib == pytest.approx(30, rel=0.01)


def test_nobody_is_kept_waiting_unasked() -> None:
    assert may_stall(19_999, 20_000)
    assert not may_stall(20_001, 20_000)
    assert not may_stall(20_001, 20_000, since_last_s=1e9)


@pytest.mark.parametrize(
    ("cost_us", "since_last_s", "allowed"),
    [
        (20_001, None, True),
        (20_001, 60.0, False),
        (20_001, ASKED_OVER_STALL_EVERY_S, True),
        (200_001, None, False),
    ],
)
def test_a_suspect_may_wait_longer_but_seldom_and_within_limits(
    cost_us: float, since_last_s: float | None, allowed: bool
) -> None:
    assert may_stall(cost_us, 20_000, asked=True, since_last_s=since_last_s) is allowed


def test_ages_are_spread_over_half_the_maximal_age_and_differ_from_time_to_time() -> None:
    limits = [age_limit_us(900, pid, 1) / 1e6 for pid in range(1000, 2000)]
    assert 450 <= min(limits) < 460
    assert 890 < max(limits) <= 900
    for low in range(450, 900, 45):  # a tenth of them in each tenth, more or less
        assert 70 <= sum(low <= limit < low + 45 for limit in limits) <= 130
    assert age_limit_us(900, 1000, 1) != age_limit_us(900, 1000, 2)


def test_ten_times_the_longest_stall_is_out_of_the_question() -> None:
    assert not is_out_of_the_question(200_000, 20_000)
    assert is_out_of_the_question(200_001, 20_000)
    assert not may_stall(200_001, 20_000, asked=True)
