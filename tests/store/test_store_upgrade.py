"""A populated store of schema 0002 keeps every sample and block on its way to 0003, and back."""

from __future__ import annotations

import random
import sqlite3
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from leakwatch.model.identity import HOST, Target, TargetKind
from leakwatch.model.sample import Sample, Scrape, Tick
from leakwatch.store.files.open import open_writer
from leakwatch.store.maintenance import migrate
from leakwatch.store.maintenance.sealing import merge, seal
from leakwatch.store.read.reader import Reader
from tests.store.storetools import BASE_MS, MINUTE_MS, USS, all_blocks, all_samples, beside, rows

if TYPE_CHECKING:
    from pathlib import Path

EXTREMES = (0, 1, -1, 2**63 - 1, -(2**63), -(2**63) + 1, 4096, 10**12)
SCRAPES = 400
TARGETS = (
    (1, "host", "host", None), (4, "process", "b/12/900", 5), (5, "process", "a/12/900", None),
    (7, "slab", "odd/12/13", None), (8, "service", b"unit:\xff.service", 9),
)  # fmt: skip
NAMES = (
    "SELECT s.id, metric, kind, key, first_ms, last_ms FROM series s JOIN target t ON t.id = target_id ORDER BY s.id"
)
NAMES_NOW = NAMES.replace("metric,", "name,").replace(" ORDER", " JOIN metric ON metric.id = metric_id ORDER")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a populated store of revision 0002: gaps, extremes, a clock set back, blocks of odd values."""
    path = tmp_path_factory.mktemp("second") / "second.db"
    migrate.upgrade(path, "0002")
    rng = random.Random(3)
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO target VALUES (?, ?, ?, 0, ?)", TARGETS)
    connection.executemany("INSERT INTO series VALUES (?, ?, 1)", [(n, f"kernel.m{n}") for n in range(1, 21)])
    connection.executemany("INSERT INTO series VALUES (?, ?, ?)", [(41, USS, 4), (30, USS, 5), (32, "process.fds", 4)])
    for number in range(1, SCRAPES + 1):
        at_ms = BASE_MS + number * MINUTE_MS - (86_400_000 if number > 300 else 0)
        connection.execute("INSERT INTO scrape VALUES (?, ?, 1, 0, 0, 0, 0, 9, '{}')", (number, at_ms))
        some = [(number, n, rng.choice(EXTREMES) if n < 4 else n << 20) for n in range(1, 21) if rng.random() < 0.8]
        connection.executemany("INSERT INTO sample VALUES (?, ?, ?)", some)
    for span_s, count in ((300, 150), (3600, 12)):
        for at in range(count):
            for n in (1, 5, 20):
                levels = [rng.choice([1.5, 2.0, -3.25, 1e300, 2.0**53 + 2, 0.1, -0.0]) for _ in range(4)]
                row = (span_s, BASE_MS + at * span_s * 1000, n, rng.randint(1, 9), *levels, BASE_MS)
                connection.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def copy(second: Path, tmp_path: Path) -> Path:
    path = tmp_path / "leakwatch.db"
    path.write_bytes(second.read_bytes())
    return path


def bits(blocks: list[tuple[float, ...]]) -> list[bytes]:
    return [struct.pack("<qqqqddddq", *block) for block in blocks]  # type: ignore[arg-type]


def test_every_sample_and_block_is_kept_to_the_bit(copy: Path) -> None:
    samples = rows(copy, "SELECT * FROM sample ORDER BY 1, 2")
    blocks = rows(copy, "SELECT * FROM block ORDER BY 1, 2, 3")
    others = rows(copy, "SELECT * FROM scrape"), rows(copy, NAMES)
    # WHEN the daemon opens it
    writer = open_writer(copy, BASE_MS)
    # THEN all of it is there, and readers find it
    assert not beside(copy)
    assert all_samples(copy) == samples
    assert bits(all_blocks(copy)) == bits(blocks)  # type: ignore[arg-type]
    assert (rows(copy, "SELECT * FROM scrape"), rows(copy, NAMES_NOW)) == others
    reader = Reader(copy)
    past = reader.samples("kernel.m1", HOST)
    reader.close()
    times = dict(rows(copy, "SELECT id, ts_ms FROM scrape"))
    assert past == [(times[scrape], value) for scrape, series, value in samples if series == 1]
    # AND still so once the daemon has gone on and sealed it
    for number in range(SCRAPES + 1, SCRAPES + 11):
        writer.write_scrape(Scrape(Tick(BASE_MS + number, "b"), (Sample("kernel.m1", HOST, 7),), (), ()))
    assert seal(writer) == 3 + 1
    merge(writer, 1 << 40)
    writer.close()
    assert all_samples(copy)[: len(samples)] == samples
    assert bits(all_blocks(copy)) == bits(blocks)  # type: ignore[arg-type]
    assert rows(copy, "SELECT min(scrape_id) FROM sample_round") == [(361,)]


def test_the_way_back_finds_all_of_it_again(copy: Path) -> None:
    samples = rows(copy, "SELECT * FROM sample ORDER BY 1, 2")
    blocks = rows(copy, "SELECT * FROM block ORDER BY 1, 2, 3")
    names = rows(copy, NAMES), rows(copy, "SELECT * FROM target")
    # GIVEN a store that was migrated and sealed
    writer = open_writer(copy, BASE_MS)
    assert seal(writer)
    writer.close()
    # WHEN a developer goes back THEN every row is there again
    argv = [sys.executable, "-m", "alembic", "-x", f"url=sqlite:///{copy}", "downgrade", "0002"]
    subprocess.run(argv, cwd=migrate.scripts_directory().parent, check=True, capture_output=True)
    assert rows(copy, "SELECT * FROM sample ORDER BY 1, 2") == samples
    assert bits(rows(copy, "SELECT * FROM block ORDER BY 1, 2, 3")) == bits(blocks)  # type: ignore[arg-type]
    assert (rows(copy, NAMES), rows(copy, "SELECT * FROM target")) == names
    gone = "('chunk', 'seal', 'sample_round', 'metric', 'ix_target_key')"
    assert rows(copy, f"SELECT count(*) FROM sqlite_master WHERE name IN {gone}") == [(0,)]


def test_names_are_found_as_what_they_were(copy: Path) -> None:
    # GIVEN a migrated store in which a process, a service and a cache have ended or live
    writer = open_writer(copy, BASE_MS)
    assert rows(copy, "SELECT id, start_ticks FROM target WHERE start_ticks IS NOT NULL") == [(4, 900), (5, 900)]
    before = rows(copy, "SELECT id FROM target ORDER BY id")
    # WHEN they are there again, and one more process that began at the same tick
    targets = [Target(TargetKind.PROCESS, key) for key in ("b/12/900", "a/12/900", "b/13/900")]
    targets += [Target(TargetKind.SERVICE, "unit:\udcff.service"), Target(TargetKind.SLAB, "odd/12/13")]
    writer.write_scrape(Scrape(Tick(BASE_MS, "b"), tuple(Sample(USS, one, 7) for one in targets), (), ()))
    writer.close()
    # THEN only that one is new, and each has its own series
    assert rows(copy, "SELECT id FROM target ORDER BY id") == [*before, (9,)]
    reader = Reader(copy)
    assert [reader.samples(USS, one) for one in targets] == [[(BASE_MS, 7)]] * 5
    reader.close()
    assert rows(copy, "SELECT id FROM series WHERE target_id = 4 ORDER BY id") == [(32,), (41,)]


def test_a_store_of_no_samples_is_migrated_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    migrate.upgrade(path, "0002")
    migrate.upgrade(path)
    assert (all_samples(path), all_blocks(path)) == ([], [])


@pytest.mark.live
@pytest.mark.slow
def test_killed_while_it_migrates_it_is_as_it_was_or_done(second: Path, tmp_path: Path) -> None:
    samples, blocks = rows(second, "SELECT * FROM sample ORDER BY 1, 2"), rows(second, "SELECT * FROM block")
    code = (
        "import sys; from pathlib import Path; import alembic.command; "
        "from leakwatch.store.maintenance import migrate; print(1, flush=True); migrate.upgrade(Path(sys.argv[1]))"
    )
    ends = set()
    for attempt in range(12):
        # WHEN a migration is killed some time after its start, each time a little later
        path = tmp_path / f"{attempt}.db"
        path.write_bytes(second.read_bytes())
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threading.Event().wait(attempt * 0.02)
            child.kill()
        # THEN the store is what it was, or all of what it was to become
        version = str(rows(path, "SELECT version_num FROM alembic_version")[0][0])
        ends.add(version)
        if version == "0002":
            assert rows(path, "SELECT * FROM sample ORDER BY 1, 2") == samples
            assert rows(path, "SELECT * FROM block") == blocks
            migrate.upgrade(path)
        assert all_samples(path) == samples
        assert len(all_blocks(path)) == len(blocks)
    assert "0002" in ends
