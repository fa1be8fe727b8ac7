"""Real programs under a steady load that a leak detector must not call a leak."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from tests.e2e.e2e_tools import PATIENCE_S, Child, dying_with_us

if TYPE_CHECKING:
    from pathlib import Path

NODE_CHURN = """\
const held = [];
setInterval(() => {
  for (let i = 0; i < 2000; i++) held[i] = { text: 'x'.repeat(200 + i % 50), at: Date.now() };
}, 50);
console.log('ready');
"""
JAVA_CHURN = """\
public class Churn {
  public static void main(String[] args) throws Exception {
    byte[][] held = new byte[500][];
    for (int i = 0; i < 20000; i++) held[i % 500] = new byte[8192];
    System.out.println("ready");
    for (int i = 0; ; i++) {
      held[i % 500] = new byte[8192];
      if (i % 100 == 0) Thread.sleep(20);
    }
  }
}
"""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"there is no program {name}")
    return found


def start_redis(directory: Path) -> Child:
    """Start a server that listens on ``redis.socket`` in the directory and writes nothing to the disk."""
    path = directory / "redis.socket"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(directory)]
    child = Child(
        [*dying_with_us(), _program("redis-server"), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > until or child.process.poll() is not None:
            child.end()
            raise FileNotFoundError("redis-server does not start")
        time.sleep(0.1)
    return child


def start_node(directory: Path) -> Child:
    """Start a program that makes garbage all the time and keeps a bounded amount."""
    script = directory / "churn.js"
    script.write_text(NODE_CHURN)
    return _ready([_program("node"), "--max-old-space-size=64", str(script)], directory)


def start_java(directory: Path) -> Child:
    """Start the same in Java, in a heap of 64 MiB."""
    (directory / "Churn.java").write_text(JAVA_CHURN)
    argv = [_program("javac"), "-d", str(directory), str(directory / "Churn.java")]
    if subprocess.run(argv, capture_output=True, check=False, timeout=PATIENCE_S).returncode:
        raise FileNotFoundError("javac does not work")
    return _ready([_program("java"), "-Xmx64m", "-XX:+UseSerialGC", "-cp", str(directory), "Churn"], directory)


def _ready(argv: list[str], directory: Path) -> Child:
    child = Child([*dying_with_us(), *argv], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.process.stdout is not None
    if child.process.stdout.readline() != b"ready\n":
        child.end()
        raise FileNotFoundError(f"{argv[0]} does not start")
    return child
