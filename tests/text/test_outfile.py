"""Files and directories are written whole or not at all, for their owner alone, and nothing of others is touched."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.errors import OutputExistsError, OutputWriteError
from leakwatch.text import outfile

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's files take root to make")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put(path: Path, data: bytes = b"new", *, replace: bool = False) -> None:
    with outfile.file(path, replace=replace) as out:
        out.write(data)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("value", [0, 0o077, 0o777])
def test_it_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, value: int) -> None:
    with umask(value):
        put(tmp_path / "file")
        with outfile.directory(tmp_path / "directory") as part:
            (part / "in").touch()
        with outfile.file(tmp_path / "unit", mode=0o644) as out:
            out.write(b"for all")
    assert [mode(tmp_path / name) for name in ("file", "directory", "unit")] == [0o600, 0o700, 0o644]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file", "unit"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_is_not_finished_leaves_nothing_and_the_old_file_whole(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    expected = OutputWriteError if isinstance(error, OSError) else KeyboardInterrupt

    def half(part: Path) -> None:
        (part / "one").touch()
        raise error

    with pytest.raises(expected), outfile.path_of(path, replace=True) as part:
        half(part.parent)
    with pytest.raises(expected), outfile.directory(tmp_path / "bundle") as part:
        half(part)
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert path.read_bytes() == b"old"


def test_what_is_there_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "directory").mkdir()
    for name in ("file", "link", "directory"):
        with pytest.raises(OutputExistsError, match="is there already"):
            put(tmp_path / name)
        with pytest.raises(OutputExistsError, match="is there already"), outfile.directory(tmp_path / name):
            pytest.fail("work was done")
    with pytest.raises(OutputExistsError, match="is a directory"):
        put(tmp_path / "directory", replace=True)
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
def test_what_comes_meanwhile_is_not_replaced(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:  # FAT, some FUSE

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    put(tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == b"new"
    with pytest.raises(OutputExistsError), outfile.file(tmp_path / "file"):
        (tmp_path / "file").write_bytes(b"theirs")
    with pytest.raises(OutputExistsError), outfile.directory(tmp_path / "directory"):
        (tmp_path / "directory").mkdir()  # empty: rename alone would take its place
    assert (tmp_path / "file").read_bytes() == b"theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file", "other"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "out").symlink_to("precious")
    put(tmp_path / "out", replace=True)
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"precious"


KILLED = """
import sys, time
from pathlib import Path
from leakwatch.text import outfile
with outfile.file(Path(sys.argv[1])) as out:
    out.write(b"half")
    out.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_left_goes_with_the_next_one_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "first")]
    theirs = [tmp_path / "foo.part", tmp_path / ".leakwatch-notes.part"]
    for one in theirs:
        one.mkdir()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        (room,) = tmp_path.glob(".leakwatch-????????????????.part")
        put(tmp_path / "second")
        assert (room / "part").exists()  # in use
        writing.send_signal(signal.SIGKILL)
        writing.wait()
    assert room.exists()
    put(tmp_path / "third")
    assert sorted(tmp_path.iterdir()) == sorted([*theirs, tmp_path / "second", tmp_path / "third"])


@needs_root
def test_what_another_user_left_stays(tmp_path: Path) -> None:
    room = tmp_path / f".leakwatch-{0:016x}.part"
    room.mkdir()
    os.chown(room, 12345, 12345)
    put(tmp_path / "out")
    assert room.exists()


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    with pytest.raises(OutputWriteError, match="No space left"):
        put(Path("/dev/full"), b"x" * 100_000)
    put(Path("/dev/null"))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reading = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reading.start()
    put(pipe, b"through")
    reading.join(10)
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(OutputWriteError, match="device or a pipe"), outfile.path_of(pipe, replace=True):
        pytest.fail("a store cannot be copied into a pipe")


@needs_root
def test_a_pipe_another_user_has_laid_is_not_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, 12345, 12345)
    with pytest.raises(OutputWriteError, match="pipe of another user"):
        put(pipe)


def test_a_descriptor_of_ours_is_used_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        file.write(b"before ")
        file.flush()
        put(Path(f"/dev/fd/{file.fileno()}"), b"after")
    assert (tmp_path / "out").read_bytes() == b"before after"
