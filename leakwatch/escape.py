r"""Makes text of unknown origin safe to print: process names are chosen by whoever runs the process.

A name may hold newlines that forge log lines, escape sequences that drive the terminal, and bidirectional overrides
that make it read as another name.
"""

from __future__ import annotations

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


def as_text(name: str) -> str:
    r"""Return a name in which every byte that is no UTF-8 is spelled out as ``\xNN``: any encoder takes it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escaped(code: int) -> str:
    if code in _UNDECODABLE:
        code -= 0xDC00
        return f"\\x{code:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
