"""The statements that are texts fit the tables, and what they bind and return is what Core would."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from leakwatch.store import tables
from leakwatch.store.files.driver import PlainConnection, connect_to_write
from leakwatch.store.sql import daemon as texts

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {name: text for name, text in vars(texts).items() if name.isupper() and isinstance(text, str)}
ONE_OF = (texts.end_targets(3), texts.drop_findings(3))


@pytest.mark.parametrize("text", [*TEXTS.values(), *ONE_OF])
def test_sqlite_accepts_it(store: Path, text: str) -> None:
    driver = connect_to_write(store)
    names = dict.fromkeys(re.findall(r":(\w+)", text), 0)
    program = driver.execute(f"EXPLAIN {text}", names or [0] * text.count("?")).fetchall()
    driver.close()
    assert {"Init", "Halt"} <= {operation[1] for operation in program}


def test_an_insert_gives_every_column_that_may_not_be_null() -> None:
    inserts = [text for text in TEXTS.values() if text.startswith("INSERT")]
    assert len(inserts) == 13
    for text in inserts:
        found = re.match(r"INSERT INTO (\w+) \(([^)]*)\)", text)
        assert found is not None
        table, given = tables.metadata.tables[found[1]], set(found[2].split(", "))
        needed = {c.name for c in table.columns if not c.nullable and not (c.primary_key and c.name == "id")}
        assert needed <= given <= {c.name for c in table.columns}, text


def test_names_that_are_not_utf8_come_back_as_they_were(store: Path) -> None:
    connection = PlainConnection(connect_to_write(store))
    key = b"caf\xe9 \xf0\x9f\x90\xa7".decode("utf-8", "surrogateescape")
    row = {"id": 1, "kind": "slab", "start_ticks": None, "key": key, "first_ms": 0}
    connection.execute_many(texts.ADD_TARGET, [row])
    connection.commit()
    assert [found.key for found in connection.execute(texts.LIVING_TARGETS)] == [key]
    connection.roll_back()
    connection.driver.close()


def test_the_daemon_does_without_sqlalchemy_numpy_and_openssl() -> None:
    code = (
        "from leakwatch.cli.daemon import without_openssl; without_openssl()\n"
        "import sys, leakwatch.monitoring.daemon, leakwatch.system.journal, leakwatch.cli.daemon\n"
        "import apscheduler.schedulers.background, apscheduler.executors.pool\n"
        "heavy = {'sqlalchemy', 'alembic', 'numpy', 'scipy', '_ssl', '_hashlib'}\n"
        "print(sorted(heavy & {name for name, module in sys.modules.items() if module}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
