r"""Makes text of unknown origin safe: process names are chosen by the user who runs the process.

A name may hold newlines that forge log lines, escape sequences that drive the terminal, and bidirectional overrides
that make it read as another name. There is one function a medium: ``printable`` and ``printable_lines`` for text,
``csv_cell``, ``markdown``, ``json_text``.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNDECODABLE = range(0xDC80, 0xDD00)
"""The surrogates that stand for one byte that was not UTF-8 (PEP 383, ``errors="surrogateescape"``)."""


def printable(text: str) -> str:
    r"""Return the text with every code point that is not printable as an escape; the rest is left as it is.

    ``\xNN`` is always one byte: a control character of ASCII or a byte that was not UTF-8. ``\uNNNN`` and
    ``\UNNNNNNNN`` are code points: controls beyond ASCII, format characters (bidirectional ones among them), lone
    surrogates, unassigned and private ones, and every space but the plain one. The result always encodes to UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in text)


LONGEST_LINE = 1000
"""Characters of a message: four names as long as a file's may be, and what is said of them."""


def message(text: str) -> str:
    """Return one line about something: printable, and short whatever name is in it.

    What is cut out of a longer one is its middle: the name is there, and what to do stands at the end.
    """
    shown = printable(text)
    if len(shown) <= LONGEST_LINE:
        return shown
    half = LONGEST_LINE // 2
    return f"{shown[:half]}…{shown[1 - half :]}"


_OUR_COLOURS = re.compile("(\x1b\\[(?:1;31|33|0)m)")
"""What ``report.columns`` colours a verdict with, and nothing else."""
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""A cell that begins so, or with the wide form of it, is a formula to a spreadsheet (OWASP, CSV injection)."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&@])")
_LINK = re.compile(r"\b(https?|ftp|mailto|xmpp)(?=:)|\b(www)(?=\.)", re.IGNORECASE)
"""What GitHub and others turn into a link without any brackets."""


def printable_lines(text: str, *, colour: bool = False) -> str:
    """Return text of several lines as ``printable`` makes it, line by line; CR LF ends a line, too."""
    if colour:
        parts = _OUR_COLOURS.split(text)  # every other one is a colour
        return "".join(part if at % 2 else printable_lines(part) for at, part in enumerate(parts))
    if text.replace("\n", "").isprintable():
        return text
    return "\n".join(_printable_line(line) for line in text.split("\n"))


def _printable_line(line: str) -> str:
    return printable(line[:-1]) + "\r" if line.endswith("\r") else printable(line)


def csv_cell(value: object) -> object:
    """Return a value as a CSV cell: text printable and never a formula, None empty, numbers as they are."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def markdown(text: str) -> str:
    """Return text in which nothing is markup, HTML or a link."""
    return _LINK.sub(r"\g<0>\\", _MARKUP.sub(r"\\\1", printable(text)))


def json_text(value: Any, *, indent: int | None = None, compact: bool = False) -> str:
    """Return a value as JSON in ASCII, with a line end behind it; any text comes back as it was.

    Names are ``as_text`` where they are read, so that no lone surrogate, which strict readers refuse, is among them.
    Raises ValueError for numbers that are not finite.
    """
    separators = (",", ":") if compact else None
    return json.dumps(value, indent=indent, separators=separators, allow_nan=False) + "\n"


def as_text(name: str) -> str:
    r"""Return a name in which bytes that were not UTF-8 are spelled out as ``\xNN``: any encoder takes it.

    Other surrogates, which no byte stands for, become ``\uNNNN``.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return "".join(_escaped(ord(char)) if "\ud800" <= char <= "\udfff" else char for char in name)
    return name


def _escaped(code: int) -> str:
    if code in _UNDECODABLE:
        code -= 0xDC00
        return f"\\x{code:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
