"""One TOML text → the settings in it and what is wrong with the rest.

In which line of a TOML text a key stands: tomllib does not tell, so the text is scanned once more.

Best effort: what looks like a key inside a multi-line string may mislead it; the message is then a line off, no more.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from leakwatch.config.keys import EVERY_KEY, OVERRIDE_KINDS, SECTIONS, Key, unknown_key, unknown_override, unknown_table
from leakwatch.config.values import described, pattern, quoted
from leakwatch.text.escape import printable

KeyPath = tuple[str, ...]
MOST_DOTS = 500
"""In a line. TOML's keys may have any number of parts, and tomllib takes time by its square: 12 s for 32,000."""
MOST_SIGNS = 20
"""Of "=" in a line that the key may reach to."""


def line_of(text: str, path: KeyPath) -> int | None:
    """Return the line (from 1) of the key or table, else of the nearest table or key around it."""
    index = _index(text)
    return next((index[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in index), None)


# Of the text at hand only: a file full of mistakes asks for each of them.
@lru_cache(maxsize=1)
def _index(text: str) -> dict[KeyPath, int]:
    index: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped.startswith("["):
            header = _path_in(stripped)
            table = header or table
            _note(index, header, number)
        elif "=" in stripped:
            _note(index, _path_before_value(table, stripped), number)
    return index


def _note(index: dict[KeyPath, int], path: KeyPath, number: int) -> None:
    # A header or a dotted key is also where the tables around it were first mentioned.
    for depth in range(1, len(path) + 1):
        index.setdefault(path[:depth], number)


def _path_before_value(table: KeyPath, line: str) -> KeyPath:
    # A quoted key may contain "=" itself: take the first split that is a key.
    at = line.find("=")
    for _ in range(MOST_SIGNS):
        if at < 0:
            break
        key = _path_in(f"{line[:at]}=0")
        if key:
            return table + key
        at = line.find("=", at + 1)
    return ()


def _path_in(statement: str) -> KeyPath:
    """Return the keys of a TOML text of one statement, from outside in; empty when it is none."""
    try:
        inner: object = tomllib.loads(statement)
    except (ValueError, RecursionError):
        return ()
    path: list[str] = []
    while isinstance(inner, dict | list) and inner:
        if isinstance(inner, list):  # [[table]]
            inner = inner[0]
            continue
        key, inner = next(iter(inner.items()))
        path.append(key)
    return tuple(path)


MOST_PROBLEMS = 100
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of one key, and where it was written."""

    value: Any
    document: Document


@dataclass(slots=True)
class Document:
    """What one file says."""

    name: str
    text: str
    settings: dict[KeyPath, Setting] = field(default_factory=dict)
    """Read values by path: ``("sampling", "interval")``, ``("thresholds", "service", "redis*", "min_rate")``."""
    broken: set[KeyPath] = field(default_factory=set)
    """The keys whose value is unknown since it could not be read."""
    problems: list[str] = field(default_factory=list)
    more: int = 0
    """Problems beyond those, which are only counted: to word each of a hundred thousand takes minutes."""

    def is_full(self) -> bool:
        """Return whether another problem is only counted, and count it then."""
        full = len(self.problems) >= MOST_PROBLEMS
        self.more += full
        return full

    def report(self, path: KeyPath, problem: str) -> None:
        """Add a problem of the key or table at the path."""
        self.problems.append(f"{self.place(path)}: {label(path)}: {problem}")

    def report_whole(self, place: str, problem: str) -> None:
        """Add a problem that leaves unknown what the file sets."""
        self.problems.append(f"{printable(place)}: {problem}")
        self.broken |= EVERY_KEY

    def place(self, path: KeyPath) -> str:
        """Return ``FILE:LINE`` of the path, or the file alone when the line is not found."""
        line = line_of(self.text, path)
        return printable(self.name) if line is None else f"{printable(self.name)}:{line}"


def label(path: KeyPath) -> str:
    """Return a path as the operator writes it: ``[sampling] interval`` or ``[thresholds.service."redis*"]``."""
    is_key = len(path) > 1 and not (path[0] == "thresholds" and path[1] in OVERRIDE_KINDS and len(path) < 4)
    table, key = (path[:-1], path[-1:]) if is_key else (path, ())
    header = ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in table)
    return " ".join([f"[{header}]", *map(printable, key)])


def read_document(name: str, text: str) -> Document:
    """Read a TOML text; never raises, whatever the text is."""
    document = Document(name, text)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS:
            document.report_whole(f"{name}:{number}", f"more than {MOST_DOTS} dots in a line; break it into several")
            return document
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _report_syntax(document, str(error))
    except (ValueError, RecursionError):
        # Python's own limits: a number of more than 4300 digits, arrays nested a thousand deep.
        document.report_whole(name, "a number too long or a nesting too deep; this is no configuration")
    else:
        for section, content in tables.items():
            _read_section(document, section, content)
    return document


def _report_syntax(document: Document, message: str) -> None:
    at = _AT.search(message)
    place = f"{document.name}:{at[1]}: column {at[2]}" if at else document.name
    document.report_whole(place, f"not valid TOML: {printable(_AT.sub('', message))}")


def _read_section(document: Document, section: str, content: object) -> None:
    path = (section,)
    if section not in SECTIONS and document.is_full():
        return
    if section not in SECTIONS and isinstance(content, dict):
        document.report(path, unknown_table(section))
    elif section not in SECTIONS:
        document.problems.append(f"{document.place(path)}: {printable(section)}: {unknown_key('', section)}")
    elif not isinstance(content, dict):
        document.broken.update((section, key) for key in SECTIONS[section])
        document.report(path, f"{described(content)} where a table is needed; write [{section}] on a line of its own")
    else:
        for name, raw in content.items():
            if section == "thresholds" and name in OVERRIDE_KINDS:
                _read_overrides(document, (section, name), raw)
            else:
                _read_key(document, (section, name), raw)


def _read_overrides(document: Document, path: KeyPath, content: object) -> None:
    kind = path[-1]
    example = f'write [thresholds.{kind}."NAME*"] and the keys below it'
    if not isinstance(content, dict):
        document.report(path, f"{described(content)} where a table is needed; {example}")
        return
    for name, table in content.items():
        if not isinstance(table, dict):
            if document.is_full():
                continue
            document.report((*path, name), f"{described(table)} where a table is needed; {example}")
        else:
            _read_override(document, (*path, name), table)


def _read_override(document: Document, path: KeyPath, table: dict[str, object]) -> None:
    try:
        pattern(path[-1])
    except ValueError as error:
        if not document.is_full():
            document.report(path, str(error))
    for key, raw in table.items():
        _read_key(document, (*path, key), raw)


def _read_key(document: Document, path: KeyPath, raw: object) -> None:
    key: Key | None = SECTIONS[path[0]].get(path[-1])
    if key is None:
        if not document.is_full():
            document.report(path, _unknown(path, raw))
        return
    try:
        document.settings[path] = Setting(key.read(raw), document)
    except ValueError as error:
        document.broken.add(path)
        for problem in error.args:
            if not document.is_full():
                document.report(path, problem)


def _unknown(path: KeyPath, raw: object) -> str:
    if path[0] == "thresholds" and isinstance(raw, dict):
        return unknown_override(path[-1])
    return unknown_key(path[0], path[-1])
