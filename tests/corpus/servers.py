"""Real servers under real load over loopback: redis, memcached, nginx and PostgreSQL, each in its own directory.

Each declares what its series are: `Known` says label and role; where a server itself can tell what it keeps (redis'
used_memory, PostgreSQL's memory contexts), the rate of a leak is what it told.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpus.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from tests.corpus.shapes import Levels


@dataclass(slots=True)
class Known:
    """``fills``: a climb to a plateau is this series' nature; ``told``: (second, bytes kept) as it reported."""

    label: str
    role: str
    fills: bool = False
    curved: bool = False
    told: list[tuple[int, int]] = field(default_factory=list)


def quiet(argv: list[str], directory: Path, user: str | None = None) -> subprocess.Popen:
    null = subprocess.DEVNULL
    return subprocess.Popen(argv, cwd=directory, user=user, stdin=null, stdout=null, stderr=null)


def connected(port: int) -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


@dataclass(slots=True)
class Redis:
    """``commands(second)`` is what is sent in that second, one command a tuple."""

    name: str
    options: list[str]
    commands: Callable[[int], list[tuple]]
    known: Known
    directory: Path
    restart_every: int = 0
    process: subprocess.Popen | None = None
    link: socket.socket | None = None
    series: dict[str, Known] = field(default_factory=dict)

    def start(self) -> None:
        port = free_port()
        argv = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", *self.options]
        self.process = quiet(argv, self.directory)
        self.link = connected(port)
        self.series[f"proc/{self.name}[{self.process.pid}]"] = Known(
            self.known.label, self.known.role, self.known.fills, self.known.curved
        )

    def tick(self, second: int) -> None:
        if self.restart_every and second and second % self.restart_every == 0:
            self.stop()
            self.start()
        told = list(self.series.values())[-1].told
        if second % 20 == 0:
            text = self.talk([("INFO", "memory")], 1)
            told.append((second, int(re.search(rb"used_memory:(\d+)", text)[1])))
        if batch := self.commands(second):
            self.talk(batch, len(batch))

    def talk(self, batch: list[tuple], replies: int) -> bytes:
        parts = []
        for command in batch:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
            parts.append(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        self.link.sendall(b"".join(parts))
        text = b""
        while text.count(b"\r\n") < replies or not text.endswith(b"\r\n"):
            text += self.link.recv(1 << 20)
        return text

    def pids(self) -> list[tuple[str, int]]:
        return [(list(self.series)[-1], self.process.pid)]

    def stop(self) -> None:
        self.link.close()
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Memcached:
    name: str
    megabytes: int
    sets: Callable[[int], list[tuple[str, int]]]
    known: Known
    directory: Path
    process: subprocess.Popen | None = None
    link: socket.socket | None = None
    series: dict[str, Known] = field(default_factory=dict)

    def start(self) -> None:
        port = free_port()
        argv = ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-m", str(self.megabytes), "-t", "2"]
        self.process = quiet(argv, self.directory)
        self.link = connected(port)
        self.series[f"proc/{self.name}[{self.process.pid}]"] = self.known

    def tick(self, second: int) -> None:
        sets = self.sets(second)
        for begin in range(0, len(sets), 50):
            part = sets[begin : begin + 50]
            self.link.sendall(b"".join(b"set %b 0 0 %d\r\n%b\r\n" % (k.encode(), n, b"v" * n) for k, n in part))
            text = b""
            while text.count(b"\r\n") < len(part):
                text += self.link.recv(65536)

    def pids(self) -> list[tuple[str, int]]:
        return [(next(iter(self.series)), self.process.pid)]

    def stop(self) -> None:
        self.link.close()
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Nginx:
    """A master and its workers serving files and proxying to themselves; ``reload_every`` replaces the workers."""

    name: str
    requests: Levels
    directory: Path
    reload_every: int = 0
    port: int = 0
    process: subprocess.Popen | None = None
    series: dict[str, Known] = field(default_factory=dict)

    def start(self) -> None:
        self.port = free_port()
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        (self.directory / "files").mkdir(exist_ok=True)
        for i in range(200):
            (self.directory / "files" / f"{i}.txt").write_bytes(b"x" * (500 * (i + 1)))
        self.directory.chmod(0o755)
        (self.directory / "nginx.conf").write_text(f"""
            daemon off; worker_processes 3; pid logs/pid; error_log logs/error; events {{ worker_connections 256; }}
            http {{ access_log off; gzip on; gzip_types *; open_file_cache max=150;
            client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
            proxy_cache_path cache keys_zone=keys:4m;
            server {{ listen 127.0.0.1:{self.port}; root files;
            location /cached/ {{ proxy_pass http://127.0.0.1:{self.port}/; proxy_cache keys; }} }} }}""")
        argv = ["nginx", "-p", str(self.directory), "-c", "nginx.conf", "-e", "logs/error"]
        self.process = quiet(argv, self.directory)
        connected(self.port).close()

    def tick(self, second: int) -> None:
        if self.reload_every and second and second % self.reload_every == 0:
            os.kill(self.process.pid, 1)
        for i in range(int(self.requests[second])):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
                prefix = "cached/" if i % 3 == 0 else ""
                path = f"/{prefix}{(7 * second + i) % 200}.txt?{i % 60}"
                request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
                link.sendall(request.encode())
                while link.recv(1 << 16):
                    pass

    def pids(self) -> list[tuple[str, int]]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [(f"proc/{self.name}[{pid}]", pid) for pid in (self.process.pid, *map(int, children))]
        for series, _ in found:
            self.series.setdefault(series, Known("ok", "web_server"))
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@dataclass(slots=True)
class Session:
    """One client of PostgreSQL, thus one backend: ``statements(second)`` is what it runs in that second."""

    role: str
    statements: Callable[[int], str]
    known: Known
    psql: subprocess.Popen | None = None
    backend: int = 0


ROLE_OF_OTHERS = "database_server"
KEPT = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"


@dataclass(slots=True)
class Postgres:
    """A cluster of its own; its backends and helpers are all named ``postgres``, as siblings of one service."""

    name: str
    directory: Path
    sessions: list[Session]
    port: int = 0
    process: subprocess.Popen | None = None
    series: dict[str, Known] = field(default_factory=dict)

    def start(self) -> None:
        self.port = free_port()
        programs = Path(shutil.which("postgres")).resolve().parent
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.directory, "postgres", "postgres")
        data = self.directory / "data"
        null = subprocess.DEVNULL
        argv = [programs / "initdb", "-D", data, "-A", "trust", "--no-sync"]
        subprocess.run(argv, user="postgres", cwd="/", check=True, stdout=null, stderr=null)
        options = ["-c", "shared_buffers=24MB", "-c", "fsync=off", "-c", "work_mem=12MB", "-c", "listen_addresses="]
        options += ["-c", f"unix_socket_directories={self.directory}", "-c", f"port={self.port}"]
        self.process = quiet([str(programs / "postgres"), "-D", str(data), *options], self.directory, "postgres")
        time.sleep(3)
        prepare = "CREATE TABLE big AS SELECT i, md5(i::text) AS word FROM generate_series(1, 60000) AS i;" + "".join(
            f"CREATE TABLE part{i} (i int PRIMARY KEY, a text, b numeric, c timestamptz);" for i in range(400)
        )
        subprocess.run(self.client(), input=prepare, text=True, check=True, stdout=null)
        for session in self.sessions:
            self.connect(session)

    def client(self) -> list[str]:
        return ["psql", "-X", "-q", "-t", "-A", "-U", "postgres", "-h", str(self.directory), "-p", str(self.port)]

    def connect(self, session: Session) -> None:
        pipe = subprocess.PIPE
        session.psql = subprocess.Popen(
            self.client(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        session.backend = int(self.ask(session, "SELECT pg_backend_pid()"))
        self.series[f"proc/{self.name}[{session.backend}]"] = session.known

    def ask(self, session: Session, question: str) -> str:
        session.psql.stdin.write(question + ";\n")
        session.psql.stdin.flush()
        return session.psql.stdout.readline().strip()

    def tick(self, second: int) -> None:
        """Whatever the statements print goes to nowhere: only the answer to a question is printed."""
        for session in self.sessions:
            if session.known.label == "leak" and second % 30 == 0:
                session.known.told.append((second, int(self.ask(session, KEPT))))
            if text := session.statements(second):
                session.psql.stdin.write(f"\\o /dev/null\n{text}\n\\o\n")
                session.psql.stdin.flush()

    def pids(self) -> list[tuple[str, int]]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        found = [(f"proc/{self.name}[{pid}]", int(pid)) for pid in (str(self.process.pid), *children)]
        for series, _ in found:
            self.series.setdefault(series, Known("ok", ROLE_OF_OTHERS, fills=True))
        return found

    def stop(self) -> None:
        for session in self.sessions:
            session.psql.kill()
            session.psql.wait()
        self.process.send_signal(3)
        self.process.wait()


def prepared_statements(per_second: float) -> Callable[[int], str]:
    """A client that prepares ever new statements and deallocates none: its backend keeps every plan."""

    def statements(second: int) -> str:
        numbers = range(int(per_second * second), int(per_second * (second + 1)))
        return "".join(
            f"PREPARE s{i} AS SELECT a, b FROM part{i % 30} WHERE i = $1 AND a <> 'v{i}' ORDER BY c; EXECUTE s{i}(1);"
            for i in numbers
        )

    return statements


def temporary_tables(per_second: float) -> Callable[[int], str]:
    """A client that makes ever new temporary tables and drops none."""

    def statements(second: int) -> str:
        numbers = range(int(per_second * second), int(per_second * (second + 1)))
        return "".join(f"CREATE TEMP TABLE t{i} (a int, b text); SELECT * FROM t{i};" for i in numbers)

    return statements


def ever_more_tables(per_second: float) -> Callable[[int], str]:
    """Reads the 400 tables again and again: the backend's caches fill and are then full."""

    def statements(second: int) -> str:
        numbers = range(int(per_second * second), int(per_second * (second + 1)))
        return "".join(f"SELECT count(*) FROM part{i % 400} WHERE a > 'x{i}';" for i in numbers)

    return statements


def sorts(load: Levels, scale: int) -> Callable[[int], str]:
    def statements(second: int) -> str:
        rows = int(load[second] * scale)
        return f"SELECT word FROM big WHERE i < {rows} ORDER BY word DESC LIMIT 5;" if rows and second % 3 == 0 else ""

    return statements


def writes(load: Levels) -> Callable[[int], str]:
    def statements(second: int) -> str:
        i = second % 400
        return f"INSERT INTO part{i} SELECT k, md5(k::text), k, now() FROM generate_series({second}000, {second}000 + {int(load[second])}) AS k ON CONFLICT DO NOTHING; UPDATE big SET word = md5(word) WHERE i % 500 = {second % 500};"  # noqa: E501

    return statements


def random_keys(
    rng: np.random.Generator, keys: int, count: Levels, low: int, high: int
) -> Callable[[int], list[tuple]]:
    """Values of random size under ``keys`` names that come again (0: ever new ones)."""
    names = [0]

    def commands(second: int) -> list[tuple]:
        batch = []
        for size in rng.integers(low, high, int(count[second] + rng.random())):
            names[0] += 1
            number = rng.integers(keys) if keys else names[0]
            batch.append(("SET", f"key:{number}", b"v" * int(size)))
        return batch

    return commands
