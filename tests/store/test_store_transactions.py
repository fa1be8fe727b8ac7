"""A transaction that fails leaves nothing behind, and the next one works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreWriteError
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, MINUTE_MS, USS, block, nameless, process, rows, scrape

if TYPE_CHECKING:
    from pathlib import Path

    from leakwatch.store.read.reader import Reader


@pytest.mark.parametrize("known", [True, False])
def test_a_failed_transaction_leaves_nothing_and_the_next_one_works(
    store: Path, reader: Reader, *, known: bool
) -> None:
    # GIVEN a writer, which may have stored something before
    writer = Writer(store)
    if known:
        writer.write_scrape(scrape(1))
    before = rows(store, "SELECT (SELECT count(*) FROM target), (SELECT count(*) FROM series), count(*) FROM scrape")
    # WHEN a scrape with new processes cannot be stored: the last thing in it, a block, has no time
    bad = scrape(2, range(50, 60))
    with pytest.raises(StoreWriteError, match="NOT NULL"):
        writer.write_scrape(bad, [block(50, None)])  # type: ignore[arg-type]
    # THEN nothing of it is in the tables
    after = "SELECT (SELECT count(*) FROM target), (SELECT count(*) FROM series), count(*) FROM scrape"
    assert rows(store, after) == before
    # AND the same processes are stored the next time, with their names
    writer.write_scrape(bad)
    writer.close()
    assert reader.samples(USS, process(50).identity.target) == [(BASE_MS + 2 * MINUTE_MS, 2050)]
    assert len(reader.processes()) == 10
    assert nameless(store) == set()


class Interrupted(BaseException):
    """What a signal handler may raise."""


def test_an_interrupt_within_a_transaction_takes_all_of_it_back(writer: Writer) -> None:
    with pytest.raises(Interrupted), writer.exclusive() as connection:  # noqa: PT012  # the state half way is the point
        connection.exec_driver_sql("INSERT INTO state VALUES ('a', '1')")
        raise Interrupted
    writer.write_scrape(scrape(1))
    assert rows(writer.path, "SELECT (SELECT count(*) FROM state), count(*) FROM scrape") == [(0, 1)]


def test_a_commit_that_fails_does_not_leave_its_transaction_open(writer: Writer) -> None:
    # GIVEN what makes COMMIT fail, but SQLite keep the transaction: a constraint that is checked only then
    driver = writer._connection.driver
    driver.executescript("PRAGMA foreign_keys=ON; CREATE TEMP TABLE a(x INTEGER PRIMARY KEY);"
                         "CREATE TEMP TABLE b(x REFERENCES a DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
    with pytest.raises(StoreWriteError, match="FOREIGN KEY"), writer.exclusive() as connection:
        connection.exec_driver_sql("INSERT INTO b VALUES (1)")
    # THEN the next transaction is a new one
    writer.write_scrape(scrape(1))
    assert rows(writer.path, "SELECT count(*) FROM scrape") == [(1,)]
    assert driver.execute("SELECT count(*) FROM b").fetchall() == [(0,)]


def test_a_store_is_empty_until_the_first_scrape(writer: Writer) -> None:
    assert writer.is_empty()
    writer.write_scrape(scrape(1))
    assert not writer.is_empty()


def test_a_closed_writer_says_so(store: Path) -> None:
    writer = Writer(store)
    writer.close()
    writer.close()
    with pytest.raises(StoreWriteError, match="closed"):
        writer.write_scrape(scrape(1))
