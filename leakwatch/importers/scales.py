"""By what a captured file's numbers are multiplied to be bytes, and what shows that they are none yet.

``kB`` is what ``/proc`` and ``ps`` call 1024 bytes; ``MB``, ``GB`` and ``TB`` are decimal, as in the configuration.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from leakwatch import metrics
from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from leakwatch.analysis.replay.capture import Capture
    from leakwatch.analysis.replay.series_name import Subject

_KIB, _MIB = 1 << 10, 1 << 20
_SCALES = {
    1: "b byte bytes",
    _KIB: "k ki kb kib kbyte kbytes kilobyte kilobytes kibibyte kibibytes",
    _MIB: "mi mib mebibyte mebibytes",
    1 << 30: "g gi gib gibibyte gibibytes",
    1 << 40: "t ti tib tebibyte tebibytes",
    1000**2: "mb mbyte mbytes megabyte megabytes",
    1000**3: "gb gbyte gbytes gigabyte gigabytes",
    1000**4: "tb tbyte tbytes terabyte terabytes",
}
_FACTORS = {word: factor for factor, words in _SCALES.items() for word in words.split()} | {"count": 1}
"""By the unit in lower case. A lone ``m`` is MiB to top and a thousandth to Kubernetes: ``factor_of`` takes the M."""
_IN_NAMES = frozenset(word for word in _FACTORS if "b" in word and len(word) > 1)
"""What is a unit at the end of a name without brackets."""
ACCEPTED = "write B, kB, KiB, MiB, GiB, MB or GB"
_SUFFIXED = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))\s*(?P<unit>[A-Za-z]{1,9})", re.ASCII)
_BRACKETED = re.compile(r"(?P<base>.*?)[ _]*[(\[] *(?P<unit>[A-Za-z%]+) *[)\]]", re.ASCII)
_ENDING = re.compile(r"(?P<base>.+?)[ _./:-](?P<unit>[A-Za-z]{2,9})", re.ASCII)
_CHECKED_SERIES, _CHECKED_SAMPLES = 1000, 256
_FEWEST = 8
"""Different values that must all be multiples of four: by chance that is so in one file of 65,000."""
_SMALL = _MIB
"""A process whose values are below it and no multiple of 1024 is more likely one of up to 1 GiB, told in kB."""
_PAGE = 4096


def factor_of(unit: str) -> int | None:
    """Return the bytes of a unit, None for one that is unknown or means several things."""
    return _MIB if unit == "M" else _FACTORS.get(unit.strip().lower())


def split_header(name: str) -> tuple[str, str] | None:
    """Return a column's name and the unit behind it: ``rss_kb``, ``RSS(kB)``, ``uss [KiB]``; None without one."""
    if found := _BRACKETED.fullmatch(name):
        return found["base"].lower(), found["unit"]
    found = _ENDING.fullmatch(name)
    return (found["base"].lower(), found["unit"]) if found and found["unit"].lower() in _IN_NAMES else None


def split_value(text: str) -> tuple[str, str] | None:
    """Return the number and the unit of ``123 kB``, None where a text is something else."""
    found = _SUFFIXED.fullmatch(text)
    return (found["number"], found["unit"]) if found else None


def factor_of_series(name: str, subject: Subject, factor: int | None) -> int | None:
    """Return by what a series' values are to be multiplied to be bytes, None where nothing tells.

    That is 1 for numbers, what its file was said to have, or a unit at the end of the name of what is nothing else.
    """
    if subject.count:
        return 1
    if factor is None and subject.kind is SubjectKind.OTHER:
        said = split_header(name)
        return factor_of(said[1]) if said and said[1].lower() in _IN_NAMES else None
    return factor


def doubt_of(captures: Sequence[Capture]) -> str:
    """Return what shows that most of a file's values are no bytes, and what to do; empty where nothing does."""
    seen = [one for one in captures if _in_pages(one.subject)][:_CHECKED_SERIES]
    odd = [(one, looks) for one in seen if (looks := _looks_like(one))]
    if not odd or 2 * len(odd) < len(seen):
        return ""
    one, unit = max(odd, key=lambda pair: pair[0].values.max())
    low, high = format_bytes(one.values.min()), format_bytes(one.values.max())
    between = low if low == high else f"{low} to {high}"
    many = f"{len(odd)} of {len(seen)} series" if len(seen) > 1 else "the values"
    return (
        f"{many} look like {unit}, not bytes: in bytes {printable(one.name)} would take {between}, and not in whole "
        f"pages; if it is {unit}, judge it anew with --unit {unit}"
    )


def _in_pages(subject: Subject) -> bool:
    """Return whether what a series measures comes in whole pages, or at least in whole KiB."""
    if subject.kind in (SubjectKind.PROCESS, SubjectKind.GROUP):
        return not subject.count
    return subject.kind is SubjectKind.KERNEL and subject.field in metrics.MEMINFO


def _looks_like(one: Capture) -> str:
    """Return the unit that the values seem to have, empty for bytes."""
    values = one.values[one.values > 0][:_CHECKED_SAMPLES]
    if not len(values) or np.mean(values % _KIB == 0) >= 0.5:
        return ""
    middle, whole = float(np.median(values)), bool(np.all(values % 1 == 0))
    if one.subject.kind is not SubjectKind.KERNEL and middle < _SMALL:
        return "MiB" if middle < _PAGE and not whole else "kB"
    return "kB" if whole and len(np.unique(values)) >= _FEWEST and _are_pages_in_kib(values) else ""


def _are_pages_in_kib(values: NDArray[np.float64]) -> bool:
    """Return whether these are multiples of four, and not all of eight, as the bytes of an allocator would be."""
    return bool(np.mean(values % 4 == 0) > 0.95 and np.mean(values % 8 == 0) < 0.75)
