"""The runtime told from recorded processes (``record_runtimes.py``) and from ELF files made by hand."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leakwatch.nextsteps import runtime_signs
from leakwatch.nextsteps.locate import read_traces
from leakwatch.nextsteps.runtime import Libc, Runtime, RuntimeKind, detect
from leakwatch.nextsteps.runtime_signs import Elf, Traces
from leakwatch.procfs.fs import ProcFS
from leakwatch.procfs.pid import mappings

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parent / "recorded"


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], Traces]:
    def read(name: str) -> Traces:
        (source,) = (RECORDED / name).iterdir()
        tree = tmp_path / name / source.name
        shutil.copytree(source, tree)
        for note in source.glob("*.link"):
            (tree / note.name.removesuffix(".link")).symlink_to(f"/nowhere{note.read_text()}")
        traces = read_traces(ProcFS(str(tree.parent)), int(source.name))
        assert traces is not None
        assert traces.elf is None  # the program itself is not recorded
        return traces

    return read


@pytest.mark.parametrize(
    ("name", "kind", "version", "libc", "allocator"),
    [
        ("cpython-3.11", RuntimeKind.CPYTHON, "3.11", Libc.GLIBC, ""),
        ("jvm-17", RuntimeKind.JVM, "17", Libc.GLIBC, ""),
        ("node-20", RuntimeKind.NODE, "", Libc.GLIBC, ""),
        ("perl-5.36", RuntimeKind.PERL, "", Libc.GLIBC, ""),
        ("redis-jemalloc", RuntimeKind.NATIVE, "", Libc.GLIBC, "jemalloc"),
        ("c-tcmalloc", RuntimeKind.NATIVE, "", Libc.GLIBC, "tcmalloc"),
        ("c-mimalloc", RuntimeKind.NATIVE, "", Libc.GLIBC, "mimalloc"),
        ("c-musl", RuntimeKind.NATIVE, "", Libc.MUSL, ""),
        ("c-asan", RuntimeKind.NATIVE, "", Libc.GLIBC, ""),
        ("c-glibc", RuntimeKind.NATIVE, "", Libc.GLIBC, ""),
    ],
)
def test_a_recorded_process(
    recorded: Callable[[str], Traces], name: str, kind: RuntimeKind, version: str, libc: Libc, allocator: str
) -> None:
    found = detect(recorded(name))
    assert (found.kind, found.version, found.libc, found.allocator) == (kind, version, libc, allocator)
    assert found.asan == (name == "c-asan")
    assert not found.guessed


def test_what_else_is_read_of_it(recorded: Callable[[str], Traces]) -> None:
    jvm, node = recorded("jvm-17"), recorded("node-20")
    assert "-XX:NativeMemoryTracking=summary" in jvm.options
    assert node.caught is not None
    assert 10 in node.caught  # SIGUSR1, for its inspector
    assert (node.uid, node.directory) == (0, "/nowhere/srv/shop")


def trace(**values: object) -> Traces:
    return Traces(pid=7, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("traces", "expected"),
    [
        (
            trace(exe="/opt/app", elf=Elf("/lib/ld.so", frozenset({".text"}), frozenset(), "go1.22.1")),
            (RuntimeKind.GO, "1.22.1"),
        ),
        (trace(exe="/usr/bin/uwsgi", mapped=("/usr/lib/libpython3.12.so.1.0",)), (RuntimeKind.CPYTHON, "3.12")),
        (trace(exe="/usr/bin/python3.9 (deleted)"), (RuntimeKind.CPYTHON, "3.9")),
        (
            trace(exe="/opt/jsvc", mapped=("/usr/lib/jvm/java-21-openjdk/lib/server/libjvm.so",)),
            (RuntimeKind.JVM, "21"),
        ),
        (trace(exe="/usr/sbin/php-fpm8.2"), (RuntimeKind.PHP, "8.2")),
        (trace(exe="/usr/lib/erlang/erts-13/bin/beam.smp"), (RuntimeKind.BEAM, "")),
        (
            trace(exe="/usr/bin/dotnet", mapped=("/d/Microsoft.NETCore.App/8.0.1/libcoreclr.so",)),
            (RuntimeKind.DOTNET, "8.0"),
        ),
        (trace(exe="/opt/x", elf=Elf("/lib/ld.so", frozenset({".text"}), frozenset({"rust"}))), (RuntimeKind.RUST, "")),
        (
            trace(exe="/opt/one", elf=Elf("/lib/ld.so", frozenset({".text"}), frozenset({"node"}))),
            (RuntimeKind.NODE, ""),
        ),
        (trace(exe="/opt/pythonic-server", elf=Elf("/lib/ld.so", frozenset({".text"}))), (RuntimeKind.NATIVE, "")),
        (
            trace(exe="/usr/bin/node_exporter", elf=Elf("", frozenset({".text"}), frozenset(), "go")),
            (RuntimeKind.GO, ""),
        ),
        (trace(name="gunicorn"), (RuntimeKind.CPYTHON, "")),
        (trace(name="x"), (RuntimeKind.UNKNOWN, "")),
    ],
)
def test_by_what_was_read(traces: Traces, expected: tuple[RuntimeKind, str]) -> None:
    found = detect(traces)
    assert (found.kind, found.version) == expected
    assert found.guessed == (traces.name == "gunicorn")


def test_an_allocator_linked_in_and_a_static_program() -> None:
    found = detect(trace(exe="/opt/x", elf=Elf("", frozenset({".text"}), frozenset({"jemalloc"}))))
    assert (found.libc, found.allocator, found.allocator_path) == (Libc.NONE, "jemalloc", "")
    assert found.sentence == "C or C++ (/opt/x), statically linked, jemalloc (linked in)"
    assert Runtime(RuntimeKind.NODE, guessed=True).sentence == "Node.js: guessed by its name"


def test_mapped_files_are_files_alone() -> None:
    lines = (
        b"7f00-7f01 r-xp 00000000 fe:00 1 /usr/lib/a b.so\n7f01-7f02 r--p 00000000 fe:00 1 /usr/lib/a b.so\n"
        b"7f02-7f03 rw-p 00000000 00:00 0\n7f03-7f04 rw-p 00000000 00:00 0 [heap]\n"
        b"7f04-7f05 rw-s 00000000 00:01 9 /memfd:x (deleted)\n7f05-7f06 r--p 00000000 fe:00 2 /x\\012y (deleted)\n7f06"
    )
    assert mappings.mapped_files(lines) == ("/usr/lib/a b.so", "/x\ny (deleted)")


def made_elf(order: str, *, wide: bool, sections: dict[str, bytes], interpreter: bytes = b"") -> bytes:
    """Return an ELF file with these sections, as ``elf(5)`` has it."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    blobs = [*sections.values(), names]
    header, entry = (64, 64) if wide else (52, 40)
    program = 56 if wide else 32
    at = header + program
    body, rows = interpreter, [(0, 0, 0)]
    for name, blob in zip((*sections, ".shstrtab"), blobs, strict=True):
        rows.append((names.index(b"\0" + name.encode() + b"\0") + 1, at + len(body), len(blob)))
        body += blob
    table = b"".join(
        struct.pack(f"{order}IIQQQQIIQQ" if wide else f"{order}10I", name, 1, 0, 0, offset, size, 0, 0, 0, 0)
        for name, offset, size in rows
    )
    word = "Q" if wide else "I"
    head = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    head += struct.pack(f"{order}HHI3{word}I6H", 2, 62, 1, 0, header, at + len(body), 0, header, program, 1, entry,
                        len(rows), len(rows) - 1)  # fmt: skip
    kind = 3 if interpreter else 1
    if wide:
        segment = struct.pack(f"{order}IIQQQQQQ", kind, 0, at, 0, 0, len(interpreter), 0, 0)
    else:
        segment = struct.pack(f"{order}8I", kind, at, 0, 0, len(interpreter), 0, 0, 0)
    return head + segment + body + table


def parsed(data: bytes, *, deep: bool = True) -> Elf | None:
    return runtime_signs.parse_elf(lambda at, size: data[at : at + size], deep=deep)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_an_elf_file_of_any_width_and_order(order: str, wide: bool) -> None:
    build = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16) + bytes([8]) + b"go1.22.1" + bytes(8)
    sections = {".go.buildinfo": build, ".dynstr": b"\0main\0mallctl\0", ".rodata": b"\0net/http/pprof.Index"}
    data = made_elf(order, wide=wide, sections=sections, interpreter=b"/lib64/ld-linux.so.2\0")
    found = parsed(data)
    assert found is not None
    assert (found.interpreter, found.go_version) == ("/lib64/ld-linux.so.2", "go1.22.1")
    assert found.marks == {"jemalloc", "pprof"}
    assert set(sections) <= found.sections
    assert parsed(data, deep=False) == Elf(found.interpreter, found.sections, frozenset({"jemalloc"}), "go1.22.1")
    for end in range(0, len(data), 7):  # a file cut short anywhere is no error
        parsed(data[:end])
    assert parsed(b"#!/bin/sh\n" + bytes(100)) is None


def test_a_mark_over_the_edge_of_two_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_signs, "CHUNK", 16)
    found = parsed(made_elf("<", wide=True, sections={".rodata": bytes(10) + b"<jemalloc>: " + bytes(90)}))
    assert found is not None
    assert found.marks == {"jemalloc"}


def test_listening_ports_of_the_kernels_table() -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rows = (
        "   0: 0100007F:17A2 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100 0 0 10 0\n"
        "   1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0  0 4712 1 0 100 0 0 10 0\n"
    )
    assert runtime_signs.parse_ports(head + rows) == {"4711": 6050}
