"""Real leakers: of each the class that grows is named right, between two looks, by the pieces and by the command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch.collectors.processes.mapping_classes import classified, summed
from leakwatch.model.sample import Absence
from leakwatch.procfs.fs import ProcFS
from tests.maps.leakers import PYTHON_BODIES, Obedient, compiled, java_leaker, node_leaker, python_leaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from leakwatch.model.memory_class import ClassUse

pytestmark = pytest.mark.live

MIB = 1 << 20
LEAKED_KIB = 8 * 1024
C_CLASSES = {
    "heap": "heap",
    "arenas": "arenas",
    "mmap": "anonymous",
    "stacks": "thread_stacks",
    "memfd": "memfd:leaky",
    "named": "named:cache of shop",
    "file": "file:{directory}/leaky.dat",
    "shared": "shared",
    "sysv": "sysv:SYSV00000000",
}
PYTHON_CLASSES = {"small objects": "anonymous", "buffers": "heap", "large buffers": "anonymous"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def keep() -> Iterator[Callable[[Obedient], Obedient]]:
    children: list[Obedient] = []

    def kept(child: Obedient) -> Obedient:
        children.append(child)
        return child

    yield kept
    for child in children:
        child.end()


def look(pid: int) -> dict[str, ClassUse]:
    procfs = ProcFS()
    found = procfs.mappings(pid)
    assert not isinstance(found, Absence), found
    keys = classified(found.mappings, procfs.memory_devices(pid, found.mappings))
    uses = summed(found.mappings, keys)
    assert sum(use.uss_bytes for use in uses.values()) == found.use.uss_bytes
    assert sum(use.mappings for use in uses.values()) == found.use.mappings
    return uses


def gained(before: dict[str, ClassUse], after: dict[str, ClassUse]) -> dict[str, int]:
    held = {key: use.held_bytes for key, use in before.items()}
    return {key: use.held_bytes - held.get(key, 0) for key, use in after.items()}


@pytest.mark.parametrize("kind", C_CLASSES)
def test_c_what_grows_is_named(program: Path, tmp_path: Path, keep: Callable[[Obedient], Obedient], kind: str) -> None:
    child = keep(Obedient([str(program), kind, "0"], tmp_path))
    before = look(child.pid)
    child.leak(LEAKED_KIB)
    grown = gained(before, look(child.pid))
    expected = C_CLASSES[kind].format(directory=tmp_path)
    assert grown.pop(expected) >= LEAKED_KIB * 1024 * (0.45 if kind == "stacks" else 0.99)
    # Stacks of 8 KiB and more: how much of each stays is the C library's affair.
    assert max(grown.values()) < MIB, grown


def test_c_shared_memory_by_its_name(program: Path, tmp_path: Path, keep: Callable[[Obedient], Obedient]) -> None:
    child = keep(Obedient([str(program), "shm", "0"], tmp_path))
    before = look(child.pid)
    child.leak(LEAKED_KIB)
    grown = gained(before, look(child.pid))
    assert grown[f"shm:/dev/shm/leakwatch-test-{child.pid}"] == LEAKED_KIB * 1024


@pytest.mark.parametrize("kind", ["heap", "arenas", "stacks", "mmap"])
def test_c_a_leak_of_many_pieces_keeps_its_class(
    program: Path, tmp_path: Path, keep: Callable[[Obedient], Obedient], kind: str
) -> None:
    child = keep(Obedient([str(program), kind, "0"], tmp_path))
    before = look(child.pid)
    for _ in range(3):  # beyond the 64 MiB of one heap of an arena
        child.leak(60 * 1024 if kind != "stacks" else 2048)
    grown = gained(before, look(child.pid))
    assert grown[C_CLASSES[kind]] >= 0.9 * sum(size for size in grown.values() if size > 0), grown


@pytest.mark.parametrize("body", PYTHON_BODIES)
def test_python_what_grows_is_named(tmp_path: Path, keep: Callable[[Obedient], Obedient], body: str) -> None:
    child = keep(python_leaker(body, tmp_path))
    before = look(child.pid)
    child.leak(LEAKED_KIB)
    grown = gained(before, look(child.pid))
    assert grown.pop(PYTHON_CLASSES[body]) >= LEAKED_KIB * 1024 * 0.9
    assert max(grown.values()) < MIB, grown


@pytest.mark.parametrize(
    ("kind", "expected"), [("objects", "anonymous"), ("direct", "arenas"), ("threads", "thread_stacks")]
)
def test_java_what_grows_is_named(
    tmp_path: Path, keep: Callable[[Obedient], Obedient], kind: str, expected: str
) -> None:
    child = keep(java_leaker(kind, tmp_path))
    before = look(child.pid)
    child.leak(4 * LEAKED_KIB)  # of threads 512
    grown = gained(before, look(child.pid))
    assert max(grown, key=lambda key: grown[key]) == expected, grown
    assert grown[expected] > 4 * MIB, grown


# Buffers of 64 KiB are malloc's in both: from 128 KiB on it would map each. Java runs main in a thread of its own.
@pytest.mark.parametrize(("kind", "expected"), [("objects", "anonymous"), ("buffers", "heap")])
def test_node_what_grows_is_named(
    tmp_path: Path, keep: Callable[[Obedient], Obedient], kind: str, expected: str
) -> None:
    for _ in range(
        3
    ):  # a random layout that leaves brk no room has malloc map instead: another process, another layout
        child = keep(node_leaker(kind, tmp_path))
        before = look(child.pid)
        child.leak(4 * LEAKED_KIB)
        grown = gained(before, look(child.pid))
        if grown[expected]:
            break
    assert max(grown, key=lambda key: grown[key]) == expected, grown
    assert grown[expected] > 20 * MIB, grown


def test_the_command_says_it(program: Path, tmp_path: Path, keep: Callable[[Obedient], Obedient]) -> None:
    child = keep(Obedient([str(program), "heap", str(50 * MIB)], tmp_path))
    said = command(str(child.pid), "--apart", "1s", "--all", "--format", "json")
    found = json.loads(said)
    most = max(found["classes"], key=lambda one: one["gained_bytes"])
    assert most["class"] == "heap"
    assert most["gained_bytes"] > 20 * MIB
    assert found["gained_bytes"] >= most["gained_bytes"] * 0.9
    heap = [one for one in found["mappings"] if one["path"] == "[heap]"]
    assert sum(one["gained_bytes"] for one in heap) == most["gained_bytes"]
    assert sum(one["held_bytes"] for one in found["mappings"]) == found["held_bytes"]
    text = command(str(child.pid), "--apart", "500ms")
    assert "class_leaker (pid" in text.splitlines()[0]
    assert "in 0.5 s: the heap +" in text.splitlines()[0]


def command(*arguments: str, code: int = 0) -> str:
    argv = [sys.executable, "-m", "leakwatch", "maps", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def test_one_look_tells_no_change(tmp_path: Path, keep: Callable[[Obedient], Obedient]) -> None:
    child = keep(python_leaker("buffers", tmp_path))
    found = json.loads(command(str(child.pid), "--once", "--format", "json"))
    assert found["apart_s"] is None
    assert found["gained_bytes"] is None
    assert {one["gained_bytes"] for one in found["classes"]} == {None}
    assert found["mappings"] == []
    assert "of private memory and swap." in command(str(child.pid), "--once").splitlines()[0]


def test_errors_are_one_line(tmp_path: Path) -> None:
    assert "there is no process 4194304" in command("4194304", "--once", code=67)
    assert "--once is one look" in command("1", "--once", "--apart", "1s", code=2)
    assert "must be longer than nothing" in command("1", "--apart", "0s", code=2)
    assert command("1", "--proc", str(tmp_path / "none"), code=69).count("\n") == 1


def test_a_kernel_thread_has_none() -> None:
    procfs = ProcFS()
    stat = procfs.stat(2)
    if isinstance(stat, Absence) or not stat.is_kernel_thread:
        pytest.skip("pid 2 is no kernel thread here")
    assert "no memory of its own" in command("2", "--once", code=67)
