"""``leakwatch db``: stats, check, backup, vacuum and export, beside a daemon that writes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sqlite3
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.cli.main import main
from leakwatch.model.identity import HOST
from leakwatch.model.sample import Sample
from leakwatch.store.files.driver import PAGE_BYTES
from leakwatch.store.files.lock import StoreLock
from leakwatch.store.maintenance import inventory, sealing
from leakwatch.store.maintenance.inventory import Inventory, PartKind
from leakwatch.store.maintenance.retention import RetentionLimits
from leakwatch.store.maintenance.sealing import merge, seal
from leakwatch.store.read.reader import Reader
from leakwatch.store.writer import Writer
from tests.store.storetools import (
    BASE_MS,
    MINUTE_MS,
    RSS,
    USS,
    Child,
    all_samples,
    block,
    change,
    overwrite,
    process,
    rows,
    scrape,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY_S = 86_400


@pytest.fixture
def config(store: Path, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(f'[store]\nurl = "sqlite:///{store}"\n')
    return path


@pytest.fixture
def sealed(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store with merged and small seals, and scrapes and blocks as they came."""
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "SEALED_STARTS", 8)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)
    writer = Writer(store)
    for number in range(75):
        made = scrape(number, range(1, 6))
        marked = tuple(replace(s, estimated=number % 3 > 0 and s.metric == USS) for s in made.samples)
        writer.write_scrape(replace(made, samples=marked), [block(pid, BASE_MS + number * 300_000) for pid in (1, 2)])
    seal(writer)
    merge(writer, 1 << 40)
    writer.close()
    return store


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


# Stats


def test_stats_tell_what_is_in_it(sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "db", "stats", "--config", config, "--format", "json")
    told = json.loads(out)
    assert (code, told["schema"]) == (0, 1)
    assert told["samples"]["count"] == 75 * 11
    assert told["blocks"]["count"] == 75 * 2
    assert (told["scrapes"], told["series"]) == (75, 11)
    assert told["samples"]["oldest"] == "2026-09-21T14:13:20Z"
    assert told["file_bytes"] == sealed.stat().st_size
    assert sum(part["bytes"] for part in told["parts"]) == told["used_bytes"]
    assert told["max_size_bytes"] == 1 << 30
    code, table, _ = run(capsys, "db", "stats", "--config", config)
    assert code == 0
    assert str(sealed) in table.splitlines()[0]
    assert "a day" in table.splitlines()[1]
    assert "samples, sealed" in table


def test_without_dbstat_payloads_are_counted(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_table_bytes", lambda _: {})
    reader = Reader(sealed)
    found = inventory.take(reader)
    reader.close()
    payloads = rows(
        sealed, "SELECT sum(length(payload)) FROM chunk WHERE id >> 32 IN (SELECT id FROM seal WHERE span_s=0)"
    )
    seals = rows(sealed, "SELECT sum(length(payload)) FROM seal WHERE span_s = 0")
    samples = next(part for part in found.parts if part.name == "samples, sealed")
    assert samples.bytes == int(str(payloads[0][0])) + int(str(seals[0][0]))
    assert sum(part.bytes for part in found.parts) == found.used_bytes


def an_inventory(samples: tuple[int, int], blocks: tuple[int, int], used: int) -> Inventory:
    """Return one of which samples and blocks take so many bytes and grow by so many a day."""
    kinds = [PartKind(1, size, 0, 1, day) for size, day in (samples, blocks)]
    return Inventory(used, 0, 0, (), 1, 1, kinds[0], kinds[1])


@pytest.mark.parametrize(
    ("samples", "blocks", "used", "expected"),
    [
        # bytes now and a day; keep 10 and 100 days, at most 1000 bytes in all: (a day, full in, levels at)
        ((0, 10), (0, 1), 0, (11, None, 200)),
        ((100, 10), (100, 1), 300, (0, None, 300)),  # as much goes by age as comes
        ((0, 50), (0, 10), 0, (60, 50.0, 1000)),  # 60 a day for 10 days, then 10 a day
        ((0, 200), (0, 1), 0, (201, 1000 / 201, 1000)),
        ((500, 200), (0, 1), 1000, (201, 0.0, 1000)),
        ((0, 0), (0, 0), 0, (0, None, 0)),
    ],
)
def test_when_it_is_full(
    samples: tuple[int, int], blocks: tuple[int, int], used: int, expected: tuple[int, float | None, int]
) -> None:
    limits = RetentionLimits(10 * DAY_S, 100 * DAY_S, 1000, 5000, 5000)
    found = inventory.outlook(an_inventory(samples, blocks, used), limits)
    assert (found.day_bytes, found.full_in_days, found.levels_at_bytes) == (
        expected[0], pytest.approx(expected[1]), expected[2],
    )  # fmt: skip


def test_a_store_just_begun_has_stats_too(writer: Writer, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in range(3):
        code, out, _ = run(capsys, "db", "stats", "--config", config, "--format", "json")
        assert (code, json.loads(out)["scrapes"]) == (0, at)
        assert run(capsys, "db", "stats", "--config", config)[0] == 0
        writer.write_scrape(scrape(at))


# Check


def test_a_sound_store_is_said_to_be(sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "db", "check", "--config", config)
    assert code == 0
    assert "is sound: 825 samples and 150 blocks" in out


MERGED = "(SELECT id FROM seal WHERE level = 2)"
TWICE = (
    "INSERT INTO seal SELECT 99, span_s, level, first, last, first_ms, last_ms, rounds, rows, bytes, payload "
    "FROM seal WHERE level = 2; "
    f"INSERT INTO chunk SELECT (99 << 32) + (id & 0xffffffff), n, payload FROM chunk WHERE id >> 32 = {MERGED}"
)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ("UPDATE chunk SET payload = substr(payload, 2) WHERE id = (SELECT min(id) FROM chunk)", "checksum"),
        ("UPDATE chunk SET n = n + 1 WHERE id = (SELECT max(id) FROM chunk)", "and says"),
        ("UPDATE seal SET rows = rows + 1 WHERE id = (SELECT max(id) FROM seal)", "values in"),
        ("UPDATE seal SET payload = x'0100' WHERE id = (SELECT min(id) FROM seal)", "seal "),
        ("UPDATE sample_round SET payload = x'010000' WHERE scrape_id = 73", "scrape 73, 11 samples"),
        ("UPDATE block_round SET payload = x'02' WHERE id = (SELECT max(id) FROM block_round)", "2 blocks: its"),
        ("DELETE FROM seal WHERE level = 2", "belong to no seal"),
        ("INSERT INTO sample_round SELECT 5, n, payload FROM sample_round LIMIT 1", "unsealed, too"),
        (TWICE, "for the same scrapes"),
    ],
)
def test_each_damage_is_found(
    sealed: Path, config: Path, capsys: pytest.CaptureFixture[str], statements: str, words: str
) -> None:
    change(sealed, *statements.split("; "))
    code, out, _ = run(capsys, "db", "check", "--config", config)
    assert code == 65
    assert "is damaged" in out.splitlines()[0]
    assert words in out


def test_a_broken_database_is_one_line_and_65(sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overwrite(sealed, first=3, count=30)
    code, out, err = run(capsys, "db", "check", "--config", config)
    assert code == 65
    assert "is damaged" in out + err
    assert "Traceback" not in err


# Backup


def test_a_backup_is_the_store_at_that_moment(
    sealed: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.db"
    code, out, _ = run(capsys, "db", "backup", copy, "--config", config)
    assert (code, "checked" in out) == (0, True)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert all_samples(copy) == all_samples(sealed)
    assert rows(copy, "PRAGMA journal_mode") == [("delete",)]  # one file is all there is
    # AND nothing is overwritten unasked, nor the store itself
    before = copy.read_bytes()
    code, _, err = run(capsys, "db", "backup", copy, "--config", config)
    assert (code, "--force" in err, copy.read_bytes() == before) == (73, True, True)
    assert run(capsys, "db", "backup", copy, "--force", "--config", config)[0] == 0
    assert run(capsys, "db", "backup", sealed, "--force", "--config", config)[0] == 73
    assert run(capsys, "db", "backup", tmp_path / "no" / "x.db", "--config", config)[0] == 74
    assert not [p.name for p in tmp_path.iterdir() if ".part-" in p.name]


def test_a_backup_while_the_daemon_writes(
    store: Path, tmp_path: Path, proc_tree: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with Child(tmp_path, store, proc_tree("linux-6.18-x86_64")) as daemon:
        daemon.stored(5)
        for at in range(3):
            copy = tmp_path / f"copy-{at}.db"
            had = daemon.scrapes()
            assert run(capsys, "db", "backup", copy, "--config", tmp_path / "config.toml")[0] == 0
            numbers = [row[0] for row in rows(copy, "SELECT id FROM scrape ORDER BY id")]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= had
            assert {scrape_id for scrape_id, _, _ in all_samples(copy)} == set(numbers)
            daemon.stored(had + 3)
        assert daemon.stop() == 0


# Vacuum


def test_vacuum_gives_room_back_and_keeps_everything(
    sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(sealed, "CREATE TABLE filler(x)", "INSERT INTO filler VALUES (zeroblob(3000000))", "DROP TABLE filler")
    before, samples = sealed.stat().st_size, all_samples(sealed)
    code, out, _ = run(capsys, "db", "vacuum", "--config", config)
    assert code == 0
    assert "before" in out
    assert sealed.stat().st_size < before - 2_000_000
    assert all_samples(sealed) == samples
    assert rows(sealed, "PRAGMA auto_vacuum") == [(2,)]


def test_vacuum_gives_a_store_of_an_earlier_version_the_pages_of_this_one(
    sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(sealed, "PRAGMA journal_mode=DELETE", "PRAGMA page_size=4096", "VACUUM", "PRAGMA journal_mode=WAL")
    assert rows(sealed, "PRAGMA page_size") == [(4096,)]
    samples = all_samples(sealed)
    assert run(capsys, "db", "vacuum", "--config", config)[0] == 0
    for pragma, value in (("page_size", PAGE_BYTES), ("auto_vacuum", 2), ("journal_mode", "wal")):
        assert rows(sealed, f"PRAGMA {pragma}") == [(value,)]
    assert all_samples(sealed) == samples


def test_vacuum_refuses_while_a_daemon_holds_the_store(
    sealed: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = StoreLock(sealed)
    code, _, err = run(capsys, "db", "vacuum", "--config", config)
    lock.release()
    assert code == 75
    assert f"pid {os.getpid()}" in err


# Export


def exported(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, str]]:
    code, out, _ = run(capsys, "db", "export", *arguments)
    assert code == 0
    return list(csv.DictReader(out.splitlines()))


def test_what_is_exported_is_what_was_sampled(sealed: Path, config: Path, capsysbinary: object, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert main(["db", "export", "--config", str(config), "-o", str(out)]) == 0
    found = list(csv.DictReader(out.read_text().splitlines()))
    assert len(found) == 75 * 11
    got = {(row["time"], row["series"]): (int(row["value"]), row["estimated"]) for row in found}
    for number in range(75):
        time = f"{(BASE_MS + number * MINUTE_MS) // 1000}.000"
        assert got[time, "kernel/MemFree"] == (number, "0")
        for pid in range(1, 6):
            assert got[time, f"proc/p{pid}[{pid}]"] == (number * 1000 + pid, str(int(number % 3 > 0)))
            assert got[time, f"proc/p{pid}[{pid}]/rss"] == (-number, "0")
    assert [float(row["time"]) for row in found] == sorted(float(row["time"]) for row in found)


def test_patterns_and_times_choose(sealed: Path, config: Path, tmp_path: Path) -> None:
    def chosen(*arguments: str) -> list[dict[str, str]]:
        out = tmp_path / "out.csv"
        assert main(["db", "export", "--config", str(config), "--force", "-o", str(out), *arguments]) == 0
        return list(csv.DictReader(out.read_text().splitlines()))

    assert {row["series"] for row in chosen("--metric", "kernel.*")} == {"kernel/MemFree"}
    assert {row["series"] for row in chosen("--metric", USS, "--target", "s1.service")} == {"proc/p1[1]", "proc/p4[4]"}
    assert {row["series"] for row in chosen("--target", "proc/p3*")} == {"proc/p3[3]", "proc/p3[3]/rss"}
    since, until = ((BASE_MS + n * MINUTE_MS) // 1000 for n in (12, 14))
    found = chosen("--metric", "kernel.*", "--since", str(since), "--until", str(until))
    assert [row["value"] for row in found] == ["12", "13"]
    assert chosen("--metric", "no.such") == []


def test_analyze_reads_what_was_exported(
    sealed: Path, config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv.gz"
    assert main(["db", "export", "--config", str(config), "--metric", USS, "-o", str(out)]) == 0
    assert gzip.decompress(out.read_bytes()).startswith(b"time,series,value,estimated\n")
    capfd.readouterr()
    assert main(["analyze", "--format", "jsonl", str(out)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert {json.loads(line)["series"] for line in lines} == {f"proc/p{pid}[{pid}]" for pid in range(1, 6)}


def test_json_lines_hold_the_whole_name(sealed: Path, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["db", "export", "--config", str(config), "--format", "jsonl", "--metric", RSS, "-o", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(found) == 75 * 5
    assert found[0] == {
        "time_ms": BASE_MS, "series": "proc/p1[1]/rss", "metric": RSS, "kind": "process",
        "target": process(1).identity.target.key, "value": 0, "estimated": False,
    }  # fmt: skip


def test_parquet_holds_the_same(sealed: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, an extra")
    from leakwatch.report import samples as export

    monkeypatch.setattr(export, "ROWS_A_GROUP", 100)  # several groups
    out = tmp_path / "out.parquet"
    assert main(["db", "export", "--config", str(config), "--format", "parquet", "-o", str(out)]) == 0
    table = pq.read_table(out)
    assert table.num_rows == 75 * 11
    uss = [row for row in table.to_pylist() if row["metric"] == USS and row["series"] == "proc/p2[2]"]
    assert [row["value"] for row in uss] == [n * 1000 + 2 for n in range(75)]
    assert [row["estimated"] for row in uss] == [n % 3 > 0 for n in range(75)]
    assert round(uss[7]["time"].timestamp() * 1000) == BASE_MS + 7 * MINUTE_MS


def test_without_pyarrow_parquet_says_what_to_install(
    sealed: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run(capsys, "db", "export", "--config", config, "--format", "parquet", "-o", tmp_path / "x.parquet")
    assert code == 2
    assert "leakwatchd[parquet]" in err


def test_names_of_any_bytes_are_exported(store: Path, config: Path, tmp_path: Path) -> None:
    # GIVEN a process that calls itself a line break, a quote, a formula and a byte that is no UTF-8
    writer = Writer(store)
    hostile = replace(process(7), name='=a\n"b\udcff,')
    samples = (Sample(USS, hostile.identity.target, 5), Sample("kernel.mem_free_bytes", HOST, 1))
    writer.write_scrape(replace(scrape(1), processes=(hostile,), samples=samples))
    writer.close()
    out = tmp_path / "out.csv"
    assert main(["db", "export", "--config", str(config), "-o", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as lines:
        found = {row["series"]: row["value"] for row in csv.DictReader(lines)}
    assert found == {'proc/=a\\x0a"b\\xff,[7]': "5", "kernel/MemFree": "1"}
    assert out.read_bytes().count(b"\n") == 1 + len(found)  # a line a sample
    if pytest.importorskip("pyarrow", reason="needs pyarrow, an extra"):
        parquet = tmp_path / "out.parquet"
        assert main(["db", "export", "--config", str(config), "--format", "parquet", "-o", str(parquet)]) == 0


def test_an_export_of_a_damaged_store_says_so(
    sealed: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((lost,),) = rows(sealed, "SELECT n FROM chunk ORDER BY id LIMIT 1")
    change(sealed, "UPDATE chunk SET payload = x'0100' WHERE id = (SELECT min(id) FROM chunk)")
    out = tmp_path / "out.csv"
    code, _, err = run(capsys, "db", "export", "--config", config, "-o", out)
    assert code == 65
    assert "1 damaged parts were left out" in err
    assert len(out.read_text().splitlines()) == 1 + 75 * 11 - int(str(lost))


def test_nothing_is_overwritten_unasked(
    sealed: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    code, _, err = run(capsys, "db", "export", "--config", config, "-o", out)
    assert (code, "--force" in err, out.read_text()) == (73, True, "mine")
    assert run(capsys, "db", "export", "--config", config, "-o", tmp_path / "no" / "x")[0] == 74


def test_an_export_while_the_store_is_sealed_has_each_sample_once(
    store: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEALED_SCRAPES", 10)
    monkeypatch.setattr(sealing, "MERGED_SCRAPES", 40)
    writer = Writer(store)
    for number in range(200):
        writer.write_scrape(scrape(number))
    stop = threading.Event()

    def go_on() -> None:
        number = 200
        while not stop.is_set():
            sealing.seal_samples(writer)
            merge(writer, 1 << 40)
            writer.write_scrape(scrape(number))
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for at in range(5):
            out = tmp_path / f"{at}.csv"
            assert main(["db", "export", "--config", str(config), "--metric", "kernel.*", "-o", str(out)]) == 0
            values = [int(row["value"]) for row in csv.DictReader(out.read_text().splitlines())]
            assert values == list(range(len(values)))
            assert len(values) >= 200
    finally:
        stop.set()
        thread.join()
        writer.close()


@pytest.mark.parametrize("action", [["stats"], ["check"], ["backup", "x"], ["vacuum"], ["export"]])
def test_without_a_store_each_says_so(action: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "none.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/none.db"\n')
    code, _, err = run(capsys, "db", *action, "--config", config)
    assert code == 66
    assert "no store" in err
    assert not (tmp_path / "none.db").exists()


def test_a_database_of_another_program_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes(x)")
    config = tmp_path / "other.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{path}"\n')
    for action in (["stats"], ["check"], ["vacuum"]):
        assert run(capsys, "db", *action, "--config", config)[0] == 65
