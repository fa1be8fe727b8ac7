"""What runs in a process: a language's runtime, a C library, an allocator, told from what was read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from leakwatch.nextsteps.runtime_signs import Traces


class RuntimeKind(StrEnum):
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

    kind: RuntimeKind
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


_LIBRARIES: tuple[tuple[str, RuntimeKind], ...] = (
    (r"libjvm\.so$", RuntimeKind.JVM),
    (r"libnode\.so[.0-9]*$", RuntimeKind.NODE),
    (r"libcoreclr\.so$", RuntimeKind.DOTNET),
    (r"libpython[23][.0-9]*\w*\.so[.0-9]*$", RuntimeKind.CPYTHON),
    (r"libruby[-.0-9]*\.so[.0-9]*$", RuntimeKind.RUBY),
    (r"libphp[.0-9]*\.so$", RuntimeKind.PHP),
    (r"libperl\.so[.0-9]*$", RuntimeKind.PERL),
)
"""What a runtime's library is called."""
_PROGRAMS: tuple[tuple[str, RuntimeKind], ...] = (
    (r"python[23]?[.0-9]*\w?$", RuntimeKind.CPYTHON),
    (r"node$|nodejs$", RuntimeKind.NODE),
    (r"ruby[.0-9]*$", RuntimeKind.RUBY),
    (r"php(-fpm|-cgi)?[.0-9]*$", RuntimeKind.PHP),
    (r"perl[.0-9]*$", RuntimeKind.PERL),
    (r"beam(\.smp)?$", RuntimeKind.BEAM),
)
"""What a runtime's program is called, where it has no library."""
_BY_MARK = (("python", RuntimeKind.CPYTHON), ("java", RuntimeKind.JVM), ("node", RuntimeKind.NODE))
_BY_NAME = (
    (r"python|gunicorn|uwsgi|celery", RuntimeKind.CPYTHON),
    (r"java|jvm|tomcat", RuntimeKind.JVM),
    (r"\bnode|npm", RuntimeKind.NODE),
    (r"ruby|puma|unicorn", RuntimeKind.RUBY),
    (r"php", RuntimeKind.PHP),
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
    RuntimeKind.CPYTHON: (r"/(?:lib)?python([23]\.[0-9]+)",),
    RuntimeKind.JVM: (r"/(?:java|jdk|jre|openjdk|zulu|temurin)-?([0-9]+(?:[.][0-9._]+)?)",),
    RuntimeKind.RUBY: (r"/ruby/?-?([0-9]+\.[0-9]+)", r"libruby-?([0-9]+\.[0-9]+)"),
    RuntimeKind.PHP: (r"/php-?(?:fpm)?([0-9]+\.[0-9]+)",),
    RuntimeKind.PERL: (r"libperl\.so\.([0-9]+\.[0-9]+)", r"/perl/([0-9]+\.[0-9]+)"),
    RuntimeKind.DOTNET: (r"Microsoft\.NETCore\.App/([0-9]+\.[0-9]+)",),
    RuntimeKind.NODE: (r"libnode\.so\.([0-9]+)", r"/node/?-?v?([0-9]+[.0-9]*)/"),
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
        version=go_version if kind is RuntimeKind.GO else _version(kind, (where, traces.exe, *traces.mapped)),
        where=where,
        libc=libc,
        libc_path=libc_path,
        allocator=allocator,
        allocator_path=allocator_path,
        asan="asan" in marks or any(_ASAN.search(path) for path in traces.mapped),
        pprof=kind is RuntimeKind.GO and "pprof" in marks,
        guessed=nothing and kind is not RuntimeKind.UNKNOWN,
    )


def guess(name: str) -> RuntimeKind:
    """Return what a program of this name may be: better than nothing where nothing can be read."""
    return next((kind for pattern, kind in _BY_NAME if re.search(pattern, name, re.IGNORECASE)), RuntimeKind.UNKNOWN)


def _kind(traces: Traces) -> tuple[RuntimeKind, str]:
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
            return RuntimeKind.GO, exe
        for mark, kind in _BY_MARK:
            if mark in elf.marks:
                return kind, exe
        return (RuntimeKind.RUST if "rust" in elf.marks else RuntimeKind.NATIVE), exe
    return (RuntimeKind.NATIVE if exe or traces.mapped else RuntimeKind.UNKNOWN), exe


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


def _version(kind: RuntimeKind, paths: Iterable[str]) -> str:
    for path in paths:
        for pattern in _VERSIONS.get(kind, ()):
            found = re.search(pattern, path)
            if found:
                return found[1]
    return ""


def _undeleted(path: str) -> str:
    return path.removesuffix(" (deleted)")
