"""Ends a command in order when it is told to by a signal: what it has begun is removed, then the signal has its way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""Those that would end the process at once. Python makes a KeyboardInterrupt of SIGINT itself."""


class _Told(BaseException):
    """Passes every ``finally`` on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP unwind what runs inside, then end the process as they would have.

    Not where they are ignored (nohup) or handled by others, nor outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _tell)
    try:
        yield
    except _Told as told:
        signal.signal(told.number, signal.SIG_DFL)
        os.kill(os.getpid(), told.number)
        raise SystemExit(128 + told.number) from None  # blocked: ended by it as soon as it can be
    finally:
        for number in ours:
            if signal.getsignal(number) in (_tell, signal.SIG_IGN):  # the daemon's own stay until the very end
                signal.signal(number, signal.SIG_DFL)


def _tell(number: int, _frame: object) -> NoReturn:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # an impatient second one must not end the tidying up
    raise _Told(number)
