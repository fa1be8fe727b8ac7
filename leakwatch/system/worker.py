"""Work done in a child that ends, so that what it loads and fragments does not stay in the daemon.

The child gets a pickled value on its standard input and writes pickled values to its standard output. These are our own
child's bytes, over pipes that nobody else holds: pickle is safe here and only here. What it logs, we log.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, Generic, TypeVar

from leakwatch.errors import EXIT_NO_RESOURCES, LeakwatchError

Given = TypeVar("Given")
Told = TypeVar("Told")
_LOGGED = "\x1e"
"""Begins a line of standard error that is for the log: the level, a space, the message."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy starts a thread a core otherwise, each with a buffer, for sums of twelve numbers."""

READ_AT_ONCE = 1 << 20
_LENGTH = struct.Struct(">Q")
"""Before each value that the child writes: how many bytes it is."""

log = logging.getLogger(__name__)


class ChildError(LeakwatchError):
    """The child did not do its work."""


class Child(Generic[Given, Told]):
    """A child that does ``work``, a function of a module of ours, on ``given``; started at once.

    Where none can be started (a limit of processes, no right to run Python), the work is done here all the same. Raises
    ChildError where memory does not suffice.
    """

    def __init__(self, work: Callable[[Given], Iterator[Told]], given: Given, timeout_s: float) -> None:
        self._work, self._given, self._timeout_s = work, given, timeout_s
        # The child imports what we import, and nothing from the directory root happens to be in.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from leakwatch.system.worker import answer; "
            f"from {work.__module__} import {work.__name__}; sys.exit(answer({work.__name__}))"
        )
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **ONE_THREAD},
                start_new_session=True,  # a Ctrl-C at the terminal is the daemon's, which ends in order
            )
        except OSError as error:
            if error.errno == errno.ENOMEM:  # nor is there any for the work here
                raise ChildError("there is too little memory to start a process for it") from error
            log.warning("a child cannot be started (%s): its work takes up to 30 MB here", error.strerror)

    def stop(self) -> None:
        """End it, and return when it has; whoever waits for it gets a ChildError."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def values(self) -> Iterator[Told]:
        """Yield what the work yields, as it comes. Raises its LeakwatchError, or ChildError if it died of another."""
        if self._process is None:
            os.environ.update(ONE_THREAD)
            yield from self._work(self._given)
        else:
            yield from self._told(self._process)

    def _told(self, process: subprocess.Popen[bytes]) -> Iterator[Told]:
        talk = _Talk(process, self._given, self._timeout_s)
        try:
            for value in talk.values():
                if isinstance(value, LeakwatchError):
                    raise value
                yield value
        finally:
            talk.end()
        if talk.is_late:
            raise ChildError(f"it was not done within {self._timeout_s:g} s and was ended by signal {signal.SIGKILL}")
        if process.returncode < 0:
            short = ", as the kernel does where memory is short" if process.returncode == -signal.SIGKILL else ""
            raise ChildError(f"its process was ended by signal {-process.returncode}{short}")
        if process.returncode:
            raise ChildError(talk.said[-1] if talk.said else f"its process ended with {process.returncode}")


class OneChild(Generic[Given, Told]):
    """Has some work done in children, one at a time, and can be told to end the one there is and let no other work."""

    def __init__(self, work: Callable[[Given], Iterator[Told]], timeout_s: float) -> None:
        self._work, self._timeout_s = work, timeout_s
        self._child: Child[Given, Told] | None = None
        self._ended = False

    def __call__(self, given: Given) -> Iterator[Told]:
        """Do what the work does. Raises its errors and ChildError."""
        child = self._child = Child(self._work, given, self._timeout_s)
        try:
            if self._ended:  # told so just before there was a child to end
                child.stop()
            yield from child.values()
        finally:
            self._child = None

    @property
    def is_ended(self) -> bool:
        """Whether it was told to end."""
        return self._ended

    def end(self) -> None:
        """End the child there may be, and return when it has; may be called from another thread."""
        self._ended = True
        child = self._child
        if child is not None:
            child.stop()


class _Talk:
    """Gives a child its value and hears both of its outputs, in the caller's thread: another could not be had."""

    def __init__(self, process: subprocess.Popen[bytes], given: object, timeout_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._given = memoryview(pickle.dumps(given))
        self._until_s = time.monotonic() + timeout_s
        self._files: dict[int, IO[bytes]] = {f.fileno(): f for f in (process.stdin, process.stdout, process.stderr)}
        self._input, self._output, self._errors = self._files
        self._poll = select.poll()
        for number in self._files:
            os.set_blocking(number, False)
            self._poll.register(number, select.POLLOUT if number == self._input else select.POLLIN)
        self._heard = {self._output: bytearray(), self._errors: bytearray()}
        self.said: list[str] = []
        """Lines of its standard error that are not for the log."""
        self.is_late = False

    def values(self) -> Iterator[Any]:
        """Yield what the child writes, until it ends or its time is over."""
        while not self.is_late and (self._output in self._files or self._errors in self._files):
            self._exchange()
            yield from self._complete()

    def _exchange(self) -> None:
        """Wait for the child and give or take what it is ready for."""
        ready = self._poll.poll(max(0.0, self._until_s - time.monotonic()) * 1000)
        self.is_late = not ready
        for number, _ in ready:
            if number == self._input:
                self._give()
                continue
            part = os.read(number, READ_AT_ONCE)
            self._heard[number] += part
            if not part:
                self._close(number)
        self._log()

    def _give(self) -> None:
        with suppress(BrokenPipeError):
            self._given = self._given[os.write(self._input, self._given) :]
            if self._given:
                return
        self._close(self._input)

    def _complete(self) -> Iterator[Any]:
        """Yield the values that have come wholly."""
        heard = self._heard[self._output]
        while len(heard) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(heard)[0]
            if len(heard) < end:
                return
            value = pickle.loads(bytes(heard[_LENGTH.size : end]))  # noqa: S301 - see above
            del heard[:end]
            yield value

    def _log(self) -> None:
        *lines, rest = bytes(self._heard[self._errors]).split(b"\n")
        if self._errors not in self._files:
            lines, rest = [*lines, rest], b""
        self._heard[self._errors][:] = rest
        for raw in lines:
            line = raw.decode(errors="replace").rstrip()
            level, _, message = line.removeprefix(_LOGGED).partition(" ")
            if line.startswith(_LOGGED) and level.isdecimal():
                log.log(int(level), "%s", message)
            elif line:
                self.said.append(line)

    def _close(self, number: int) -> None:
        self._poll.unregister(number)
        with suppress(BrokenPipeError):
            self._files.pop(number).close()

    def end(self) -> None:
        """Close what is open and wait for the child, which is killed unless it has said all."""
        unheard = self._output in self._files or self._errors in self._files
        for number in list(self._files):
            self._close(number)
        try:
            if unheard:
                self._process.kill()
            self._process.wait(max(0.0, self._until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _OneLine(logging.Formatter):
    """A line end in a message, of a name in it say, begins no other message."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


def answer(work: Callable[[Any], Iterator[object]]) -> int:
    """Be the child: do ``work`` on what was given and write what it yields; return the exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine(f"{_LOGGED}%(levelno)d %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        given = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent
        for value in work(given):
            _tell(value)
    except LeakwatchError as error:
        _tell(error)
    except BrokenPipeError:
        return 1  # nobody listens any longer
    except MemoryError:
        print("it has too little memory", file=sys.stderr)
        return EXIT_NO_RESOURCES
    return 0


def _tell(value: object) -> None:
    told = pickle.dumps(value)
    out = sys.stdout.buffer
    out.write(_LENGTH.pack(len(told)))
    out.write(told)
    out.flush()
