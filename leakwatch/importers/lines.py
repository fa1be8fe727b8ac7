"""Bytes of a file or a stream, unpacked if they are gzip, in chunks of whole lines."""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

BLOCK_BYTES = 1 << 20
"""Read at once: its working arrays fit into a processor's cache, and numpy's calls are few. A quarter of it took 6.3 s,
four times as much 9.4 s where this took 5.0 (14.4 million rows)."""
LONGEST_LINE = 1 << 20
"""A line longer than this is no row of times and numbers; without an end, a disk's image would be held as one line."""
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class StreamError(Exception):
    """The bytes cannot be read on; the message says why and what to do."""


class Lines:
    """A stream's lines in chunks; the last line ends with a newline whether or not the stream does."""

    def __init__(self, stream: BinaryIO) -> None:
        self._blocks = _plain(_blocks(stream))
        self._rest = b""
        self._held = b""

    def chunk(self) -> bytes:
        """Return some whole lines, empty at the end. Raises StreamError or OSError."""
        if self._held:
            held, self._held = self._held, b""
            return held
        for block in self._blocks:
            cut = block.rfind(b"\n") + 1
            if cut:
                chunk, self._rest = self._rest + block[:cut], block[cut:]
                return chunk
            self._rest += block
            if len(self._rest) > LONGEST_LINE:
                raise StreamError(f"a line of more than {LONGEST_LINE} bytes; this is no CSV of samples")
        chunk, self._rest = self._rest, b""
        return chunk + b"\n" if chunk else b""

    def line(self) -> bytes:
        """Return one line, empty at the end. Raises StreamError or OSError."""
        chunk = self.chunk()
        cut = chunk.find(b"\n") + 1
        self._held = chunk[cut:]
        return chunk[:cut]


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        yield block


def _plain(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack what begins like gzip, whatever its name; leave out the mark some programs put before UTF-8."""
    first = next(blocks, b"")
    while len(first) < len(_BOM) and (more := next(blocks, b"")):
        first += more  # a pipe may give a byte at a time
    blocks = chain([first], blocks)
    plain = _unpacked(blocks) if first.startswith(_GZIP) else blocks
    yield next(plain, b"").removeprefix(_BOM)
    yield from plain


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, of one member or, as ``cat a.gz b.gz`` makes it, several."""
    unpack = zlib.decompressobj(wbits=31)
    for block in blocks:
        data = block
        while data:
            if unpack.eof:
                data = data.lstrip(b"\0")  # tape blocks are filled up so, and gzip(1) does not mind
                if not data:
                    break
                unpack = zlib.decompressobj(wbits=31)
            try:
                plain = unpack.decompress(data, BLOCK_BYTES)
            except zlib.error as error:
                raise StreamError(f"the compressed data are damaged ({error}); copy the file again") from None
            data = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            if plain:
                yield plain
    if not unpack.eof:
        raise StreamError("the compressed data end too early; copy the file again, or let its writer finish")
