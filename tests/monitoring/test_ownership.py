"""Owners and OOM kills: what is stored when, what a restart takes up, what the log is told."""

from __future__ import annotations

import json
import logging

import pytest

from leakwatch.collectors.services.cgroups import kills_between
from leakwatch.model.identity import Owner, Target, TargetKind
from leakwatch.model.sample import GroupCount, LimitedGroup, OomCounts, OomKill, Scrape, Tick
from leakwatch.monitoring.ownership_log import KEPT, OwnershipLog
from leakwatch.store.daemon_state import KILLS, OLD_OWNERS, OWNER, kill_counts_of, kills_of, owners_of
from leakwatch.system.journal import OOM_KILLED, journal_fields

SHOP = Target(TargetKind.SERVICE, "unit:shop.service")
AT = "/system.slice/shop.service"
SHOP_KEY = f"{OWNER}{SHOP.key}"
OWNED = Owner(groups=(AT,), engine="docker", container="web", user_slice="user-1000.slice")
LOOK = OomCounts(
    7, {AT: GroupCount(1, 2), "/quiet.service": GroupCount(3, 0)}, {}, {AT: LimitedGroup(SHOP, None)}, told=1
)
KILL = OomKill(2, SHOP, group=AT, limit_bytes=64 << 20)


def scrape(ts_ms: int = 1000, kills: tuple[OomKill, ...] = (), owners: dict[Target, Owner] | None = None) -> Scrape:
    return Scrape(Tick(ts_ms, "b"), (), (), (), owners=owners, oom_kills=kills)


def through_json(states: dict[str, object]) -> dict[str, object]:
    return json.loads(json.dumps(states))


def test_what_is_stored_comes_back_as_it_was() -> None:
    states = through_json(OwnershipLog({}, "b").take(scrape(5, (KILL,), {SHOP: OWNED}), LOOK))
    assert owners_of(states) == {SHOP: OWNED}
    assert [(past.at_ms, past.kill) for past in kills_of(states)] == [(5, KILL)]
    kill_counts = kill_counts_of(states, "b")
    assert kill_counts is not None
    assert (kill_counts.host, kill_counts.told) == (7, 1)
    assert kill_counts.own == {AT: GroupCount(1, 2)}  # who had counted nothing need not be kept


def test_the_state_is_written_when_it_has_changed_only() -> None:
    ownership = OwnershipLog({}, "b")
    assert set(ownership.take(scrape(1, (), {SHOP: OWNED}), LOOK)) == {SHOP_KEY, KILLS}
    assert ownership.take(scrape(2, (), {SHOP: OWNED}), LOOK) == {}
    assert ownership.take(scrape(3), LOOK) == {}
    assert set(ownership.take(scrape(4, (KILL,)), LOOK)) == {KILLS}
    ownership.forget_stored()
    assert set(ownership.take(scrape(5, (), {SHOP: OWNED}), LOOK)) == {SHOP_KEY, KILLS}


def test_of_the_owners_only_what_changed_is_written() -> None:
    other = Target(TargetKind.SERVICE, "unit:other.service")
    ownership = OwnershipLog({}, "b")
    ownership.take(scrape(1, (), {SHOP: OWNED, other: OWNED}), None)
    # WHEN one is gone THEN its key is dropped, and the other is left as it is
    assert ownership.take(scrape(2, (), {SHOP: OWNED}), None) == {f"{OWNER}{other.key}": None}
    # AND where that could not be stored it is dropped again
    ownership.forget_stored()
    again = ownership.take(scrape(3, (), {SHOP: OWNED}), None)
    assert again[f"{OWNER}{other.key}"] is None
    assert set(again) == {SHOP_KEY, f"{OWNER}{other.key}"}


def test_owners_of_a_store_of_before_are_taken_over() -> None:
    before = {OLD_OWNERS: {SHOP.key: {"engine": "docker", "groups": ["/a"]}}}
    assert owners_of(before) == {SHOP: Owner(groups=("/a",), engine="docker")}
    assert set(OwnershipLog(before, "b").take(scrape(1, (), {SHOP: OWNED}), None)) == {SHOP_KEY, OLD_OWNERS}


def test_a_kill_while_the_daemon_was_down_is_found_at_its_start() -> None:
    # GIVEN the counts of before the stop
    states = through_json(OwnershipLog({}, "b").take(scrape(), LOOK))
    before = OwnershipLog(states, "b").kill_counts
    assert before is not None
    # WHEN it is back and the group has counted one more
    kills, _ = kills_between(before, OomCounts(8, {AT: GroupCount(1, 3)}, {}, {AT: LimitedGroup(SHOP, None)}))
    # THEN that is told
    assert [(kill.service, kill.count, kill.certain) for kill in kills] == [(SHOP, 1, True)]


def test_counts_of_another_boot_say_nothing_and_kills_stay() -> None:
    states = through_json(OwnershipLog({}, "b").take(scrape(5, (KILL,)), LOOK))
    after = OwnershipLog(states, "another")
    assert after.kill_counts is None
    assert [past.kill for past in kills_of(states)] == [KILL]
    # and they are still there when the next kill is stored
    again = through_json(after.take(scrape(6, (KILL,)), LOOK))
    assert [past.at_ms for past in kills_of(again)] == [5, 6]


def test_kills_are_bounded() -> None:
    ownership, states = OwnershipLog({}, "b"), {}
    for at in range(KEPT + 5):
        states = ownership.take(scrape(at, (KILL,)), LOOK)
    assert [past.at_ms for past in kills_of(through_json(states))] == list(range(5, KEPT + 5))


@pytest.mark.parametrize("odd", [
    None, [], 3, {"kills": [{}, 3, {"service": None}], "boot_id": "b"}, {"boot_id": "b", "counts": [1]},
    {"boot_id": "b", "counts": [1, {"/a": [1]}, 0]},
])  # fmt: skip
def test_a_state_of_another_version_is_no_error(odd: object) -> None:
    states = {KILLS: odd, OLD_OWNERS: odd, SHOP_KEY: odd}
    assert OwnershipLog(states, "b").kill_counts is None
    assert kills_of(states) == []
    assert owners_of(states) == {}
    assert owners_of({OLD_OWNERS: {"unit:x": {"groups": [], "unknown": 1}, "unit:y": 3}}) == {}


def test_the_log_is_told_with_fields(caplog: pytest.LogCaptureFixture) -> None:
    inferred = OomKill(1, SHOP, certain=False, group=AT)
    unknown = OomKill(1, None, certain=False, candidates=("unit:a.service", "unit:b\x1b.service"))
    with caplog.at_level(logging.WARNING):
        OwnershipLog({}, "b").take(scrape(1, (KILL, inferred, unknown)), LOOK)
    assert [record.getMessage() for record in caplog.records] == [
        "out of memory: the kernel killed 2 processes of shop.service; its control group's limit is 64.0 MiB",
        "out of memory: the kernel killed 1 process of shop.service (inferred: its control group was recreated)",
        "out of memory: the kernel killed 1 process; its service is unknown, maybe a.service, b\\x1b.service",
    ]
    fields = journal_fields(caplog.records[0])
    assert fields["MESSAGE_ID"] == OOM_KILLED
    assert fields["PRIORITY"] == "4"
    assert {name: value for name, value in fields.items() if name.startswith("LEAKWATCH_")} == {
        "LEAKWATCH_SERVICE": "shop.service",
        "LEAKWATCH_COUNT": "2",
        "LEAKWATCH_CERTAIN": "1",
        "LEAKWATCH_CGROUP": AT,
        "LEAKWATCH_LIMIT_BYTES": str(64 << 20),
    }
