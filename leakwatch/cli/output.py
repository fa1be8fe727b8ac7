"""Where a command writes what it was asked for: standard output or a file, packed by gzip where its name says so."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, TextIO

STDOUT = "-"


@contextlib.contextmanager
def written(path: str, *, binary: bool, force: bool) -> Iterator[tuple[TextIO, BinaryIO]]:
    """Yield a text stream and the binary one below it; the file is complete when it ends without an error.

    Text is UTF-8 with the bytes of names that are none as they were. Raises OutputExistsError where the file is there
    already and ``force`` is not given, UsageError for binary data on a terminal, StoreWriteError.
    """
    import gzip
    import io
    import sys

    from leakwatch.errors import OutputExistsError, StoreWriteError, UsageError

    if path == STDOUT:
        if binary and sys.stdout.isatty():
            raise UsageError("this format is not for a terminal; give a file with -o FILE")
        raw: BinaryIO = sys.stdout.buffer
    else:
        try:
            raw = open(path, "wb" if force else "xb")  # noqa: PTH123, SIM115 - closed below, or by the process
        except FileExistsError:
            raise OutputExistsError(f"{path} is there already; give another name, or --force to replace it") from None
        except OSError as error:
            raise StoreWriteError(f"{path} cannot be written: {error.strerror}") from None
    packed = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if path.endswith(".gz") and not binary else raw
    text = io.TextIOWrapper(packed, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        yield text, raw
        text.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StoreWriteError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            text.detach()  # else it would close standard output with itself
        if path != STDOUT:
            if packed is not raw:
                packed.close()
            raw.close()
