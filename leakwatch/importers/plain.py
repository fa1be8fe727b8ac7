"""Many rows at once: lines of plain numbers and names, cut and read by numpy on the file's own bytes.

What is not plain is left to ``rows``, which alone knows what is wrong with it; both read a plain line the same way
(tested against each other). Plain are lines with the header's number of fields, a time and a value of digits with at
most one point among them, or a time as text, and a name without blanks at its ends; a field may stand in quotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from leakwatch.clock import END_S
from leakwatch.importers.scales import factor_of
from leakwatch.importers.stamps import NO_TIME

if TYPE_CHECKING:
    from leakwatch.importers.layout import Layout
    from leakwatch.importers.stamps import Stamps

Bytes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Places: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Flags: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

_NEWLINE, _RETURN, _QUOTE, _COMMA, _BLANK, _POINT, _ZERO = b'\n\r", .0'
MOST_DIGITS = 15
"""Of a number read here: its digits are then an integer that a float holds exactly, and dividing it by a power of ten
rounds once, as reading the text does."""


class Cut(NamedTuple):
    """A chunk's lines, and where the wanted fields of the plain ones begin and end."""

    line_starts: Places
    line_ends: Places
    """Without the line break."""
    plain: Places
    """The indices of the lines whose fields follow, increasing."""
    starts: tuple[Places, ...]
    """Of time, series and value, and of the unit if there is one, in the chunk, one a plain line."""
    ends: tuple[Places, ...]


def cut(chunk: bytes, layout: Layout) -> Cut | None:
    """Return the chunk's lines and fields, None where quotes are not just around fields: a row need not be a line."""
    buffer = np.frombuffer(chunk, np.uint8)
    breaks = np.flatnonzero(buffer == _NEWLINE)
    line_starts = np.concatenate([[0], breaks[:-1] + 1])
    line_ends = breaks - ((buffer[breaks - 1] == _RETURN) & (breaks > line_starts))
    if b"\0" in chunk or (b"\r" in chunk and chunk.count(b"\r") != int((breaks - line_ends).sum())):
        return None
    rows, commas = _of_width(np.flatnonzero(buffer == _COMMA), line_starts, breaks, layout.width)
    starts = [line_starts[rows] if not c else commas[:, c - 1] + 1 for c in range(layout.width)]
    ends = [line_ends[rows] if c == layout.width - 1 else commas[:, c] for c in range(layout.width)]
    if b'"' in chunk:
        starts, ends, stripped = _unquoted(buffer, starts, ends)
        if chunk.count(b'"') != 2 * stripped:
            return None
    wanted = layout.columns
    return Cut(line_starts, line_ends, rows, tuple(starts[c] for c in wanted), tuple(ends[c] for c in wanted))


def _of_width(commas: Places, line_starts: Places, breaks: Places, width: int) -> tuple[Places, Places]:
    """Return the lines with this many fields, and their commas, one row a line."""
    lines, inner = len(breaks), width - 1
    if len(commas) == lines * inner:
        table = commas.reshape(lines, inner)
        if (table[:, 0] >= line_starts).all() and (table[:, -1] < breaks).all():
            return np.arange(lines), table
    first = np.searchsorted(commas, line_starts)
    rows = np.flatnonzero(np.searchsorted(commas, breaks) - first == inner)
    return rows, commas[first[rows][:, None] + np.arange(inner)]


def _unquoted(buffer: Bytes, starts: list[Places], ends: list[Places]) -> tuple[list[Places], list[Places], int]:
    """Take the quotes off fields that are wholly in quotes; return how many were.

    A quote inside such a field leaves one too many in the chunk, by which it is found.
    """
    stripped = 0
    for c, (start, end) in enumerate(zip(starts, ends, strict=True)):
        quoted = (end - start >= 2) & (buffer[start] == _QUOTE) & (buffer[end - 1] == _QUOTE)
        starts[c], ends[c] = start + quoted, end - quoted
        stripped += int(quoted.sum())
    return starts, ends, stripped


def properly_named(chunk: bytes, found: Cut) -> Flags:
    """Return which plain lines name their series without blanks to be taken off."""
    buffer = np.frombuffer(chunk, np.uint8)
    start, end = found.starts[1], found.ends[1]
    good: Flags = (end > start) & (buffer[start] != _BLANK) & (buffer[end - 1] != _BLANK)
    return good


def times_ms(chunk: bytes, found: Cut, stamps: Stamps) -> tuple[Flags, Places]:
    """Return which plain lines have a plain time, and the times in UTC milliseconds."""
    starts, ends = found.starts[0], found.ends[0]
    plain, seconds = numbers(chunk, starts, ends)
    times = np.rint(np.where(plain & (seconds < END_S), seconds * 1000, NO_TIME)).astype(np.int64)
    if not plain.all():
        rest = np.flatnonzero(~plain)
        texts = (chunk[start:end] for start, end in zip(starts[rest].tolist(), ends[rest].tolist(), strict=True))
        times[rest] = stamps.times_ms(texts)
    return times != NO_TIME, times


def values(chunk: bytes, found: Cut) -> tuple[Flags, Floats]:
    """Return which plain lines have a plain value, and the values."""
    return numbers(chunk, found.starts[2], found.ends[2])


def factors(chunk: bytes, found: Cut, layout: Layout) -> Floats:
    """Return by what the values of plain lines are to be multiplied, NaN where that is not plain."""
    if layout.unit is None:
        return np.full(found.plain.shape, float(layout.factor or 1))
    fields = zip(found.starts[3].tolist(), found.ends[3].tolist(), strict=True)
    known: dict[bytes, float] = {}
    texts = [chunk[start:end] for start, end in fields]
    for text in set(texts):
        factor = factor_of(text.decode("ascii", "replace")) if text.strip() else None
        known[text] = np.nan if factor is None else float(factor)
    return np.array([known[text] for text in texts])


def numbers(chunk: bytes, starts: Places, ends: Places) -> tuple[Flags, Floats]:
    """Return which fields are ``digits`` or ``digits.digits``, and their values; the others' are meaningless."""
    lengths = ends - starts
    found = np.zeros(len(starts))
    plain = np.zeros(len(starts), np.bool_)
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, MOST_DIGITS + 2))).tolist():
        if 0 < length <= MOST_DIGITS + 1:
            rows = np.flatnonzero(lengths == length)
            # A view of every run of this many bytes, of which the fields' are taken.
            runs = np.ndarray(len(chunk) - length + 1, f"V{length}", chunk, strides=(1,))
            chars = runs[starts[rows]].view(np.uint8).reshape(len(rows), length)
            plain[rows], found[rows] = _of_length(chars)
    return plain, found


def _of_length(chars: Bytes) -> tuple[Flags, Floats]:
    """Return which rows of characters are numbers, and their values; one row a field, all of one length."""
    digits = chars - np.uint8(_ZERO)  # wraps around for what comes before 0
    others = digits > 9
    odd = int(np.count_nonzero(others))
    if not odd:
        return np.full(len(chars), chars.shape[1] <= MOST_DIGITS), _value(digits, chars.shape[1])
    point = int(others[0].argmax())
    if odd == len(chars) and 0 < point < chars.shape[1] - 1 and (chars[:, point] == _POINT).all():
        return np.ones(len(chars), np.bool_), _value(digits, point)
    return _of_many_kinds(chars, digits, others)


def _of_many_kinds(chars: Bytes, digits: Bytes, others: Flags) -> tuple[Flags, Floats]:
    """Do the same where the points do not all stand at one place, or not all are numbers."""
    length = chars.shape[1]
    count = np.count_nonzero(others, axis=1)
    points = np.where(count == 1, others.argmax(axis=1), 0)
    whole = (count == 0) & (length <= MOST_DIGITS)
    kinds = [(length, whole)]
    kinds += [(point, (points == point) & (chars[:, point] == _POINT)) for point in range(1, length - 1)]
    plain, found = np.zeros(len(chars), np.bool_), np.zeros(len(chars))
    for point, rows in kinds:
        if rows.any():
            plain |= rows
            found[rows] = _value(digits[rows], point)
    return plain, found


def _value(digits: Bytes, point: int) -> Floats:
    """Return the values of rows of digits with the point at one place, which is their length where they have none."""
    length = digits.shape[1]
    behind = max(0, length - point - 1)
    exponents = [length - 1 - at - (at < point and behind > 0) for at in range(length)]
    weights = np.array([0.0 if at == point else 10.0**exponent for at, exponent in enumerate(exponents)])
    value: Floats = digits.astype(np.float64) @ weights
    return value / 10.0**behind if behind else value
