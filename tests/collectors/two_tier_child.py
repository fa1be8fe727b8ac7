"""A process that does with its memory what it is told, line by line; it answers each line when that is done.

own N       private memory of N KiB more          shared N   shared anonymous memory of N KiB
drop        give the last area back               fork       a child that obeys the same lines, by "child ..."
write N     write the first N KiB of the first area   exec   become another program
Run by itself, with the standard library alone, so that it stays small.
"""

import mmap
import os
import sys

PAGE = 4096
areas: list = []


def touched(kib: int, flags: int) -> mmap.mmap:
    area = mmap.mmap(-1, kib * 1024, flags=flags)
    for at in range(0, len(area), PAGE):
        area[at] = 1
    return area


def obey(words: list) -> None:
    verb, *numbers = words
    if verb == "own":
        areas.append(touched(int(numbers[0]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    elif verb == "shared":
        areas.append(touched(int(numbers[0]), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
    elif verb == "drop":
        areas.pop().close()
    elif verb == "write":
        for at in range(0, int(numbers[0]) * 1024, PAGE):
            areas[0][at] = areas[0][at] % 250 + 1
    elif verb == "exec":
        os.execvp("sleep", ["sleep", "60"])


def fork() -> tuple:
    to_child, from_child = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(to_child[0], 0)
        os.dup2(from_child[1], 1)
        os.closerange(3, 1000)
        serve()
        os._exit(0)
    os.close(to_child[0])
    os.close(from_child[1])
    return pid, to_child[1], from_child[0]


def ask(child: tuple, line: bytes) -> None:
    os.write(child[1], line)
    os.read(child[2], 100)


def serve() -> None:
    children: list = []
    buffer = b""
    while data := os.read(0, 1000):
        buffer += data
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            words = line.decode().split()
            answer = 0
            if words[0] == "fork":
                children.append(fork())
                answer = children[-1][0]
            elif words[0] == "child":
                ask(children[int(words[1])], b" ".join(line.split(b" ")[2:]) + b"\n")
            elif words[0] == "kill":
                os.kill(children[int(words[1])][0], 9)
                os.waitpid(children[int(words[1])][0], 0)
            else:
                obey(words)
            os.write(1, b"%d\n" % answer)


if __name__ == "__main__":
    sys.stdout.flush()
    serve()
