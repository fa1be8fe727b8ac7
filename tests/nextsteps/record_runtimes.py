"""Records what tells the runtime of a running process: python -m tests.nextsteps.record_runtimes NAME PID.

Kept are maps, cmdline and status, and the links exe and cwd as ``exe.link`` and ``cwd.link``; no environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded"


def record(name: str, pid: int) -> None:
    """Write the tree."""
    into = RECORDED / name / str(pid)
    into.mkdir(parents=True)
    for file in ("maps", "cmdline", "status", "stat"):
        (into / file).write_bytes(Path(f"/proc/{pid}/{file}").read_bytes())
    for link in ("exe", "cwd"):
        (into / f"{link}.link").write_text(str(Path(f"/proc/{pid}/{link}").readlink()))


if __name__ == "__main__":
    record(sys.argv[1], int(sys.argv[2]))
