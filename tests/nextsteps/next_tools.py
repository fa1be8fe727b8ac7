"""Real leaking programs for the tests of the next steps, and the tools that look into them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.nextsteps.locate import read_traces
from leakwatch.nextsteps.native import steps_for
from leakwatch.nextsteps.toolbox import patient_of
from leakwatch.procfs.fs import ProcFS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from leakwatch.nextsteps.step import Patient, Step

PROGRAMS = Path(__file__).parent / "programs"
PACKAGES = {
    "gcc": "gcc libc6-dev", "gdb": "gdb", "valgrind": "valgrind", "heaptrack": "heaptrack",
    "javac": "default-jdk-headless",
    "node": "nodejs", "musl-gcc": "musl-tools", "fzf": "fzf", "bpftrace": "bpftrace",
    "go": "golang-go", "curl": "curl",
}  # fmt: skip
INSTALL = os.environ.get("LEAKWATCH_TEST_APT") == "1" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def need(*tools: str) -> None:
    """Have the tools installed where that is allowed (LEAKWATCH_TEST_APT=1, as root), else skip with the reason."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing and INSTALL:
        packages = [package for tool in missing for package in PACKAGES[tool].split()]
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-y", "-qq", "--no-install-recommends", "install", *packages]
        subprocess.run(apt, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, check=False)
        missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}; as root with LEAKWATCH_TEST_APT=1 the test installs it")


def need_calls(*tools: str) -> None:
    """Have gdb and other tools installed, and a gdb that can call a function in a process, or skip with what it says.

    gdb 12 and 13 cannot on a processor with AMX: its registers are larger than they know ("Couldn't write extended
    state status"). What is tried there fails whatever the command.
    """
    need("gdb", *tools)
    with subprocess.Popen(["sleep", "60"]) as process:
        argv = ["gdb", "-nx", "-batch", "-p", str(process.pid), "-ex", "print ((int(*)(void))getpid)()"]
        said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        process.kill()
    if f"= {process.pid}" not in said.stdout:
        pytest.skip(f"this gdb cannot call a function in a process: {''.join(said.stderr.splitlines()[-1:])}")


def compiled(source: str, into: Path, *flags: str, compiler: str = "gcc") -> Path:
    need(compiler)
    out = into / Path(source).stem
    done = subprocess.run(
        [compiler, "-g", "-O1", "-o", str(out), str(PROGRAMS / source), *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{compiler} {' '.join(flags)} does not work here: {done.stderr[-200:]}")
    return out


@contextmanager
def running(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, warm_s: float = 1.0
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a program once it has said ready and leaked for a moment; what it says later is in ``cwd/said``."""
    said = cwd / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            list(argv), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | dict(env or {})
        )
    try:
        end = time.monotonic() + 30
        while b"ready" not in said.read_bytes():
            assert process.poll() is None, said.read_bytes()[-2000:]
            assert time.monotonic() < end, "it never began"
            time.sleep(0.05)
        time.sleep(warm_s)
        yield process
    finally:
        process.kill()
        process.wait()


def patient(pid: int) -> Patient:
    procfs = ProcFS()
    traces = read_traces(procfs, pid)
    assert traces is not None
    return patient_of(procfs, traces)


def step(pid: int, fragment: str) -> Step:
    """Return the one step for a process whose command has a fragment in it; it can be done now."""
    found = [one for one in steps_for(patient(pid)) if fragment in one.command]
    assert len(found) == 1, [one.line for one in steps_for(patient(pid))]
    assert found[0].ready, found[0]
    return found[0]


def tried(command: str, cwd: Path, timeout_s: float = 120) -> str:
    """Run a command as an operator copies it, and return what it says."""
    said = cwd / "tried"
    with said.open("wb") as out:  # a file, not a pipe: what a tool leaves running would hold a pipe open
        subprocess.run(
            ["bash", "-c", command], cwd=cwd, stdout=out, stderr=out, timeout=timeout_s, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    return said.read_text(errors="replace")
