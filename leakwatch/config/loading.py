"""Files → one checked ``Config``.

What must hold between keys: each alone may be sensible, together they contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from leakwatch.config.document import Document, KeyPath, Setting, label, read_document
from leakwatch.config.keys import OVERRIDE_KINDS, SECTIONS
from leakwatch.config.schema import (
    AnalysisConfig,
    Config,
    EvidenceConfig,
    IgnoreConfig,
    Override,
    OverrideKind,
    PrivacyConfig,
    SamplingConfig,
    StoreConfig,
    Thresholds,
)
from leakwatch.config.values import exact_duration
from leakwatch.errors import ConfigError
from leakwatch.text.escape import printable
from leakwatch.text.outfile import read_whole

if TYPE_CHECKING:
    Settings = dict[tuple[str, ...], Setting]

BLOCKS_PER_WINDOW = 12
"""A window is cut in 12 blocks: fewer samples than that leave blocks empty, and no trend can be fitted."""
WINDOWS_OF_SAMPLES = 2
"""Samples reach back over the shortest window and the one before it, which a change is told by."""

_INTERVAL = ("sampling", "interval")
_WINDOWS = ("analysis", "windows")
_KEEP_SAMPLES = ("store", "keep_samples")
_KEEP_BLOCKS = ("store", "keep_blocks")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Keys that do not go together, and why."""

    keys: tuple[KeyPath, ...]
    problem: str


def contradictions(config: Config) -> Iterator[Contradiction]:
    """Yield every contradiction; messages name both numbers and a way out."""
    yield from _samples_per_window(config)
    yield from _samples_kept(config)
    yield from _blocks_kept(config)


def _samples_per_window(config: Config) -> Iterator[Contradiction]:
    interval, shortest = config.sampling.interval_s, config.analysis.windows_s[0]
    # In whole samples, and with the tolerance of floating point: 1.2 s hold twelve of 0.1 s.
    samples = math.floor(shortest / interval + 1e-9)
    if samples < BLOCKS_PER_WINDOW:
        fitting = exact_duration(math.floor(shortest / BLOCKS_PER_WINDOW * 1000) / 1000)
        needed = exact_duration(math.ceil(interval * BLOCKS_PER_WINDOW - 1e-9))
        yield Contradiction(
            (_INTERVAL, _WINDOWS),
            f"at one sample every {exact_duration(interval)} the shortest window, {exact_duration(shortest)}, holds "
            f"{samples} but {BLOCKS_PER_WINDOW} are needed; set [sampling] interval to {fitting} or less, "
            f"or let [analysis] windows begin with {needed} or more",
        )


def _samples_kept(config: Config) -> Iterator[Contradiction]:
    shortest, kept = config.analysis.windows_s[0], config.store.keep_samples_s
    needed = WINDOWS_OF_SAMPLES * shortest
    if kept < needed:
        yield Contradiction(
            (_KEEP_SAMPLES, _WINDOWS),
            f"samples are kept for {exact_duration(kept)} but the shortest window is {exact_duration(shortest)} and "
            f"{WINDOWS_OF_SAMPLES} of it are needed; set [store] keep_samples to {exact_duration(needed)} or more",
        )


def _blocks_kept(config: Config) -> Iterator[Contradiction]:
    longest, kept = config.analysis.windows_s[-1], config.store.keep_blocks_s
    if kept < longest:
        yield Contradiction(
            (_KEEP_BLOCKS, _WINDOWS),
            f"blocks are kept for {exact_duration(kept)} but the longest window is {exact_duration(longest)}; "
            f"set [store] keep_blocks to {exact_duration(longest)} or more, or drop that window",
        )


ETC = Path("/etc/leakwatch")
MOST_BYTES = 256 << 10
"""Of one file: thirty times one with every key and its comments, and read within a second."""
SHOWN = 20
"""Problems said one by one; of more their number."""


def load_config(path: str | None = None, *, etc: Path = ETC) -> Config:
    """Return the configuration of the one file given, else of ``etc``'s config.toml and conf.d, else the defaults.

    Later files overrule earlier ones key by key; lists are replaced as a whole. Raises ConfigError with every problem
    of every file.
    """
    problems: list[str] = []
    more = 0
    files = _files(etc, problems) if path is None else [Path(path)]
    documents = [_document(file) for file in files]
    settings: Settings = {}
    for document in documents:
        problems += document.problems
        more += document.more
        settings.update(document.settings)
    config = _build(settings, tuple(document.name for document in documents))
    problems += _contradictions(config, settings, documents)
    if problems:
        more += len(problems[SHOWN:])
        raise ConfigError((*problems[:SHOWN], *([f"and {more:,} more problems like these"] if more else [])))
    return config


def _files(etc: Path, problems: list[str]) -> list[Path]:
    main, drop_ins = etc / "config.toml", etc / "conf.d"
    found = _entries(etc, problems)
    files = [main] if main in found else []
    if drop_ins in found:
        files += [entry for entry in _entries(drop_ins, problems) if entry.suffix == ".toml"]
    return files


def _entries(folder: Path, problems: list[str]) -> list[Path]:
    """List a folder; one that does not exist is empty, one that may not be read is a problem."""
    try:
        # Names that begin with a dot are what editors and package managers leave behind.
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{printable(str(folder))}: {_unreadable(error)}")
        return []


def _document(file: Path) -> Document:
    document = Document(str(file), "")
    try:
        return read_document(document.name, read_whole(file, MOST_BYTES).decode())
    except UnicodeDecodeError as error:
        document.report_whole(document.name, f"not UTF-8 at byte {error.start}; save the file as UTF-8")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        document.report_whole(document.name, _unreadable(error))
    return document


def _unreadable(error: Exception) -> str:
    hints: dict[type[Exception], str] = {
        FileNotFoundError: "give the path of an existing file",
        PermissionError: "make it readable for the user leakwatch runs as",
        IsADirectoryError: "give the path of a file",
    }
    hint = hints.get(type(error), "see to the file or leave it out")
    cause = getattr(error, "strerror", None) or str(error)
    return f"cannot be read: {cause}; {hint}"


def _build(settings: Settings, sources: tuple[str, ...]) -> Config:
    thresholds = Thresholds(**_fields(settings, "thresholds"))
    return Config(
        sampling=SamplingConfig(**_fields(settings, "sampling")),
        analysis=AnalysisConfig(**_fields(settings, "analysis")),
        store=StoreConfig(**_fields(settings, "store")),
        thresholds=thresholds,
        overrides=_overrides(settings, thresholds),
        ignore=IgnoreConfig(**_fields(settings, "ignore")),
        evidence=EvidenceConfig(**_fields(settings, "evidence")),
        privacy=PrivacyConfig(**_fields(settings, "privacy")),
        sources=sources,
    )


def _fields(settings: Settings, *table: str) -> dict[str, Any]:
    keys = SECTIONS[table[0]]
    return {key.field: settings[*table, name].value for name, key in keys.items() if (*table, name) in settings}


def _overrides(settings: Settings, thresholds: Thresholds) -> tuple[Override, ...]:
    # A dict for its order: one override a table, in the order in which they were first written.
    tables = dict.fromkeys(path[:3] for path in settings if len(path) == 4 and path[1] in OVERRIDE_KINDS)
    return tuple(
        Override(cast("OverrideKind", table[1]), table[2], replace(thresholds, **_fields(settings, *table)))
        for table in tables
    )


def _contradictions(config: Config, settings: Settings, documents: Sequence[Document]) -> list[str]:
    broken = {path for document in documents for path in document.broken}
    return [_worded(found, settings) for found in contradictions(config) if not broken & set(found.keys)]


def _worded(found: Contradiction, settings: Settings) -> str:
    # Blame the key the operator wrote; defaults do not contradict one another, so there is one.
    key = next(key for key in found.keys if key in settings)
    return f"{settings[key].document.place(key)}: {label(key)}: {found.problem}"
