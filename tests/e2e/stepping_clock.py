"""Run as ``stepping_clock.py OFFSET_FILE ARGUMENT...``: leakwatch with a wall clock that is off by what the file says.

The file holds seconds and may change at any time; the monotonic clocks go on, as when somebody sets the clock.
"""

from __future__ import annotations

import datetime as dt
import importlib
import sys
import time
from pathlib import Path

LOOKED_AT_EVERY_S = 0.1


def step_with(file: Path) -> None:
    """Have everything in this process that asks for the time of day, APScheduler too, see the offset."""
    real_ns, seen = time.time_ns, [0.0, 0]

    def offset_ns() -> int:
        if time.monotonic() - seen[0] > LOOKED_AT_EVERY_S:
            seen[:] = [time.monotonic(), round(float(file.read_text()) * 1e9)]
        return int(seen[1])

    class Stepping(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return dt.datetime.fromtimestamp(time.time(), tz)

    time.time_ns = lambda: real_ns() + offset_ns()
    time.time = lambda: time.time_ns() / 1e9
    for name in ("executors.base", "schedulers.base", "triggers.date", "triggers.interval"):
        module = importlib.import_module(f"apscheduler.{name}")
        assert module.datetime is dt.datetime
        module.datetime = Stepping


if __name__ == "__main__":
    step_with(Path(sys.argv[1]))
    sys.argv = ["leakwatch", *sys.argv[2:]]
    from leakwatch.cli.main import main

    sys.exit(main())
