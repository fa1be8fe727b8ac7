"""What is sealed and merged reads as it was written, at any moment of it, and whatever ends it half way."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreWriteError
from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Sample, Scrape, Tick
from leakwatch.store.maintenance import integrity, retention, sealing
from leakwatch.store.maintenance.sealing import merge, seal
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store import storetools
from tests.store.storetools import (
    BASE_MS,
    MINUTE_MS,
    RSS,
    USS,
    all_blocks,
    all_samples,
    block,
    change,
    process,
    rows,
    scrape,
)

if TYPE_CHECKING:
    from pathlib import Path

NO_LIMIT = 1 << 40


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten scrapes make a seal and four seals a merged one."""
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "SEALED_STARTS", 8)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)
    monkeypatch.setattr(sealing, "BATCH_SERIES", 3)


def estimated(made: Scrape) -> Scrape:
    """Mark every value of an even process in scrapes that are no multiple of five as estimated."""
    number = (made.tick.ts_ms - BASE_MS) // MINUTE_MS
    samples = tuple(
        replace(s, estimated=bool(number % 5 and s.metric == USS and s.value % 2 == number * 1000 % 2))
        for s in made.samples
    )
    return replace(made, samples=samples)


def fill(writer: Writer, first: int, last: int) -> None:
    """Write scrapes in which processes come and go, and threads are counted now and then."""
    for number in range(first, last):
        writer.write_scrape(
            estimated(scrape(number, range(1 + number // 7, 6 + number // 7))),
            [block(pid, BASE_MS + number // 2 * 300_000, last=float(number)) for pid in range(1, 4)],
        )


def seal_all(writer: Writer) -> None:
    seal(writer)
    while merge(writer, NO_LIMIT):
        pass


def seen(path: Path) -> tuple[object, ...]:
    """Return all a reader can tell of samples and blocks, in every way it can be asked."""
    reader = Reader(path)
    heads = reader.scrapes_since(0)
    found = (
        [(head.id, values) for head, values in reader.history(heads, [USS, RSS, "kernel.mem_free_bytes"])],
        [(head.id, values) for head, values in reader.samples_of(heads[3:])],
        [reader.samples(USS, process(pid).identity.target) for pid in range(40)],
        [reader.past(USS, process(pid).identity.target) for pid in range(40)],
        [reader.host_values(head.id) for head in heads],
        list(reader.blocks(300, 0)),
        list(reader.blocks(300, BASE_MS + 7 * 300_000)),
    )
    assert not reader.damage.found
    reader.close()
    return found


def test_sealing_and_merging_change_nothing_for_a_reader(writer: Writer) -> None:
    # GIVEN scrapes of processes that come and go, some values of which were estimated
    fill(writer, 0, 95)
    before, samples, blocks = seen(writer.path), all_samples(writer.path), all_blocks(writer.path)
    marks = before[3]
    assert any(past and any(past.estimated) and not all(past.estimated) for past in marks)  # type: ignore[attr-defined]
    # WHEN they are sealed and merged
    seal_all(writer)
    # THEN the tables are others: two merged seals, one of ten, and the newest as they came
    assert rows(writer.path, "SELECT level, count(*), sum(rounds) FROM seal WHERE span_s = 0 GROUP BY level") == [
        (1, 1, 10), (2, 2, 80),
    ]  # fmt: skip
    assert rows(writer.path, "SELECT min(scrape_id), count(*) FROM sample_round") == [(91, 5)]
    assert rows(writer.path, "SELECT sum(rounds) > 20 FROM seal WHERE span_s = 300") == [(1,)]
    # AND what is read is the same
    assert all_samples(writer.path) == samples
    assert all_blocks(writer.path) == blocks
    assert seen(writer.path) == before
    # AND what comes after it is found beside it
    fill(writer, 95, 130)
    seal_all(writer)
    target = process(3).identity.target
    reader = Reader(writer.path)
    assert reader.samples("kernel.mem_free_bytes", HOST) == [(BASE_MS + n * MINUTE_MS, n) for n in range(130)]
    assert reader.samples(USS, target) == [(BASE_MS + n * MINUTE_MS, n * 1000 + 3) for n in range(21)]
    reader.close()


def test_the_newest_scrape_is_never_sealed_and_nothing_twice(writer: Writer) -> None:
    fill(writer, 0, 10)
    assert seal(writer) == 0
    fill(writer, 10, 11)
    assert seal(writer) == 1
    assert seal(writer) == 0


def test_a_block_completed_after_a_restart_counts_wherever_its_halves_lie(writer: Writer) -> None:
    # GIVEN a block whose first half was sealed before its second half came
    for at in range(20):
        writer.write_blocks([block(1, BASE_MS + at * 300_000, last=1.0)], BASE_MS)
    seal(writer)
    writer.write_blocks([block(1, BASE_MS, last=2.0)], BASE_MS)
    writer.write_scrape(scrape(1))

    def lasts() -> list[float]:
        reader = Reader(writer.path)
        found = [one.block.last for one in reader.blocks(300, 0)]
        reader.close()
        return found

    assert lasts() == [2.0] + [1.0] * 19
    # WHEN the second half is sealed as well THEN it still counts
    for at in range(20, 40):
        writer.write_blocks([block(1, BASE_MS + at * 300_000, last=1.0)], BASE_MS)
    assert seal(writer)
    assert lasts() == [2.0] + [1.0] * 39


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_merge_that_is_interrupted_is_gone_on_with(store: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN seals ready to be merged
    writer = Writer(store)
    fill(writer, 0, 45)
    seal(writer)
    before, samples = seen(store), all_samples(store)
    # WHEN the merge ends after some transactions, as by kill -9
    left = iter(range(steps))
    exclusive = Writer.exclusive

    def ending(self: Writer) -> object:
        if next(left, None) is None:
            raise StoreWriteError("killed")
        return exclusive(self)

    monkeypatch.setattr(Writer, "exclusive", ending)
    with pytest.raises(StoreWriteError):
        merge(writer, NO_LIMIT)
    monkeypatch.setattr(Writer, "exclusive", exclusive)
    writer.close()
    # THEN a reader sees each sample once
    assert all_samples(store) == samples
    assert seen(store) == before
    # AND the next run completes it
    writer = Writer(store)
    assert merge(writer, NO_LIMIT)
    assert not merge(writer, NO_LIMIT)
    writer.close()
    assert rows(store, "SELECT level, rounds, rows FROM seal WHERE span_s = 0") == [(2, 40, 440)]
    assert all_samples(store) == samples
    assert seen(store) == before


def test_a_day_too_large_for_the_store_stays_in_small_seals(writer: Writer) -> None:
    fill(writer, 0, 45)
    seal(writer)
    assert not merge(writer, max_bytes=1000)
    assert rows(writer.path, "SELECT DISTINCT level FROM seal") == [(1,)]


def test_many_samples_make_shorter_seals(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEALED_SAMPLES", 11 * 4)
    fill(writer, 0, 21)
    seal(writer)
    assert rows(writer.path, "SELECT DISTINCT rounds FROM seal WHERE span_s = 0") == [(4,)]
    assert rows(writer.path, "SELECT count(*) FROM sample_round") == [(1,)]


def test_a_reader_sees_each_sample_once_while_it_is_sealed_and_merged(writer: Writer) -> None:
    # GIVEN a thread that seals and merges what another writes
    stop = threading.Event()
    failed: list[BaseException] = []

    def go_on() -> None:
        try:
            number = 0
            while not stop.is_set():
                fill(writer, number, number + 5)
                number += 5
                seal_all(writer)
        except BaseException as error:  # noqa: BLE001 - told by the test, not by the thread
            failed.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        # WHEN a reader asks all the time THEN every scrape has all its samples, and each once
        lengths = []
        for _ in range(60):
            reader = Reader(writer.path)
            got = reader.samples("kernel.mem_free_bytes", HOST)
            assert got == [(BASE_MS + n * MINUTE_MS, n) for n in range(len(got))]
            heads = reader.scrapes_since(0)
            for head, values in reader.history(heads, [USS, RSS]):
                assert len(values) == 10, head
            lengths.append(len(heads))
            reader.close()
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert lengths[-1] > 50
    assert all(a <= b for a, b in pairwise(lengths))


@pytest.mark.live
@pytest.mark.slow
def test_killed_while_it_seals_nothing_is_lost_and_nothing_there_twice(store: Path) -> None:
    rng = random.Random(4)
    upto = 0
    for _ in range(8):
        # WHEN a child that writes, seals and merges as fast as it can is killed at a random moment
        argv = [sys.executable, storetools.__file__, "seal", str(store)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline()) for _ in range(rng.randint(20, 60))]
            timer = threading.Timer(rng.uniform(0.0, 0.05), child.kill)
            timer.start()
            told += [int(line) for line in child.stdout if line.endswith("\n")]
            timer.join()
        # THEN every scrape that was told of is there, with all its samples, each once
        assert rows(store, "PRAGMA quick_check") == [("ok",)]
        samples = all_samples(store)
        assert len(samples) == len({row[:2] for row in samples})
        scrapes = [row[0] for row in rows(store, "SELECT id FROM scrape ORDER BY id")]
        assert scrapes == list(range(1, len(scrapes) + 1))
        assert len(samples) == 11 * len(scrapes)
        assert len(scrapes) >= told[-1]
        assert rows(store, "SELECT sum(rows) FROM seal WHERE span_s = 0") == rows(
            store, "SELECT sum(n) FROM chunk WHERE id >> 32 IN (SELECT id FROM seal WHERE span_s = 0)"
        )
        upto = len(scrapes)
    assert rows(store, "SELECT count(*) > 0 FROM seal WHERE level = 2") == [(1,)]
    reader = Reader(store)
    got = reader.samples("kernel.mem_free_bytes", HOST)
    reader.close()
    assert got == [(BASE_MS + n * MINUTE_MS, n) for n in range(1, upto + 1)]


# Damage


def damage(path: Path, table: str, where: str) -> None:
    """Flip bits in the middle of one payload, which SQLite does not notice."""
    key, payload = rows(path, f"SELECT rowid, payload FROM {table} WHERE {where}")[0]
    assert isinstance(payload, bytes)
    middle = len(payload) // 2
    changed = payload[:middle] + bytes([payload[middle] ^ 0x55]) + payload[middle + 1 :]
    change(path, f"UPDATE {table} SET payload = x'{changed.hex()}' WHERE rowid = {key}")


@pytest.mark.parametrize(
    ("table", "where", "lost"),
    [
        ("chunk", "id >> 32 = 1 AND n = 10", 10),
        ("seal", "id = 1", 10),
        ("sample_round", "scrape_id = 43", 1),
    ],
)
def test_what_is_damaged_is_left_out_and_said_and_the_rest_is_read(
    store: Path, table: str, where: str, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a sealed store
    writer = Writer(store)
    fill(writer, 0, 45)
    seal(writer)
    writer.close()
    whole = Reader(store)
    expected = whole.samples("kernel.mem_free_bytes", HOST)
    whole.close()
    # WHEN bits flip on the disk
    damage(store, table, where)
    # THEN the reader does without it, and says so once
    reader = Reader(store)
    for _ in range(2):
        got = reader.samples("kernel.mem_free_bytes", HOST)
        heads = reader.scrapes_since(0)
        list(reader.history(heads, [USS, "kernel.mem_free_bytes"]))
    reader.close()
    assert set(got) < set(expected)
    assert len(got) == len(expected) - lost
    assert len(reader.damage.found) == 1
    assert sum("is damaged" in record.message for record in caplog.records) == 1
    # AND sealing and merging go on with the rest
    writer = Writer(store)
    fill(writer, 45, 60)
    seal_all(writer)
    writer.close()
    reader = Reader(store)
    after = reader.samples("kernel.mem_free_bytes", HOST)
    reader.close()
    assert after == [*got, *((BASE_MS + n * MINUTE_MS, n) for n in range(45, 60))]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_in_whatever_order_a_reader_reads_what_was_written(store: Path, seed: int) -> None:
    # GIVEN series that come and go, of any values, some estimated, and times that are set back and ahead
    rng = random.Random(seed)
    targets = [Target(TargetKind.SLAB, f"cache-{n}") for n in range(8)]
    written: dict[int, tuple[int, dict[Target, tuple[int, bool]]]] = {}
    writer = Writer(store)
    ts_ms = BASE_MS
    for _ in range(40):
        # WHEN they are written, sealed, merged and purged as chance will have it
        step = rng.choice(["write"] * 3 + ["seal", "merge", "purge"])
        if step == "write":
            for _ in range(rng.randrange(1, 9)):
                ts_ms += rng.choice([MINUTE_MS, MINUTE_MS + 3, 0, -7_200_000, 86_400_000])
                values = {t: (rng.choice([0, 7, -(2**63) + 1, 2**63 - 1, rng.getrandbits(62)]), rng.random() < 0.3)
                          for t in targets if rng.random() < 0.7}  # fmt: skip
                samples = tuple(Sample("slab.active_bytes", t, v, estimated=e) for t, (v, e) in values.items())
                writer.write_scrape(Scrape(Tick(ts_ms, "b"), samples, (), ()))
                written[max(written, default=0) + 1] = ts_ms, values
        elif step == "seal":
            seal(writer)
        elif step == "merge":
            merge(writer, NO_LIMIT)
        else:
            retention._drop_batch(writer, None, at_most=0.1)
            kept = {row[0] for row in rows(store, "SELECT id FROM scrape")}
            written = {number: scrape_ for number, scrape_ in written.items() if number in kept}
        # THEN a reader reads just that, series by series and scrape by scrape
        reader = Reader(store)
        for target in targets:
            past = reader.past("slab.active_bytes", target)
            got = list(zip(*past, strict=True)) if past else []
            assert got == [(ms, *values[target]) for ms, values in written.values() if target in values]
        heads = sorted(reader.scrapes_since(0), key=lambda head: head.id)
        assert [head.id for head in heads] == list(written)
        for head, found in reader.history(heads, ["slab.active_bytes"]):
            expected = {("slab.active_bytes", t): value for t, (value, _) in written[head.id][1].items()}
            assert found == expected
        checked = integrity.check(reader)
        assert checked.problems == ()
        assert checked.samples == sum(len(values) for _, values in written.values())
        reader.close()
    writer.close()


@pytest.mark.parametrize("what", ["samples", "blocks", "merge"])
def test_of_two_that_put_away_at_once_one_gives_way(store: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN one that has read what it will pack, as the child of a daemon that was killed since
    writer = Writer(store)
    fill(writer, 0, 45)
    if what == "merge":
        seal(writer)
    module, packing = {
        "samples": (sealing, "_packed_samples"), "blocks": (sealing, "_packed_blocks"), "merge": (sealing, "_merged"),
    }[what]  # fmt: skip
    samples, blocks, pack = all_samples(store), all_blocks(store), getattr(module, packing)

    def interrupted(*args: object) -> object:
        # WHEN another puts all of it away first
        monkeypatch.setattr(module, packing, pack)
        other = Writer(store)
        seal_all(other)
        other.close()
        return pack(*args)

    monkeypatch.setattr(module, packing, interrupted)
    # THEN the first stores nothing, and says why
    with pytest.raises(StoreWriteError, match=r"another process puts history away|UNIQUE"):
        seal_all(writer)
    writer.close()
    assert all_samples(store) == samples
    assert all_blocks(store) == blocks
