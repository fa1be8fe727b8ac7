"""The signs of a process's runtime: what was read of it, the ports it listens on, how its program was built.

What was read of a process to tell what runs in it; where it came from, a live tree or a recorded one, is open.

Which TCP ports a process listens on: ``/proc/PID/net/tcp`` joined with its open sockets.

An ELF file → what it says of how it was built; reads no more than the parts it needs, through a function.

Format: elf(5); Go's build information: the package debug/buildinfo of Go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from leakwatch.procfs.files import link_target, listed, read_file

if TYPE_CHECKING:
    Read = Callable[[int, int], bytes]
    """Returns up to so many bytes (second) at an offset (first)."""

ENVIRONMENT = (
    "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "NODE_OPTIONS", "LD_PRELOAD", "PYTHONMALLOC",
    "PYTHONTRACEMALLOC", "MALLOC_CONF", "HEAPPROFILE",
)  # fmt: skip
"""The only variables that are kept, to decide by; none is ever shown, as options may hold a password."""


@dataclass(frozen=True, slots=True)
class Elf:
    """What an executable file says of itself."""

    interpreter: str = ""
    """The dynamic loader; empty: statically linked."""
    sections: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    """The names found in it of those ``elf.MARKS`` looks for."""
    go_version: str = ""
    """Such as ``go1.22.1``, from the build information of Go; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What is known of a process; empty fields are what could not be read, and ``unread`` says why."""

    pid: int
    name: str = ""
    """comm."""
    exe: str = ""
    """The executable's path in the process's own file system."""
    arguments: tuple[str, ...] = ()
    directory: str = ""
    """Its working directory."""
    mapped: tuple[str, ...] = ()
    """Paths of the files it maps, each once, in the order of addresses."""
    elf: Elf | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of ``ENVIRONMENT`` those that are set."""
    caught: frozenset[int] | None = None
    """The signals it handles; None: not known."""
    uid: int | None = None
    inner_pid: int | None = None
    """Its number in its own pid namespace, None where that is ours."""
    contained: bool = False
    """Whether it sees another file system than we do: it runs in a container."""
    ports: tuple[int, ...] = ()
    """TCP ports it listens on."""
    stuck: bool = False
    """Whether a thread of it waits in the kernel: none of its files was touched, as their server may not answer."""
    unread: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """The executable's name without its directory, and without what the kernel writes behind a deleted one."""
        return self.exe.removesuffix(" (deleted)").rpartition("/")[2]

    @property
    def options(self) -> str:
        """All options it was given, by arguments and by the variables of its runtime."""
        return " ".join((*self.arguments, *self.environment.values()))


# Paths are strings here, as in procfs.


LISTEN = "0A"
MOST_FDS = 4096
"""Open files looked through: listening sockets are opened early."""


def listening(base: str) -> tuple[int, ...]:
    """Return the ports, ascending, of the process below ``base``; none where they cannot be read."""
    by_inode: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            by_inode |= parse_ports(read_file(f"{base}/net/{name}", limit=1 << 22).decode("ascii", "replace"))
        except OSError:
            continue
    if not by_inode:
        return ()
    try:
        numbers = sorted(listed(f"{base}/fd"), key=len)[:MOST_FDS]
    except OSError:
        return ()
    return tuple(
        sorted({by_inode[inode] for number in numbers if (inode := _inode(f"{base}/fd/{number}")) in by_inode})
    )


def parse_ports(text: str) -> dict[str, int]:
    """Return port by inode of the listening sockets of one of the two files."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == LISTEN:
            found[words[9]] = int(words[1].rpartition(":")[2], 16)
    return found


def _inode(path: str) -> str:
    try:
        target = link_target(path)
    except OSError:
        return ""
    return target.removeprefix("socket:[").removesuffix("]") if target.startswith("socket:[") else ""


MARKS = {
    b"\0mallctl\0": "jemalloc", b"\0je_mallctl\0": "jemalloc", b"\0_rjem_mallctl\0": "jemalloc",
    b"<jemalloc>: ": "jemalloc",
    b"\0tc_malloc\0": "tcmalloc", b"MallocExtension_": "tcmalloc", b"tcmalloc: large alloc": "tcmalloc",
    b"\0mi_malloc\0": "mimalloc", b"\0mi_version\0": "mimalloc", b"mimalloc: ": "mimalloc",
    b"__asan_init": "asan", b"__lsan_do_recoverable_leak_check": "lsan",
    b"PyRun_SimpleString": "python", b"\0_PyRuntime\0": "python",
    b"napi_create_function": "node", b"JNI_CreateJavaVM": "java",
    b"net/http/pprof.": "pprof", b"rustc/": "rust", b"rust_begin_unwind": "rust",
}  # fmt: skip
"""Names that stay in a binary, stripped or not, and what they tell."""
NAMES = frozenset({".dynstr", ".strtab"})
"""Sections with the names of functions; the first stays in a stripped file."""
TEXTS = frozenset({".rodata", ".gopclntab", ".comment"})
"""Sections with texts, such as an allocator's messages."""
MOST_BYTES = 64 << 20
"""Of a section that are searched."""
MOST_SHALLOW = 1 << 20
"""The same where there is little time: a tenth of a millisecond a megabyte and name."""
CHUNK = 4 << 20
_OVERLAP = max(map(len, MARKS))
_SECTIONS_AT_MOST = 4096
_GO_MAGIC = b"\xff Go buildinf:"


class _Section(NamedTuple):
    name: str
    offset: int
    size: int


def parse_elf(read: Read, *, deep: bool = True) -> Elf | None:
    """Return what the file says, None where it is no ELF file; ``deep``: its texts are searched, too."""
    head = read(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    try:
        sections = _sections(read, head, order, wide=wide)
        interpreter = _interpreter(read, head, order, wide=wide)
    except struct.error:  # cut short
        return Elf()
    searched, most = (NAMES | TEXTS, MOST_BYTES) if deep else (NAMES, MOST_SHALLOW)
    marks = frozenset(mark for one in sections if one.name in searched for mark in _marks(read, one, most))
    return Elf(interpreter, frozenset(one.name for one in sections), marks, _go_version(read, sections))


def _sections(read: Read, head: bytes, order: str, *, wide: bool) -> list[_Section]:
    (at,) = struct.unpack_from(f"{order}Q", head, 40) if wide else struct.unpack_from(f"{order}I", head, 32)
    size, count, names = struct.unpack_from(f"{order}3H", head, 58 if wide else 46)
    if not at or not 0 < count <= _SECTIONS_AT_MOST or size < (64 if wide else 40) or names >= count:
        return []
    table = read(at, size * count)
    # name, (type, flags, address), offset, size
    form, place = (f"{order}I", f"{order}QQ") if wide else (f"{order}I", f"{order}II")
    rows = [
        (*struct.unpack_from(form, table, n * size), *struct.unpack_from(place, table, n * size + (24 if wide else 16)))
        for n in range(count)
    ]
    text = read(rows[names][1], min(rows[names][2], 1 << 20))
    return [_Section(_c_string(text, row[0]), row[1], row[2]) for row in rows]


def _interpreter(read: Read, head: bytes, order: str, *, wide: bool) -> str:
    """Return what PT_INTERP names."""
    if wide:
        (at,), (size, count) = struct.unpack_from(f"{order}Q", head, 32), struct.unpack_from(f"{order}2H", head, 54)
    else:
        (at,), (size, count) = struct.unpack_from(f"{order}I", head, 28), struct.unpack_from(f"{order}2H", head, 42)
    table = read(at, size * min(count, _SECTIONS_AT_MOST))
    for start in range(0, len(table) - size + 1 if size else 0, size or 1):
        (kind,) = struct.unpack_from(f"{order}I", table, start)
        if kind == 3:
            form, places = (f"{order}Q", (8, 32)) if wide else (f"{order}I", (4, 16))
            offset, length = (struct.unpack_from(form, table, start + place)[0] for place in places)
            return _c_string(read(offset, min(length, 4096)), 0)
    return ""


def _marks(read: Read, section: _Section, most: int) -> Iterator[str]:
    left, at, before = min(section.size, most), section.offset, b""
    while left > 0:
        chunk = read(at, min(CHUNK, left))
        if not chunk:
            return
        piece = before + chunk
        yield from {mark for name, mark in MARKS.items() if name in piece}
        before, at, left = piece[-_OVERLAP:], at + len(chunk), left - len(chunk)


def _go_version(read: Read, sections: list[_Section]) -> str:
    section = next((one for one in sections if one.name == ".go.buildinfo"), None)
    if section is None:
        return "go" if any(one.name == ".note.go.buildid" for one in sections) else ""
    data = read(section.offset, min(section.size, 4096))
    if data[:14] != _GO_MAGIC or len(data) < 34 or not data[15] & 2:
        return "go"  # before 1.18 the version stands elsewhere, behind pointers
    length = data[32]
    return data[33 : 33 + length].decode("ascii", "replace") if length < 0x80 else "go"


def _c_string(data: bytes, at: int) -> str:
    return data[at : data.find(b"\0", at) if b"\0" in data[at:] else None].decode("utf-8", "replace")
