"""The runtime told from real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leakwatch.nextsteps.locate import read_traces
from leakwatch.nextsteps.runtime import Libc, RuntimeKind, detect
from leakwatch.procfs.fs import ProcFS
from tests.nextsteps.next_tools import PROGRAMS, compiled, need, patient, running

pytestmark = pytest.mark.live

QUICK = 0.1


def test_a_python_of_a_virtual_environment(tmp_path: Path) -> None:
    with running([sys.executable, str(PROGRAMS / "leak.py")], tmp_path, warm_s=QUICK) as process:
        found = patient(process.pid).runtime
    assert found.kind is RuntimeKind.CPYTHON
    assert found.version == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    ("flags", "libc", "asan"),
    [((), Libc.GLIBC, False), (("-static",), Libc.NONE, False), (("-fsanitize=address",), Libc.GLIBC, True)],
)
def test_a_c_program(tmp_path: Path, flags: tuple[str, ...], libc: Libc, asan: bool) -> None:
    program = compiled("leak.c", tmp_path, *flags)
    with running([str(program)], tmp_path, warm_s=QUICK) as process:
        found = patient(process.pid).runtime
    assert (found.kind, found.libc, found.asan, found.allocator) == (RuntimeKind.NATIVE, libc, asan, "")


def test_musl(tmp_path: Path) -> None:
    program = compiled("leak.c", tmp_path, compiler="musl-gcc")
    with running([str(program)], tmp_path, warm_s=QUICK) as process:
        assert patient(process.pid).runtime.libc is Libc.MUSL


@pytest.mark.parametrize(
    ("library", "allocator"),
    [("libjemalloc.so.2", "jemalloc"), ("libtcmalloc_minimal.so.4", "tcmalloc"), ("libmimalloc.so.2", "mimalloc")],
)
def test_an_allocator_preloaded(tmp_path: Path, library: str, allocator: str) -> None:
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    if library not in known:
        pytest.skip(f"{library} is not installed")
    program = compiled("leak.c", tmp_path)
    with running([str(program)], tmp_path, {"LD_PRELOAD": library}, warm_s=QUICK) as process:
        found = patient(process.pid).runtime
    assert (found.allocator, allocator in found.allocator_path) == (allocator, True)


def test_java_and_its_own_jcmd(tmp_path: Path) -> None:
    need("javac")
    subprocess.run(["javac", "-d", str(tmp_path), str(PROGRAMS / "Leak.java")], check=True)
    options = {"JAVA_TOOL_OPTIONS": "-XX:NativeMemoryTracking=summary"}
    with running(["java", "-cp", str(tmp_path), "Leak"], tmp_path, options, warm_s=QUICK) as process:
        found = patient(process.pid)
    assert found.runtime.kind is RuntimeKind.JVM
    assert found.runtime.version
    assert "NativeMemoryTracking=summary" in found.traces.options
    assert found.tools is not None
    assert Path(found.tools["jcmd"]).name == "jcmd"


def test_node(tmp_path: Path) -> None:
    need("node")
    with running(["node", str(PROGRAMS / "leak.js")], tmp_path, warm_s=QUICK) as process:
        found = patient(process.pid)
    assert found.runtime.kind is RuntimeKind.NODE
    assert found.traces.caught is not None
    assert 10 in found.traces.caught


def test_go_by_its_build_information(tmp_path: Path) -> None:
    need("fzf")  # a program written in Go that is small
    read, write = os.pipe()
    process = subprocess.Popen([shutil.which("fzf") or "fzf", "--filter", "x"], stdin=read, stdout=subprocess.DEVNULL)
    try:
        traces = read_traces(ProcFS(), process.pid)
        assert traces is not None
        found = detect(traces)
    finally:
        process.kill()
        process.wait()
        os.close(read)
        os.close(write)
    assert found.kind is RuntimeKind.GO
    assert found.version[:2] == "1."


def test_a_process_in_a_container_is_seen_to_be_in_one(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes name spaces")
    need("unshare", "chroot")
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    program = compiled("leak.c", root, "-static")
    with running(
        ["unshare", "-m", "-p", "-f", "chroot", str(root), f"/{program.name}"], tmp_path, warm_s=QUICK
    ) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        found = patient(int(children[0])).traces
        os.kill(int(children[0]), 9)
    assert (found.contained, found.inner_pid) == (True, 1)


def test_a_service_with_a_mount_name_space_is_no_container(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes name spaces")
    need("unshare")
    program = compiled("leak.c", tmp_path)
    with running(["unshare", "-m", str(program)], tmp_path, warm_s=QUICK) as process:  # as PrivateTmp= does
        assert not patient(process.pid).traces.contained


def test_a_process_that_is_gone_has_no_traces() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert read_traces(ProcFS(), process.pid) is None


def test_the_environment_is_not_kept(tmp_path: Path) -> None:
    secrets = {"SHOP_TOKEN": "hunter2", "NODE_OPTIONS": "--max-old-space-size=99"}
    with running([sys.executable, str(PROGRAMS / "leak.py")], tmp_path, secrets, warm_s=QUICK) as process:
        traces = patient(process.pid).traces
    assert traces.environment == {"NODE_OPTIONS": "--max-old-space-size=99"}
    assert "hunter2" not in repr(traces)
