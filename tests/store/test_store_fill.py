"""The benchmarks' store of days made in seconds is one that the daemon could have made; a reader takes what it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.queries.report import read_report
from leakwatch.report.build import Filters
from leakwatch.store.maintenance import integrity, inventory
from leakwatch.store.maintenance.sealing import merge, seal
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.benchmarks.store_fill import BASE_MS, INTERVAL_MS, METRICS, fill, process
from tests.store.storetools import rows

if TYPE_CHECKING:
    from pathlib import Path

PROCESSES, DAYS, NEWEST = 20, 3, 140


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[int]]]:
    path = tmp_path_factory.mktemp("filled") / "store.db"
    return path, fill(path, PROCESSES, DAYS, METRICS[:2], newest=NEWEST).tolist()


def test_it_is_sound_and_holds_what_it_says(filled: tuple[Path, list[list[int]]]) -> None:
    path, values = filled
    reader = Reader(path)
    found = integrity.check(reader)
    assert found.problems == ()
    assert found.samples == sum(map(len, values)) + 4 * NEWEST  # the host's and the collector's, newest only
    for number in (0, PROCESSES - 1):
        got = reader.samples(METRICS[0], process(number).identity.target)
        assert [value for _, value in got] == values[number]
        assert all(0 <= ts_ms - BASE_MS - at * INTERVAL_MS < 10 for at, (ts_ms, _) in enumerate(got))
    stats = inventory.take(reader)
    reader.close()
    assert stats.samples.rows == found.samples
    assert stats.blocks.rows == found.blocks


def test_sealed_samples_are_small(filled: tuple[Path, list[list[int]]]) -> None:
    # What the store is for: 0.6 bytes a sample of which a quarter change, 17 as rows.
    sealed = rows(filled[0], "SELECT sum(bytes + length(payload)) * 1.0 / sum(rows) FROM seal WHERE span_s = 0")
    assert 0.3 < float(str(sealed[0][0])) < 0.45


def test_the_daemon_goes_on_with_it(filled: tuple[Path, list[list[int]]], tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(filled[0].read_bytes())
    writer = Writer(path)
    assert seal(writer) == 1
    assert not merge(writer, 1 << 40)
    writer.close()
    reader = Reader(path)
    assert integrity.check(reader).problems == ()
    got = reader.samples(METRICS[1], process(5).identity.target)
    report = read_report(reader, Filters(), BASE_MS + DAYS * 86_400_000)
    reader.close()
    assert [value for _, value in got] == filled[1][PROCESSES + 5]
    assert report.leaking
