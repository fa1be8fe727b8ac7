"""The daemon's keeper puts history away as it comes, and keeps a store of which one piece is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.clock import Instant
from leakwatch.config import StoreConfig
from leakwatch.errors import StoreCorruptError
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.maintenance import sealing
from leakwatch.store.maintenance.job import Failure, MaintenanceTask, tend
from leakwatch.system.worker import OneChild
from tests.store.storetools import BASE_MS, MINUTE_MS, all_samples, beside, block, change, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stopped:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.wall_ms = BASE_MS

    def now(self) -> Instant:
        return Instant(self.wall_ms, self.wall_ms, 0)


class Here(OneChild[MaintenanceTask, Failure]):
    """Tends in this process, where a test can make seals smaller."""

    def __call__(self, task: MaintenanceTask) -> Iterator[Failure]:
        return tend(task)


def keeper_of(store: Path, clock: Stopped) -> StoreSupervisor:
    supervisor = StoreSupervisor(store, clock)
    supervisor.tend = Here(tend, 60)
    return supervisor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)
    return Stopped()


def go_on(supervisor: StoreSupervisor, clock: Stopped, first: int, last: int) -> None:
    for number in range(first, last):
        clock.wall_ms = BASE_MS + number * MINUTE_MS
        supervisor.write_scrape(scrape(number), [block(1, BASE_MS + number * 300_000)], {})
        if number % 15 == 0:
            supervisor.purge(StoreConfig(), 60.0)


def test_it_seals_and_merges_while_it_purges(store: Path, clock: Stopped) -> None:
    supervisor = keeper_of(store, clock)
    go_on(supervisor, clock, 0, 110)
    supervisor.close()
    assert rows(store, "SELECT level, count(*) FROM seal WHERE span_s = 0 GROUP BY level") == [(1, 2), (2, 2)]
    assert len(all_samples(store)) == 110 * 11


def test_one_damaged_piece_does_not_cost_the_store(
    store: Path, clock: Stopped, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a store in which a round and a chunk are damaged
    supervisor = keeper_of(store, clock)
    go_on(supervisor, clock, 0, 28)
    supervisor.close()
    change(
        store,
        "UPDATE chunk SET payload = x'00' WHERE id = (SELECT min(id) FROM chunk)",
        "UPDATE sample_round SET payload = x'00' WHERE scrape_id = 25",
    )
    # WHEN the daemon goes on with it until both have been used
    supervisor = keeper_of(store, clock)
    go_on(supervisor, clock, 28, 110)
    supervisor.close()
    # THEN nothing was set aside, all else is there, and the log says what is lost
    assert not beside(store)
    assert supervisor.generation == 0
    assert len(all_samples(store)) == 110 * 11 - 10 - 11
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "the samples of scrape 25 are damaged", f"chunk {(1 << 32) + 1} is damaged",
    ]  # fmt: skip


def test_a_store_is_tended_by_a_child(store: Path) -> None:
    # GIVEN more scrapes than make a seal
    supervisor = StoreSupervisor(store, Stopped())
    for number in range(130):
        supervisor.write_scrape(scrape(number), [], {})
    before = all_samples(store)
    # WHEN it is purged
    supervisor.purge(StoreConfig(), 60.0)
    # THEN they were put away, and the writer goes on
    supervisor.write_scrape(scrape(130), [], {})
    supervisor.close()
    assert rows(store, "SELECT rounds FROM seal WHERE span_s = 0") == [(120,)]
    assert all_samples(store)[: len(before)] == before


def test_damage_a_child_finds_is_acted_on_at_the_next_scrape(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN a child that finds damage
    supervisor = StoreSupervisor(store, Stopped())
    supervisor.write_scrape(scrape(0), [], {})
    supervisor.tend = Damaged(tend, 60)
    supervisor.purge(StoreConfig(), 60.0)
    assert supervisor.generation == 0
    # WHEN SQLite can read on with new indices THEN the store is used on, and all is told to it anew
    supervisor.write_scrape(scrape(1), [], {})
    assert (supervisor.generation, beside(store)) == (1, [])
    assert rows(store, "SELECT count(*) FROM scrape") == [(2,)]
    assert "page 7 is damaged; it was opened anew" in caplog.text
    # AND it is set aside where that did not help for long
    supervisor.purge(StoreConfig(), 60.0)
    supervisor.write_scrape(scrape(2), [], {})
    supervisor.close()
    assert supervisor.generation == 2
    assert len(beside(store)) == 1


def test_a_child_that_is_ended_with_the_store_is_no_error(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = StoreSupervisor(store, Stopped())
    supervisor.write_scrape(scrape(0), [], {})
    supervisor.close()
    supervisor.purge(StoreConfig(), 60.0)
    assert not caplog.records


class Damaged(OneChild[MaintenanceTask, Failure]):
    def __call__(self, task: MaintenanceTask) -> Iterator[Failure]:  # noqa: ARG002 - as it is called
        yield Failure("history could not be compressed", StoreCorruptError("page 7 is damaged"))
