"""Stores to begin with, and a place that another user may enter."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.store.maintenance import migrate
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store without a scrape, to be copied: making one takes Alembic a second."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    migrate.upgrade(path)
    return path


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Path:
    """Return the path of a store of one's own, which no connection is open on."""
    return Path(shutil.copy(empty_store, tmp_path / "leakwatch.db"))


@pytest.fixture
def writer(store: Path) -> Iterator[Writer]:
    """Return a writer on ``store``."""
    writer = Writer(store)
    yield writer
    writer.close()


@pytest.fixture
def reader(writer: Writer) -> Iterator[Reader]:
    """Return a reader of the store that ``writer`` writes to."""
    reader = Reader(writer.path)
    yield reader
    reader.close()


@pytest.fixture
def root_only() -> None:
    """Skip where we are not root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: changes users or mounts a file system")


@pytest.fixture
def shared(root_only: None) -> Iterator[Path]:
    """Return a directory of nobody's, which other users reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="leakwatch-test-") as name:
        directory = Path(name)
        os.chown(directory, NOBODY, NOBODY)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def small_disk(root_only: None, tmp_path: Path) -> Iterator[Path]:
    """Return the mount point of a file system of 2 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "leakwatch-test", str(directory)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the privilege to mount a tmpfs")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)
