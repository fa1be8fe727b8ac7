"""Whose memory it is, in words and in JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakwatch import metrics
from leakwatch.model.identity import Owner
from leakwatch.report import json_report, ownership, renderers, summary
from leakwatch.report.ownership import Kills, Ownership
from tests.report.report_findings import HOUR_MS, NOW_MS, ROWS, report

MIB = 1 << 20
ID = "3f1c0a9be57d44d2a8d16b0c7e2f9a518b6d0e4c2a7f13905d8e6b4c1f2a3d70"
SHOP = Ownership(
    Owner(groups=("/system.slice/shop.service",)),
    {
        metrics.GROUP_CURRENT: 300 * MIB,
        metrics.GROUP_PEAK: 400 * MIB,
        metrics.GROUP_LIMIT: 512 * MIB,
        metrics.GROUP_ANON: 190 * MIB,
        metrics.GROUP_FILE: 100 * MIB,
        metrics.GROUP_KERNEL: 10 * MIB,
    },
    Kills(3, NOW_MS - 9 * HOUR_MS, NOW_MS - HOUR_MS, certain=True),
)
POD = Ownership(
    Owner(
        groups=(f"/kubepods/burstable/pod1/{ID}",), engine="containerd", container=ID, pod="1ab2-0e5f", qos="burstable"
    )
)


def test_a_service_says_where_its_group_stands_and_what_was_killed() -> None:
    assert ownership.lines(SHOP) == (
        "of /system.slice/shop.service",
        "control group: 300 MiB of 512 MiB allowed, peak 400 MiB (anonymous 190 MiB, files 100 MiB, kernel 10.0 MiB)",
        "OOM killed 3 times since 2023-11-14 13:13Z, last 2023-11-14 21:13Z",
    )


def test_a_container_without_readable_memory_says_whose_it_is_and_no_figure() -> None:
    assert ownership.lines(POD) == (
        f"of containerd 3f1c0a9be57d, pod 1ab2-0e5f, burstable, /kubepods/burstable/pod1/{ID}",
    )
    assert {key for key, value in (ownership.as_object(POD) or {}).items() if value is None} >= {
        "current_bytes", "peak_bytes", "limit_bytes", "held_bytes", "near_limit", "oom_kills",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({}, False),
        ({metrics.GROUP_CURRENT: 510 * MIB}, False),  # 100 MiB of it are page cache
        ({metrics.GROUP_CURRENT: 510 * MIB, metrics.GROUP_FILE: 10 * MIB}, True),
        ({metrics.GROUP_CURRENT: 510 * MIB, metrics.GROUP_SHMEM: 90 * MIB}, True),  # shared memory is no page cache
        ({metrics.GROUP_CURRENT: 560 * MIB, metrics.GROUP_SLAB_RECLAIMABLE: 50 * MIB}, False),
    ],
)
def test_near_the_limit_is_told_by_what_cannot_be_given_back(changes: dict[str, int], near: bool) -> None:
    found = replace(SHOP, values={**SHOP.values, **changes})
    assert found.near_limit is near
    assert ("near its limit" in "".join(ownership.lines(found))) is near


@pytest.mark.parametrize("missing", [metrics.GROUP_LIMIT, metrics.GROUP_FILE, metrics.GROUP_CURRENT])
def test_nearness_is_not_known_where_a_figure_is_missing(missing: str) -> None:
    found = replace(SHOP, values={name: value for name, value in SHOP.values.items() if name != missing})
    assert found.near_limit is None


def test_a_report_has_it_below_the_finding_and_kills_at_its_end() -> None:
    rows = (replace(ROWS[0], whose=SHOP), *ROWS[1:])
    kills = {"shop.service": SHOP.kills, "": Kills(1, NOW_MS, NOW_MS, certain=False)}
    one = report(rows, kills=kills)
    text = renderers.render_terminal(one)
    assert "    of /system.slice/shop.service · control group: 300 MiB of 512 MiB allowed" in text
    assert (
        "OOM killed by the kernel: unknown process once, 2023-11-14 22:13Z; "
        "shop.service 3 times since 2023-11-14 13:13Z, last 2023-11-14 21:13Z." in summary.remarks(one)
    )
    found = json_report.as_object(one)
    assert [(kill["service"], kill["count"]) for kill in found["oom_kills"]] == [("shop.service", 3), (None, 1)]
    (shop,) = [f["whose"] for f in found["findings"] if f["whose"]]
    assert (shop["current_bytes"], shop["held_bytes"], shop["near_limit"]) == (300 * MIB, 200 * MIB, False)
    assert shop["oom_kills"]["count"] == 3


def test_a_hostile_name_is_escaped() -> None:
    evil = replace(SHOP, owner=Owner(groups=("/x\x1b[2J\n/y",)))
    assert "\x1b" not in "".join(ownership.lines(evil))
    assert "\n" not in "".join(ownership.lines(evil))


def test_several_groups_add_up_and_have_no_limit_of_theirs_all() -> None:
    workers = Ownership(Owner(groups=("/worker@1.service", "/worker@2.service")), {metrics.GROUP_CURRENT: 60 * MIB})
    assert ownership.lines(workers) == ("of 2 control groups", "control groups: 60.0 MiB")


def test_what_was_inferred_says_so() -> None:
    kills = Kills(1, NOW_MS, NOW_MS, certain=False)
    assert ownership.killed(kills) == "once, 2023-11-14 22:13Z (inferred: its control group was recreated)"
