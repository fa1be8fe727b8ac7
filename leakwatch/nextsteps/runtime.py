"""What runs in a process: a language's runtime, a C library, an allocator, told from what was read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leakwatch.nextsteps.runtime_signs import Traces


class Kind(StrEnum):
    """Who gives out memory in it, for the steps to choose."""

    CPYTHON = "CPython"
    JVM = "HotSpot JVM"
    GO = "Go"
    NODE = "Node.js"
    RUBY = "Ruby"
    PHP = "PHP"
    PERL = "Perl"
    DOTNET = ".NET"
    BEAM = "Erlang VM"
    RUST = "Rust"
    NATIVE = "C or C++"
    UNKNOWN = "unknown"


class Libc(StrEnum):
    """The C library."""

    GLIBC = "glibc"
    MUSL = "musl"
    NONE = "none"
    """A statically linked program: its library, if it has one, is inside."""
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs in a process."""

    kind: Kind
    version: str = ""
    where: str = ""
    """The file that tells: the executable or the runtime's library."""
    libc: Libc = Libc.UNKNOWN
    libc_path: str = ""
    allocator: str = ""
    """``jemalloc``, ``tcmalloc``, ``mimalloc``, or empty for that of the C library."""
    allocator_path: str = ""
    """Its library; empty where it is linked into the program."""
    asan: bool = False
    """Built with AddressSanitizer (or LeakSanitizer)."""
    pprof: bool = False
    """A Go program that has net/http/pprof in it."""
    guessed: bool = False
    """Told by the program's name alone, as nothing could be read."""

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        parts = [f"{self.kind} {self.version}".strip()]
        if self.where:
            parts[0] += f" ({self.where})"
        if self.libc is Libc.NONE:
            parts.append("statically linked")
        elif self.libc:
            parts.append(str(self.libc))
        if self.allocator:
            parts.append(f"{self.allocator} ({self.allocator_path or 'linked in'})")
        if self.asan:
            parts.append("built with AddressSanitizer")
        return ", ".join(parts) + (": guessed by its name" if self.guessed else "")


_LIBRARIES: tuple[tuple[str, Kind], ...] = (
    (r"libjvm\.so$", Kind.JVM),
    (r"libnode\.so[.0-9]*$", Kind.NODE),
    (r"libcoreclr\.so$", Kind.DOTNET),
    (r"libpython[23][.0-9]*\w*\.so[.0-9]*$", Kind.CPYTHON),
    (r"libruby[-.0-9]*\.so[.0-9]*$", Kind.RUBY),
    (r"libphp[.0-9]*\.so$", Kind.PHP),
    (r"libperl\.so[.0-9]*$", Kind.PERL),
)
"""What a runtime's library is called."""
_PROGRAMS: tuple[tuple[str, Kind], ...] = (
    (r"python[23]?[.0-9]*\w?$", Kind.CPYTHON),
    (r"node$|nodejs$", Kind.NODE),
    (r"ruby[.0-9]*$", Kind.RUBY),
    (r"php(-fpm|-cgi)?[.0-9]*$", Kind.PHP),
    (r"perl[.0-9]*$", Kind.PERL),
    (r"beam(\.smp)?$", Kind.BEAM),
)
"""What a runtime's program is called, where it has no library."""
_BY_MARK = (("python", Kind.CPYTHON), ("java", Kind.JVM), ("node", Kind.NODE))
_BY_NAME = (
    (r"python|gunicorn|uwsgi|celery", Kind.CPYTHON),
    (r"java|jvm|tomcat", Kind.JVM),
    (r"\bnode|npm", Kind.NODE),
    (r"ruby|puma|unicorn", Kind.RUBY),
    (r"php", Kind.PHP),
)
_GLIBC = re.compile(r"/libc(\.so\.6|-2\.[0-9.]+\.so)$")
_MUSL = re.compile(r"/(ld-musl-[^/]+\.so\.1|libc\.musl-[^/]+\.so\.1|[^/]+-musl/libc\.so)$")
_ALLOCATORS = (
    (re.compile(r"/libjemalloc[^/]*\.so[.0-9]*$"), "jemalloc"),
    (re.compile(r"/libtcmalloc[^/]*\.so[.0-9]*$"), "tcmalloc"),
    (re.compile(r"/libmimalloc[^/]*\.so[.0-9]*$"), "mimalloc"),
)
_ASAN = re.compile(r"/lib(clang_rt\.)?[al]san[^/]*\.so[.0-9]*$")
_VERSIONS = {
    Kind.CPYTHON: (r"/(?:lib)?python([23]\.[0-9]+)",),
    Kind.JVM: (r"/(?:java|jdk|jre|openjdk|zulu|temurin)-?([0-9]+(?:[.][0-9._]+)?)",),
    Kind.RUBY: (r"/ruby/?-?([0-9]+\.[0-9]+)", r"libruby-?([0-9]+\.[0-9]+)"),
    Kind.PHP: (r"/php-?(?:fpm)?([0-9]+\.[0-9]+)",),
    Kind.PERL: (r"libperl\.so\.([0-9]+\.[0-9]+)", r"/perl/([0-9]+\.[0-9]+)"),
    Kind.DOTNET: (r"Microsoft\.NETCore\.App/([0-9]+\.[0-9]+)",),
    Kind.NODE: (r"libnode\.so\.([0-9]+)", r"/node/?-?v?([0-9]+[.0-9]*)/"),
}


def detect(traces: Traces) -> Runtime:
    """Return what runs in a process."""
    kind, where = _kind(traces)
    libc, libc_path = _libc(traces)
    allocator, allocator_path = _allocator(traces)
    marks = traces.elf.marks if traces.elf else frozenset[str]()
    nothing = not traces.exe and not traces.mapped and traces.elf is None
    if nothing:
        kind = guess(" ".join((traces.name, *traces.arguments[:2])))
    go_version = traces.elf.go_version.removeprefix("go") if traces.elf else ""
    return Runtime(
        kind=kind,
        version=go_version if kind is Kind.GO else _version(kind, (where, traces.exe, *traces.mapped)),
        where=where,
        libc=libc,
        libc_path=libc_path,
        allocator=allocator,
        allocator_path=allocator_path,
        asan="asan" in marks or any(_ASAN.search(path) for path in traces.mapped),
        pprof=kind is Kind.GO and "pprof" in marks,
        guessed=nothing and kind is not Kind.UNKNOWN,
    )


def guess(name: str) -> Kind:
    """Return what a program of this name may be: better than nothing where nothing can be read."""
    return next((kind for pattern, kind in _BY_NAME if re.search(pattern, name, re.IGNORECASE)), Kind.UNKNOWN)


def _kind(traces: Traces) -> tuple[Kind, str]:
    for pattern, kind in _LIBRARIES:
        found = next((path for path in traces.mapped if re.search(rf"/{pattern}", _undeleted(path))), None)
        if found:
            return kind, found
    elf, exe = traces.elf, _undeleted(traces.exe)
    for pattern, kind in _PROGRAMS:
        if re.match(pattern, traces.program):
            return kind, exe
    if elf is not None:
        if elf.go_version:
            return Kind.GO, exe
        for mark, kind in _BY_MARK:
            if mark in elf.marks:
                return kind, exe
        return (Kind.RUST if "rust" in elf.marks else Kind.NATIVE), exe
    return (Kind.NATIVE if exe or traces.mapped else Kind.UNKNOWN), exe


def _libc(traces: Traces) -> tuple[Libc, str]:
    for pattern, libc in ((_GLIBC, Libc.GLIBC), (_MUSL, Libc.MUSL)):
        found = next((path for path in traces.mapped if pattern.search(_undeleted(path))), None)
        if found:
            return libc, found
    if traces.elf is not None and not traces.elf.interpreter and traces.elf.sections:
        return Libc.NONE, ""
    return Libc.UNKNOWN, ""


def _allocator(traces: Traces) -> tuple[str, str]:
    for pattern, name in _ALLOCATORS:
        found = next((path for path in traces.mapped if pattern.search(_undeleted(path))), None)
        if found:
            return name, found
    marks = traces.elf.marks if traces.elf else frozenset[str]()
    return next(((name, "") for _, name in _ALLOCATORS if name in marks), ("", ""))


def _version(kind: Kind, paths: Iterable[str]) -> str:
    for path in paths:
        for pattern in _VERSIONS.get(kind, ()):
            found = re.search(pattern, path)
            if found:
                return found[1]
    return ""


def _undeleted(path: str) -> str:
    return path.removesuffix(" (deleted)")
