"""``leakwatch ps`` on the machine it runs on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leakwatch.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="there is no /proc/self/smaps"),
]

MIB = 1 << 20
Capture = pytest.CaptureFixture[str]
HOLD = """
import mmap, os, time
private = bytearray(b"x") * (32 << 20)
fd = os.memfd_create("held-by-two")
os.ftruncate(fd, 16 << 20)
shared = mmap.mmap(fd, 16 << 20)
shared.write(b"y" * len(shared))
reader, writer = os.pipe()
child = os.fork()
if child:
    os.read(reader, 1)
    print(child, flush=True)
else:
    sum(shared[::4096])
    os.write(writer, b"!")
time.sleep(120)
"""


def listed(capsys: Capture, *options: str) -> list[dict[str, Any]]:
    assert main(["ps", "--format", "json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """Return the pids of a process and its child, which share 32 MiB after the fork and 16 MiB by a memfd."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent.pid, child
        os.kill(child, 9)
        parent.kill()


def test_what_two_processes_share_is_divided_and_nobodys_own(family: tuple[int, int], capsys: Capture) -> None:
    parent, child = family
    found = {one["pid"]: one for one in listed(capsys, "--pid", str(parent), "--pid", str(child))}
    for pid in family:
        assert found[pid]["rss_bytes"] >= 48 * MIB
        assert found[pid]["uss_bytes"] < 20 * MIB
        assert found[pid]["name"].startswith("python")
    total = sum(one["pss_bytes"] for one in found.values())
    assert total == pytest.approx(48 * MIB, abs=20 * MIB)


def test_by_mapping_the_shared_memory_is_there_once(family: tuple[int, int], capsys: Capture) -> None:
    pids = [word for pid in family for word in ("--pid", str(pid))]
    (one,) = listed(capsys, "-m", "-M", "held-by-two", *pids)
    assert (one["map"], one["pids"], one["count"]) == ("/memfd:held-by-two (deleted)", 2, 2)
    assert one["pss_bytes"] == 16 * MIB
    assert one["vss_bytes"] == 32 * MIB


def test_all_processes_together_are_of_the_machine(capsys: Capture) -> None:
    memory = sum(one["used_bytes"] for one in listed(capsys, "-w"))
    assert memory == next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 0 < sum(one["pss_bytes"] for one in listed(capsys)) < memory


def test_processes_that_come_and_go_are_no_error(capsys: Capture) -> None:
    forking = "import os\nwhile True:\n if os.fork() == 0: os.execv('/bin/true', ['true'])\n os.wait()"
    with subprocess.Popen([sys.executable, "-c", forking]) as storm:
        try:
            for options in (["-r"], ["-m"], ["-u"], ["-c", "pid maps"]) * 2:
                assert main(["ps", *options]) == 0
                assert "Not read" not in capsys.readouterr().err
        finally:
            storm.kill()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="drops root's privileges, so it needs them")
def test_without_root_it_shows_what_it_may_and_counts_the_rest(family: tuple[int, int]) -> None:
    code = (
        "import io, os, sys; from contextlib import redirect_stderr, redirect_stdout; "
        "from leakwatch.cli.main import main\n"
        "with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):\n"
        "    main(['ps'])  # as root: loads all that the checkout may close\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print(os.getpid(), file=sys.stderr); sys.exit(main(sys.argv[1:]))"
    )

    def as_nobody(*options: str) -> tuple[int, str, str]:
        argv = [sys.executable, "-c", code, "ps", *options]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        pid, _, said = done.stderr.partition("\n")
        return int(pid), done.stdout, said

    pid, out, err = as_nobody("--format", "json")
    assert pid in {one["pid"] for one in json.loads(out)}
    assert not set(family) & {one["pid"] for one in json.loads(out)}
    assert err.startswith("Not shown: ")
    assert err.endswith("sudo leakwatch ps shows them.\n")
    assert err.count("\n") == 1
    _, out, err = as_nobody("--pid", str(family[0]), "-H")
    assert out == ""
    assert err.startswith(f"Not shown: 1 process whose memory we may not read, such as {family[0]} (python")


def test_who_looks_for_a_command_line_does_not_find_himself() -> None:
    argv = [sys.executable, "-m", "leakwatch", "ps", "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert " ".join(argv[1:]) in " ".join(one["command"] for one in json.loads(done.stdout))
    argv += ["-P", "[n]ever-in-another-command"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"
    argv[-1] = "never-in-another-command"
    assert subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"
