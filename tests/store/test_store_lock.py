"""One daemon a store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import StoreBusyError
from leakwatch.store.files.lock import StoreLock, writer_path
from tests.store.storetools import Child, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_the_lock_is_one_holder_s_until_it_is_released(tmp_path: Path) -> None:
    store = tmp_path / "leakwatch.db"
    first = StoreLock(store)
    with pytest.raises(StoreBusyError, match=f"pid {os.getpid()}"):
        StoreLock(store)
    first.release()
    StoreLock(store).release()


def test_a_longer_number_is_not_left_behind_a_shorter_one(tmp_path: Path) -> None:
    (tmp_path / "leakwatch.db.lock").write_text("99999999999999\n")
    lock = StoreLock(tmp_path / "leakwatch.db")
    assert (tmp_path / "leakwatch.db.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_link_is_the_same_store(tmp_path: Path) -> None:
    store = tmp_path / "disk" / "leakwatch.db"
    store.parent.mkdir()
    store.touch()
    (tmp_path / "link.db").symlink_to(store)
    assert writer_path(f"sqlite:///{tmp_path}/link.db") == store
    assert writer_path(f"sqlite:///{store}") == store


@pytest.mark.live
def test_a_second_daemon_names_the_first_and_a_killed_one_is_no_obstacle(
    store: Path, tmp_path: Path, proc_tree: Callable[[str], Path]
) -> None:
    proc = proc_tree("linux-6.18-x86_64")
    # GIVEN a daemon at work
    with Child(tmp_path, store, proc) as first:
        first.stored(2)
        # WHEN a second is started on the same store
        with Child(tmp_path, store, proc) as second:
            # THEN it ends with the code for that, and its line says who has it
            assert second.ended() == 75
            assert second.log.count("\n") == 1
            assert f"another daemon (pid {first.process.pid}) writes to {store}" in second.log
        # AND the first has not noticed
        first.stored(first.scrapes() + 2)
    # WHEN the first is killed THEN the next one has the lock, and gives it back when it stops
    for _ in range(2):
        with Child(tmp_path, store, proc) as third:
            third.stored(third.scrapes() + 2)
            assert third.stop() == 0
    assert rows(store, "PRAGMA quick_check") == [("ok",)]
