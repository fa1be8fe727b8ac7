"""Schema and migrations agree; a store is brought to the newest schema whole, or is left as it was."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import leakwatch
from leakwatch.analysis.tracking.alarm_state import Alarm, AlarmState, from_values, to_values
from leakwatch.errors import StoreCorruptError, StoreTooNewError, StoreWriteError
from leakwatch.model.verdict import Assessment, Criterion, Finding, FindingKind, Verdict
from leakwatch.store import tables
from leakwatch.store.files import engine
from leakwatch.store.files.open import open_writer
from leakwatch.store.files.revision import REVISION
from leakwatch.store.maintenance import migrate
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import BASE_MS, USS, all_blocks, all_samples, block, change, process, rows, scrape

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(leakwatch.__file__).parent.parent
COUNTS = "SELECT (SELECT sum(n) FROM sample_round), (SELECT sum(n) FROM block_round), (SELECT count(*) FROM process)"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def populate(store: Path) -> None:
    writer = Writer(store)
    for number in range(20):
        writer.write_scrape(scrape(number), [block(1, BASE_MS + number * 300_000)])
    writer.close()


def test_the_program_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts_directory()))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_the_migrations_make_what_the_schema_says(store: Path) -> None:
    connection = engine.connect_writer(store)
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    difference = compare_metadata(context, tables.metadata)
    engine.disconnect(connection)
    assert difference == []
    # AND in what Alembic does not compare: which tables lie in the order of their key
    made = dict(rows(store, "SELECT name, sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE type = 'table'"))
    wanted = {t.name: not t.dialect_options["sqlite"]["with_rowid"] for t in tables.metadata.sorted_tables}
    assert {name: bool(made[name]) for name in wanted} == wanted
    primary = {t.name: [c.name for c in t.primary_key] for t in tables.metadata.sorted_tables}
    for name, columns in primary.items():
        info = rows(store, f"SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk")
        assert [row[0] for row in info] == columns


@pytest.mark.parametrize("content", [None, b""])
def test_a_new_or_empty_file_becomes_a_store(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "new.db"
    if content is not None:
        path.write_bytes(content)
    migrate.ensure_schema(path)
    assert rows(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]  # 2 is INCREMENTAL
    assert rows(path, "SELECT count(*) FROM scrape") == [(0,)]


def test_a_store_of_this_revision_is_left_as_it_is(store: Path) -> None:
    populate(store)
    before = digest(store)
    migrate.ensure_schema(store)
    assert digest(store) == before
    assert [p.name for p in store.parent.iterdir()] == [store.name]


def scripts_with(directory: Path, *upgrades: str) -> Path:
    """Return a directory of migrations with more of them, of these bodies, behind ours: 9001, 9002..."""
    original = migrate.scripts_directory()
    versions = directory / "versions"
    versions.mkdir(parents=True)
    (directory / "env.py").write_text((original / "env.py").read_text())
    for script in (original / "versions").glob("*.py"):
        (versions / script.name).write_text(script.read_text())
    before = REVISION
    for number, upgrade in enumerate(upgrades, start=9001):
        body = textwrap.indent(textwrap.dedent(upgrade), "    ")
        (versions / f"{number}_test.py").write_text(
            f'import sqlalchemy as sa\nfrom alembic import op\nrevision = "{number}"\ndown_revision = "{before}"\n'
            f"def upgrade():\n{body}\n"
        )
        before = str(number)
    return directory


REBUILD_PARENT = """
    with op.batch_alter_table("scrape", recreate="always") as batch:
        batch.add_column(sa.Column("unit", sa.Text))
"""


def with_cascade(store: Path) -> None:
    """Let samples hang on their scrape, as a later schema might."""
    change(
        store,
        "ALTER TABLE sample_round RENAME TO old",
        "CREATE TABLE sample_round(scrape_id INTEGER PRIMARY KEY REFERENCES scrape(id) ON DELETE CASCADE,"
        " n INTEGER, payload BLOB)",
        "INSERT INTO sample_round SELECT * FROM old",
        "DROP TABLE old",
    )


def test_a_populated_store_is_migrated_without_losing_a_sample(store: Path, tmp_path: Path) -> None:
    # GIVEN a store with samples, and a migration that drops and makes again the table they refer to
    populate(store)
    with_cascade(store)
    before = all_samples(store), all_blocks(store), rows(store, "SELECT * FROM scrape")
    # WHEN it is run
    migrate.upgrade(store, scripts=scripts_with(tmp_path / "scripts", REBUILD_PARENT))
    # THEN the table has changed and every row is there
    assert rows(store, "SELECT version_num FROM alembic_version") == [("9001",)]
    after = rows(store, "SELECT * FROM scrape")
    assert [row[:-1] for row in after] == before[2]
    change(store, f"UPDATE alembic_version SET version_num = '{REVISION}'")
    assert all_samples(store) == before[0] != []
    assert all_blocks(store) == before[1] != []
    assert rows(store, "PRAGMA foreign_key_check") == []


def test_with_foreign_keys_the_same_migration_would_lose_them(store: Path, tmp_path: Path) -> None:
    # The counter-proof: this is what env.py guards against.
    populate(store)
    with_cascade(store)
    scripts = scripts_with(tmp_path / "scripts", REBUILD_PARENT)
    env = scripts / "env.py"
    env.write_text(env.read_text().replace("foreign_keys=OFF", "foreign_keys=ON"))
    migrate.upgrade(store, scripts=scripts)
    assert rows(store, "SELECT count(*) FROM sample_round") == [(0,)]


def test_a_failed_migration_leaves_the_store_as_it_was(store: Path, tmp_path: Path) -> None:
    # GIVEN two migrations, of which the second fails after it changed tables and data
    populate(store)
    dump = rows(store, "SELECT sql FROM sqlite_master"), rows(store, COUNTS)
    broken = """
    op.create_table("extra", sa.Column("id", sa.Integer))
    op.execute("DELETE FROM sample_round")
    op.execute("INSERT INTO no_such_table VALUES (1)")
    """
    # WHEN it is run
    with pytest.raises(StoreWriteError, match="no_such_table"):
        migrate.upgrade(store, scripts=scripts_with(tmp_path / "scripts", REBUILD_PARENT, broken))
    # THEN nothing of it has happened, and the daemon's writer works
    assert (rows(store, "SELECT sql FROM sqlite_master"), rows(store, COUNTS)) == dump
    writer = open_writer(store, BASE_MS)
    writer.write_scrape(scrape(100))
    writer.close()


def test_the_child_s_failure_is_one_line(tmp_path: Path) -> None:
    # GIVEN a file that cannot be made
    path = tmp_path / "missing" / "leakwatch.db"
    with pytest.raises(StoreWriteError) as raised:
        migrate.ensure_schema(path)
    message = str(raised.value)
    assert "\n" not in message
    assert "cannot be created" in message


def test_the_child_does_not_import_from_where_root_happens_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leakwatch").mkdir()
    (tmp_path / "leakwatch" / "__init__.py").write_text("raise SystemExit('taken over')")
    (tmp_path / "alembic.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    migrate.ensure_schema(tmp_path / "leakwatch.db")
    assert rows(tmp_path / "leakwatch.db", "SELECT version_num FROM alembic_version") == [(REVISION,)]


@pytest.mark.live
def test_alembic_by_hand_makes_the_same_store(tmp_path: Path) -> None:
    # GIVEN a checkout, WHEN a developer runs what the documentation says
    path = tmp_path / "by_hand.db"
    for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"], ["upgrade", "head"]):
        argv = [sys.executable, "-m", "alembic", "-x", f"url=sqlite:///{path}", *arguments]
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    # THEN the daemon takes it as it is
    writer = open_writer(path, BASE_MS)
    writer.write_scrape(scrape(1))
    writer.close()
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]


def newer(path: Path) -> None:
    populate(path)
    change(path, "UPDATE alembic_version SET version_num = '9999'")


def foreign_tables(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE notes(x)", "INSERT INTO notes VALUES (1)")


def foreign_alembic(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE alembic_version(version_num)", "INSERT INTO alembic_version VALUES ('0001')",
           "CREATE TABLE notes(x)")  # fmt: skip


def foreign_hash(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = 'ae1027a6acf'")


def two_revisions(path: Path) -> None:
    change(path, "INSERT INTO alembic_version VALUES ('0001')")


def null_revision(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE alembic_version(version_num)", "INSERT INTO alembic_version VALUES (NULL)",
           "CREATE TABLE scrape(x)")  # fmt: skip


def odd_version_table(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE alembic_version(y)")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (newer, "newer leakwatch"),
        (foreign_tables, "another program"),
        (foreign_alembic, "another program"),
        (foreign_hash, "another program"),
        (two_revisions, "another program"),
        (null_revision, "another program"),
        (odd_version_table, "another program"),
    ],
)
def test_what_is_not_ours_to_change_is_refused_and_untouched(
    store: Path, make: Callable[[Path], None], words: str
) -> None:
    # GIVEN a database that is newer than the program, or somebody else's
    make(store)
    before = digest(store)
    # WHEN a daemon opens it to write
    with pytest.raises(StoreTooNewError, match=words) as raised:
        open_writer(store, BASE_MS)
    # THEN it is told so, and not a byte has changed, nor is anything set aside
    assert raised.value.exit_code == 65
    assert digest(store) == before
    assert [p.name for p in store.parent.iterdir()] == [store.name]


def test_a_reader_does_not_read_another_schema(store: Path) -> None:
    populate(store)
    for number, words in (("9999", "newer leakwatch"), ("0000", "older schema")):
        change(store, f"UPDATE alembic_version SET version_num = '{number}'")
        with pytest.raises((StoreTooNewError, StoreCorruptError), match=words) as raised:
            Reader(store)
        assert raised.value.exit_code == 65


def test_every_migration_taken_back_is_an_empty_store(store: Path) -> None:
    change(
        store, *[f"DROP TABLE {table.name}" for table in tables.metadata.sorted_tables], "DELETE FROM alembic_version"
    )
    writer = open_writer(store, BASE_MS)
    writer.write_scrape(scrape(1))
    writer.close()
    reader = Reader(store)
    assert reader.samples(USS, process(1).identity.target)
    reader.close()


def test_findings_and_alarms_of_schema_0004_go_by_the_ids_of_rules(store: Path) -> None:
    # GIVEN a store as the version before wrote it
    evidence = (Criterion("not_a_step", 0.2, 0.55, True, "ratio", 3600),)
    found = Finding("p0", FindingKind.PROCESS, "shop", "process.uss_swap_bytes", Assessment(Verdict.LEAK, 7, evidence))
    held = AlarmState(alarm=Alarm(1.0, 2.0, 3.0, 0.1, 6.0, 21600.0, BASE_MS, "fresh_data"))
    writer = Writer(store)
    writer.write_scrape(scrape(1))
    key = (USS, process(1).identity.target)
    writer.write_evaluation([(found, None)], {key: json.dumps(to_values(held), separators=(",", ":"))}, {}, BASE_MS)
    writer.close()
    before = "'not_a_step', 'not one step'", "'\"fresh_data\"', '\"fresh data\"'"
    change(
        store,
        f"UPDATE finding SET payload = replace(payload, {before[0]})",
        f"UPDATE suspicion SET payload = replace(payload, {before[1]})",
        "UPDATE alembic_version SET version_num = '0004'",
    )
    # WHEN this version opens it
    open_writer(store, BASE_MS).close()
    # THEN both are what this version would have written
    reader = Reader(store)
    assert [one.finding for one in reader.findings()] == [found]
    assert [from_values(json.loads(text)) for text in reader.suspicions().values()] == [held]
    reader.close()
