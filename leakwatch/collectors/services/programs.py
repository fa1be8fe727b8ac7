"""What a process runs, from its executable and arguments: the name of a service that nothing else names.

It is the same after a restart and for all workers: it has the script and the subcommand but no further argument.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SUBCOMMAND = re.compile(r"^[a-z][a-z0-9_-]{1,23}$")
_LONGEST = 120
"""Characters of a program's name: arguments are as long as whoever starts it likes."""
_MULTICALL = frozenset({"busybox", "toybox", "coreutils"})
"""One executable, many programs: the first argument says which."""
_NUMBERED = re.compile(r"[-_#.]?\d+$")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")


@dataclass(frozen=True, slots=True)
class _Options:
    """What an interpreter's options mean for the question which script it runs."""

    code: str
    """Letters of short options, alone or last of a cluster, after which code follows instead of a script."""
    with_value: frozenset[str] = frozenset()
    """Options whose value is the next argument."""


_INTERPRETERS = {
    "python": _Options("c", frozenset({"-W", "-X", "--check-hash-based-pycs"})),
    "pypy": _Options("c", frozenset({"-W", "-X"})),
    "perl": _Options("eE", frozenset({"-I"})),
    "ruby": _Options("e", frozenset({"-r", "-I", "-C"})),
    "node": _Options("ep", frozenset({"-r", "--require", "--import", "-C", "--conditions"})),
    "php": _Options("r", frozenset({"-c", "-d"})),
    "lua": _Options("e", frozenset({"-l"})),
    "Rscript": _Options("e"),
    "deno": _Options(""),
    "bun": _Options("e"),
    **{shell: _Options("c", frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})) for shell in _SHELLS},
}
_INTERPRETERS["nodejs"] = _INTERPRETERS["node"]
_JAVA_WITH_VALUE = frozenset({
    "-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-opens", "--add-modules", "--add-exports",
})  # fmt: skip


def program_of(name: str, exe: str | None, args: Sequence[str]) -> str:
    """Return e.g. ``python3 worker.py``, ``java -jar app.jar``, ``git fetch`` or plainly ``redis-server``."""
    program = _base((exe or "").removesuffix(" (deleted)")) or _program_by_title(name, args)
    text = " ".join([program, *_words(program, args)])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _program_by_title(name: str, args: Sequence[str]) -> str:
    """Return the program where its executable may not be read: of ``postgres: checkpointer`` it is ``postgres``."""
    if not args or not args[0]:
        return name
    title = args[0].split(" ")[0].removesuffix(":") if len(args) == 1 else args[0]
    return _base(title.removeprefix("-")) or name  # a login shell has a dash before its name


def _words(program: str, args: Sequence[str]) -> list[str]:
    rest = args[1:]
    if program in _MULTICALL:
        return [_base(args[0].split(" ")[0])] if args and _base(args[0]) != program else list(rest[:1])
    if program == "java":
        return _java_words(rest)
    kind = program.rstrip("0123456789.")
    if kind in _INTERPRETERS and (title := _title(args)):
        return [title]
    return _script_words(_INTERPRETERS[kind], rest) if kind in _INTERPRETERS else _subcommand(rest)


def _title(args: Sequence[str]) -> str:
    """Return the first word of a title the program gave itself (``setproctitle``), empty where there is none.

    gunicorn calls its processes ``gunicorn: master [app:app]`` and ``gunicorn: worker [app:app]``, puma ``puma: cluster
    worker 0: 812 [app]``, a worker of its own making perhaps ``worker-3``: numbers count, they name nothing.
    """
    if len(args) != 1 or " " not in args[0].strip():
        return ""
    first = args[0].split()[0].lstrip("[(").rstrip(":])")
    return _base(_NUMBERED.sub("", first))


def _script_words(options: _Options, rest: Sequence[str]) -> list[str]:
    at = 0
    while at < len(rest):
        word = rest[at]
        if not word.startswith(("-", "+")):
            return [_base(word), *_subcommand(rest[at + 1 :])]
        if word in options.with_value:
            at += 2
            continue
        cluster = word[1:] if word[1:].isalpha() else ""
        if options is _INTERPRETERS["python"] and cluster.endswith("m") and at + 1 < len(rest):
            return ["-m", rest[at + 1], *_subcommand(rest[at + 2 :])]
        if (cluster and cluster[-1] in options.code) or word in ("--eval", "--print"):
            return [f"-{cluster[-1]}" if cluster else word]
        at += 1
    return []


def _subcommand(rest: Sequence[str]) -> list[str]:
    return [rest[0]] if rest and _SUBCOMMAND.match(rest[0]) else []


def _java_words(rest: Sequence[str]) -> list[str]:
    at = 0
    while at < len(rest):
        word = rest[at]
        if word == "-jar" and at + 1 < len(rest):
            return ["-jar", _base(rest[at + 1])]
        if not word.startswith("-"):
            return [word]
        at += 2 if word in _JAVA_WITH_VALUE else 1
    return []
