"""Where a command writes: everything it says passes ``emit`` or ``remark``, every file it makes ``written``.

The gate for text is here: nothing but line ends, and our own colours on a terminal, acts on whatever shows it. Names
must have passed ``escape.printable`` before: a line end within one cannot be told from ours.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from leakwatch.errors import OutputWriteError, UsageError
from leakwatch.report.renderers import Renderer
from leakwatch.text import outfile
from leakwatch.text.escape import message, printable, printable_lines

STDOUT = "-"


def prepare() -> None:
    """Let a standard stream that was closed fail when it is used, and no file of ours take its number.

    Standard output and input refuse every use then; messages for a closed standard error go nowhere.
    """
    for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):  # the first two the wrong way round
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # the lowest number that is free is this one
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
            setattr(sys, name, stream)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def emit(text: str, *, colour: bool = False, ends: bool = False) -> None:
    """Write lines to standard output. A reader that has closed it is no error: the rest goes nowhere.

    Where nobody reading ``ends`` the command, raises BrokenPipeError. Raises OutputWriteError where it cannot be
    written.
    """
    with contextlib.nullcontext() if ends else contextlib.suppress(BrokenPipeError), _standard_output():
        sys.stdout.write(printable_lines(text, colour=colour))
        sys.stdout.flush()


def show(renderer: Renderer, *values: object) -> None:
    """Write what a verb found in the format asked for, in colours where the format and the terminal have them."""
    colour = renderer.coloured and shows_colours()
    emit(renderer.render(*values, colour=colour) if renderer.coloured else renderer.render(*values), colour=colour)


def shows_colours() -> bool:
    """Return whether standard output is a terminal whose user wants colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def remark(line: str) -> None:
    """Write one line to standard error, safe to print and short; that it cannot be written is no error."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{message(line)}\n")
        sys.stderr.flush()


def complain(line: str) -> None:
    """Write one line about what went wrong."""
    remark(f"leakwatch: {line}")


def progress(text: str) -> None:
    """Show a line that the next one replaces, where a person watches."""
    if sys.stderr.isatty():
        with contextlib.suppress(OSError):
            sys.stderr.write(f"\r{printable(text)}\r")
            sys.stderr.flush()


@contextlib.contextmanager
def written(path: str, *, binary: bool, force: bool) -> Iterator[tuple[TextIO, BinaryIO]]:
    """Yield a text stream and the binary one below it; the file has its name when the block ends without an error.

    Packed by gzip where the name says so. Raises OutputExistsError where the file is there already and ``force`` is
    not given, UsageError for binary data on a terminal, OutputWriteError; BrokenPipeError where nobody reads any more.
    """
    with _raw(path, binary=binary, force=force) as raw:
        packed = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if path.endswith(".gz") and not binary else raw
        text = io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace", newline="")
        try:
            yield text, raw
            text.flush()
            if packed is not raw:
                packed.close()
        finally:
            with contextlib.suppress(OSError, ValueError):
                text.detach()  # else it would close standard output with itself
            if packed is not raw:
                with contextlib.suppress(OSError, ValueError):
                    packed.close()


@contextlib.contextmanager
def _raw(path: str, *, binary: bool, force: bool) -> Iterator[BinaryIO]:
    if path == STDOUT:
        if binary and sys.stdout.isatty():
            raise UsageError("this format is not for a terminal; give a file with -o FILE")
        with _standard_output():
            yield sys.stdout.buffer
            sys.stdout.flush()
    else:
        with outfile.file(Path(path), replace=force) as stream:
            yield stream


@contextlib.contextmanager
def _standard_output() -> Iterator[None]:
    """Turn errors of standard output into ours and let nothing be written to it any more, at exit neither."""
    try:
        yield
    except BrokenPipeError:
        _give_up()
        raise
    except OSError as error:
        _give_up()
        why = "it is closed" if error.errno == errno.EBADF else error.strerror or error
        raise OutputWriteError(f"standard output cannot be written: {why}") from None


def _give_up() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
