"""History goes by age and by size, in bounded batches, and not because a clock was wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.sample import Sample
from leakwatch.model.timeline import CLOCK
from leakwatch.store.maintenance import retention, sealing
from leakwatch.store.maintenance.retention import Purged, RetentionLimits, purge, used_bytes
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import (
    BASE_MS,
    DAY_MS,
    MINUTE_MS,
    USS,
    all_blocks,
    all_samples,
    block,
    nameless,
    process,
    rows,
    scrape,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from leakwatch.model.sample import Scrape

HOUR_MS = 3_600_000
HOURLY_S = 3600.0
NO_LIMIT = 1 << 40


def run(
    writer: Writer,
    now_ms: int,
    *,
    samples_d: float = 14,
    blocks_d: float = 90,
    size: int = NO_LIMIT,
    samples: int = NO_LIMIT,
    blocks: int = NO_LIMIT,
) -> Purged:
    limits = RetentionLimits(samples_d * 86_400, blocks_d * 86_400, size, samples, blocks)
    return purge(writer, limits, now_ms=now_ms, interval_s=HOURLY_S)


def hourly(writer: Writer, hours: Iterable[int], pids: range = range(1, 4)) -> None:
    for hour in hours:
        at_ms = BASE_MS + hour * HOUR_MS
        writer.write_scrape(scrape(hour, pids, ts_ms=at_ms), [block(1, at_ms), block(1, at_ms, span_s=3600)])


def kept_hours(store: Path) -> list[int]:
    """Return the hours whose scrapes are kept; also check that samples are theirs and no others."""
    scrapes = {row[0] for row in rows(store, "SELECT id FROM scrape")}
    assert {scrape_id for scrape_id, _, _ in all_samples(store)} == scrapes
    return [(int(str(row[0])) - BASE_MS) // HOUR_MS for row in rows(store, "SELECT ts_ms FROM scrape ORDER BY id")]


def test_samples_and_blocks_go_when_they_are_old_and_not_before(writer: Writer) -> None:
    # GIVEN 40 days of hourly scrapes
    hourly(writer, range(40 * 24 + 1))
    now_ms = BASE_MS + 40 * DAY_MS
    # WHEN what is older than 14 and 30 days is purged
    done = run(writer, now_ms, blocks_d=30)
    # THEN just that is gone
    assert kept_hours(writer.path) == list(range(26 * 24, 40 * 24 + 1))
    assert done == Purged(26 * 24, for_size=False)
    for span_s in (300, 3600):
        starts = [start_ms for span, start_ms, *_ in all_blocks(writer.path) if span == span_s]
        assert (min(starts), len(starts)) == (BASE_MS + 10 * DAY_MS, 30 * 24 + 1)
    # AND the next run finds nothing to do
    assert run(writer, now_ms, blocks_d=30) == Purged()


def test_what_goes_by_age_is_not_said_to_have_gone_early(writer: Writer) -> None:
    # GIVEN 20 days of hourly scrapes, of which 6 are old, and a limit for samples that half of the rest is above
    hourly(writer, range(20 * 24 + 1))
    with writer.exclusive() as connection:
        samples = retention.samples_bytes(connection)
    # WHEN both limits are applied
    done = run(writer, BASE_MS + 20 * DAY_MS, samples=samples // 3)
    # THEN what went for its size alone is counted as early
    kept = len(kept_hours(writer.path))
    assert done.for_size
    assert done.scrapes == 20 * 24 + 1 - kept
    assert done.early == done.scrapes - 6 * 24


def test_an_empty_store_has_nothing_to_purge(writer: Writer) -> None:
    assert run(writer, BASE_MS, size=1) == Purged(0, for_size=True)


@pytest.mark.parametrize("years", [1, 30])
def test_a_clock_set_ahead_for_a_while_costs_no_history(writer: Writer, years: int) -> None:
    # GIVEN 20 days of history, and a clock that jumps years ahead
    hourly(writer, range(20 * 24))
    run(writer, BASE_MS + 20 * DAY_MS)
    ahead = years * 365 * 24
    # WHEN it is corrected within a day of sampling, with a purge at every hour of it
    for hour in range(20 * 24, 21 * 24 - 1):
        hourly(writer, [hour + ahead])
        run(writer, BASE_MS + (hour + ahead) * HOUR_MS)
    hourly(writer, range(21 * 24, 22 * 24))
    run(writer, BASE_MS + 22 * DAY_MS)
    # THEN what is younger than its limit is all there
    kept = kept_hours(writer.path)
    assert set(range(8 * 24, 20 * 24)) | set(range(21 * 24, 22 * 24)) <= set(kept)
    assert min(start_ms for span_s, start_ms, *_ in all_blocks(writer.path) if span_s == 300) == BASE_MS
    # AND the scrapes stamped with the wrong time go in their turn, with their neighbours
    hourly(writer, range(22 * 24, 60 * 24 + 1))
    run(writer, BASE_MS + 60 * DAY_MS)
    assert kept_hours(writer.path) == list(range(46 * 24, 60 * 24 + 1))


def test_a_clock_that_stays_ahead_is_believed_after_a_day(writer: Writer) -> None:
    hourly(writer, range(20 * 24))
    ahead = 365 * 24
    for hour in range(20 * 24, 22 * 24):
        hourly(writer, [hour + ahead])
    run(writer, BASE_MS + (22 * 24 + ahead) * HOUR_MS)
    assert kept_hours(writer.path) == [hour + ahead for hour in range(20 * 24, 22 * 24)]


def test_a_clock_set_back_for_a_while_takes_no_neighbours_along(writer: Writer) -> None:
    # GIVEN a machine that boots in 1970, samples for three hours, and then learns the time
    hourly(writer, range(20 * 24))
    past = -(BASE_MS // HOUR_MS)
    for hour in range(3):
        hourly(writer, [past + hour])
        run(writer, hour * HOUR_MS + HOUR_MS)
    assert len(kept_hours(writer.path)) == 20 * 24 + 3
    hourly(writer, range(20 * 24, 22 * 24 + 1))
    # WHEN the next purge runs
    run(writer, BASE_MS + 22 * DAY_MS)
    # THEN it takes what is old by its place, not what only says so
    assert kept_hours(writer.path) == [*range(8 * 24, 20 * 24), past, past + 1, past + 2, *range(20 * 24, 22 * 24 + 1)]


def test_a_pause_keeps_history_for_longer_not_shorter(writer: Writer) -> None:
    # GIVEN 20 days of history and a machine that was off for a month
    hourly(writer, range(20 * 24))
    hourly(writer, [50 * 24])
    # WHEN it is on again THEN nothing is dropped by the first look at the clock
    run(writer, BASE_MS + 50 * DAY_MS)
    assert len(kept_hours(writer.path)) >= 14 * 24
    # AND after a day of sampling the old is
    hourly(writer, range(50 * 24 + 1, 51 * 24 + 2))
    run(writer, BASE_MS + 51 * DAY_MS + 2 * HOUR_MS)
    assert kept_hours(writer.path) == list(range(50 * 24, 51 * 24 + 2))


def test_batches_are_bounded_and_a_run_ends(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a month to drop, of 7 samples a scrape, and small bounds
    hourly(writer, range(60 * 24))
    monkeypatch.setattr(retention, "BATCH_SCRAPES", 10)
    monkeypatch.setattr(retention, "MAX_BATCHES", 3)
    changes = []
    exclusive = Writer.exclusive

    def counted(self: Writer) -> object:
        changes.append(self._connection.driver.total_changes)
        return exclusive(self)

    monkeypatch.setattr(Writer, "exclusive", counted)
    # WHEN it is purged
    done = run(writer, BASE_MS + 60 * DAY_MS)
    # THEN no transaction changes more than a batch, and the rest waits for the next run
    assert done.scrapes == 30
    assert max(b - a for a, b in pairwise(changes)) <= 80
    assert run(writer, BASE_MS + 60 * DAY_MS).scrapes == 30


OF_USS = "SELECT count(*) FROM series JOIN metric ON metric.id = metric_id WHERE name = 'process.uss_bytes'"


def names(store: Path) -> list[tuple[object, ...]]:
    return rows(store, "SELECT kind, count(*) FROM target GROUP BY kind ORDER BY kind")


def test_who_ended_is_forgotten_with_his_samples(writer: Writer) -> None:
    # GIVEN processes that live an hour each, for 40 days
    for hour in range(40 * 24 + 1):
        hourly(writer, [hour], range(10 + hour, 11 + hour))
    before = rows(writer.path, OF_USS)
    run(writer, BASE_MS + 40 * DAY_MS)
    # THEN those whose samples are gone have left no name, the others have all theirs
    after = rows(writer.path, OF_USS)
    assert before == [(40 * 24 + 2,)]  # one more is pid 1: it has blocks, and is never among those alive
    assert after == [(14 * 24 + 3,)]  # and one more ended at the limit, not before it
    for table, column, of in (("series", "target_id", "target"), ("process", "target_id", "target")):
        assert rows(writer.path, f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM {of})") == [(0,)]
    assert nameless(writer.path) == set()


def test_a_number_is_never_given_to_another_while_rows_of_it_may_be_left(store: Path) -> None:
    # GIVEN the newest process, which has ended long ago, while its samples are still there
    writer = Writer(store)
    writer.write_scrape(scrape(1, range(1, 3)))
    writer.write_scrape(scrape(2, range(9, 10)))
    writer.write_scrape(scrape(3, range(1, 3)))
    highest = max(series for _, series, _ in all_samples(store))
    retention._expire_targets(writer, BASE_MS + DAY_MS, processes=True)
    writer.close()
    # WHEN a new process comes after a restart
    writer = Writer(store)
    writer.write_scrape(scrape(4, range(20, 21)))
    writer.close()
    # THEN its series are new ones
    reader = Reader(store)
    assert len(reader.samples(USS, process(20).identity.target)) == 1
    assert max(series for _, series, _ in all_samples(store)) > highest
    reader.close()


def noise(*at: int) -> int:
    """Return a value that cannot be packed with its neighbours."""
    return hash(at) >> 2  # of integers: the same in every run


def wide(number: int, count: int = 2000) -> Scrape:
    """Return a scrape of many samples, two blocks' worth of pages."""
    samples = tuple(
        Sample("kernel.slab_active_bytes", Target(TargetKind.SLAB, f"cache-{n}"), noise(number, n))
        for n in range(count)
    )
    return replace(scrape(number), samples=samples)


def test_the_size_limit_holds_while_writing(store: Path) -> None:
    # GIVEN a store of 2 MiB at most, to which scrapes are written without end
    limit = 2 << 20
    writer = Writer(store)
    largest = 0
    dropped = 0
    for number in range(1, 241):
        writer.write_scrape(wide(number))
        if number % 10 == 0:
            done = run(writer, BASE_MS + number * MINUTE_MS, size=limit)
            dropped += done.scrapes
            assert used_bytes(writer) <= limit
        largest = max(largest, store.stat().st_size)
    # THEN the oldest went, the newest are there, and the file never grew by more than what comes between two runs
    ids = [int(str(row[0])) for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
    assert ids == list(range(dropped + 1, 241))
    assert len(ids) > 30
    assert largest <= limit + 10 * 2000 * 20
    writer.close()
    assert rows(store, "PRAGMA quick_check") == [("ok",)]


def test_a_lower_limit_gives_the_space_back_to_the_file_system(store: Path) -> None:
    # GIVEN a store of some 5 MiB
    writer = Writer(store)
    for number in range(1, 321):
        writer.write_scrape(wide(number))
    writer.close()
    before = store.stat().st_size
    assert before > 4 << 20
    # WHEN the limit is lowered
    writer = Writer(store)
    done = run(writer, BASE_MS, size=2 << 20)
    writer.close()
    # THEN the file itself is small
    assert done.for_size
    assert store.stat().st_size <= 2 << 20
    assert rows(store, "PRAGMA quick_check") == [("ok",)]


def test_processes_that_come_and_go_do_not_crowd_the_samples_out(store: Path) -> None:
    # GIVEN a store full of the names of processes that lived for one scrape
    writer = Writer(store)
    for number in range(1, 121):
        writer.write_scrape(scrape(number, range(number * 100, number * 100 + 100)))
    used = used_bytes(writer)
    # WHEN the limit is half of that
    done = run(writer, BASE_MS + 120 * MINUTE_MS, size=used // 2)
    # THEN names go with their samples, and about half of both is left
    left = rows(store, "SELECT count(*) FROM scrape")[0][0]
    assert 40 <= int(str(left)) <= 80
    assert done.scrapes == 120 - int(str(left))
    assert int(str(rows(store, "SELECT count(*) FROM process")[0][0])) <= 100 * (int(str(left)) + 2)
    writer.close()


def test_the_newest_scrape_and_the_coarse_blocks_stay_the_longest(store: Path) -> None:
    # GIVEN far more blocks than the limit allows
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    for span_s in (300, 3600):
        writer.write_blocks(
            [
                block(pid, BASE_MS + n * span_s * 1000, span_s, last=float(noise(n, pid) >> 12))
                for n in range(200)
                for pid in range(100)
            ],
            BASE_MS,
        )
    # WHEN it is purged by size
    limit = used_bytes(writer) * 3 // 4
    run(writer, BASE_MS + DAY_MS, size=limit)
    # THEN the coarse blocks and the one scrape are there; of the fine ones the newest
    assert rows(store, "SELECT count(*) FROM scrape") == [(1,)]
    kept = all_blocks(store)
    assert sum(1 for span_s, *_ in kept if span_s == 3600) == 20_000
    assert used_bytes(writer) <= limit
    fine = [start_ms for span_s, start_ms, *_ in kept if span_s == 300]
    assert len(fine) < 20_000
    assert not fine or max(fine) == BASE_MS + 199 * 300_000
    writer.close()


# What is sealed


@pytest.fixture
def small_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten scrapes make a seal and forty a merged one."""
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "SEALED_STARTS", 10)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)


def seal_all(writer: Writer) -> None:
    while sealing.seal(writer):
        pass
    while sealing.merge(writer, NO_LIMIT):
        pass


@pytest.mark.usefixtures("small_seals")
def test_what_is_sealed_goes_once_all_of_it_is_old(writer: Writer) -> None:
    # GIVEN 40 days of hourly scrapes, sealed by ten and merged by forty
    hourly(writer, range(40 * 24 + 1))
    seal_all(writer)
    before = all_samples(writer.path)
    # WHEN what is older than 14 and 30 days is purged
    done = run(writer, BASE_MS + 40 * DAY_MS, blocks_d=30)
    # THEN nothing younger is gone, and of the older at most one seal is left
    kept = kept_hours(writer.path)
    assert kept == list(range(kept[0], 40 * 24 + 1))
    assert 26 * 24 - 40 < kept[0] <= 26 * 24
    assert done.scrapes == kept[0]
    assert all_samples(writer.path) == [row for row in before if row[0] > kept[0]]
    assert rows(writer.path, "SELECT count(*) FROM chunk WHERE id >> 32 NOT IN (SELECT id FROM seal)") == [(0,)]
    for span_s, seal_ms in ((300, 10 * HOUR_MS), (3600, 10 * HOUR_MS)):
        oldest = min(start_ms for span, start_ms, *_ in all_blocks(writer.path) if span == span_s)
        assert BASE_MS + 10 * DAY_MS - seal_ms < oldest <= BASE_MS + 10 * DAY_MS
    # AND its names are there as long as it is
    assert nameless(writer.path) == set()
    assert run(writer, BASE_MS + 40 * DAY_MS, blocks_d=30) == Purged()


@pytest.mark.usefixtures("small_seals")
def test_names_stay_as_long_as_a_seal_that_needs_them(writer: Writer) -> None:
    # GIVEN processes that live an hour each, and samples sealed by forty hours
    for hour in range(30 * 24):
        hourly(writer, [hour], range(10 + hour, 11 + hour))
    seal_all(writer)
    run(writer, BASE_MS + 30 * 24 * HOUR_MS)
    kept = kept_hours(writer.path)
    assert kept[0] < 16 * 24
    assert nameless(writer.path) == set()


@pytest.mark.usefixtures("small_seals")
@pytest.mark.parametrize("sealed", [True, False])
def test_each_kind_has_a_limit_of_its_own(writer: Writer, sealed: bool) -> None:
    # GIVEN samples and blocks that cannot be packed
    rng = random.Random(1)
    for number in range(1, 201):
        writer.write_scrape(
            wide(number, 50),
            [block(pid, BASE_MS + number * 300_000, last=float(rng.getrandbits(50))) for pid in range(50)],
        )
    if sealed:
        seal_all(writer)
    with writer.exclusive() as connection:
        samples, blocks = retention.samples_bytes(connection), retention.blocks_bytes(connection)
    # WHEN samples alone are too many THEN samples go, the oldest first, and no block
    before = all_blocks(writer.path)
    done = run(writer, BASE_MS, samples=samples // 2)
    assert done.for_size
    kept = [row[0] for row in rows(writer.path, "SELECT id FROM scrape ORDER BY id")]
    assert kept == list(range(done.scrapes + 1, 201))
    assert 40 <= len(kept) <= 100
    assert all_blocks(writer.path) == before
    # WHEN blocks alone are too many THEN blocks go, the oldest first, and no sample
    before_samples = all_samples(writer.path)
    done = run(writer, BASE_MS, blocks=blocks // 2)
    assert (done.for_size, done.scrapes) == (True, 0)
    assert all_samples(writer.path) == before_samples
    starts = sorted({start_ms for _, start_ms, *_ in all_blocks(writer.path)})
    assert starts[-1] == BASE_MS + 200 * 300_000
    assert 40 <= len(starts) <= 110
    assert run(writer, BASE_MS, samples=samples // 2, blocks=blocks // 2) == Purged()


@pytest.mark.usefixtures("small_seals")
def test_the_size_limit_holds_while_sealing(store: Path) -> None:
    # GIVEN a store of 1 MiB at most, to which scrapes are written without end and sealed
    limit = 1 << 20
    writer = Writer(store)
    dropped = 0
    for number in range(1, 301):
        writer.write_scrape(wide(number, 500))
        if number % 10 == 0:
            sealing.seal(writer)
            while sealing.merge(writer, limit):
                pass
            dropped += run(writer, BASE_MS + number * MINUTE_MS, size=limit).scrapes
            assert used_bytes(writer) <= limit
    writer.close()
    # THEN the oldest went, and the newest are there, whole
    numbers = [row[0] for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
    assert numbers == list(range(dropped + 1, 301))
    assert len(numbers) > 50
    assert {scrape_id for scrape_id, _, _ in all_samples(store)} == set(numbers)


def test_a_boot_with_the_clock_years_ahead_makes_nothing_old_once_it_is_corrected(writer: Writer) -> None:
    # GIVEN ten days, and a boot 26 years ahead that was corrected after a while: the timeline stays there
    hourly(writer, range(10 * 24))
    ahead_h = 26 * 365 * 24
    last_ms = BASE_MS + (10 * 24 - 1) * HOUR_MS
    for hour in range(10 * 24, 12 * 24):
        at_ms = BASE_MS + (hour + ahead_h) * HOUR_MS
        anchor = ["boot-b", 0, BASE_MS + (10 * 24 + ahead_h) * HOUR_MS, -ahead_h * HOUR_MS, [[0, last_ms, 0]]]
        writer.write_scrape(scrape(hour, ts_ms=at_ms), [], {CLOCK: anchor})
    now_ms = BASE_MS + (12 * 24 + ahead_h) * HOUR_MS
    # THEN nothing is older than it was
    assert run(writer, now_ms, samples_d=14).scrapes == 0
    assert len(kept_hours(writer.path)) == 12 * 24
    # AND what is too old by the time of day goes
    assert run(writer, now_ms, samples_d=5).scrapes > 0
    first = kept_hours(writer.path)[0]
    assert 6 * 24 <= first <= 7 * 24
