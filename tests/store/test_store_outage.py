"""While the store cannot be written scrapes wait in memory, within a bound, and are stored in order afterwards."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.clock import Instant
from leakwatch.errors import StoreBusyError
from leakwatch.monitoring.store_supervisor import StoreSupervisor
from leakwatch.store.backlog import Backlog
from tests.store.storetools import BASE_MS, all_samples, block, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from leakwatch.model.sample import Scrape, SealedBlock


class Stopped:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.ms = BASE_MS

    def now(self) -> Instant:
        return Instant(self.ms, self.ms, 0)


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Keep everybody else from writing."""
    other = sqlite3.connect(store, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def same(one: Scrape, other: Scrape) -> bool:
    return replace(one, samples=()) == replace(other, samples=()) and set(one.samples) == set(other.samples)


def test_what_waits_comes_back_as_it_was() -> None:
    # GIVEN scrapes of processes that come and go, one value estimated, with blocks, one without any sample
    made = [
        (scrape(n, range(n * 400, n * 400 + 500)), [block(n * 400, BASE_MS + n), block(7, BASE_MS, 60)])
        for n in range(9)
    ]
    marked = replace(made[4][0], samples=(replace(made[4][0].samples[1], estimated=True), *made[4][0].samples[2:]))
    made[4] = marked, []
    made[5] = replace(made[5][0], samples=(), processes=()), []
    backlog = Backlog()
    # WHEN they wait THEN each is as it was
    for at, (one, blocks) in enumerate(made):
        backlog.add(at, one, blocks)
    back = backlog.first(20)
    assert len(back) == len(made)
    assert all(same(a, b) and set(x) == set(y) for (a, x), (b, y) in zip(made, back, strict=True))
    # AND once they are stored nothing is held
    backlog.forget(len(made))
    assert (len(backlog), backlog.bytes, backlog.first(1)) == (0, 0, [])


def blocks_in(backlog: Backlog) -> set[SealedBlock]:
    return {one for _, blocks in backlog.first(len(backlog)) for one in blocks}


@pytest.mark.parametrize("bound", ["time", "bytes"])
def test_what_is_too_much_goes_oldest_first_and_its_blocks_stay(bound: str) -> None:
    backlog = Backlog(kept_ms=10_000) if bound == "time" else Backlog(kept_bytes=60_000)
    # WHEN ever new processes are sampled for an hour
    made = []
    for n in range(3600):
        blocks = [block(n, BASE_MS + n * 1000)] if n % 60 == 0 else []
        made += blocks
        backlog.add(n * 1000, scrape(n, range(n, n + 5)), blocks)
        assert backlog.bytes <= (60_000 if bound == "bytes" else 200_000)
    # THEN the newest scrapes wait, the others are counted, and each block is there
    kept = [one.tick.ts_ms for one, _ in backlog.first(3600)]
    assert kept == [scrape(n).tick.ts_ms for n in range(3600 - len(kept), 3600)]
    assert (len(kept) == 11) if bound == "time" else (5 < len(kept) < 20)
    assert backlog.dropped == 3600 - len(kept)
    assert blocks_in(backlog) == set(made)


def test_blocks_have_a_bound_of_their_own() -> None:
    backlog = Backlog(kept_ms=1000, blocks_bytes=5000)
    for n in range(300):
        backlog.add(n * 1000, scrape(n), [block(1, BASE_MS + n * 1000)])
    starts = sorted(one.block.start_ms for one in blocks_in(backlog))
    assert 10 < len(starts) < 30
    assert starts[-1] == BASE_MS + 299_000


def test_scrapes_that_could_not_be_stored_are_stored_in_order(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN a store that can be written no longer
    clock = Stopped()
    supervisor = StoreSupervisor(store, clock, interval_s=0.1)
    assert supervisor.write_scrape(scrape(0), [], {"stats": 0})
    with locked(store), caplog.at_level(logging.WARNING):
        # WHEN processes come and go meanwhile
        for n in range(1, 60):
            clock.ms += 1000
            assert not supervisor.write_scrape(scrape(n, range(n, n + 3)), [block(n, BASE_MS + n * 1000)], {"stats": n})
        assert "59 scrapes wait in memory since" in supervisor.trouble
        assert not supervisor.attempt("verdicts could not be stored", lambda writer: writer.drop_findings(["x"]))
    # THEN all are there with the next, in their order, each process with its end
    clock.ms += 1000
    assert supervisor.write_scrape(scrape(60, range(60, 63)), [], {"stats": 60})
    assert supervisor.trouble == ""
    supervisor.close()
    assert rows(store, "SELECT ts_ms FROM scrape ORDER BY id") == [(scrape(n).tick.ts_ms,) for n in range(61)]
    assert len(all_samples(store)) == 11 + 60 * 7
    assert rows(store, "SELECT count(*) FROM block_round") == [(59,)]
    assert rows(store, "SELECT count(*) FROM target WHERE kind = 'process' AND last_ms IS NULL") == [(3,)]
    assert rows(store, "SELECT value FROM state WHERE key = 'stats'") == [("60",)]
    # AND it was told once when it began and once when it ended, and is kept for reports
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "stayed locked" in said[0]
    assert said[1].endswith("60 scrapes that waited in memory are stored, none was lost")
    (note,) = json.loads(str(rows(store, "SELECT value FROM state WHERE key = 'store_notes'")[0][0]))
    assert (note["what"], note["kept"], note["dropped"], note["lasted_s"]) == ("outage", 60, 0, 59.0)


def test_a_store_locked_for_a_moment_is_nothing_to_tell(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = StoreSupervisor(store, Stopped(), interval_s=0.1)
    supervisor.write_scrape(scrape(0), [], {})
    with locked(store):
        supervisor.write_scrape(scrape(1), [], {})
        assert supervisor.trouble == ""
    supervisor.write_scrape(scrape(2), [], {})
    supervisor.close()
    assert not caplog.records
    assert rows(store, "SELECT count(*) FROM scrape") == [(3,)]
    assert not rows(store, "SELECT value FROM state")


def test_what_waits_at_the_end_is_stored_or_said_to_be_lost(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    for lasts in (False, True):
        supervisor = StoreSupervisor(store, Stopped(), interval_s=0.1)
        supervisor.write_scrape(scrape(0), [], {})
        with locked(store):
            supervisor.write_scrape(scrape(1), [], {})
            if lasts:
                supervisor.close()
        if not lasts:
            supervisor.close()
    assert rows(store, "SELECT count(*) FROM scrape") == [(3,)]
    assert "1 scrapes that could not be stored are lost" in caplog.text


def test_a_store_that_cannot_be_written_at_first_is_an_error(store: Path) -> None:
    supervisor = StoreSupervisor(store, Stopped(), interval_s=0.1)
    with locked(store), pytest.raises(StoreBusyError):
        supervisor.write_scrape(scrape(0), [], {})
    supervisor.close()
