"""Programs that grow one class of their mappings, in C and in Python, and do it when they are told to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = """\
import sys
kept = []
def leak(kib):
    {body}
leak(64)
print("ready", flush=True)
for line in sys.stdin:
    leak(int(line))
    print("done", flush=True)
"""
PYTHON_BODIES = {
    "small objects": "kept.extend([bytes(400) for _ in range(kib * 1024 // 432)])",
    "buffers": "kept.extend([bytearray(b'x') * 2000 for _ in range(kib * 1024 // 2000)])",
    "large buffers": "kept.extend([bytearray(b'x') * (1 << 20) for _ in range(kib // 1024)])",
}


def compiled(directory: Path, name: str = "class_leaker") -> Path:
    """Return the C leaker, compiled under a name; skips where there is no gcc."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    program = directory / name
    # Unoptimised: a compiler may leave out memory that nobody reads.
    subprocess.run([compiler, "-O0", "-pthread", "-o", program, HERE / "class_leaker.c"], check=True)
    return program


class Obedient:
    """A child that leaks what it is told to."""

    def __init__(self, argv: list[str], directory: Path) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, bufsize=0)
        self.pid = self.process.pid
        answer = self._answer()
        if answer != "ready":
            self.end()
            pytest.skip(f"this kernel does not do it: {answer}")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def leak(self, kib: int) -> None:
        """Have it leak so much; returns when that is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"%d\n" % kib)
        assert self._answer() == "done"

    def end(self) -> None:
        """End it, and collect it."""
        with self.process:
            self.process.kill()


def python_leaker(body: str, directory: Path) -> Obedient:
    """Return a Python program that leaks in one way."""
    return Obedient([sys.executable, "-I", "-S", "-c", PYTHON.format(body=PYTHON_BODIES[body])], directory)
