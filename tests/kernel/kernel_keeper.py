"""Makes kernel objects of one kind as they are asked for, and keeps them: ``KIND DIRECTORY``, then a number a line."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "corpus"))

from kernel_objects import CLONE_NEWIPC, LIBC, checked, kinds

if __name__ == "__main__":
    checked(LIBC.unshare(CLONE_NEWIPC))  # messages would outlive us
    kind, directory = kinds()[sys.argv[1]], Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    kept = []
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(abs(int(line))):
            if int(line) > 0:
                kept.append(kind.make(directory))
            elif kept:
                kind.drop(kept.pop())
        print("done", flush=True)
