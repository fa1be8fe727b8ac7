"""One TOML text → the settings in it and what is wrong with the rest."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from leakwatch.config.key_lines import Path, line_of
from leakwatch.config.keys import (
    EVERY_KEY,
    OVERRIDE_KINDS,
    SECTIONS,
    Key,
    unknown_key,
    unknown_override,
    unknown_table,
)
from leakwatch.config.notation import quoted
from leakwatch.config.values import described, pattern
from leakwatch.text.escape import printable

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
    settings: dict[Path, Setting] = field(default_factory=dict)
    """Read values by path: ``("sampling", "interval")``, ``("thresholds", "service", "redis*", "min_rate")``."""
    broken: set[Path] = field(default_factory=set)
    """The keys whose value is unknown since it could not be read."""
    problems: list[str] = field(default_factory=list)
    more: int = 0
    """Problems beyond those, which are only counted: to word each of a hundred thousand takes minutes."""

    def is_full(self) -> bool:
        """Return whether another problem is only counted, and count it then."""
        full = len(self.problems) >= MOST_PROBLEMS
        self.more += full
        return full

    def report(self, path: Path, problem: str) -> None:
        """Add a problem of the key or table at the path."""
        self.problems.append(f"{self.place(path)}: {label(path)}: {problem}")

    def report_whole(self, place: str, problem: str) -> None:
        """Add a problem that leaves unknown what the file sets."""
        self.problems.append(f"{printable(place)}: {problem}")
        self.broken |= EVERY_KEY

    def place(self, path: Path) -> str:
        """Return ``FILE:LINE`` of the path, or the file alone when the line is not found."""
        line = line_of(self.text, path)
        return printable(self.name) if line is None else f"{printable(self.name)}:{line}"


def label(path: Path) -> str:
    """Return a path as the operator writes it: ``[sampling] interval`` or ``[thresholds.service."redis*"]``."""
    is_key = len(path) > 1 and not (path[0] == "thresholds" and path[1] in OVERRIDE_KINDS and len(path) < 4)
    table, key = (path[:-1], path[-1:]) if is_key else (path, ())
    header = ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in table)
    return " ".join([f"[{header}]", *map(printable, key)])


def read_document(name: str, text: str) -> Document:
    """Read a TOML text; never raises, whatever the text is."""
    document = Document(name, text)
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


def _read_overrides(document: Document, path: Path, content: object) -> None:
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


def _read_override(document: Document, path: Path, table: dict[str, object]) -> None:
    try:
        pattern(path[-1])
    except ValueError as error:
        if not document.is_full():
            document.report(path, str(error))
    for key, raw in table.items():
        _read_key(document, (*path, key), raw)


def _read_key(document: Document, path: Path, raw: object) -> None:
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


def _unknown(path: Path, raw: object) -> str:
    if path[0] == "thresholds" and isinstance(raw, dict):
        return unknown_override(path[-1])
    return unknown_key(path[0], path[-1])
