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


JAVA = """\
import java.util.*;
public class Leaker {
  static final List<Object> kept = new ArrayList<>();
  static void leak(String kind, int kib) throws Exception {
    for (int done = 0; done < kib; done += 64) {
      if (kind.equals("objects")) kept.add(new byte[64 * 1024]);
      else if (kind.equals("direct")) kept.add(java.nio.ByteBuffer.allocateDirect(64 * 1024));
      else {
        Thread thread = new Thread(() -> { try { Thread.sleep(600_000); } catch (InterruptedException e) { } });
        thread.setDaemon(true);
        thread.start();
      }
    }
  }
  public static void main(String[] arguments) throws Exception {
    leak(arguments[0], 64);
    System.out.println("ready");
    Scanner input = new Scanner(System.in);
    while (input.hasNextInt()) { leak(arguments[0], input.nextInt()); System.out.println("done"); }
  }
}
"""
NODE = """\
const kept = [];
function leak(kib) {
  for (let done = 0; done < kib; done += 64)
    kept.push(process.argv[2] === "objects" ? new Array(8192).fill(1.5) : Buffer.alloc(65536, 1));
}
leak(64);
console.log("ready");
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  leak(Number(line));
  console.log("done");
});
"""


def java_leaker(kind: str, directory: Path) -> Obedient:
    """Return a Java program that keeps objects, direct buffers or threads; skips where there is no JDK."""
    java, compiler = shutil.which("java"), shutil.which("javac")
    if java is None or compiler is None:
        pytest.skip("no JDK is installed")
    source = directory / "Leaker.java"
    source.write_text(JAVA)
    subprocess.run([compiler, "-d", directory, source], check=True)
    return Obedient([java, "-Xmx256m", "-cp", str(directory), "Leaker", kind], directory)


def node_leaker(kind: str, directory: Path) -> Obedient:
    """Return a Node program that keeps objects or buffers; skips where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = directory / "leaker.js"
    program.write_text(NODE)
    return Obedient([node, str(program), kind], directory)
