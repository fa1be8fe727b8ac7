"""The frame of every payload: which format it is, deflate, and a checksum, as SQLite has none of its own.

A payload is one byte, the version of the format, one byte, how the body is packed, the body, and four bytes, the CRC-32
of all before it, lowest first. Format 1 is that of ``integers``, ``rounds`` and ``chunks``. A later format gets another
number; what was written once is read for ever.
"""

from __future__ import annotations

import zlib

from leakwatch.store.encoding.integers import Bytes, PayloadError

FORMAT = 1
STORED, DEFLATED = 0, 1
_LEVEL = 9
_FAST = 6
_RAW = -15
"""Deflate without zlib's header and checksum: six bytes that a chunk of a hundred would feel."""
_FRAME = 6
_MEMORY = 9
"""The most zlib takes (256 KiB, for a moment): a whole day of a series is then one run of codes."""


def pack(body: bytes, *, once: bool = False) -> bytes:
    """Return the body as a payload, packed as small as it gets; ``once`` is for what is soon packed otherwise."""
    packed = _deflate(body, _FAST if once else _LEVEL, zlib.Z_DEFAULT_STRATEGY)
    if not once:
        # Where changes come at random there are no repeats to find, and looking for them costs a fifth of the size.
        packed = min(packed, _deflate(body, _LEVEL, zlib.Z_HUFFMAN_ONLY), key=len)
    kind, packed = (DEFLATED, packed) if len(packed) < len(body) else (STORED, body)
    framed = bytes((FORMAT, kind)) + packed
    return framed + zlib.crc32(framed).to_bytes(4, "little")


def unpack(payload: bytes) -> Bytes:
    """Return the body of a payload. Raises PayloadError."""
    framed, checksum = payload[:-4], payload[-4:]
    if len(payload) < _FRAME or zlib.crc32(framed) != int.from_bytes(checksum, "little"):
        raise PayloadError("its checksum is wrong")
    if framed[0] != FORMAT:
        raise PayloadError(f"it has format {framed[0]}, this leakwatch knows {FORMAT}")
    if framed[1] == STORED:
        return Bytes(framed[2:])
    if framed[1] != DEFLATED:
        raise PayloadError("it is packed in an unknown way")
    try:
        return Bytes(zlib.decompress(framed[2:], _RAW))
    except zlib.error as error:
        raise PayloadError(str(error)) from None


def _deflate(body: bytes, level: int, strategy: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, _RAW, _MEMORY, strategy)
    return packer.compress(body) + packer.flush()
