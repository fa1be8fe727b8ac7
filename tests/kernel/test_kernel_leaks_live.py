"""Real kernel objects that are kept leak the right cache or caller; a walk over files or an emptied tmpfs does not.

The samples are the kernel's own; the hours between them are simulated.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.kernel.account import STACK_CALLERS
from leakwatch.report.phrases import text
from leakwatch.units import format_rate
from tests.kernel.kernel_course import INTERVAL_S, STEPS, Keeper, Said, course

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.live,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: slabinfo, vmallocinfo and the objects"),
]

TRIES = 3
"""What other programs do in the same seconds is taken for hours of it."""
MIB = 1 << 20
MESSAGES = ("msg_msg-4k", "kmalloc-cg-4k", "kmalloc-4k", "kmalloc-4096")
PIPES = ("kmalloc-cg-1k", "kmalloc-1k", "kmalloc-1024")
"""A pipe's ring of 16 buffers, 640 bytes."""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Return a directory on a disk; /var/tmp is one where /tmp is not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as path:
        yield Path(path)


def kept(kind: str, each: int, directory: Path) -> Said:
    try:
        with contextlib.closing(Keeper(kind, directory)) as supervisor:
            return course(lambda _: supervisor.make(each))
    except RuntimeError as refusal:
        pytest.skip(f"no {kind} can be made here: {refusal}")


def told(said: Said) -> str:
    return ", ".join(
        f"{name} {format_rate(one.assessment.slope_bytes_per_hour or 0)} ({text(one.notes)})"
        for name, one in said.leaks.items()
    )


def until(good: Callable[[Said], bool], once: Callable[[], Said]) -> Said:
    said = once()
    for _ in range(TRIES - 1):
        if good(said):
            break
        said = once()
    print(told(said))
    return said


@pytest.mark.parametrize(
    ("kind", "each", "names"),
    [
        ("message-4000", 60, MESSAGES),
        ("pipe", 60, PIPES),
        ("eventfd", 120, ("filp",)),
        ("key-24", 150, ("key_jar",)),
        ("unix-socket", 60, ("UNIX", "UNIX-STREAM")),
        ("udp-socket", 60, ("UDP",)),
        ("thread", 12, tuple(STACK_CALLERS)),
        ("bpf-array", 1, ("array_map_alloc", "bpf_map_area_alloc", "__bpf_map_area_alloc")),
    ],
)
def test_what_is_kept_leaks_its_cache_or_caller(scratch: Path, kind: str, each: int, names: tuple[str, ...]) -> None:
    def right(said: Said) -> list[str]:
        """A merged cache is called by whichever name came first; the note has the others."""
        return [
            name for name, one in said.leaks.items() if {name, *text(one.notes).replace(",", "").split()} & set(names)
        ]

    said = until(lambda said: bool(right(said)), lambda: kept(kind, each, scratch))
    assert right(said), f"{kind} should leak one of {names}: {told(said)}"
    if kind == "message-4000":
        rate = each * 4096 * 3600 / INTERVAL_S
        assert said.leaks[right(said)[0]].assessment.slope_bytes_per_hour == pytest.approx(rate, rel=0.1)


def test_pages_no_counter_names_are_unaccounted_with_their_rate(scratch: Path) -> None:
    """Data nobody reads from 16 pipes, 64 KiB in each."""
    rate = 16 * 65536 * 3600 / INTERVAL_S

    def right(said: Said) -> bool:
        leak = said.leaks.get("unaccounted")
        return leak is not None and leak.assessment.slope_bytes_per_hour == pytest.approx(rate, rel=0.1)

    said = until(right, lambda: kept("full-pipe", 16, scratch))
    assert right(said), told(said)
    assert "right within" in text(said.leaks["unaccounted"].notes)


def test_what_waits_in_sockets_stands_for_what_is_unaccounted(scratch: Path) -> None:
    def right(said: Said) -> bool:
        return "socket buffers" in said.leaks and "unaccounted" not in said.leaks

    said = until(right, lambda: kept("full-connection", 1, scratch))
    assert right(said), told(said)


def test_a_walk_over_files_is_no_leak_of_any_cache(scratch: Path) -> None:
    """Names that are not there, and files with their pages: half an hour of a backup in each of eleven hours."""

    def walk(at: int) -> None:
        directory = scratch / f"{at}"
        directory.mkdir()
        for number in range(200):
            (directory / f"a-file-whose-name-is-too-long-to-lie-in-its-entry-{number}").write_bytes(b"x" * 8192)
        for number in range(2000):
            (directory / f"never-was-{number}").exists()

    def once() -> Said:
        try:
            return course(walk)
        finally:
            for path in scratch.iterdir():
                shutil.rmtree(path)

    def of_the_walk(said: Said) -> set[str]:
        notes = {name: text(one.notes) for name, one in said.by_name.items() if one.metric == "slab.active_bytes"}
        caches = said.alarmed & notes.keys()
        return {name for name in caches if name.startswith("kmalloc-") or notes[name].startswith("reclaimable")}

    said = until(lambda said: not of_the_walk(said), once)
    grown = said.by_name["dentry"].assessment
    assert (grown.slope_bytes_per_hour or 0) > MIB, "the walk made no dentries: this test tested nothing"
    assert not of_the_walk(said), told(said)


def test_a_tmpfs_that_is_filled_and_emptied_is_no_leak() -> None:
    cycle = STEPS // 4

    def once() -> Said:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            path = Path(directory) / "full"

            def fill(at: int) -> None:
                if at % cycle == cycle - 1:
                    path.unlink()
                    return
                with path.open("ab") as file:
                    file.write(bytes(4 * MIB))

            return course(fill)

    name = "shared memory and tmpfs"
    said = until(lambda said: name not in said.alarmed, once)
    assert name not in said.alarmed
