"""Work done in a child that ends, so that what it loads and fragments does not stay in the daemon.

The child gets a pickled value on its standard input and writes pickled values to its standard output. These are our own
child's bytes, over pipes that nobody else holds: pickle is safe here and only here. What it logs, we log.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leakwatch.errors import LeakwatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Given = TypeVar("Given")
Told = TypeVar("Told")
_LOGGED = "\x1e"
"""Begins a line of standard error that is for the log: the level, a space, the message."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy starts a thread a core otherwise, each with a buffer, for sums of twelve numbers."""

log = logging.getLogger(__name__)


class ChildError(LeakwatchError):
    """The child did not do its work."""


class Child(Generic[Given, Told]):
    """A child that does ``work``, a function of a module of ours, on ``given``; started at once.

    Where none can be started (a limit of processes, no right to run Python), the work is done here all the same.
    """

    def __init__(self, work: Callable[[Given], Iterator[Told]], given: Given, timeout_s: float) -> None:
        self._work, self._given, self._timeout_s = work, given, timeout_s
        # The child imports what we import, and nothing from the directory root happens to be in.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from leakwatch.child import answer; "
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
            log.warning("a child cannot be started (%s): its work takes up to 30 MB here", error.strerror)

    def stop(self) -> None:
        """End it, and return when it has; whoever waits for it gets a ChildError."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def values(self) -> Iterator[Told]:
        """Yield what the work yields, as it comes. Raises its LeakwatchError, or ChildError if it died of another."""
        if self._process is None:
            yield from self._work(self._given)
        else:
            yield from self._told(self._process)

    def _told(self, process: subprocess.Popen[bytes]) -> Iterator[Told]:
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(self._timeout_s, process.kill)
        late.daemon = True
        late.start()
        said: list[str] = []
        hearing = threading.Thread(target=_hear, args=(process.stderr, said), daemon=True)
        hearing.start()
        try:
            with suppress(BrokenPipeError), process.stdin:
                pickle.dump(self._given, process.stdin)
            while (value := _next(process.stdout)) is not _END:
                if isinstance(value, LeakwatchError):
                    raise value
                yield value
        finally:
            process.stdout.close()  # who is not listened to any longer ends at his next word
            process.wait()
            late.cancel()
            hearing.join()
        if process.returncode < 0:
            raise ChildError(f"its process was ended by signal {-process.returncode}")
        if process.returncode:
            raise ChildError(said[-1] if said else f"its process ended with {process.returncode}")


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


_END = object()


def _next(stream: Any) -> Any:
    try:
        return pickle.load(stream)  # noqa: S301 - see above
    except (EOFError, pickle.UnpicklingError):  # it has ended, and its exit code tells how
        return _END


def _hear(stream: Any, said: list[str]) -> None:
    with stream:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            level, _, message = line.removeprefix(_LOGGED).partition(" ")
            if line.startswith(_LOGGED) and level.isdecimal():
                log.log(int(level), "%s", message)
            elif line:
                said.append(line)


def answer(work: Callable[[Any], Iterator[object]]) -> int:
    """Be the child: do ``work`` on what was given and write what it yields; return the exit code."""
    logging.basicConfig(level=logging.INFO, format=f"{_LOGGED}%(levelno)d %(message)s")
    given = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent
    out = sys.stdout.buffer
    try:
        for value in work(given):
            pickle.dump(value, out)
            out.flush()
    except LeakwatchError as error:
        pickle.dump(error, out)
    except BrokenPipeError:
        return 1  # nobody listens any longer
    return 0
